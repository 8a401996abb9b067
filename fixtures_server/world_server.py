"""Answers for a world: by the Host header, each host in its own way."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING

from fixtures_server.access_log import CONTROL_PREFIX
from fixtures_server.content import latency_s, number_from
from fixtures_server.gallery import FAULTS_PREFIX, fault_handler
from fixtures_server.judge import ROBOTS_PATH
from fixtures_server.reply import small_page
from fixtures_server.server import Listener, not_found
from fixtures_server.world import COUNTED_DEPTH, CUT_ANSWER, MOVED_ROBOTS_PATH, Host, HostKind, RobotsAnswer, World

if TYPE_CHECKING:
    from fixtures_server.access_log import AccessLog
    from fixtures_server.exchange import Exchange, Handler
    from fixtures_server.options import WorldOptions
    from fixtures_server.reply import Reply
    from fixtures_server.request import Request

WORLD_PATH = CONTROL_PREFIX + "world.json"
ARGUMENTS_PATH = CONTROL_PREFIX + "arguments"
_PLAIN_TEXT = (("Content-Type", "text/plain; charset=utf-8"),)
_SILENCE_S = 600.0  # longer than any crawler's deadline, and a forgotten test still ends


@dataclass(slots=True)
class _Mood:
    """What a host remembers of its guests."""

    host: Host
    first_s: float | None = None  # when it was first asked for anything
    under_way: int = 0
    slots: asyncio.Semaphore | None = None
    tokens: float = 0.0
    counted_s: float = -math.inf  # when the tokens were counted
    refuses_until_s: float = -math.inf

    def is_down(self, now_s: float) -> bool:
        if self.first_s is None:
            self.first_s = now_s
        return now_s < self.first_s + self.host.down_s

    def refuses(self, now_s: float) -> bool:
        """Whether a request comes too fast: a bucket of half a second's requests, and a pause once it is empty."""
        rate = self.host.rate_per_s
        if rate is None:
            return False
        self.tokens = min(max(1.0, rate / 2), self.tokens + (now_s - self.counted_s) * rate)
        self.counted_s = now_s
        if now_s >= self.refuses_until_s and self.tokens >= 1:
            self.tokens -= 1
            return False
        self.refuses_until_s = max(self.refuses_until_s, now_s + self.host.retry_after_s)
        return True


