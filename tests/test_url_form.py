"""The forms of URLs that a user can ask for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper import urls
from scraper.errors import InvalidOption, InvalidURL
from scraper.model import Lease, Outcome, Request, State
from scraper.options import UrlOptions
from scraper.url_form import UrlForm, url_form, without_session

HOST = "http://example.org"
DIGEST = "9682993c8daa2c5497996114facdc805"


def rewritten(path: str, **options: Any) -> str:
    form = url_form(UrlOptions(**options))
    assert form is not None
    return form.of(HOST + path).removeprefix(HOST)


def test_without_an_option_there_is_no_form() -> None:
    assert url_form(UrlOptions()) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/?b=1&a=2", "/?a=2&b=1"),
        ("/?b=2&a&b=1&a=", "/?a&a=&b=2&b=1"),  # the values of one name are a list, whose order may matter
        ("/?b=1&&a=2&", "/?a=2&b=1"),
        ("/a?", "/a"),
        ("/a?&", "/a"),
        ("/b/a", "/b/a"),
        ("/?a=/?b=1&a=0", "/?a=/?b=1&a=0"),
    ],
)
def test_a_sorted_query(path: str, expected: str) -> None:
    assert rewritten(path, sort_query=True) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a?utm_source=x&id=1&UTM_Medium=y", "/a?id=1"),
        ("/a?gclid=1", "/a"),
        ("/a?id=1&fbclid=2", "/a?id=1"),
        ("/a?utm%5Fsource=x&id=1", "/a?id=1"),
        ("/a?not_utm_source=1&ref=2&source=3", "/a?not_utm_source=1&ref=2&source=3"),
        ("/a?q=utm_source=1", "/a?q=utm_source=1"),
        ("/utm_source=1/gclid", "/utm_source=1/gclid"),
    ],
)
def test_tracking_parameters_are_dropped_by_their_names(path: str, expected: str) -> None:
    assert rewritten(path, drop_tracking=True) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/?color=1&colors=2", "/?colors=2"),
        ("/?filter[size]=1&filter%5Bcolor%5D=2&filter=3", "/?filter=3"),
        ("/?x.y=1&xzy=2", "/?xzy=2"),
        ("/?view=print&VIEW=pdf", "/"),
    ],
)
def test_parameters_are_dropped_that_the_user_names(path: str, expected: str) -> None:
    assert rewritten(path, drop_parameters=("color", "filter[*]", "x.y", "view")) == expected


def test_a_pattern_that_fits_everything_is_refused() -> None:
    for pattern in ("", "*", "**"):
        with pytest.raises(InvalidOption, match="every parameter"):
            UrlOptions(drop_parameters=(pattern,))


SESSIONS = {
    "/a;jsessionid=C36D0DB672AED6F3A5DEED63D48D441B": "/a",
    "/a;JSessionID=1!2/b?c=1": "/a/b?c=1",
    "/a;v=1;jsessionid=2;w=3/b": "/a;v=1;w=3/b",
    "/(S(lit3py55t21z5v55vlm25s55))/orders.aspx": "/orders.aspx",
    "/app/(A(x)S(lit3py55t21z5v55vlm25s55)F(y))/": "/app/",
    "/(S(lit3py55t21z5v55vlm25s55))": "/",
    "/..;jsessionid=1/b": "/b",
    f"/?PHPSESSID={DIGEST}&id=1": "/?id=1",
    "/?phpsessid=short": "/",
    f"/t.php?t=1&sid={DIGEST}": "/t.php?t=1",
    f"/?SessionId={DIGEST}": "/",
    "/?ASPSESSIONIDAQBSDSRT=EOHBLBDDPFCLHKPGGKLILNAM&a": "/?a",
    "/?CFID=1&CFTOKEN=2": "/",
    "/shop?osCsid=abc": "/shop",
}

HONEST = (
    "/talks?session_id=42",
    "/talks?session=9682993c8daa2c5497996114facdc805",
    "/?sid=7",
    "/?sid=",
    "/?sid",
    "/?jsessionid",
    "/?s=jsessionid",
    "/(S(short))/",
    "/Mercury_(planet)/",
    "/a;b=1",
    f"/?s={DIGEST}",  # a signature, on some servers of images
    f"/?q=sid={DIGEST}",
)


@pytest.mark.parametrize(("path", "expected"), SESSIONS.items())
def test_session_ids_are_dropped(path: str, expected: str) -> None:
    assert rewritten(path, drop_session_ids=True) == expected
    assert without_session(HOST + path) == HOST + expected


@pytest.mark.parametrize("path", HONEST)
def test_what_only_looks_like_a_session_id_stays(path: str) -> None:
    url = HOST + path
    assert rewritten(path, drop_session_ids=True) == path
    assert without_session(url) is url


PIECES = st.sampled_from(
    [
        *("a", "b", "/", ".", "..", "/../", "?", "&", "&&", "=", ";", "%2E", "é", "utm_", "gclid=1", "sid="),
        *(";jsessionid=", ";JSESSIONID=1", "/(S(", "lit3py55t21z5v55vlm25s55", "))", "/(S(lit3py55t21z5v55vlm25s55))"),
        *(DIGEST, f"sid={DIGEST}"),
    ]
)
FORMS = st.builds(
    UrlOptions,
    sort_query=st.booleans(),
    drop_tracking=st.booleans(),
    drop_session_ids=st.booleans(),
    drop_parameters=st.sampled_from([(), ("a",), ("*b",)]),
)


@given(st.lists(PIECES, max_size=12).map("".join), FORMS)
def test_a_form_is_canonical_and_its_own_form(path: str, options: UrlOptions) -> None:
    url = urls.canonical(f"{HOST}/{path}")
    form = UrlForm(options)
    found = form.of(url)
    assert urls.canonical(found) == found
    assert form.of(found) == found
    assert urls.host_port(found) == urls.host_port(url)


def test_a_request_keeps_all_but_its_url() -> None:
    form = UrlForm(UrlOptions(sort_query=True))
    request = Request("HTTP://example.org?b&a#x", method="POST", body=b"x", data=[1], priority=3, dedup_key="k")
    found = form.of_request(request)
    assert found.url == f"{HOST}/?a&b"
    assert found[1:] == request[1:]
    plain = Request(f"{HOST}/?a&b")
    assert form.of_request(plain) is plain
    with pytest.raises(InvalidURL):
        form.of_request(Request("nowhere"))


def test_an_outcome_leads_to_forms() -> None:
    form = UrlForm(UrlOptions(drop_session_ids=True))
    lease = Lease(Request(f"{HOST}/a"), f"{HOST}/a", 0, 1)
    outcome = Outcome(
        lease,
        State.DONE,
        final_url=f"{HOST}/a;jsessionid=1",
        items=({"url": f"{HOST}/a;jsessionid=1"},),
        links=(f"{HOST}/b;jsessionid=1", f"{HOST}/c", f"{HOST}/b;jsessionid=2"),
        requests=(Request(f"{HOST}/d;jsessionid=1", priority=1),),
    )
    found = form.of_outcome(outcome)
    assert found.final_url == f"{HOST}/a"
    assert found.links == (f"{HOST}/b", f"{HOST}/c")
    assert found.requests == (Request(f"{HOST}/d", priority=1),)
    assert found._replace(final_url=None, links=(), requests=()) == outcome._replace(
        final_url=None, links=(), requests=()
    )
    waiting = Outcome(lease, State.FAILED)
    assert form.of_outcome(waiting) == waiting
