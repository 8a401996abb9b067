"""What a frontier should do, in plain dictionaries, and the tools that the tests of the durable one share."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from scraper import urls
from scraper.frontier import SUSPECTED_AFTER, FrontierStatistics, durable, recent, window
from scraper.frontier.durable import DurableFrontier
from scraper.frontier.pace import Pacer
from scraper.frontier.retry import RetryPolicy
from scraper.model import Delivery, Failure, Lease, Outcome, Request, Skip, Stage, State
from scraper.options import PaceOptions, ScopeName, StateOptions
from scraper.urls import Scope

BACKOFF_S = 1.0
MAX_RETRY_AFTER_S = 100.0


class Clock:
    """Stands for the `time` module where a frontier reads it."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def time(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s


class Even(random.Random):
    """No jitter: the time at which a request may be tried again is known."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


class Steady(Pacer):
    """Permits as many requests at a time as the user does, whatever the host answers."""

    def __init__(self, per_host: int) -> None:
        super().__init__(PaceOptions(per_host=per_host))
        self._per_host = per_host

    def limit(self, host: str) -> int:
        return self._per_host


class _RoundIsOver(Exception):
    pass


class Stepped(DurableFrontier):
    """A frontier whose `attend` goes one round each time it is asked to, without waiting."""

    _is_awake = False

    async def _sleep(self) -> None:
        if not self._is_awake:
            raise _RoundIsOver
        self._is_awake = False

    async def attend_once(self) -> None:
        self._is_awake = True
        with pytest.raises(_RoundIsOver):
            await self.attend(lambda: None)


def policy(retries: int) -> RetryPolicy:
    pace = PaceOptions(retries=retries, backoff_s=BACKOFF_S, max_retry_after_s=MAX_RETRY_AFTER_S)
    return RetryPolicy(pace, Even())


def durable_frontier(
    path: Path,
    *,
    join: bool = False,
    retry_failed: bool = False,
    scope: ScopeName = "host",
    per_host: int = 8,
    in_flight: int = 32,
    max_depth: int | None = None,
    retries: int = 2,
) -> Stepped:
    return Stepped(
        StateOptions(path=path, join=join, retry_failed=retry_failed),
        about={"handler": "tests:parse"},
        outputs=(),
        scope=Scope(scope),
        pacer=Steady(per_host),
        retry=policy(retries),
        in_flight=in_flight,
        max_depth=max_depth,
    )


@contextmanager
def small(*, hosts: int, hosts_joined: int = 256, entries: int = 8, of_a_host: int = 3) -> Iterator[None]:
    """Bounds that a test can reach with tens of requests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "_MOST_HOSTS", hosts)
        patch.setattr(durable, "_MOST_HOSTS_JOINED", hosts_joined)
        patch.setattr(window, "_ENTRIES", entries)
        patch.setattr(window, "_MOST_OF_A_HOST", of_a_host)
        patch.setattr(window, "_FIRST_OF_A_HOST", 2)
        patch.setattr(window, "_LOADED_AT_ONCE", entries)
        patch.setattr(recent, "_GENERATION", 4)
        yield


def image(path: Path, folder: Path) -> Path:
    """The disk as the next process finds it when this one is killed now: nobody closes, nobody tidies up.

    What the folder has already is left as it is.
    """
    folder.mkdir(exist_ok=True)
    copy_hands(path, folder)
    for suffix in ("", "-wal"):  # the third file is rebuilt from the log, as after the end of all who had it
        shutil.copyfile(f"{path}{suffix}", f"{folder / path.name}{suffix}")
    return folder / path.name


def copy_hands(path: Path, folder: Path) -> None:
    """Only what crawlers have in their hands now."""
    folder.mkdir(exist_ok=True)
    for file in path.parent.glob(f"{path.name}-crawler-*"):
        if not (folder / file.name).exists():
            shutil.copyfile(file, folder / file.name)


async def die(front: DurableFrontier) -> None:
    """Ends a frontier as the end of its process does: its lock is gone, and what was in its hands can be read."""
    presence = front._opened().presence
    assert presence is not None
    path = presence._path
    kept = path.with_name(f"{path.name}.kept")
    os.link(path, kept)
    front._is_sound = False  # so that nothing is put right in the file
    await front.aclose()
    kept.rename(path)