class WorldServer(Listener):
    """Every host of a world on one port; to a name that it does not know it shows the list of those that it does.

    options: of the world, which knows its port once the server has started
    """

    def __init__(self, options: WorldOptions, log: AccessLog) -> None:
        super().__init__(log)
        self._options = options
        self.world = World(options, port=0)
        self._moods: dict[str, _Mood] = {}

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port: the one given, or a free one for 0. Raises OSError where that fails."""
        bound = await super().start(host, port)
        self.world = World(self._options, bound, host)
        return bound

    def forget(self) -> None:
        """Begin anew, with hosts that were never asked for anything."""
        super().forget()
        self._moods.clear()

    def ready_reply(self, target: bytes, *, gzip: bool) -> Reply | None:
        """Nothing is ready here: what a host answers depends on what it was asked before."""
        del target, gzip
        return None

    def page_handler(self, request: Request) -> Handler:
        """What answers for the host that is asked."""
        if request.path == WORLD_PATH:
            return self._describe
        if request.path == ARGUMENTS_PATH:
            return self._arguments
        host = self.world.hosts.get(request.headers.host.lower())
        if host is None:
            return self._list if request.path == "/" else not_found
        mood = self._moods.get(host.netloc)
        if mood is None:
            mood = self._moods[host.netloc] = _Mood(host)
        return partial(self._answer, mood)

    # Handlers.

    async def _describe(self, exchange: Exchange) -> None:
        text = json.dumps(self.world.to_dict(), indent=1) + "\n"
        await exchange.respond(text, headers=(("Content-Type", "application/json"),))

    async def _arguments(self, exchange: Exchange) -> None:
        """What a shell puts behind `scraper crawl`: every seed, and where every name leads."""
        words = [*self.world.seeds, *(f"--resolve={entry}" for entry in self.world.resolve)]
        await exchange.respond("\n".join([*words, ""]), headers=_PLAIN_TEXT)

    async def _list(self, exchange: Exchange) -> None:
        rows = "".join(
            f'<tr><td><a href="{host.origin}/">{escape(host.netloc)}</a></td><td>{escape(host.about)}</td></tr>\n'
            for host in self.world.hosts.values()
        )
        more = (
            f'<p>With their rules: <a href="{WORLD_PATH}">{WORLD_PATH}</a></p>\n'
            f"<p>To crawl all of them:</p>\n<pre>scraper crawl --scope any --max-depth {COUNTED_DEPTH} "
            f"$(curl -s http://{escape(exchange.request.headers.host)}{ARGUMENTS_PATH})</pre>\n"
        )
        await exchange.respond(small_page(f"{len(self.world.hosts)} hosts", f"{more}<table>\n{rows}</table>\n"))

    async def _answer(self, mood: _Mood, exchange: Exchange) -> None:
        host, request = mood.host, exchange.request
        now_s = asyncio.get_running_loop().time()
        if mood.is_down(now_s):
            exchange.close()
        elif request.path in (ROBOTS_PATH, MOVED_ROBOTS_PATH):
            await self._robots(host, exchange)
        elif mood.refuses(now_s):
            await self._refuse(host.refusal_status, mood.refuses_until_s - now_s, exchange)
        elif host.breaks is not None and self._breaks(host, exchange):
            await self._break(host, exchange)
        elif host.capacity is None:
            await self._page(host, exchange)
        elif mood.under_way >= host.capacity + host.waiting_room:
            await self._refuse(503, host.retry_after_s, exchange)
        else:
            await self._queue(mood, host.capacity, exchange)

    async def _queue(self, mood: _Mood, capacity: int, exchange: Exchange) -> None:
        """One of a bounded number of servers takes its time, once it is free."""
        if mood.slots is None:
            mood.slots = asyncio.Semaphore(capacity)
        mood.under_way += 1
        try:
            async with mood.slots:
                await exchange.pause(mood.host.service_s)
                await self._page(mood.host, exchange)
        finally:
            mood.under_way -= 1

    async def _page(self, host: Host, exchange: Exchange) -> None:
        request = exchange.request
        await self._take_time(host, exchange)
        if host.kind is HostKind.FAULTY and request.path.startswith(FAULTS_PREFIX):
            await (fault_handler(request.path) or not_found)(exchange)
            return
        page = None if host.kind is HostKind.DEAD else self.world.page(host, request.target)
        if page is None:
            await not_found(exchange)
            return
        found = page.resource
        location = () if found.location is None else (("Location", found.location),)
        headers = (("Content-Type", found.content_type), *location)
        await exchange.respond(found.body, status=found.status, headers=headers)

    async def _robots(self, host: Host, exchange: Exchange) -> None:
        is_moved_here = exchange.request.path == MOVED_ROBOTS_PATH
        if is_moved_here and host.robots is not RobotsAnswer.MOVED:
            await not_found(exchange)
            return
        if host.robots is RobotsAnswer.SILENCE:
            await exchange.pause(_SILENCE_S)
            exchange.close()
            return
        await self._take_time(host, exchange)
        if host.bare is not None:
            await self._redirect(f"http://{host.bare}{ROBOTS_PATH}", exchange)
        elif host.robots is RobotsAnswer.MISSING:
            await not_found(exchange)
        elif host.robots is RobotsAnswer.ERROR:
            await exchange.respond("out of order\n", status=500, headers=_PLAIN_TEXT)
        elif host.robots is RobotsAnswer.MOVED and not is_moved_here:
            await self._redirect(MOVED_ROBOTS_PATH, exchange)
        else:
            await exchange.respond(self.world.robots_txt(host), headers=_PLAIN_TEXT)

    async def _redirect(self, location: str, exchange: Exchange) -> None:
        await exchange.respond("moved\n", status=301, headers=(("Location", location), *_PLAIN_TEXT))

    async def _refuse(self, status: int, wait_s: float, exchange: Exchange) -> None:
        headers = (("Retry-After", str(max(1, math.ceil(wait_s)))), *_PLAIN_TEXT)
        await exchange.respond("not so fast\n", status=status, headers=headers)

    async def _take_time(self, host: Host, exchange: Exchange) -> None:
        path = f"{host.name}{exchange.request.target}"
        await exchange.pause(latency_s(host.latency_s, "lognormal", self._options.seed, path))

    async def _break(self, host: Host, exchange: Exchange) -> None:
        match host.breaks:
            case "reset":
                exchange.reset()
            case "close":
                exchange.close()
            case "cut":
                await exchange.send(CUT_ANSWER)
                exchange.close()
            case _:
                await exchange.respond(small_page("500"), status=500)

    def _breaks(self, host: Host, exchange: Exchange) -> bool:
        """Whether this is the first request for a page that breaks."""
        address = f"{host.name}{exchange.request.target}"
        return number_from(self._options.seed, "breaks", address) % 3 == 0 and exchange.count(address) == 1
