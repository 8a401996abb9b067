"""Made-up logs: a good guest, and one fault after another. The judge must find each, and nothing else."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fixtures_server import FixtureServer, LogEntry, SiteOptions
from fixtures_server.judge import HostRules, Kind, Rules, judge, main

SHOP = "shop.test:8080"
RULES = Rules(
    hosts={
        SHOP: HostRules(disallowed=("/private/", "/*?session="), allowed=("/private/open",)),
        "slow.test": HostRules(delay_s=1.0),
        "www.shop.test:8080": HostRules(robots_at=(SHOP, "/robots.txt")),
        "moved.test": HostRules(robots_at=("moved.test", "/rules.txt")),
        "inside.test": HostRules(is_off_limits=True),
    },
    per_host=2,
)
_numbers = count(1)


def asked(
    time_s: float,
    path: str = "/",
    host: str = SHOP,
    status: int = 200,
    *,
    lasts_s: float | None = 0.1,
    retry_after_s: float | None = None,
    agent: str = "guest/1.0 (+https://guest.test)",
) -> LogEntry:
    return LogEntry(
        time_s=1_000_000 + time_s,
        duration_s=lasts_s,
        method="GET",
        host=host,
        path=path,
        status=status,
        sent_bytes=100,
        connection=next(_numbers),
        user_agent=agent,
        headers=(("host", host), ("user-agent", agent)),
        retry_after_s=retry_after_s,
    )


def robots(time_s: float, host: str = SHOP, status: int = 200, *, lasts_s: float | None = 0.1) -> LogEntry:
    return asked(time_s, "/robots.txt", host, status, lasts_s=lasts_s)


def found(*entries: LogEntry, rules: Rules = RULES) -> list[tuple[Kind, tuple[LogEntry, ...]]]:
    return [(violation.kind, violation.entries) for violation in judge(entries, rules).violations]


def test_a_good_guest_is_not_accused() -> None:
    entries = [
        robots(0.0),
        asked(0.1, "/"),  # as soon as the answer is there
        asked(0.1, "/private/open"),
        asked(0.2, "/private"),
        asked(0.2, "/a?page=2"),
        robots(0.0, "slow.test"),
        *(asked(1.0 + turn, f"/{turn}", "slow.test", lasts_s=0.9) for turn in range(5)),
        robots(0.0, "www.shop.test:8080", 301),
        robots(0.35),  # where that leads
        asked(0.5, "/", "www.shop.test:8080", 301),
        robots(0.0, "moved.test", 302),
        asked(0.2, "/rules.txt", "moved.test"),
        asked(0.3, "/", "moved.test"),
        robots(0.0, "failing.test", 503),
        robots(5.0, "failing.test", 0),
        robots(9.0, "failing.test", 404),
        asked(9.5, "/", "failing.test", 429, retry_after_s=2.0),
        asked(9.6, "/a", "failing.test", 429, retry_after_s=2.0),  # was on its way before the first answer came
        asked(11.7, "/b", "failing.test"),
        robots(86_400.1),
    ]
    findings = judge(reversed(entries), RULES)
    assert findings.violations == ()
    assert findings.requests == len(entries)
    assert findings.text() == "24 requests to 5 hosts: no violations"
    assert findings.hosts["failing.test"].refused == 2
    assert findings.hosts["slow.test"].shortest_gap_s == pytest.approx(1.0)
    assert findings.hosts["slow.test"].most_at_once == 1


def test_an_empty_log_accuses_nobody() -> None:
    assert judge([]).violations == ()
    assert judge([]).text() == "0 requests to 0 hosts: no violations"


@pytest.mark.parametrize("path", ["/private/", "/private/a", "/?session=1", "/a/b?session=2&x=1"])
def test_a_path_that_is_disallowed(path: str) -> None:
    entry = asked(1.0, path)
    assert found(robots(0.0), entry) == [(Kind.DISALLOWED, (entry,))]


def test_the_longest_pattern_decides() -> None:
    rules = HostRules(disallowed=("/a", "/b*c$", "/same"), allowed=("/a/b", "/same", "/b"))
    verdicts = {
        target: rules.disallows(target)
        for target in ("/a", "/a/b/c", "/b/c", "/b/cd", "/same", "/other", "/A", "/b/c?d")
    }
    assert verdicts == {
        "/a": "/a",
        "/a/b/c": None,
        "/b/c": "/b*c$",
        "/b/cd": None,
        "/same": None,
        "/other": None,
        "/A": None,
        "/b/c?d": None,
    }


def test_a_page_before_robots_was_answered() -> None:
    answer = robots(0.0)
    early, in_time = asked(0.099, "/early"), asked(0.1, "/in-time")
    assert found(answer, early, in_time) == [(Kind.BEFORE_ROBOTS, (answer, early))]


@pytest.mark.parametrize(
    "answer",
    [None, robots(0.0, status=503), robots(0.0, status=429), robots(0.0, status=0), robots(0.0, lasts_s=None)],
)
def test_a_page_without_a_usable_robots(answer: LogEntry | None) -> None:
    """After a server error nothing is known, so nothing may be asked for."""
    page = asked(1.0, "/page")
    before = () if answer is None else (answer,)
    assert found(*before, page) == [(Kind.BEFORE_ROBOTS, (*before, page))]


def test_a_redirect_is_no_answer_of_robots() -> None:
    redirect, early = robots(0.0, "moved.test", 302), asked(0.15, "/", "moved.test")
    assert found(redirect, early, asked(0.2, "/rules.txt", "moved.test")) == [(Kind.BEFORE_ROBOTS, (redirect, early))]
    www = "www.shop.test:8080"
    early = asked(0.5, "/", www)
    assert found(robots(0.0), early) == [(Kind.BEFORE_ROBOTS, (early,))]


def test_robots_need_not_be_asked_for_where_the_rules_say_so() -> None:
    assert found(asked(1.0), rules=replace(RULES, asks_robots=False)) == []


def test_robots_asked_for_again() -> None:
    first, again = robots(0.0), robots(50_000.0)
    assert found(first, again) == [(Kind.ROBOTS_AGAIN, (first, again))]
    missing, again = robots(0.0, "x.test", 404), robots(1.0, "x.test")
    assert found(missing, again) == [(Kind.ROBOTS_AGAIN, (missing, again))]
    moved, again = asked(0.2, "/rules.txt", "moved.test"), asked(0.4, "/rules.txt", "moved.test")
    assert found(robots(0.0, "moved.test", 302), moved, again) == [(Kind.ROBOTS_AGAIN, (moved, again))]


def test_two_requests_sooner_than_the_delay() -> None:
    answer = robots(0.0, "slow.test")
    first, second = asked(1.0, "/1", "slow.test"), asked(1.8, "/2", "slow.test")
    assert found(answer, first, second) == [(Kind.TOO_SOON, (first, second))]
    first = asked(0.2, "/1", "slow.test")
    assert found(answer, first) == [(Kind.TOO_SOON, (answer, first))]
    # A few milliseconds less are the network's doing.
    assert found(answer, asked(1.0, "/1", "slow.test"), asked(1.96, "/2", "slow.test")) == []


def test_a_delay_that_the_crawl_was_told_to_keep_counts_everywhere_and_from_the_first_request() -> None:
    rules = replace(RULES, delay_s=2.0)
    failed, answer = robots(0.0, status=503), robots(1.0)
    assert found(failed, answer, asked(3.0), rules=rules) == [(Kind.TOO_SOON, (failed, answer))]


def test_a_delay_means_one_at_a_time() -> None:
    slow, next_one = asked(2.0, "/1", "slow.test", lasts_s=1.5), asked(3.0, "/2", "slow.test")
    assert found(robots(0.0, "slow.test"), slow, next_one) == [(Kind.TOO_MANY_AT_ONCE, (slow, next_one))]


def test_more_under_way_than_permitted() -> None:
    three = [asked(1.0 + n / 10, f"/{n}", lasts_s=1.0) for n in range(3)]
    after = asked(2.06, "/after")  # the first has ended, the second is about to
    assert found(robots(0.0), *three, after) == [(Kind.TOO_MANY_AT_ONCE, tuple(three))]
    assert judge([robots(0.0), *three, after], RULES).hosts[SHOP].most_at_once == 3
    assert found(robots(0.0), *three, rules=replace(RULES, per_host=None)) == []
    narrow = replace(RULES, hosts={SHOP: HostRules(per_host=1)})
    assert [kind for kind, _ in found(robots(0.0), *three, rules=narrow)] == [Kind.TOO_MANY_AT_ONCE] * 2


def test_a_request_that_never_ended_stays_under_way() -> None:
    entries = [asked(1.0, "/1", lasts_s=None), asked(500.0, "/2", lasts_s=None), asked(900.0, "/3")]
    assert found(robots(0.0), *entries) == [(Kind.TOO_MANY_AT_ONCE, tuple(entries))]


@pytest.mark.parametrize("status", [429, 503])
def test_a_request_during_retry_after(status: int) -> None:
    refused = asked(1.0, "/a", status=status, retry_after_s=5.0)
    during, over = asked(5.9, "/b"), asked(6.1, "/c")
    assert found(robots(0.0), refused, during, over) == [(Kind.DURING_RETRY_AFTER, (refused, during))]


def test_a_short_wait_does_not_end_a_long_one_and_a_very_long_one_is_bounded() -> None:
    long, short = (
        asked(1.0, "/a", status=429, retry_after_s=1000.0),
        asked(1.05, "/b", status=429, retry_after_s=1.0),
    )
    during = asked(550.0, "/c")
    assert found(robots(0.0), long, short, during, asked(602.0, "/d")) == [(Kind.DURING_RETRY_AFTER, (long, during))]


def test_refusals_after_the_first_are_counted() -> None:
    entries = [
        robots(0.0),
        asked(1.0, "/a", status=429, lasts_s=0.2, retry_after_s=1.0),
        asked(1.1, "/b", status=429, lasts_s=0.2, retry_after_s=1.0),
        asked(3.0, "/c", status=429, retry_after_s=1.0),
        asked(6.0, "/d", status=503),
        asked(7.0, "/e", status=503, retry_after_s=0.5),
    ]
    figures = judge(entries, RULES).hosts[SHOP]
    assert (figures.refused, figures.refused_again) == (4, 2)


def test_more_a_second_than_the_rate() -> None:
    hosts = [f"{letter}.test" for letter in "abcdef"]
    entries = [robots(n * 0.5, host) for n, host in enumerate(hosts)]
    assert found(*entries, rules=Rules(rate_per_s=2.0)) == []
    burst = [robots(10.0 + n * 0.01, f"burst-{n}.test") for n in range(3)]
    assert found(*entries, *burst, rules=Rules(rate_per_s=2.0)) == [(Kind.TOO_FAST, (burst[0], burst[2]))]
    steady = [robots(n * 0.45, f"steady-{n}.test") for n in range(22)]
    assert found(*steady[:20], rules=Rules(rate_per_s=2.0)) == []
    assert found(*steady, rules=Rules(rate_per_s=2.0)) == [
        (Kind.TOO_FAST, (steady[0], steady[20])),
        (Kind.TOO_FAST, (steady[1], steady[21])),
    ]
    pair = robots(0.0), robots(1.5, "other.test")
    assert found(*pair, rules=Rules(rate_per_s=0.5)) == [(Kind.TOO_FAST, pair)]


def test_the_case_of_a_host_does_not_matter() -> None:
    answer, page = robots(0.0, SHOP.upper()), asked(1.0, "/private/", SHOP.title())
    assert found(answer, page) == [(Kind.DISALLOWED, (page,))]


def test_a_host_that_is_off_limits() -> None:
    entry = robots(0.0, "inside.test")
    assert found(entry) == [(Kind.OFF_LIMITS, (entry,))]


@pytest.mark.parametrize(
    "agent", ["", "Python-urllib/3.11", "aiohttp/3.14", "curl/8.5.0", "Mozilla/5.0", "(nobody)", "python-requests/2"]
)
def test_a_request_without_a_name(agent: str) -> None:
    entry = robots(0.0)
    entry = replace(entry, user_agent=agent)
    assert found(entry) == [(Kind.NAMELESS, (entry,))]
    assert found(entry, rules=replace(RULES, agent="guest")) == [(Kind.NAMELESS, (entry,))]


@pytest.mark.parametrize("agent", ["guest/1.0", "Mozilla/5.0 (compatible; Guest/1.0; +https://guest.test)"])
def test_a_name_in_either_form(agent: str) -> None:
    assert found(replace(robots(0.0), user_agent=agent)) == []
    assert found(replace(robots(0.0), user_agent=agent), rules=replace(RULES, agent="guest")) == []


def test_the_text_counts_and_shows_the_lines() -> None:
    entries = [robots(0.0), *(asked(1.0 + n, f"/private/{n}") for n in range(5))]
    text = judge(entries, RULES).text(examples=2)
    assert text.splitlines()[:3] == [
        "6 requests to 1 hosts: 5 violations",
        "  5 x a path that robots.txt disallows, at 1 host",
        f"  {SHOP}: a path that robots.txt disallows: /private/0 matches /private/",
    ]
    assert "1000001.000  GET /private/0  200, 0.100 s" in text
    assert text.count("GET ") == 2


async def test_the_command_judges_a_log_file(
    tmp_path: Path, ask: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    log, world = tmp_path / "access.jsonl", tmp_path / "world.json"
    async with FixtureServer(SiteOptions(pages=3), log_file=log) as site:
        ask(site.url + "robots.txt", User_Agent="guest/1")
        ask(site.url_of(1), User_Agent="guest/1")
        netloc = site.url.removeprefix("http://").rstrip("/")
    assert main([str(log)]) == 0
    assert "no violations" in capsys.readouterr().out
    world.write_text(json.dumps({"hosts": [{"netloc": netloc, "rules": {"disallowed": ["/page/"]}}]}))
    assert main([str(log), "--world", str(world), "--agent", "guest"]) == 1
    assert "/page/1 matches /page/" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([str(tmp_path / "none")])
    assert "cannot be read" in capsys.readouterr().err