def lease(front: DurableFrontier) -> Lease:
    leased = front.lease(0.0)
    assert leased is not None
    return leased


def lease_all(front: DurableFrontier) -> list[Lease]:
    return list(iter(lambda: front.lease(0.0), None))


def done(leased: Lease, *links: str, final_url: str | None = None, requests: Sequence[Request] = ()) -> Outcome:
    final_url = final_url or leased.request.url
    return Outcome(leased, State.DONE, None, final_url, ({"n": 1},), links, tuple(requests), wire_bytes=10)


def failed(leased: Lease, *, retryable: bool = True, retry_after_s: float | None = None) -> Outcome:
    reason = "http_503" if retryable else "http_404"
    return Outcome(leased, State.FAILED, Failure(Stage.FETCH, reason, "", retryable, retry_after_s), wire_bytes=1)


def skipped(leased: Lease) -> Outcome:
    return Outcome(leased, State.SKIPPED, Skip("content_type"))


async def finish(front: DurableFrontier, *outcomes: Outcome) -> list[Outcome]:
    """The way of pages that were fetched; settles anew as often as another crawler was quicker."""
    for outcome in outcomes:
        front.fetched(outcome.lease, None, 0.0)
    while True:
        settled = await front.settle(outcomes, 0.0)
        if await front.commit(settled, Delivery()):
            counts = front.statistics()
            assert counts.seen == counts.done + counts.failed + counts.skipped + counts.waiting
            return settled
        await asyncio.sleep(0)


def led_to(outcome: Outcome) -> str | None:
    """The URL behind a redirect, of a page that has no other name."""
    request = outcome.lease.request
    is_named = request.method != "GET" or request.dedup_key is not None
    return None if is_named or outcome.final_url == request.url else outcome.final_url


@dataclass
class Known:
    """A request that was admitted.

    Args:
        state: ready, leased, delayed, done, failed or skipped.
    """

    key: str
    host: str
    depth: int
    priority: int
    state: str = "ready"
    attempts: int = 0
    crashes: int = 0
    due_s: float = 0.0
    holds_slot: bool = False

    @property
    def is_suspect(self) -> bool:
        return self.crashes >= SUSPECTED_AFTER


