"""The page that lists all behaviours, the same as JSON, and what is said of each."""

import json
import re
from collections import Counter
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import urljoin

import pytest

from fixtures_server import FixtureServer
from fixtures_server.behaviours import BEHAVIOURS, GROUPS
from fixtures_server.behaviours.ends import MEANINGS, meaning

Ask = Callable[..., Any]

CASES = [(behaviour, case) for behaviour in BEHAVIOURS.values() for case in behaviour.cases]


def test_every_behaviour_has_a_name_and_words_of_its_own() -> None:
    behaviours = [behaviour for group in GROUPS for behaviour in group.behaviours]
    assert len(BEHAVIOURS) == len(behaviours)
    summaries = [behaviour.summary for behaviour in behaviours]
    assert all(summary.endswith(".") for summary in summaries)
    assert len(set(summaries)) == len(summaries)
    assert all(behaviour.advice.endswith(".") for behaviour in behaviours)
    assert all(group.about.endswith(".") for group in GROUPS)
    assert len({group.name for group in GROUPS}) == len({group.title for group in GROUPS}) == len(GROUPS)


def test_every_case_is_another_and_ends_in_words_that_are_explained() -> None:
    paths = Counter(behaviour.path(case.query) for behaviour, case in CASES)
    assert set(paths.values()) == {1}
    ends = {end for _, case in CASES for end in case.ends}
    meanings = {meaning(end) for end in ends}
    assert meanings == set(MEANINGS.values()), "a meaning that no case has"
    with pytest.raises(KeyError):
        meaning("failed:http_teapot")


def test_every_behaviour_has_a_case() -> None:
    assert all(behaviour.cases for behaviour in BEHAVIOURS.values())


def test_the_index_lists_every_behaviour_with_its_words_links_and_ends(site: FixtureServer, ask: Ask) -> None:
    index = ask(site.url + "faults/").body.decode()
    for group in GROUPS:
        assert f'<h2 id="group-{group.name}">' in index
        assert f'<a href="#group-{group.name}">' in index
    for behaviour in BEHAVIOURS.values():
        assert f'<dt id="{behaviour.name}">' in index
        entry = index.partition(f'<dt id="{behaviour.name}">')[2].partition("</dd>")[0]
        text = unescape(re.sub("<[^>]*>", "", entry))
        assert behaviour.summary.replace("`", "") in text
        assert behaviour.advice.replace("`", "") in text
        links = [unescape(href) for href in re.findall('href="([^"]*)"', entry)]
        assert links == [behaviour.path(case.query) for case in behaviour.cases if not case.is_apart]
        shown = re.findall(r"<li>.*: (.*)</li>", entry)
        assert [re.findall("<code>([^<]*)</code>", ends) for ends in shown] == [
            list(case.ends) for case in behaviour.cases
        ]
    assert index.count("<a href=") == len(GROUPS) + 1 + sum(not case.is_apart for _, case in CASES)
    assert "<script" not in index


def test_the_listing_says_the_same_to_programs(site: FixtureServer, ask: Ask) -> None:
    answer = ask(site.url + "faults/index.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.body) == [
        {
            "name": behaviour.name,
            "group": group.name,
            "summary": behaviour.summary,
            "path": "/faults/" + behaviour.path(case.query),
            "expected": list(case.ends),
            "apart": case.is_apart,
        }
        for group in GROUPS
        for behaviour in group.behaviours
        for case in behaviour.cases
    ]


def test_the_index_is_found_without_its_slash(site: FixtureServer, ask: Ask) -> None:
    answer = ask(site.url + "faults")
    assert (answer.status, answer.headers["Location"]) == (301, "/faults/")


@pytest.mark.parametrize("path", ["unheard-of", "ok/", "ok/below", "index.json/", "/", "/ok"])
def test_what_is_no_behaviour_is_not_found(site: FixtureServer, ask: Ask, path: str) -> None:
    assert ask(f"{site.url}faults/{path}").status == 404


@pytest.mark.parametrize("name", ["calendar", "session-ids", "repeated-segments"])
def test_a_trap_ends_where_it_is_told_to(site: FixtureServer, ask: Ask, name: str) -> None:
    """Otherwise a crawler without a budget would never end the gallery."""
    for parameters, pages in (({}, 50), ({"pages": 7}, 7)):
        waiting, seen = [site.fault(name, **parameters)], set()
        while waiting:
            url = waiting.pop()
            answer = ask(url)
            assert answer.status == 200
            seen.add(url)
            waiting += [urljoin(url, unescape(href)) for href in re.findall('href="([^"]*)"', answer.body.decode())]
        assert len(seen) == pages


def test_a_trap_is_as_good_as_endless_if_it_is_told_so(site: FixtureServer, ask: Ask) -> None:
    body = ask(site.fault("calendar", pages=1_000_000_000, month=999_000_000)).body.decode()
    assert "month=999000001" in body
