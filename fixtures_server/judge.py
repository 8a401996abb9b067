"""Whether a crawler was a good guest, from nothing but a server's access log.

    rules = Rules(hosts={"shop.test:8080": HostRules(disallowed=("/private/",), delay_s=1.0)}, per_host=8)
    findings = judge(await site.access_log(), rules)
    assert not findings.violations, findings.text()

It trusts no word of the crawler: neither which rules it read nor when it thinks it asked. What it holds against a
crawler could not be otherwise by the log's clock, beyond two allowances for what a network and a busy machine do to
requests on their way.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fixtures_server.access_log import read_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fixtures_server.access_log import LogEntry

ROBOTS_PATH = "/robots.txt"
# The short one sees a burst, the long one a rate that is a little too high.
_RATE_WINDOWS_S = (1.0, 10.0)
_LIBRARIES = re.compile(r"(?i)(aiohttp|curl|go-http-client|httpx|java|libwww-perl|okhttp|python\b|python-|wget|urllib)")
_NAMED = re.compile(r"(?!Mozilla/)[A-Za-z][A-Za-z_-]*/\S|.*\bcompatible;\s*[A-Za-z]")


class Kind(StrEnum):
    """What a crawler may be found to have done."""

    OFF_LIMITS = "a host that must not be asked"
    DISALLOWED = "a path that robots.txt disallows"
    BEFORE_ROBOTS = "before robots.txt was answered"
    ROBOTS_AGAIN = "robots.txt again, although it was answered"
    TOO_SOON = "sooner than the host's delay"
    TOO_MANY_AT_ONCE = "too many under way at once"
    DURING_RETRY_AFTER = "while Retry-After asked to wait"
    TOO_FAST = "too many a second over all hosts"
    NAMELESS = "no name in its User-Agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRules:
    """What one host asks of its guests.

    disallowed, allowed: patterns as they stand in robots.txt, compared with targets as they were sent; the longest
        that matches decides, and `allowed` among equals (RFC 9309, section 2.2.2)
    delay_s: from the arrival of one request to that of the next; more than 0 also means one at a time. It counts from
        when robots.txt was answered, because nobody knows of it before
    per_host: requests under way at once; None is the bound that all hosts have
    robots_at: host and target of the robots.txt that counts, where this host's redirects; None: its own
    is_off_limits: no request at all may come here
    """

    disallowed: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    delay_s: float = 0.0
    per_host: int | None = None
    robots_at: tuple[str, str] | None = None
    is_off_limits: bool = False

    def disallows(self, target: str) -> str | None:
        """The pattern that forbids a target, or None."""
        longest = max((pattern for pattern in self.disallowed if _matches(pattern, target)), key=len, default=None)
        if longest is None or any(len(it) >= len(longest) and _matches(it, target) for it in self.allowed):
            return None
        return longest


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a crawl is held to.

    hosts: by the Host header in lower case, so with the port if that is not 80
    others: of hosts that are not among them
    per_host: requests under way at once to one host; None is no bound
    delay_s: what the crawl was told to keep between requests to a host, beside what hosts ask for
    rate_per_s: requests that arrive in a second over all hosts; None is no bound
    asks_robots: whether robots.txt has to be asked for before anything else of its host
    robots_valid_s: how long an answer counts (RFC 9309, section 2.4, says a day)
    agent: the product token that every request must name; None: any but a library's or a browser's
    max_retry_after_s: a longer wait than this need not be kept
    tolerance_s: by how much two requests may come closer together on their way than they were sent; a machine whose
        cores are all at work makes one wait for 50 ms
    grace_s: how long after a Retry-After was handed over a request may arrive that its client had sent before, and by
        how much the first of many may come late, which makes them look too fast
    """

    hosts: Mapping[str, HostRules] = field(default_factory=dict)
    others: HostRules = HostRules()
    per_host: int | None = 8
    delay_s: float = 0.0
    rate_per_s: float | None = None
    asks_robots: bool = True
    robots_valid_s: float = 86_400.0
    agent: str | None = None
    max_retry_after_s: float = 600.0
    tolerance_s: float = 0.1
    grace_s: float = 0.25

    def of(self, host: str) -> HostRules:
        """What holds for a host."""
        return self.hosts.get(host, self.others)


@dataclass(frozen=True, slots=True)
class Violation:
    """One request that should not have come, or not then.

    text: what is wrong with it, with numbers
    entries: the lines of the log that prove it; the last is the request itself
    """

    kind: Kind
    host: str
    text: str
    entries: tuple[LogEntry, ...]

    def __str__(self) -> str:
        proof = "".join(f"\n    {_line(entry)}" for entry in self.entries)
        return f"{self.host}: {self.kind}: {self.text}{proof}"


