"""Dates as sitemaps and feeds write them; what is none is None."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scraper.sitemap.lastmod import period


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("2024", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-05", datetime(2024, 5, 1, tzinfo=UTC)),
        ("2024-05-17", datetime(2024, 5, 17, tzinfo=UTC)),
        (" 2024-05-17\n", datetime(2024, 5, 17, tzinfo=UTC)),
        ("2024-05-17T19:20+01:00", datetime(2024, 5, 17, 18, 20, tzinfo=UTC)),
        ("2024-05-17T19:20:30+01:00", datetime(2024, 5, 17, 18, 20, 30, tzinfo=UTC)),
        ("2024-05-17T19:20:30.45+01:00", datetime(2024, 5, 17, 18, 20, 30, 450_000, tzinfo=UTC)),
        ("2024-05-17T19:20:30Z", datetime(2024, 5, 17, 19, 20, 30, tzinfo=UTC)),
        ("2024-05-17 19:20:30", datetime(2024, 5, 17, 19, 20, 30, tzinfo=UTC)),
        ("Fri, 17 May 2024 19:20:30 GMT", datetime(2024, 5, 17, 19, 20, 30, tzinfo=UTC)),
        ("17 May 2024 19:20 EST", datetime(2024, 5, 18, 0, 20, tzinfo=UTC)),
        ("Fri, 17 May 2024 19:20:30 -0000", datetime(2024, 5, 17, 19, 20, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", datetime.fromisoformat("0001-01-01T00:00:00+14:00")),
        ("9999-12-31", datetime(9999, 12, 31, tzinfo=UTC)),
    ],
)
def test_dates_that_can_be_read(text: str, start: datetime) -> None:
    found = period(text)
    assert found is not None
    assert found.start == start


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "0000", "2024-13", "2024-02-30", "17/05/2024", "1715973630", "2024-05-17T25:00Z"),
        *("Fri, 99 May 2024 19:20:30 GMT", "1 Jan 99999999999999999999 10:00:00", "\u0661\u0669\u0669\u0669"),
        *("2024-05-17T19:20+99:00", "2024-05-17" + " " * 100 + "x", "Fri, " * 2_000, "\0", "\ud800"),
    ],
)
def test_garbage_is_none(text: str) -> None:
    assert period(text) is None


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("2024", timedelta(days=366, hours=12)),
        ("2024-05", timedelta(days=31, hours=12)),
        ("2024-05-17", timedelta(days=1, hours=12)),
        ("2024-05-17T10:00", timedelta(hours=12)),
        ("2024-05-17T10:00Z", timedelta()),
    ],
)
def test_the_end_is_the_last_moment_that_is_meant(text: str, length: timedelta) -> None:
    found = period(text)
    assert found is not None
    assert found.end - found.start == length


@given(st.text(alphabet='0123456789-+:TZ., JanFebMonSunGMTEST/()"\\', max_size=40) | st.text(max_size=40))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_no_text_raises_and_what_is_found_can_be_compared(text: str) -> None:
    found = period(text)
    if found is not None:
        assert found.start <= found.end
        assert (found.end < datetime(2024, 1, 1, tzinfo=UTC)) in (True, False)
