"""Sites without end are left, and honest ones are not."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scraper import traps, urls
from scraper.errors import InvalidOption
from scraper.options import LimitOptions, TrapOptions
from scraper.parse.page import Page
from scraper.parse.parsers import make_parser
from scraper.traps import Traps

FOLDER = Path(__file__).parents[2] / "shared/data/pages"
HOST = "http://example.org"
DIGEST = "9682993c8daa2c5497996114facdc805"


def looking(**options: Any) -> Traps:
    return Traps(TrapOptions(**options), this_year=2026)


def reason(looked: Traps, path: str, depth: int = 1) -> str | None:
    skip = looked.verdict(HOST + path, depth)
    return None if skip is None else skip.reason


def crawled(looked: Traps, links: Callable[[str], list[str]], start: str, most: int) -> tuple[int, set[str]]:
    """How many pages of a made-up site are fetched, breadth first, and why others are not."""
    waiting, known, fetched, reasons = [start], {start}, 0, set()
    depth = 0
    while waiting and fetched < most:
        found: list[str] = []
        for url in waiting:
            skip = looked.verdict(url, depth)
            if skip is not None:
                reasons.add(skip.reason)
                continue
            fetched += 1
            found += [each for each in urls.join_all(url, links(url))[0] if each not in known]
            known.update(found)
        waiting, depth = list(dict.fromkeys(found)), depth + 1
    return fetched, reasons


LEXICAL = {
    "/" + "x" * 2_100: "trap_url_too_long",
    "/a" * 3 + "/b" + "/a/c" * 30: "trap_path_too_long",
    "/x/x/x/x/x": "trap_repeated_segments",
    "/en/a/b/a/b/a/b/": "trap_repeated_segments",
    "/a/b/c/a/b/c/a/b/c": "trap_repeated_segments",
    "///////": "trap_repeated_segments",
    "/?" + "&".join(f"a{number}=1" for number in range(65)): "trap_query_too_long",
    "/?" + "&".join(["page=2"] * 9): "trap_repeated_parameters",
    "/login?to=%2525252Flogin%3Fto": "trap_nested_encoding",
    "/calendar/2057/01": "trap_calendar",
    "/events/2057-10-12": "trap_calendar",
    "/events?date=2057-10-12&view=week": "trap_calendar",
    "/events?on=2057-10-12T08:00": "trap_calendar",
    "/2057/02/11/": "trap_calendar",
    "/?view=month&month=3&year=2057": "trap_calendar",
    "/?y=1520&m=12": "trap_calendar",
    "/archive/1506-12-31": "trap_calendar",
}

HONEST = (
    "/",
    "/2026/03/12/a-title-of-2057-words/",
    "/2056/02/11",
    "/calendar/2056/12",
    "/1605/07/01/the-first-newspaper",
    "/1066/10/14/hastings",
    "/bonds?maturity=2099-12-31",
    "/search?to=9999-12-31",
    "/threads/5123/02/11",
    "/threads/2057/10",
    "/threads/5123/10",
    "/threads/5123/10/12",
    "/updates/5123/10",
    "/event/5678/2",
    "/parts/9012-04",
    "/parts/9012-44-01",
    "/phone/555-2345-11",
    "/films/year=2057",
    "/?year=2057",
    "/?m=12&product=2057",
    "/all/all/all/all/page/2",
    "/0/0/0/0/0/0/0/0",
    "/-/-/-/-/-/-",
    "/tiles/5/10/5/10/5/10",
    "/src/main/java/org/example/src/main/java/org/example/Main.java",
    "/node_modules/a/node_modules/b/node_modules/c/node_modules/d",
    "/web/20200101000000/http://example.org/",
    "/login?to=%252Fa%253Fb",
    "/search?" + "&".join(f"field{number}[]=and" for number in range(40)),
    "/search?op[]=and&op[]=and&op[]=and&op[]=and",
    "/viewtopic.php?f=1&t=123&p=456",
    "/index.php?option=com_content&view=article&id=4711&Itemid=12&lang=de",
    f"/file/{DIGEST}/550e8400-e29b-41d4-a716-446655440000",
)


@pytest.mark.parametrize(("path", "expected"), LEXICAL.items())
def test_some_traps_show_in_their_urls(path: str, expected: str) -> None:
    skip = looking().lexical(HOST + path)
    assert skip is not None
    assert (skip.reason, reason(looking(), path)) == (expected, expected)
    assert skip.detail


@pytest.mark.parametrize("path", HONEST)
def test_honest_urls_are_let_through(path: str) -> None:
    assert looking().lexical(HOST + path) is None
    assert reason(looking(), path) is None


@pytest.mark.parametrize("path", LEXICAL)
def test_what_the_user_names_is_no_trap(path: str) -> None:
    assert reason(looking(), path, depth=0) is None


@pytest.mark.parametrize("path", LEXICAL)
def test_nothing_is_looked_for_without_options(path: str) -> None:
    assert Traps(None).verdict(HOST + path, 1) is None
    assert Traps(None).lexical(HOST + path) is None


def test_a_calendar_that_links_to_the_next_and_the_last_month_ends() -> None:
    def links(url: str) -> list[str]:
        year, month = map(int, url.split("/")[-2:])
        return [f"/calendar/{at // 12}/{at % 12 + 1:02}" for at in (year * 12 + month, year * 12 + month - 2)]

    fetched, reasons = crawled(looking(), links, f"{HOST}/calendar/2026/03", 20_000)
    assert reasons == {"trap_calendar"}
    assert fetched == (30 + 500 + 1) * 12


def test_a_calendar_that_leaps_ends_too() -> None:
    def links(url: str) -> list[str]:
        return [f"/calendar/{int(url[-7:-3]) + 10}/01"]

    assert crawled(looking(), links, f"{HOST}/calendar/2026/01", 99) == (4, {"trap_calendar"})


def test_days_have_a_budget_too() -> None:
    looked = looking(max_dates=100)
    days = [date.fromordinal(date(2026, 1, 1).toordinal() - back) for back in range(150)]
    expected = [None] * 100 + ["trap_calendar"] * 50
    assert [reason(looked, f"/day/{day}") for day in days] == expected
    assert [reason(looked, f"/?view=day&d={day.day}&m={day.month}&y={day.year}") for day in days] == expected


def test_articles_have_no_budget_because_their_addresses_hold_a_date() -> None:
    looked = looking(max_dates=10)
    assert {reason(looked, f"/2026/03/05/{number}.html") for number in range(50)} == {None}


def test_links_without_their_leading_slash_end() -> None:
    """A site that answers any path: each page links to news/ and to about/ beside itself."""
    fetched, reasons = crawled(looking(), lambda _: ["news/"], f"{HOST}/", 1_000)
    assert (fetched, reasons) == (5, {"trap_repeated_segments"})
    fetched, reasons = crawled(looking(), lambda _: ["news/", "about/", "jobs/"], f"{HOST}/", 20_000)
    assert reasons == {"trap_repeated_segments"}
    assert fetched < 1_000


def test_links_that_add_to_the_query_end() -> None:
    fetched, reasons = crawled(looking(), lambda url: [f"{url}&print=1"], f"{HOST}/?a", 1_000)
    assert (fetched, reasons) == (9, {"trap_repeated_parameters"})


def shop() -> Iterator[str]:
    """Filters that can be combined at will: 10 × 10 × 10 × 20 pages of products that are the same few."""
    for color, size, brand, page in itertools.product(range(10), range(10), range(10), range(20)):
        yield f"/shoes?color=c{color}&size={size}&brand=b{brand}&page={page}"


def test_filters_are_not_combined_without_end() -> None:
    looked = looking(max_combinations=500)
    reasons = [reason(looked, path) for path in itertools.islice(shop(), 2_000)]
    assert reasons == [None] * 500 + ["trap_combinations"] * 1_500
    assert reason(looked, "/shoes/12?color=c1&size=1") is None
    assert reason(looked, "/shirts?color=c1&size=1&brand=b1&page=1") is None


def test_a_forum_is_no_shop() -> None:
    """Three parameters as well, but one of them is a number that few pages share."""
    looked = looking(max_combinations=500)
    topics = (f"/viewtopic.php?f={n % 30}&t={n}&start={start}" for n in range(6_000) for start in (0, 15, 30))
    assert {reason(looked, path) for path in topics} == {None}


def test_a_large_shop_has_more_values_and_still_an_end() -> None:
    looked = looking(max_combinations=500)
    brands = (
        f"/shoes?brand=b{brand}&size={size}&page={page}"
        for page in range(9)
        for size in range(9)
        for brand in range(500)
    )
    reasons = [reason(looked, path) for path in brands]
    first = reasons.index("trap_combinations")
    assert 10 * 500 < first < 10 * 550
    assert set(reasons[first:]) == {"trap_combinations"}


def test_a_million_of_one_pattern_is_for_the_user_to_bound() -> None:
    looked = looking()
    assert {reason(looked, f"/product/{number}?tab={number}") for number in range(20_000)} == {None}
    looked = looking(max_pages_per_pattern=10)
    paths = [f"/product/{number}?tab=1&size={number}" for number in range(12)]
    assert [reason(looked, path) for path in paths] == [None] * 10 + ["trap_pattern_budget"] * 2
    assert reason(looked, "/product/13?tab=1") is None
    assert reason(looked, f"/product/{DIGEST}?tab=1&size=2") == "trap_pattern_budget"


def test_a_page_is_fetched_with_one_of_its_session_ids() -> None:
    looked = looking()
    assert reason(looked, "/a;jsessionid=1?b") is None
    assert reason(looked, "/a;jsessionid=1?b") is None  # the same request again
    assert reason(looked, "/a;jsessionid=2?b") == "trap_session_id"
    assert reason(looked, "/a;jsessionid=2?c") is None
    assert reason(looked, "/(S(lit3py55t21z5v55vlm25s55))/x") is None
    assert reason(looked, "/(S(abc3py55t21z5v55vlm25s55))/x") == "trap_session_id"
    assert reason(looked, "/x?sid=1") is None
    assert reason(looked, "/x?sid=2") is None


def test_a_site_that_gives_each_visit_a_session_ends() -> None:
    ids = itertools.count()

    def links(url: str) -> list[str]:
        return [f"/page{number}?PHPSESSID={next(ids):032}" for number in range(20)]

    fetched, reasons = crawled(looking(), links, f"{HOST}/", 1_000)
    assert (fetched, reasons) == (21, {"trap_session_id"})


def test_a_host_has_a_budget_over_all_runs() -> None:
    looked = Traps(None, max_pages_per_host=3)
    looked.restore({"example.org:80": 1})
    looked.restore({"example.org:80": 0})
    assert [reason(looked, f"/{number}", depth=0) for number in range(4)] == [None, None, "host_budget", "host_budget"]
    assert looked.verdict("https://example.org/", 1) is None
    assert looked.verdict("http://other.example/", 1) is None


def test_what_is_refused_does_not_count_for_its_host() -> None:
    looked = Traps(TrapOptions(), max_pages_per_host=1)
    assert reason(looked, "/x/x/x/x/x") == "trap_repeated_segments"
    assert reason(looked, "/x") is None
    assert reason(looked, "/y") == "host_budget"


def test_memory_is_bounded_and_the_last_met_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traps, "_PATTERNS", 10)
    monkeypatch.setattr(traps, "_SESSIONS", 10)
    monkeypatch.setattr(traps, "_CALENDARS", 10)
    looked = looking(max_pages_per_pattern=2)
    for number in range(50):
        reason(looked, f"/trap/{number}")
        reason(looked, f"/{'x' * number}?jsessionid={number}")
        reason(looked, f"/2026/03/05/{'x' * number}")
    assert repr(looked) == "<Traps 10 patterns, 10 calendars, 10 sessions, 0 hosts>"
    assert reason(looked, "/trap/0") == "trap_pattern_budget"
    assert reason(looked, f"/{'x' * 49}?jsessionid=0") == "trap_session_id"
    assert reason(looked, f"/{'x' * 7}?jsessionid=0") is None


WORDS = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).filter(lambda word: word.strip("-"))
NUMBERS = st.integers(0, 10**9).map(str)
DATES = st.dates(date(1700, 1, 1), date(2027, 12, 31))
PATHS = st.one_of(
    st.lists(WORDS, max_size=12, unique=True).map("/".join),
    st.tuples(WORDS, NUMBERS, WORDS).map("/".join),
    st.tuples(NUMBERS, NUMBERS, NUMBERS).map("/".join),
    st.builds("{:%Y/%m/%d}/{}".format, DATES, WORDS),
    st.builds("{}/{}/{}".format, WORDS, DATES, WORDS),
    st.builds("{}/{}".format, WORDS, st.uuids()),
)
QUERIES = st.dictionaries(WORDS, st.one_of(WORDS, NUMBERS, st.uuids().map(str)), max_size=12).map(
    lambda parameters: "&".join(f"{name}={value}" for name, value in parameters.items())
)


@settings(max_examples=40)
@given(st.lists(st.tuples(PATHS, QUERIES), min_size=1, max_size=50))
def test_no_url_of_an_honest_shape_is_refused(shapes: list[tuple[str, str]]) -> None:
    looked = looking()
    assert [found for path, query in shapes if (found := reason(looked, f"/{path}?{query}"))] == []


@settings(max_examples=40)
@given(st.text(max_size=60), st.integers(0, 3))
def test_no_url_breaks_it(text: str, depth: int) -> None:
    url = urls.join(f"{HOST}/", text)
    if url is not None:
        looking(max_pages_per_pattern=5).verdict(url, depth)


@pytest.mark.skipif(not FOLDER.exists(), reason="the saved pages are not at hand")
def test_no_link_of_the_saved_pages_is_refused() -> None:
    parser = make_parser("lexbor")
    looked = looking()
    seen: set[str] = set()
    for entry in json.loads((FOLDER / "manifest.json").read_text())[::4]:
        body = gzip.decompress((FOLDER / entry["file"]).read_bytes())
        seen.update(Page.from_bytes(body, url=entry["url"], parser=parser).links())
    assert len(seen) > 5_000
    assert [url for url in sorted(seen) if looked.verdict(url, 1) is not None] == []


def test_a_budget_is_a_positive_number() -> None:
    with pytest.raises(InvalidOption, match="max-pages-per-host must be more than 0"):
        LimitOptions(max_pages_per_host=0)
    with pytest.raises(InvalidOption, match="max-segments must be more than 0"):
        TrapOptions(max_segments=0)