@dataclass(frozen=True, slots=True)
class HostFigures:
    """What a host saw of the crawler.

    requests: robots.txt and refused ones included
    most_at_once: requests under way at the same time
    shortest_gap_s: between two arrivals once robots.txt was answered; infinite with fewer than two
    refused: answers with 429, and with 503 that asked to wait
    refused_again: of them, those whose request arrived after the first had been handed over
    """

    requests: int
    most_at_once: int
    shortest_gap_s: float
    refused: int
    refused_again: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What the log says.

    violations: in the order of their requests
    hosts: by the Host header, in the order of their first request
    """

    violations: tuple[Violation, ...]
    hosts: Mapping[str, HostFigures]

    @property
    def requests(self) -> int:
        """How many requests were judged."""
        return sum(host.requests for host in self.hosts.values())

    def text(self, examples: int = 3) -> str:
        """A few lines for people, with so many violations of each kind in full."""
        head = f"{self.requests:,} requests to {len(self.hosts):,} hosts"
        if not self.violations:
            return f"{head}: no violations"
        by_kind: defaultdict[Kind, list[Violation]] = defaultdict(list)
        for violation in self.violations:
            by_kind[violation.kind].append(violation)
        lines = [f"{head}: {len(self.violations):,} violations"]
        for kind, found in by_kind.items():
            hosts = Counter(violation.host for violation in found)
            lines.append(f"  {len(found):,} x {kind}, at {len(hosts):,} {'host' if len(hosts) == 1 else 'hosts'}")
            lines += [f"  {violation}" for violation in found[:examples]]
        return "\n".join(lines)


def judge(entries: Iterable[LogEntry], rules: Rules | None = None) -> Findings:
    """Hold a crawl's requests, in any order, against the rules."""
    rules = rules if rules is not None else Rules()
    requests = sorted(entries, key=lambda entry: entry.time_s)
    by_host: defaultdict[str, list[LogEntry]] = defaultdict(list)
    for entry in requests:
        by_host[entry.host.lower()].append(entry)
    violations = [*_nameless(requests, rules), *_too_fast(requests, rules)]
    figures = {}
    for host, mine in by_host.items():
        robots_s = _robots_answered_s(host, by_host, rules)
        violations += _of_host(host, mine, robots_s, by_host, rules)
        figures[host] = _figures(mine, robots_s)
    violations.sort(key=lambda violation: violation.entries[-1].time_s)
    return Findings(tuple(violations), figures)


def _of_host(
    host: str, mine: Sequence[LogEntry], robots_s: float, by_host: Mapping[str, Sequence[LogEntry]], rules: Rules
) -> Iterator[Violation]:
    asked = rules.of(host)
    if asked.is_off_limits:
        yield from (Violation(Kind.OFF_LIMITS, host, "asked all the same", (entry,)) for entry in mine)
        return
    robots_at = asked.robots_at or (host, ROBOTS_PATH)
    robots = [entry for entry in mine if entry.path == ROBOTS_PATH]
    for entry in mine:
        if entry.path == ROBOTS_PATH or (host, entry.path) == robots_at:
            continue
        pattern = asked.disallows(entry.path)
        if pattern is not None:
            yield Violation(Kind.DISALLOWED, host, f"{entry.path} matches {pattern}", (entry,))
        if rules.asks_robots and entry.time_s < robots_s:
            earlier = [answer for answer in robots if answer.time_s < entry.time_s][-1:]
            later = "" if math.isinf(robots_s) else f", {robots_s - entry.time_s:.3f} s before it was"
            yield Violation(Kind.BEFORE_ROBOTS, host, f"{entry.path}{later}", (*earlier, entry))
    yield from _robots_again(host, by_host, rules)
    yield from _too_soon(host, mine, robots_s, rules)
    yield from _at_once(host, mine, robots_s, rules)
    yield from _during_retry_after(host, mine, rules)


# robots.txt


def _robots_answered_s(host: str, by_host: Mapping[str, Sequence[LogEntry]], rules: Rules) -> float:
    """When the first usable answer about a host's robots.txt was complete; infinite if there was none.

    Usable are pages and refusals to show one; after a server error, 429 or no answer nothing is known, and everything
    is disallowed (RFC 9309, section 2.3.1).
    """
    at_host, target = rules.of(host).robots_at or (host, ROBOTS_PATH)
    answers = [entry for entry in by_host.get(at_host, ()) if entry.path == target and _is_answered(entry)]
    if (at_host, target) == (host, ROBOTS_PATH):
        return min(map(_end_s, answers), default=math.inf)
    redirects = (entry for entry in by_host.get(host, ()) if entry.path == ROBOTS_PATH and 300 <= entry.status < 400)
    redirected_s = min(map(_end_s, redirects), default=math.inf)
    return max(redirected_s, min(map(_end_s, answers), default=math.inf))


