"""What a site's robots.txt says, known before anything else of the site is fetched (RFC 9309)."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

from scraper import urls
from scraper.frontier import Frontier
from scraper.frontier.pace import Pacer
from scraper.frontier.protocol import Answer
from scraper.frontier.retry import RetryPolicy
from scraper.frontier.state.values import RobotsText
from scraper.model import Failure, Request, Response, Skip, Stage
from scraper.options import PaceOptions
from scraper.robots import MAX_BODY_BYTES, Robots

_log = logging.getLogger("scraper")

# RFC 9309, 2.4: no longer, unless the file cannot be had.
_FRESH_S = 24 * 3600.0
# After so long without an answer a site is asked again.
_ASK_AGAIN_S = 300.0
# Times as many retries as a page gets: with two of these, and waits that double, half a minute.
_PATIENCE = 3
# Sites whose rules are at hand, made ready; a file of 20 rules takes 10 KB. Those of others are read again from the
# text that the frontier keeps, in a millisecond.
_AT_HAND = 2_000
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
# Redirects that lead nowhere: as if there were no file (RFC 9309, 2.3.1.2).
_LEADS_NOWHERE = frozenset({"bad_redirect", "redirect_loop", "redirect_scheme", "too_many_redirects"})


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


class SiteRules:
    """Asks each origin for its robots.txt once, and answers what may be fetched.

    Args:
        frontier: keeps the files.
        pacer: is told how long sites want between two requests.
        pace: how often is asked, and which delays are kept to.
        agent: product token of the crawler.
        fetch: gets a robots.txt in its host's turn; follows redirects as far as one may be.
    """

    def __init__(
        self,
        *,
        frontier: Frontier,
        pacer: Pacer,
        pace: PaceOptions,
        agent: str,
        fetch: Callable[[Request], Awaitable[Answer]],
    ) -> None:
        self._frontier = frontier
        self._pacer = pacer
        self._max_delay_s = pace.max_crawl_delay_s
        self._retry = RetryPolicy(pace)
        self._patient = RetryPolicy(replace(pace, retries=_PATIENCE * pace.retries))
        self._agent = agent
        self._fetch = fetch
        self._now_s = asyncio.get_running_loop().time
        self._sites: OrderedDict[str, _Site] = OrderedDict()
        self._asking: dict[str, asyncio.Lock] = {}

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
        """Why a URL of a known site may not be fetched; None if it may."""
        site = self._sites[urls.origin(url)]
        if site.failure is not None:
            return site.failure
        if site.robots.allows(url):
            return None
        decision = site.robots.decide(url)
        return Skip("robots", f"robots.txt, line {decision.line}: {decision.rule}")

    async def learn(self, url: str) -> None:
        """Finds out what the rules of a URL's site are."""
        origin = urls.origin(url)
        async with self._asking.setdefault(origin, asyncio.Lock()):
            if not self.is_known(url):
                self._sites[origin] = await self._site(origin)
                if len(self._sites) > _AT_HAND:
                    self._sites.popitem(last=False)
        self._asking.pop(origin, None)

    async def text(self, url: str) -> bytes:
        """The robots.txt of a URL's site; empty if there is none, or none can be had."""
        await self.learn(url)
        kept = await self._frontier.recall_robots(urls.origin(url))
        return b"" if kept is None else kept.body

    async def _site(self, origin: str) -> _Site:
        host = urls.host_port(origin + "/")
        text = await self._frontier.recall_robots(origin)
        if text is None:
            answer = await self._ask(origin)
            failure = _failure(answer)
            if failure is not None:
                return _Site(Robots(), failure, self._now_s() + _ASK_AGAIN_S)
            body = answer.body[: MAX_BODY_BYTES + 1] if isinstance(answer, Response) else b""
            text = RobotsText(body, _FRESH_S)
            await self._frontier.keep_robots(origin, text)
        if len(text.body) > _READ_ON_LOOP_BYTES:
            robots = await asyncio.to_thread(Robots.parse, text.body, self._agent)
        else:
            robots = Robots.parse(text.body, self._agent)
        self._set_delay(host, robots.crawl_delay_s or 0.0)
        return _Site(robots, None, self._now_s() + text.fresh_s)

    async def _ask(self, origin: str) -> Answer:
        attempts = 0
        while True:
            answer = await self._fetch(Request(f"{origin}/robots.txt", accept=("*/*",)))
            attempts += 1
            wait_s = self._wait_s(answer, attempts)
            if wait_s is None:
                return answer
            await asyncio.sleep(wait_s)

    def _wait_s(self, answer: Answer, attempts: int) -> float | None:
        """How long until the next attempt; None if there is none."""
        if not isinstance(answer, Failure):
            return None
        # Where somebody is there who is in trouble, it is worth a wait: all of the site depends on it.
        retry = self._retry if answer.reason in _NOBODY_THERE else self._patient
        return retry.wait_s(answer, attempts)

    def _set_delay(self, host: str, wanted_s: float) -> None:
        delay_s = min(wanted_s, self._max_delay_s)
        if wanted_s > delay_s:
            _log.warning("%s asks for %g s between requests; %g s are kept to", host, wanted_s, delay_s)
        if delay_s:
            self._pacer.set_delay(host, delay_s)
            # It was asked for its robots.txt just now, or by an earlier run or another crawler a moment ago.
            self._pacer.rest(host, self._now_s() + delay_s)


def _failure(answer: Answer) -> Failure | None:
    """Why an answer says nothing about what may be fetched; None if it does (RFC 9309, 2.3.1)."""
    if not isinstance(answer, Failure):
        return None  # a Skip: its redirects lead to where the crawl does not go, so there is no file
    reason = answer.reason
    if reason in _NOBODY_THERE:
        return Failure(Stage.FETCH, reason, answer.detail, latency_s=answer.latency_s)
    if reason in _LEADS_NOWHERE or (reason.startswith("http_4") and reason != "http_429"):
        return None
    detail = f"robots.txt cannot be had ({reason}), and without it nothing may be fetched"
    return Failure(Stage.FETCH, "robots_unreachable", detail)
