"""What a site's robots.txt says, known before anything else of the site is fetched (RFC 9309)."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from math import inf
from typing import NamedTuple

from scraper import urls
from scraper.frontier import Frontier
from scraper.frontier.pace import Pacer
from scraper.frontier.protocol import Answer
from scraper.frontier.retry import RetryPolicy
from scraper.frontier.state.values import RobotsText
from scraper.model import Failure, Request, Response, Skip, Stage
from scraper.options import PaceOptions
from scraper.robots import MAX_BODY_BYTES, Robots, is_absent

_log = logging.getLogger("scraper")

# RFC 9309, 2.4: no longer, unless the file cannot be had. Then what was known goes on counting.
_FRESH_S = 24 * 3600.0
# Ten times what counts of it. Many may be fetched at a time, and a larger one is none.
_MAX_BYTES = 5_000_000
# After so long without an answer a site is asked again.
_ASK_AGAIN_S = 300.0
# Times as many retries as a page gets: with two of these, and waits that double, half a minute.
_PATIENCE = 3
# Rules at hand, made ready, of the sites that were asked about last: 250 bytes each, and 400 a site, which counts as
# two more. So 50 MB at most, for 100,000 sites without rules or 9,000 with 20 each. Those of others are read again from
# the text that the frontier keeps, in less than a millisecond.
_RULES_AT_HAND = 200_000
_RULES_A_SITE = 2
# Beyond it a file takes more than 5 ms to read, which the event loop should not give.
_READ_ON_LOOP_BYTES = 20_000

# How a host fails that cannot be asked for anything; its pages would fail in the same way.
_NOBODY_THERE = frozenset(
    {
        "bad_url",
        "closed",
        "connect_timeout",
        "connection_refused",
        "denied_address",
        "dns",
        "host_down",
        "private_address",
        "proxy",
        "tls",
        "too_many_open_files",
        "unreachable",
    }
)
# What a request ends with that would not wait until the site answers.
_NOT_YET_KNOWN = Failure(
    Stage.FETCH,
    "robots_unreachable",
    "robots.txt cannot be had yet, and without it nothing may be fetched",
    retryable=True,
)


class _Site(NamedTuple):
    """What is known of an origin.

    Args:
        robots: its rules.
        failure: why they are not known; then nothing may be fetched.
        until_s: event-loop time until which this counts.
    """

    robots: Robots
    failure: Failure | None
    until_s: float

    @property
    def weight(self) -> int:
        return _RULES_A_SITE + self.robots.rule_count


class SiteRules:
    """Asks each origin for its robots.txt once, and answers what may be fetched.

    Args:
        frontier: keeps the files.
        pacer: is told how long sites want between two requests.
        pace: how often is asked, and which delays are kept to.
        agent: product token of the crawler.
        fetch: gets a robots.txt, of so many bytes at most, in its host's turn; follows redirects as far as one may.
    """

    def __init__(
        self,
        *,
        frontier: Frontier,
        pacer: Pacer,
        pace: PaceOptions,
        agent: str,
        fetch: Callable[[Request, int], Awaitable[Answer]],
    ) -> None:
        self._frontier = frontier
        self._pacer = pacer
        self._pace = pace
        self._retry = RetryPolicy(pace)
        self._patient = RetryPolicy(replace(pace, retries=_PATIENCE * pace.retries))
        self._agent = agent
        self._fetch = fetch
        self._now_s = asyncio.get_running_loop().time
        self._sites: OrderedDict[str, _Site] = OrderedDict()
        self._rules = 0
        self._asking: dict[str, asyncio.Event] = {}
        self._attempts: dict[str, int] = {}  # in vain, of origins that are asked again

    def __repr__(self) -> str:
        return f"<SiteRules of {len(self._sites)} sites, asking {len(self._asking)}>"

    def is_known(self, url: str) -> bool:
        """Whether `verdict` can tell; otherwise `learn` comes first."""
        origin = urls.origin(url)
        site = self._sites.get(origin)
        if site is None or site.until_s <= self._now_s():
            return False
        self._sites.move_to_end(origin)
        return True

    def verdict(self, url: str) -> Skip | Failure | None:
        """Why a URL may not be fetched; None if it may."""
        site = self._sites.get(urls.origin(url))
        if site is None:
            return _NOT_YET_KNOWN
        if site.failure is not None:
            return site.failure
        if site.robots.allows(url):
            return None
        decision = site.robots.decide(url)
        return Skip("robots", f"robots.txt, line {decision.line}: {decision.rule}")

    async def learn(self, url: str) -> None:
        """Asks once for the rules of a URL's site, or waits for who is asking. Where there is no answer now and may be
        one later, the host rests, and the rules are still unknown.
        """
        origin = urls.origin(url)
        if (asked := self._asking.get(origin)) is not None:
            await asked.wait()
        elif not self.is_known(url):
            asked = self._asking[origin] = asyncio.Event()
            try:
                await self._find_out(origin)
            finally:
                del self._asking[origin]
                asked.set()

    async def text(self, url: str) -> bytes | Failure:
        """The robots.txt of a URL's site, empty if there is none; or why nothing of the site may be fetched."""
        while not self.is_known(url):  # as often as there are retries
            await self.learn(url)
        failure = self._sites[urls.origin(url)].failure
        if failure is not None:
            return failure
        kept = await self._frontier.recall_robots(urls.origin(url))
        return b"" if kept is None else kept.body

    async def _find_out(self, origin: str) -> None:
        text = await self._frontier.recall_robots(origin)
        is_recalled = text is not None and text.fresh_s > 0
        if not is_recalled:
            answer = await self._fetch(Request(f"{origin}/robots.txt", accept=("*/*",)), _MAX_BYTES)
            failure = _failure(answer)
            if failure is None:
                body = answer.body[: MAX_BODY_BYTES + 1] if isinstance(answer, Response) else b""
                text = RobotsText(body, _FRESH_S)
                await self._frontier.keep_robots(origin, text)
            elif self._tries_again(origin, answer):
                return
            elif text is None:
                self._take(origin, _Site(Robots(), failure, self._now_s() + _ASK_AGAIN_S))
                return
        assert text is not None
        self._take(origin, await self._read(origin, text, is_recalled=is_recalled))

    def _tries_again(self, origin: str, answer: Answer) -> bool:
        """Whether a site is asked once more after this answer; its host rests until then."""
        attempts = self._attempts.get(origin, 0) + 1
        if not isinstance(answer, Failure):
            return False
        # Where somebody is there who is in trouble, a wait pays: all of the site depends on it. A time-out was a wait.
        is_quick = answer.reason in _NOBODY_THERE or answer.reason == "timeout"
        wait_s = (self._retry if is_quick else self._patient).wait_s(answer, attempts)
        if wait_s is None:
            return False
        self._attempts[origin] = attempts
        self._pacer.rest(urls.host_port(origin + "/"), self._now_s() + wait_s)
        return True

    def _take(self, origin: str, site: _Site) -> None:
        self._attempts.pop(origin, None)
        if (known := self._sites.pop(origin, None)) is not None:
            self._rules -= known.weight
        self._sites[origin] = site
        self._rules += site.weight
        while self._rules > _RULES_AT_HAND and len(self._sites) > 1:
            self._rules -= self._sites.popitem(last=False)[1].weight

    async def _read(self, origin: str, text: RobotsText, *, is_recalled: bool) -> _Site:
        if len(text.body) > _READ_ON_LOOP_BYTES:
            robots = await asyncio.to_thread(Robots.parse, text.body, self._agent)
        else:
            robots = Robots.parse(text.body, self._agent)
        host = urls.host_port(origin + "/")
        wanted_s = robots.crawl_delay_s or 0.0
        delay_s = min(wanted_s, self._pace.max_crawl_delay_s)
        if wanted_s > delay_s:
            _log.warning("%s asks for %g s between requests; %g s are kept to", host, wanted_s, delay_s)
        self._pacer.set_delay(host, delay_s)
        rest_s = max(delay_s, self._pace.delay_s)
        if is_recalled and rest_s and self._pacer.ready_s(host) == -inf:
            # An earlier run, or another crawler, may have asked it for something a moment ago.
            self._pacer.rest(host, self._now_s() + rest_s)
        return _Site(robots, None, self._now_s() + (text.fresh_s if text.fresh_s > 0 else _ASK_AGAIN_S))


def _failure(answer: Answer) -> Failure | None:
    """Why an answer says nothing about what may be fetched; None if it does (RFC 9309, 2.3.1)."""
    if not isinstance(answer, Failure):
        return None  # a Skip: its redirects lead to where the crawl does not go, so there is no file
    reason = answer.reason
    if reason in _NOBODY_THERE:
        return Failure(Stage.FETCH, reason, answer.detail, latency_s=answer.latency_s)
    if is_absent(reason):
        return None
    detail = f"robots.txt cannot be had ({reason}), and without it nothing may be fetched"
    return Failure(Stage.FETCH, "robots_unreachable", detail)
