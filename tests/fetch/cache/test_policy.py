"""What may be stored and used again: RFC 9111, sentence by sentence."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.fetch.cache.policy import (
    date_of,
    directives,
    is_fresh,
    is_reusable,
    is_storable,
    is_storable_status,
    to_store,
    updated,
    validators,
    vary_names,
)
from scraper.model import Headers

# Where the virtual clock stands when an answer comes: a whole second, as dates in headers are.
NOW_S = 1_700_000_000.0
DAY_S = 86_400.0


def headers(*lines: str) -> Headers:
    return Headers(tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines)))


def date(offset_s: float = 0.0) -> str:
    return formatdate(NOW_S + offset_s, usegmt=True)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Cache-Control: max-age=60"], {"max-age": "60"}),
        (["Cache-Control: Max-Age = 60 , NO-CACHE"], {"max-age": "60", "no-cache": ""}),
        (["Cache-Control: max-age=1", "Cache-Control: max-age=2, public"], {"max-age": "1", "public": ""}),
        (
            ['Cache-Control: no-cache="set-cookie, no-store", private'],
            {"no-cache": "set-cookie, no-store", "private": ""},
        ),
        (['Cache-Control: ext="a\\"b, no-store"'], {"ext": 'a\\"b, no-store'}),
        (["Cache-Control: ,,= ;"], {}),
        ([], {}),
    ],
)
def test_directives(lines: list[str], expected: dict[str, str]) -> None:
    assert directives(headers(*lines)) == expected


@given(st.text())
def test_directives_of_any_text(text: str) -> None:
    for name, value in directives(Headers((("Cache-Control", text),))).items():
        assert name == name.lower()
        assert name in text.lower()
        assert value in text


@pytest.mark.parametrize(
    ("lines", "lifetime_s"),
    [
        (["Cache-Control: max-age=60"], 60),
        (["Cache-Control: max-age=60", f"Expires: {date(-100)}"], 60),  # max-age counts more
        ([f"Expires: {date(30)}", f"Date: {date()}"], 30),
        ([f"Expires: {date(30)}"], 30),  # without a date, when it came
        ([f"Date: {date()}", f"Last-Modified: {date(-1000)}"], 100),  # a tenth of the time since
        ([f"Date: {date()}", f"Last-Modified: {date(-1000 * DAY_S)}"], DAY_S),  # a day at most
        (["Cache-Control: max-age=60", "Age: 20"], 40),
        (["Cache-Control: max-age=60", f"Date: {date(-20)}"], 40),  # it was on its way, or in another cache
        (["Cache-Control: max-age=60", f"Date: {date(+20)}"], 60),  # the server's clock is fast
        (["Cache-Control: max-age=99999999999999999999"], 2**31),
    ],
)
def test_how_long_an_answer_is_fresh(lines: list[str], lifetime_s: float) -> None:
    found = headers(*lines)
    assert is_fresh(200, found, NOW_S, NOW_S, NOW_S + lifetime_s - 1)
    assert not is_fresh(200, found, NOW_S, NOW_S, NOW_S + lifetime_s)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["ETag: 1"],
        ["Expires: 0"],
        ["Expires: soon", f"Last-Modified: {date(-1000)}"],
        ["Cache-Control: max-age=0"],
        ["Cache-Control: max-age=-1"],
        ["Cache-Control: max-age=soon"],
        ["Cache-Control: max-age=60, no-cache"],
        ['Cache-Control: max-age=60, no-cache="set-cookie"'],
        ["Cache-Control: max-age=60", "Age: 60"],
        [f"Last-Modified: {date(+1000)}"],
    ],
)
def test_what_is_never_fresh(lines: list[str]) -> None:
    assert not is_fresh(200, headers(*lines), NOW_S, NOW_S, NOW_S)


def test_the_time_that_a_request_took_counts_as_age() -> None:
    found = headers("Cache-Control: max-age=60", "Age: 0")
    assert is_fresh(200, found, NOW_S - 30, NOW_S, NOW_S + 29)
    assert not is_fresh(200, found, NOW_S - 30, NOW_S, NOW_S + 30)


def test_a_clock_that_was_set_back_makes_nothing_fresh() -> None:
    assert not is_fresh(200, headers("Cache-Control: max-age=60"), NOW_S, NOW_S, NOW_S - 1)


def test_only_some_statuses_are_fresh_by_guess() -> None:
    found = headers(f"Last-Modified: {date(-1000)}")
    assert [status for status in range(200, 600) if is_fresh(status, found, NOW_S, NOW_S, NOW_S)] == [
        200, 203, 204, 300, 301, 308, 404, 405, 410, 414,
    ]  # fmt: skip


def test_what_says_something_lasting() -> None:
    """No error of the moment, and no part of an answer."""
    assert is_storable_status(200)
    assert is_storable_status(302)
    assert [status for status in range(400, 600) if is_storable_status(status)] == [404, 405, 410, 414]
    assert not any(is_storable_status(status) for status in (100, 206, 304, 999))


@pytest.mark.parametrize(
    ("status", "lines", "expected"),
    [
        (200, [], True),
        (200, ["Cache-Control: no-store"], False),
        (200, ["Cache-Control: max-age=60", "Cache-Control: No-Store"], False),
        (200, ["Vary: *"], False),
        (200, ["Cache-Control: private"], True),
        (302, [], False),
        (302, ["Cache-Control: max-age=60"], True),
        (302, [f"Expires: {date()}"], True),
        (301, [], True),
        (404, [], True),
        (503, ["Cache-Control: max-age=60"], False),
        (206, ["Cache-Control: max-age=60"], False),
    ],
)
def test_what_may_be_stored(status: int, lines: list[str], expected: bool) -> None:
    assert is_storable(status, headers(*lines)) is expected


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([], ()),
        (["Vary: Accept-Encoding, accept"], ("accept", "accept-encoding")),
        (["Vary: b,,", "Vary: A, b"], ("a", "b")),
        (["Vary: *"], ("*",)),
    ],
)
def test_what_an_answer_was_selected_by(lines: list[str], names: tuple[str, ...]) -> None:
    assert vary_names(headers(*lines)) == names
    assert is_reusable(headers(*lines)) is ("*" not in names)


@pytest.mark.parametrize(
    ("lines", "pairs"),
    [
        ([], ()),
        (['ETag: "1"'], (("If-None-Match", '"1"'),)),
        (['ETag: W/"1"', f"Last-Modified: {date()}"], (("If-None-Match", 'W/"1"'), ("If-Modified-Since", date()))),
        (["ETag: ü"], ()),
        (['ETag: "a\x7f"'], ()),
    ],
)
def test_how_a_site_is_asked_whether_an_answer_still_holds(lines: list[str], pairs: tuple[object, ...]) -> None:
    assert validators(headers(*lines)) == pairs


def test_what_belongs_to_a_connection_or_a_session_is_not_stored() -> None:
    came = (
        ("Content-Type", "text/html"),
        ("Connection", "close, X-Hop"),
        ("x-hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Transfer-Encoding", "chunked"),
        ("SET-COOKIE", "session=secret"),
        ("ETag", "1"),
    )
    assert to_store(came) == (("Content-Type", "text/html"), ("ETag", "1"))


def test_a_304_brings_headers_up_to_date_and_leaves_the_bodys_alone() -> None:
    stored = (("Content-Type", "text/html"), ("Content-Length", "9"), ("ETag", "1"), ("X-Old", "a"), ("Date", "old"))
    confirmed = (
        ("date", "new"),
        ("Cache-Control", "max-age=60"),
        ("Content-Type", "text/plain"),
        ("Content-Length", "0"),
        ("Set-Cookie", "secret"),
    )
    assert updated(stored, confirmed) == (
        ("Content-Type", "text/html"),
        ("Content-Length", "9"),
        ("ETag", "1"),
        ("X-Old", "a"),
        ("date", "new"),
        ("Cache-Control", "max-age=60"),
    )


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("Tue, 14 Nov 2023 22:13:20 GMT", NOW_S),
        ("Tuesday, 14-Nov-23 22:13:20 GMT", NOW_S),
        ("Tue Nov 14 22:13:20 2023", NOW_S),
        ("Tue, 14 Nov 2023 22:13:20 -0000", NOW_S),
        ("0", None),
        ("", None),
        ("Tue, 99 Nov 2023 22:13:20 GMT", None),
        ("Tue, 14 Nov 99999 22:13:20 GMT", None),
        (None, None),
    ],
)
def test_dates(text: str | None, expected_s: float | None) -> None:
    assert date_of(text) == expected_s
