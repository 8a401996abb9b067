"""A frontier that lives and dies with its process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from scraper import urls
from scraper.completion import to_its_end
from scraper.frontier.pace import Pacer
from scraper.frontier.protocol import Answer, FrontierStatistics
from scraper.frontier.retry import RetryPolicy
from scraper.frontier.robots_texts import RobotsTexts
from scraper.frontier.schedule import Entry, Schedule
from scraper.frontier.settle import duplicate, is_elsewhere, is_put_off
from scraper.frontier.slices import in_slices, is_long
from scraper.frontier.state.values import OutputPart, RobotsText
from scraper.frontier.turns import HostTurns
from scraper.model import Delivery, Failure, Lease, Outcome, Request, Skip, State
from scraper.urls import Scope


class MemoryFrontier(HostTurns):
    """Every known URL and every waiting request in memory: about 0.4 KB for a URL that waits, 0.15 KB for one
    that is at its end.

    Args:
        scope: which links become requests.
        pacer: when each host may be contacted, and by how many requests at a time.
        retry: when a failed request is tried again.
        max_depth: links followed from a seed; None is no bound.
    """

    def __init__(self, *, scope: Scope, pacer: Pacer, retry: RetryPolicy, max_depth: int | None = None) -> None:
        self._scope = scope
        self._pacer = pacer
        self._retry = retry
        self._max_depth = max_depth
        self._schedule = Schedule(pacer)
        self._robots = RobotsTexts()
        self._known: dict[str, Entry | None] = {}  # None: at its end, or claimed by a redirect
        self._leased: dict[str, Entry] = {}
        self._retry_at_s: dict[str, float] = {}  # settled to wait, not committed yet
        self._seen = 0
        self._hosts_met: set[str] = set()
        self._ends: Counter[State] = Counter()
        self._failures: Counter[str] = Counter()
        self._skips: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._items = 0
        self._bytes = 0

    def __repr__(self) -> str:
        counts = self.statistics()
        return f"<MemoryFrontier {counts.waiting} waiting, {counts.leased} leased, {counts.seen} seen>"

    async def open(self, seeds: Sequence[Request]) -> None:
        await self.add(seeds)

    async def take_outputs(self) -> list[OutputPart]:
        return []

    async def adopt_outputs(self) -> list[OutputPart]:
        return []

    async def release_outputs(self, parts: Sequence[OutputPart]) -> None:
        """There are none."""

    async def attend(self, changed: Callable[[], None]) -> None:
        """Nothing happens here but what the crawl does itself."""

    def widen(self, url: str) -> None:
        self._scope.widen(url)

    async def add(self, requests: Iterable[Request], *, are_seeds: bool = True) -> None:
        admitted = [request.with_url(urls.canonical(request.url)) for request in requests]
        for request in admitted:
            if are_seeds:
                self._scope.include(request.url)
            if are_seeds or self._may_enter(request.url, 0):
                self._admit(request, depth=0)

    def lease(self, now_s: float) -> Lease | None:
        entry = self._schedule.pop(now_s)
        if entry is None:
            return None
        entry.attempts += 1
        self._leased[entry.key] = entry
        request = entry.request if isinstance(entry.request, Request) else Request.plain(entry.request)
        return Lease(request, entry.key, entry.depth, entry.attempts)

    def fetched(self, lease: Lease, answer: Answer | None, now_s: float) -> None:
        self._schedule.free_slot_of(self._leased[lease.key], answer, now_s)

    def hand_back(self, lease: Lease, now_s: float) -> None:
        entry = self._leased.pop(lease.key)
        entry.attempts -= 1
        self._schedule.put_back(entry)
        self._schedule.free_slot_of(entry, None, now_s)

    async def pages_by_host(self) -> Mapping[str, int]:
        return {}

    async def recall_robots(self, origin: str) -> RobotsText | None:
        return self._robots.recall(origin)

    async def keep_robots(self, origin: str, text: RobotsText) -> None:
        self._robots.keep(origin, text)

    def next_ready_s(self) -> float | None:
        return self._schedule.next_ready_s()

    async def settle(self, outcomes: Sequence[Outcome], now_s: float) -> list[Outcome]:
        return [self._settle(outcome, now_s) for outcome in outcomes]

    def _settle(self, outcome: Outcome, now_s: float) -> Outcome:
        lease = outcome.lease
        if isinstance(outcome.end, Failure):
            wait_s = self._retry.wait_s(outcome.end, lease.attempt)
            is_free = is_put_off(outcome)
            if wait_s is None or not (is_free or self._pacer.may_retry(self._leased[lease.key].host)):
                return outcome
            self._retry_at_s[lease.key] = now_s + wait_s
            return outcome._replace(state=State.WAITING)
        final_url = outcome.final_url
        if outcome.state is State.DONE and final_url is not None and is_elsewhere(outcome):
            if final_url in self._known:
                return duplicate(outcome)
            self._known[final_url] = None
        return outcome

    async def commit(self, outcomes: Sequence[Outcome], delivery: Delivery) -> bool:  # noqa: ARG002
        work = self._commit(outcomes)
        # What was begun comes to its end, also if the crawl is cancelled meanwhile.
        await (to_its_end(work) if any(is_long(outcome.links) for outcome in outcomes) else work)
        return True

    async def _commit(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._bytes += outcome.wire_bytes
            key = outcome.lease.key
            entry = self._leased.pop(key)
            if outcome.state is State.WAITING:
                entry.attempts -= is_put_off(outcome)
                self._schedule.push_later(entry, self._retry_at_s.pop(key))
            else:
                self._known[key] = None
                self._count_end(outcome)
                await self._admit_discovered(outcome, entry.depth + 1)

    def _count_end(self, outcome: Outcome) -> None:
        self._items += len(outcome.items)
        self._ends[outcome.state] += 1
        if isinstance(outcome.end, Failure):
            self._failures[outcome.end.reason] += 1
        elif isinstance(outcome.end, Skip):
            self._skips[outcome.end.reason] += 1

    async def _admit_discovered(self, outcome: Outcome, depth: int) -> None:
        for reason, count in outcome.dropped:
            self._dropped[reason] += count
        if not is_long(outcome.links):
            self._admit_links(outcome.links, depth)
        else:
            async for links in in_slices(outcome.links):
                self._admit_links(links, depth)
        for request in outcome.requests:
            if self._may_enter(request.url, depth):
                self._admit(request, depth)

    def _admit_links(self, links: Sequence[str], depth: int) -> None:
        known = self._known
        duplicates = 0
        for url in links:  # the hot path: most links of most pages are known already
            if url in known:
                duplicates += 1
                entry = known[url]
                if entry is not None and depth < entry.depth:
                    self._move_up(entry, depth)
            elif self._may_enter(url, depth):
                self._insert(Entry(url, url, urls.host_port(url), depth))
        self._dropped["duplicate"] += duplicates

    def _may_enter(self, url: str, depth: int) -> bool:
        if not self._scope.admits(url):
            self._dropped["out_of_scope"] += 1
        elif self._max_depth is not None and depth > self._max_depth:
            self._dropped["too_deep"] += 1
        else:
            return True
        return False

    def _admit(self, request: Request, depth: int) -> None:
        key = urls.fingerprint(request)
        if key in self._known:
            self._dropped["duplicate"] += 1
            entry = self._known[key]
            if entry is not None and depth < entry.depth:
                self._move_up(entry, depth)
            return
        self._insert(
            Entry(
                key,
                request.url if request.is_plain else request,
                urls.host_port(request.url),
                depth,
                request.priority,
            )
        )

    def _insert(self, entry: Entry) -> None:
        self._known[entry.key] = entry
        self._seen += 1
        self._hosts_met.add(entry.host)
        self._schedule.push(entry)

    def _move_up(self, entry: Entry, depth: int) -> None:
        entry.depth = depth
        if entry.is_queued:
            self._schedule.push(entry)

    def statistics(self) -> FrontierStatistics:
        ends = self._ends
        return FrontierStatistics(
            seen=self._seen,
            done=ends[State.DONE],
            failed=ends[State.FAILED],
            skipped=ends[State.SKIPPED],
            waiting=self._seen - ends.total(),
            leased=len(self._leased),
            hosts=len(self._schedule),
            hosts_met=len(self._hosts_met),
            failures=dict(self._failures),
            skips=dict(self._skips),
            dropped={reason: count for reason, count in self._dropped.items() if count},
            items=self._items,
            bytes=self._bytes,
        )

    def disown(self) -> None:
        """Nothing stays anyway."""

    async def aclose(self) -> None:
        self._known.clear()