class Model:
    """Everything that a frontier knows, and nothing of how it keeps it."""

    def __init__(self, *, per_host: int, max_depth: int | None, retries: int) -> None:
        self.per_host = per_host
        self.max_depth = max_depth
        self.retries = retries
        self.requests: dict[str, Known] = {}
        self.held: set[str] = set()
        self.claimed: set[str] = set()
        self.scope: set[str] = set()
        self.failures: Counter[str] = Counter()
        self.skips: Counter[str] = Counter()
        self.dropped = 0
        self.items = 0
        self.bytes = 0

    def of(self, *states: str) -> list[Known]:
        return [known for known in self.requests.values() if known.state in states]

    def knows(self, url: str) -> bool:
        return url in self.requests or url in self.claimed

    # Steps

    def widen(self, url: str) -> None:
        self.scope.add(urls.host_port(url))

    def add(self, seeds: Iterable[Request]) -> None:
        for seed in seeds:
            self.widen(seed.url)
            self._admit(seed, 0)

    def _admit(self, request: Request, depth: int) -> None:
        key = urls.fingerprint(request)
        if not self.knows(key):
            self.requests[key] = Known(key, urls.host_port(request.url), depth, request.priority)
            return
        self.dropped += 1
        known = self.requests.get(key)
        if known is not None and depth < known.depth:  # also of one at its end, which may be tried again
            known.depth = depth

    def lease(self, leased: Lease) -> None:
        """Checks that the lease may be given now."""
        known = self.requests[leased.key]
        assert known.state == "ready", f"{known} was leased"
        assert known.host not in self.held
        assert urls.fingerprint(leased.request) == leased.key
        assert leased.request.priority == known.priority
        assert leased.attempt == known.attempts + 1
        assert leased.crashes == known.crashes
        assert leased.depth == known.depth
        first = min(self._in_line(known.host), default=None)
        # A suspect may have been held back and come out of line.
        assert known.is_suspect or first is None or (-known.priority, known.depth) <= first
        if known.is_suspect:
            assert not any(other.is_suspect for other in self.of("leased")), "two suspects at a time"
        under_way = sum(other.holds_slot for other in self.requests.values() if other.host == known.host)
        assert under_way < self.per_host
        known.state = "leased"
        known.holds_slot = True

    def _in_line(self, host: str) -> Iterator[tuple[int, int]]:
        for known in self.of("ready"):
            if known.host == host and not known.is_suspect:
                yield -known.priority, known.depth

    def fetched(self, leased: Lease) -> None:
        self.requests[leased.key].holds_slot = False

    def hand_back(self, leased: Lease) -> None:
        known = self.requests[leased.key]
        known.state = "ready"
        known.holds_slot = False

    def settle(self, outcomes: Sequence[Outcome]) -> list[State]:
        """How these leases should end."""
        claimed: set[str] = set()
        return [self._settle(outcome, claimed) for outcome in outcomes]

    def _settle(self, outcome: Outcome, claimed: set[str]) -> State:
        end = outcome.end
        if isinstance(end, Failure):
            is_last = not end.retryable or outcome.lease.attempt > self.retries
            return State.FAILED if is_last else State.WAITING
        url = led_to(outcome)
        if url is None:
            return outcome.state
        if self.knows(url) or url in claimed:
            return State.SKIPPED
        claimed.add(url)
        return State.DONE

    def commit(self, settled: Sequence[Outcome], now_s: float) -> None:
        depths = [self.requests[outcome.lease.key].depth for outcome in settled]
        for outcome in settled:
            self._end(outcome, now_s)
        for outcome, depth in zip(settled, depths, strict=True):
            self.dropped += sum(count for _, count in outcome.dropped)
            found = [*map(Request, outcome.links), *outcome.requests]
            for request in found:
                self._discover(request, depth + 1)

    def _end(self, outcome: Outcome, now_s: float) -> None:
        known, end = self.requests[outcome.lease.key], outcome.end
        known.attempts = outcome.lease.attempt
        known.holds_slot = False
        self.bytes += outcome.wire_bytes
        if outcome.state is State.WAITING:
            assert isinstance(end, Failure)
            wait_s = BACKOFF_S * 2 ** (known.attempts - 1)
            known.due_s = now_s + max(wait_s, min(end.retry_after_s or 0.0, MAX_RETRY_AFTER_S))
            known.state = "delayed"
            return
        known.state = outcome.state.value
        known.crashes = 0
        self.items += len(outcome.items)
        if isinstance(end, Failure):
            self.failures[end.reason] += 1
        elif isinstance(end, Skip):
            self.skips[end.reason] += 1
        elif (url := led_to(outcome)) is not None:
            self.claimed.add(url)

    def _discover(self, request: Request, depth: int) -> None:
        is_out = urls.host_port(request.url) not in self.scope
        if is_out or (self.max_depth is not None and depth > self.max_depth):
            self.dropped += 1
        else:
            self._admit(request, depth)

    def attend(self, now_s: float) -> None:
        for known in self.of("delayed"):
            if known.due_s <= now_s:
                known.state = "ready"

    def reopen(self, *, crashed: bool) -> None:
        for known in self.of("leased"):
            known.state = "ready"
            known.holds_slot = False
            known.crashes += crashed

    def retry_failed(self) -> None:
        for known in self.of("failed"):
            known.state = "ready"
            known.attempts = known.crashes = 0
        self.failures.clear()

    # Numbers

    def check(self, counts: FrontierStatistics) -> None:
        assert counts.seen == counts.done + counts.failed + counts.skipped + counts.waiting
        assert counts.seen == len(self.requests)
        assert counts.done == len(self.of("done"))
        assert counts.failed == len(self.of("failed"))
        assert counts.skipped == len(self.of("skipped"))
        assert counts.leased == len(self.of("leased"))
        assert counts.failures == dict(self.failures)
        assert counts.skips == dict(self.skips)
        assert counts.hosts_met == len({known.host for known in self.requests.values()})
        assert (counts.items, counts.bytes) == (self.items, self.bytes)
        # A known link that is also out of scope or too deep counts as either.
        assert sum(counts.dropped.values()) == self.dropped
