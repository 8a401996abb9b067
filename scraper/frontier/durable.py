"""A frontier that outlives its process.

    lease ◄── window ◄──load── state file ◄──commit── outcomes
              (memory)          (its own thread, one transaction for many pages)

The event loop decides, from memory; the file's thread makes it durable. A lease is in memory alone: what was never
committed still waits in the file, so a crawler that dies leaves nothing to put right, and one that starts again hands
out the same requests. What was under way at a crash is known from the crawler's presence file.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from scraper import urls
from scraper.completion import to_its_end
from scraper.errors import StateError
from scraper.frontier.pace import Pacer
from scraper.frontier.protocol import SUSPECTED_AFTER, Answer, FrontierStatistics
from scraper.frontier.recent import Recent
from scraper.frontier.retry import RetryPolicy
from scraper.frontier.schedule import Entry, Schedule
from scraper.frontier.settle import duplicate, is_elsewhere, is_put_off
from scraper.frontier.slices import in_slices, is_long
from scraper.frontier.state import schema
from scraper.frontier.state.identity import CrawlIdentity
from scraper.frontier.state.store import Store
from scraper.frontier.state.values import Applied, Change, Found, OutputPart, RobotsText
from scraper.frontier.stored import more_of
from scraper.frontier.turns import HostTurns
from scraper.frontier.window import Window
from scraper.model import Delivery, Failure, Lease, Outcome, Request, Skip, State
from scraper.options import StateOptions
from scraper.urls import Scope

T = TypeVar("T")

# Hosts at work at the same time. 32,768 take some 30 MB, and are more than any crawl contacts in a minute.
_MOST_HOSTS = 32_768
# The same for one of several crawlers, so that hosts are left for the others.
_MOST_HOSTS_JOINED = 256
# Seeds that are added in one transaction.
_SEEDS_AT_ONCE = 5_000
# How often a crawler that shares a file shows that it lives, and looks what the others did.
_MEET_S = 0.5
# A process that lives and has not shown it for so long is stopped or hangs; its hosts go to others.
_PATIENCE_S = 30.0
# `wake` again at once would find the clock where it was.
_LEAST_SLEEP_S = 0.001

# Where the authority of a canonical URL has begun, in http:// as in https://.
_AFTER_SCHEME = len("https://")

_ENDS = {State.DONE: schema.DONE, State.FAILED: schema.FAILED, State.SKIPPED: schema.SKIPPED}


class DurableFrontier(HostTurns):
    """The frontier over a state file. Memory is bounded however many requests it knows.

    Args:
        options: the file, and how it is used.
        about: what crawl this is, for the file to check.
        outputs: names of the outputs that are committed with the pages.
        scope: which links become requests.
        pacer: when each host may be contacted, and by how many requests at a time.
        retry: when a failed request is tried again.
        max_depth: links followed from a seed; None is no bound.
        in_flight: requests under way in all.
    """

    def __init__(
        self,
        options: StateOptions,
        *,
        about: Mapping[str, str | None],
        outputs: Sequence[str],
        scope: Scope,
        pacer: Pacer,
        retry: RetryPolicy,
        in_flight: int,
        max_depth: int | None = None,
    ) -> None:
        self._options = options
        self._about = about
        self._outputs = outputs
        self._scope = scope
        self._retry = retry
        self._max_depth = max_depth
        self._pacer = pacer
        self._schedule = Schedule(pacer)
        self._window = Window(self._schedule, _MOST_HOSTS_JOINED if options.join else _MOST_HOSTS, in_flight)
        self._recent = Recent()
        self._leased: dict[str, Entry] = {}
        self._wait_s: dict[str, float] = {}  # settled to wait, not committed yet
        self._suspects: dict[int, int] = {}
        self._suspect: Entry | None = None
        self._parked: deque[Entry] = deque()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._statistics: FrontierStatistics | None = None
        self._others_wait = False
        self._left: list[int] = []
        self._due_s: float | None = None
        self._wish = asyncio.Event()
        self._clock_start_s = 0.0
        self._widened: list[tuple[str, bool]] = []
        self._lock = asyncio.Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._store: Store | None = None
        self._is_sound = True
        self._is_refused = False

    def __repr__(self) -> str:
        counts = self.statistics()
        told = f"{counts.waiting} waiting, {counts.leased} leased, {counts.seen} seen"
        return f"<DurableFrontier {self._options.path}: {told}>"

    async def open(self, seeds: Sequence[Request]) -> None:
        starts = [urls.canonical(request.url) for request in seeds]
        self._store = Store(self._options, CrawlIdentity(self._about, sorted(self._outputs), starts))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="state")
        try:
            opened = await self._in_thread(self._store.open)
        except BaseException:
            self._thread.shutdown()
            self._store = self._thread = None
            raise
        self._counts = opened.counts
        self._suspects = opened.suspects
        self._include(opened.scope)
        self._clock_start_s = max(time.time(), opened.clock_s) - time.monotonic()
        self._take_rests(opened.rests)
        if opened.counts["state", "seen"]:
            self._pacer.resume(asyncio.get_running_loop().time())
        places = {url for url, is_seed in opened.scope if is_seed}  # a million seeds need not be asked for again
        await self.add([seed for seed, url in zip(seeds, starts, strict=True) if not (seed.is_plain and url in places)])
        self._due_s = self._clock_s()  # looks at once for requests whose time has come meanwhile
        self._others_wait = True
        async with self._lock:
            await self._commit(Change())

    def _take_rests(self, rests: Iterable[tuple[str, float]]) -> None:
        """Leaves hosts alone that asked an earlier run for it."""
        now_s = self._clock_s()
        behind_s = now_s - asyncio.get_running_loop().time()
        for host, until_s in rests:
            if until_s > now_s:  # the file keeps those that are over, too
                self._pacer.rest(host, until_s - behind_s)

    def _rests(self) -> list[tuple[str, float]]:
        behind_s = self._clock_s() - asyncio.get_running_loop().time()
        return [(host, until_s + behind_s) for host, until_s in self._pacer.take_rests().items()]

    def _include(self, places: Iterable[tuple[str, bool]]) -> None:
        for url, is_seed in places:
            if is_seed:
                self._scope.include(url)
            else:
                self._scope.widen(url)

    def _clock_s(self) -> float:
        """The file's time, in seconds since 1970. While a process runs it does not jump, whatever the system's does,
        and it never runs behind what the file has seen.
        """
        return self._clock_start_s + time.monotonic()

    async def take_outputs(self) -> list[OutputPart]:
        return await self._in_thread(self._opened().take_outputs)

    async def adopt_outputs(self) -> list[OutputPart]:
        return await self._in_thread(self._opened().adopt_outputs)

    async def release_outputs(self, parts: Sequence[OutputPart]) -> None:
        await self._in_thread(self._opened().release_outputs, parts)

    async def add(self, requests: Iterable[Request], *, are_seeds: bool = True) -> None:
        admitted = [request.with_url(urls.canonical(request.url)) for request in requests]
        counts: Counter[tuple[str, str]] = Counter()
        if are_seeds:
            for request in admitted:
                self._scope.include(request.url)
        else:
            admitted = [request for request in admitted if self._may_enter(request.url, 0, counts)]
        found = [self._found(request, 0) for request in admitted]
        for start in range(0, len(found), _SEEDS_AT_ONCE):
            part = found[start : start + _SEEDS_AT_ONCE]
            first: dict[str, Found] = {}
            for each in part:
                first.setdefault(each.key, each)
            change = Change(found=list(first.values()), counts=counts)
            counts = Counter()
            if are_seeds:
                change.scope = [(each.url, True) for each in part]
            change.counts["dropped", "duplicate"] += len(part) - len(change.found)
            async with self._lock:
                await self._commit(change)
            await asyncio.sleep(0)  # a cancellation that came meanwhile is delivered between two portions

    def _found(self, request: Request, depth: int) -> Found:
        return Found(
            urls.fingerprint(request),
            request.url,
            urls.host_port(request.url),
            depth,
            -request.priority,
            more_of(request),
        )

    def lease(self, now_s: float) -> Lease | None:
        presence = self._opened().presence
        if presence is None or not presence.has_room:
            return None
        while (entry := self._pop(now_s)) is not None:
            crashes = self._suspects.get(entry.number, 0)
            if crashes >= SUSPECTED_AFTER:
                if self._suspect is not None:
                    self._schedule.free_slot_of(entry, None, now_s)
                    self._parked.append(entry)
                    continue
                self._suspect = entry
            entry.attempts += 1
            self._leased[entry.key] = entry
            presence.take(entry.number)
            self._statistics = None
            request = entry.request if isinstance(entry.request, Request) else Request.plain(entry.request)
            return Lease(request, entry.key, entry.depth, entry.attempts, crashes)
        can_take = self._others_wait and self._window.can_take_hosts
        if can_take or (not self._leased and self._window.wants()):
            self._wish.set()  # commits of what is under way may be long in coming, or none is under way
        return None

    def _pop(self, now_s: float) -> Entry | None:
        entry = self._window.pop(now_s)
        if entry is None and self._suspect is None and self._parked:
            self._window.put_back(self._parked.popleft())
            entry = self._window.pop(now_s)
        return entry

    def fetched(self, lease: Lease, answer: Answer | None, now_s: float) -> None:
        self._schedule.free_slot_of(self._leased[lease.key], answer, now_s)

    def hand_back(self, lease: Lease, now_s: float) -> None:
        entry = self._leased.pop(lease.key)
        entry.attempts -= 1
        presence = self._opened().presence
        if presence is not None:
            presence.give_back(entry.number)
        if entry is self._suspect:
            self._suspect = None
        self._schedule.free_slot_of(entry, None, now_s)
        self._window.put_back(entry)
        self._statistics = None

    async def pages_by_host(self) -> Mapping[str, int]:
        return await self._in_thread(self._opened().pages_by_host)

    async def recall_robots(self, origin: str) -> RobotsText | None:
        return await self._in_thread(self._opened().recall_robots, origin, self._clock_s())

    async def keep_robots(self, origin: str, text: RobotsText) -> None:
        async with self._lock:
            await self._in_thread(self._opened().keep_robots, origin, text.body, self._clock_s() + text.fresh_s)

    def next_ready_s(self) -> float | None:
        return self._schedule.next_ready_s()  # retries wait in the file; `attend` wakes them

    def widen(self, url: str) -> None:
        self._scope.widen(url)
        self._widened.append((url, False))

    async def settle(self, outcomes: Sequence[Outcome], now_s: float) -> list[Outcome]:  # noqa: ARG002  its own clock
        led = {
            outcome.final_url: self._leased[outcome.lease.key].number
            for outcome in reversed(outcomes)
            if outcome.state is State.DONE and is_elsewhere(outcome)
        }
        taken: set[str] = set()
        if led:
            claims = [(url, number) for url, number in led.items() if url is not None]
            taken = await self._in_thread(self._opened().taken_by_others, claims)
        return [self._settle(outcome, led, taken) for outcome in outcomes]

    def _settle(self, outcome: Outcome, led: Mapping[str | None, int], taken: set[str]) -> Outcome:
        lease = outcome.lease
        if isinstance(outcome.end, Failure):
            wait_s = self._retry.wait_s(outcome.end, lease.attempt)
            is_free = is_put_off(outcome)
            if wait_s is None or not (is_free or self._pacer.may_retry(self._leased[lease.key].host)):
                return outcome
            self._wait_s[lease.key] = wait_s
            return outcome._replace(state=State.WAITING)
        final_url = outcome.final_url
        if outcome.state is State.DONE and final_url is not None and is_elsewhere(outcome):
            is_first = final_url not in taken and led[final_url] == self._leased[lease.key].number
            return outcome if is_first else duplicate(outcome)
        return outcome

    async def commit(self, outcomes: Sequence[Outcome], delivery: Delivery) -> bool:
        async with self._lock:
            entries = [self._leased[outcome.lease.key] for outcome in outcomes]
            change = await self._change(outcomes, entries)
            change.delivery = delivery
            applied = await self._commit(change)
            if applied is None:
                return False
            self._let_go(outcomes, entries)
        return True

    async def _change(self, outcomes: Sequence[Outcome], entries: Sequence[Entry]) -> Change:
        change = Change()
        counts = change.counts
        found: dict[str, Found] = {}
        now_s = self._clock_s()
        for outcome, entry in zip(outcomes, entries, strict=True):
            counts["total", "bytes"] += outcome.wire_bytes
            if outcome.state is State.WAITING:
                host = self._window.number_of(entry.host)
                assert host is not None
                due_s = now_s + self._wait_s[entry.key]
                change.delays.append((entry.number, host, entry.attempts - is_put_off(outcome), due_s))
                continue
            change.ends.append((entry.number, _ENDS[outcome.state], entry.attempts))
            counts["state", outcome.state.value] += 1
            counts["total", "items"] += len(outcome.items)
            end = outcome.end
            if isinstance(end, Failure):
                counts["failure", end.reason] += 1
                change.reasons.append((entry.number, end.stage.value, end.reason, _text(end.detail)))
            elif isinstance(end, Skip):
                counts["skip", end.reason] += 1
                change.reasons.append((entry.number, None, end.reason, _text(end.detail)))
            elif outcome.final_url is not None and is_elsewhere(outcome):
                change.claims.append((outcome.final_url, entry.number))
            await self._discover(outcome, entry.depth + 1, found, counts)
        change.found = list(found.values())
        return change

    async def _discover(
        self, outcome: Outcome, depth: int, found: dict[str, Found], counts: Counter[tuple[str, str]]
    ) -> None:
        for reason, count in outcome.dropped:
            counts["dropped", reason] += count
        if not is_long(outcome.links):
            self._discover_links(outcome.links, depth, found, counts)
        else:
            async for links in in_slices(outcome.links):
                self._discover_links(links, depth, found, counts)
        for request in outcome.requests:
            if self._may_enter(request.url, depth, counts):
                new = self._found(request, depth)
                other = found.get(new.key)
                if other is None:
                    found[new.key] = new
                else:
                    counts["dropped", "duplicate"] += 1
                    if depth < other.depth:
                        found[new.key] = other._replace(depth=depth)

    def _discover_links(
        self, links: Sequence[str], depth: int, found: dict[str, Found], counts: Counter[tuple[str, str]]
    ) -> None:
        unmet = self._recent.unmet(links, depth)
        duplicates = len(links) - len(unmet)
        hosts: dict[str, str] = {}
        for url in unmet:
            if (other := found.get(url)) is not None:
                duplicates += 1
                if depth < other.depth:
                    found[url] = other._replace(depth=depth)
            elif self._may_enter(url, depth, counts):
                origin = url[: url.index("/", _AFTER_SCHEME)]
                host = hosts.get(origin)
                if host is None:
                    host = hosts[origin] = urls.host_port(url)
                found[url] = Found(url, url, host, depth)
        counts["dropped", "duplicate"] += duplicates

    def _may_enter(self, url: str, depth: int, counts: Counter[tuple[str, str]]) -> bool:
        if not self._scope.admits(url):
            counts["dropped", "out_of_scope"] += 1
        elif self._max_depth is not None and depth > self._max_depth:
            counts["dropped", "too_deep"] += 1
        else:
            return True
        return False

    def _let_go(self, outcomes: Sequence[Outcome], entries: Sequence[Entry]) -> None:
        """The outcomes are durable: their requests are in nobody's hands any more."""
        presence = self._opened().presence
        for outcome, entry in zip(outcomes, entries, strict=True):
            del self._leased[entry.key]
            self._wait_s.pop(entry.key, None)
            if presence is not None:
                presence.give_back(entry.number)
            self._window.end(entry)
            if outcome.state is not State.WAITING:
                self._suspects.pop(entry.number, None)
            if entry is self._suspect:
                self._suspect = None
        self._statistics = None

    async def _commit(self, change: Change) -> Applied | None:
        """One transaction, and what came of it taken into memory. The lock is held."""
        window = self._window
        self._left += window.take_idle(others_wait=self._others_wait)
        change.left = self._left
        widened, self._widened = self._widened, []
        change.scope += widened
        change.rests = self._rests()
        change.wants = window.wants()
        change.room = window.room if self._others_wait or change.found else 0
        change.share = window.first_share
        for host in {each.host for each in change.found}:
            number = window.number_of(host)
            if number is not None:
                change.hosts[host] = number
        applied = await self._in_thread(self._opened().commit, change, self._clock_s())
        if applied is None:
            self._widened += widened
            return None
        self._left = []
        self._include(applied.scope)  # before a page of a host that is taken here is judged
        work = self._take_in(applied, change.found)
        await (to_its_end(work) if is_long(change.found) else work)
        self._others_wait = applied.others_wait
        self._set_due(applied.due_s)
        self._counts = applied.counts if self._options.join else self._counts + applied.counts
        self._statistics = None
        return applied

    async def _take_in(self, applied: Applied, found: Sequence[Found]) -> None:
        self._take_rests(applied.rests)
        self._window.load(applied.loads)
        async for rows in in_slices(applied.admitted):
            self._window.admit(rows)
        self._window.move(applied.moved)
        async for some in in_slices(found):
            for each in some:
                if each.key == each.url:
                    self._recent.add(each.url, each.depth)

    def _set_due(self, due_s: float | None) -> None:
        if due_s != self._due_s:
            self._due_s = due_s
            self._wish.set()

    async def attend(self, changed: Callable[[], None]) -> None:
        store = self._opened()
        while True:
            await self._sleep()
            async with self._lock:
                if self._options.join:
                    await self._meet(store)
                if self._due_s is not None and self._due_s <= self._clock_s():
                    rows, due_s = await self._in_thread(store.wake, self._clock_s())
                    self._window.admit(rows)
                    self._set_due(due_s)
                    self._others_wait = True
                if self._others_wait or self._window.wants():
                    await self._commit(Change())
            changed()

    async def _sleep(self) -> None:
        """Until a delayed request's time has come, or it is time to meet the others."""
        wait_s = None if self._due_s is None else max(self._due_s - self._clock_s(), _LEAST_SLEEP_S)
        if self._options.join:
            wait_s = _MEET_S if wait_s is None else min(wait_s, _MEET_S)
        try:
            async with asyncio.timeout(wait_s):
                await self._wish.wait()
        except TimeoutError:
            pass
        self._wish.clear()

    async def _meet(self, store: Store) -> None:
        met = await self._in_thread(store.meet, time.monotonic(), _PATIENCE_S)
        self._include(met.scope)
        self._window.admit(met.rows)
        self._window.give_away(met.surplus)
        self._counts = met.counts
        self._suspects = met.suspects
        self._others_wait = True
        self._statistics = None

    def statistics(self) -> FrontierStatistics:
        if self._statistics is None:
            self._statistics = self._count()
        return self._statistics

    def _count(self) -> FrontierStatistics:
        counts = self._counts
        seen, done, failed, skipped = (counts["state", name] for name in ("seen", "done", "failed", "skipped"))
        return FrontierStatistics(
            seen=seen,
            done=done,
            failed=failed,
            skipped=skipped,
            waiting=seen - done - failed - skipped,
            leased=len(self._leased),
            hosts=len(self._window),
            hosts_met=counts["hosts", "met"],
            failures=self._of_kind("failure"),
            skips=self._of_kind("skip"),
            dropped=self._of_kind("dropped"),
            items=counts["total", "items"],
            bytes=counts["total", "bytes"],
        )

    def _of_kind(self, kind: str) -> dict[str, int]:
        return {name: value for (of, name), value in self._counts.items() if of == kind and value}

    def disown(self) -> None:
        self._is_refused = True

    async def aclose(self) -> None:
        if self._thread is None or self._store is None:
            return
        thread, store = self._thread, self._store
        try:
            await self._in_thread(lambda: store.close(is_sound=self._is_sound, is_refused=self._is_refused))
        finally:
            self._thread = self._store = None
            thread.shutdown()

    def _opened(self) -> Store:
        if self._store is None:
            raise StateError(f"state {self._options.path} is closed")
        return self._store

    async def _in_thread(self, call: Callable[..., T], *values: object) -> T:
        """Calls the store."""
        assert self._thread is not None
        try:
            loop = asyncio.get_running_loop()
            return await to_its_end(loop.run_in_executor(self._thread, lambda: call(*values)))
        except StateError:
            self._is_sound = False
            raise


def _text(detail: str) -> str:
    """Without NUL, where SQLite ends a text."""
    return detail.replace("\0", "\ufffd")