def _robots_again(host: str, by_host: Mapping[str, Sequence[LogEntry]], rules: Rules) -> Iterator[Violation]:
    """robots.txt files of this host that were asked for more often than origins lead there, while they were valid."""
    leading = Counter(rules.of(other).robots_at or (other, ROBOTS_PATH) for other in {*by_host, host})
    for target in dict.fromkeys((ROBOTS_PATH, *(path for at, path in leading if at == host))):
        expected = max(1, leading[host, target])
        valid: deque[LogEntry] = deque()
        for entry in by_host[host]:
            if entry.path != target:
                continue
            while valid and entry.time_s >= _end_s(valid[0]) + rules.robots_valid_s - rules.tolerance_s:
                valid.popleft()
            if len(valid) >= expected:
                since_s = entry.time_s - valid[-1].time_s
                yield Violation(Kind.ROBOTS_AGAIN, host, f"{since_s:.3f} s later", (valid[-1], entry))
            if _is_answered(entry) or 300 <= entry.status < 400:
                valid.append(entry)


def _is_answered(entry: LogEntry) -> bool:
    return 200 <= entry.status < 500 and not 300 <= entry.status < 400 and entry.status != 429


# Pace


def _too_soon(host: str, mine: Sequence[LogEntry], robots_s: float, rules: Rules) -> Iterator[Violation]:
    asked_s = rules.of(host).delay_s
    for before, entry in pairwise(mine):
        delay_s = max(asked_s if entry.time_s >= robots_s else 0.0, rules.delay_s)
        gap_s = entry.time_s - before.time_s
        if gap_s < delay_s - rules.tolerance_s:
            yield Violation(Kind.TOO_SOON, host, f"{gap_s:.3f} s, not {delay_s:g} s", (before, entry))


def _at_once(host: str, mine: Sequence[LogEntry], robots_s: float, rules: Rules) -> Iterator[Violation]:
    asked = rules.of(host)
    bound = rules.per_host if asked.per_host is None else asked.per_host
    for entry, under_way in _under_way(mine, rules.tolerance_s):
        is_paced = rules.delay_s > 0 or (asked.delay_s > 0 and entry.time_s >= robots_s)
        at_most = 1 if is_paced else bound
        if at_most is not None and len(under_way) > at_most:
            text = f"{len(under_way)}, not {at_most}"
            yield Violation(Kind.TOO_MANY_AT_ONCE, host, text, tuple(under_way))


def _under_way(mine: Sequence[LogEntry], tolerance_s: float) -> Iterator[tuple[LogEntry, list[LogEntry]]]:
    """Each request with those that had not ended when it came, itself the last."""
    under_way: list[LogEntry] = []
    for entry in mine:
        # A client that gave one request up and at once sent another on a new connection: the server may see the second
        # before it sees the end of the first.
        under_way = [other for other in under_way if _end_s(other) - tolerance_s > entry.time_s]
        under_way.append(entry)
        yield entry, under_way.copy()


def _during_retry_after(host: str, mine: Sequence[LogEntry], rules: Rules) -> Iterator[Violation]:
    waits: list[LogEntry] = []  # answers that ask to wait, by when they were complete
    asking = sorted((entry for entry in mine if entry.retry_after_s), key=_end_s, reverse=True)
    for entry in mine:
        while asking and _end_s(asking[-1]) + rules.grace_s < entry.time_s:
            waits.append(asking.pop())
        waits = [wait for wait in waits if _waits_until_s(wait, rules) - rules.tolerance_s > entry.time_s]
        if waits:
            until_s = _waits_until_s(waits[-1], rules)
            text = f"{until_s - entry.time_s:.3f} s before its {waits[-1].retry_after_s:g} s were over"
            yield Violation(Kind.DURING_RETRY_AFTER, host, text, (waits[-1], entry))


def _waits_until_s(entry: LogEntry, rules: Rules) -> float:
    return _end_s(entry) + min(entry.retry_after_s or 0.0, rules.max_retry_after_s)


def _too_fast(requests: Sequence[LogEntry], rules: Rules) -> Iterator[Violation]:
    rate = rules.rate_per_s
    if rate is None:
        return
    found: dict[int, Violation] = {}  # by the number of the request
    for window_s in _RATE_WINDOWS_S:
        # So many requests take the window's time at least, from the first to the one that follows the last.
        count = max(1, math.ceil(rate * window_s))
        least_s = count / rate
        for number in range(count, len(requests)):
            first, entry = requests[number - count], requests[number]
            took_s = entry.time_s - first.time_s
            if took_s < least_s - rules.grace_s and number not in found:
                text = f"{count + 1} requests in {took_s:.3f} s, not {least_s:.3f} s"
                found[number] = Violation(Kind.TOO_FAST, entry.host, text, (first, entry))
    yield from found.values()


# Who asks


def _nameless(requests: Iterable[LogEntry], rules: Rules) -> Iterator[Violation]:
    for entry in requests:
        agent = entry.user_agent
        if rules.agent is not None:
            is_named = rules.agent.lower() in agent.lower()
        else:
            is_named = _NAMED.match(agent) is not None and _LIBRARIES.match(agent) is None
        if not is_named:
            yield Violation(Kind.NAMELESS, entry.host, repr(agent), (entry,))


def _figures(mine: Sequence[LogEntry], robots_s: float) -> HostFigures:
    known = [entry for entry in mine if entry.time_s >= robots_s]
    gaps_s = (entry.time_s - before.time_s for before, entry in pairwise(known))
    refused = [entry for entry in mine if entry.status == 429 or (entry.status == 503 and entry.retry_after_s)]
    first_s = min(map(_end_s, refused), default=math.inf)
    return HostFigures(
        requests=len(mine),
        most_at_once=max(len(under_way) for _, under_way in _under_way(mine, 0.0)),
        shortest_gap_s=min(gaps_s, default=math.inf),
        refused=len(refused),
        refused_again=sum(entry.time_s > first_s for entry in refused),
    )


def _end_s(entry: LogEntry) -> float:
    return math.inf if entry.duration_s is None else entry.time_s + entry.duration_s


def _matches(pattern: str, target: str) -> bool:
    is_whole = pattern.endswith("$")
    parts = map(re.escape, pattern.removesuffix("$").split("*"))
    return re.match(".*".join(parts) + ("$" if is_whole else ""), target) is not None


def _line(entry: LogEntry) -> str:
    lasted = "under way" if entry.duration_s is None else f"{entry.duration_s:.3f} s"
    wait = "" if entry.retry_after_s is None else f", Retry-After {entry.retry_after_s:g}"
    return f"{entry.time_s:.3f}  {entry.method} {entry.path}  {entry.status or 'no answer'}, {lasted}{wait}"


# The command line


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m fixtures_server.judge LOG`: exit status 1 where it finds a violation."""
    parser = argparse.ArgumentParser(prog="fixtures_server.judge", description="Was a crawler a good guest?")
    parser.add_argument("log", type=Path, help="a file of the fixture server's --access-log")
    parser.add_argument("--world", type=Path, metavar="FILE", help="the world's /-/world.json, for its hosts' rules")
    parser.add_argument("--per-host", type=int, default=8, metavar="N", help="requests at once to a host (8)")
    parser.add_argument("--delay", type=float, default=0.0, metavar="S", help="that the crawl was told to keep (0)")
    parser.add_argument("--rate", type=float, metavar="N", help="requests a second over all hosts (no bound)")
    parser.add_argument("--agent", metavar="NAME", help="the name that every User-Agent must hold")
    parser.add_argument("--no-robots", action="store_true", help="robots.txt need not be asked for")
    given = parser.parse_args(arguments)
    try:
        entries = read_log(given.log)
        hosts = {} if given.world is None else rules_from(json.loads(given.world.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f"cannot be read: {error!r}")
    rules = Rules(
        hosts=hosts,
        per_host=given.per_host,
        delay_s=given.delay,
        rate_per_s=given.rate,
        agent=given.agent,
        asks_robots=not given.no_robots,
    )
    findings = judge(entries, rules)
    sys.stdout.write(f"{findings.text()}\n")
    return int(bool(findings.violations))


def rules_from(world: Mapping[str, Any]) -> dict[str, HostRules]:
    """The rules that a `world.json` holds."""
    rules = {}
    for host in world["hosts"]:
        told: dict[str, Any] = host["rules"]
        values: dict[str, Any] = {name: tuple(it) if isinstance(it, list) else it for name, it in told.items()}
        rules[host["netloc"]] = HostRules(**values)
    return rules


if __name__ == "__main__":
    sys.exit(main())
