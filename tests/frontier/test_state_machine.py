"""The durable frontier against a model, on any course: crawled, killed, closed and gone on with."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scraper import urls
from scraper.frontier import MemoryFrontier, durable
from scraper.model import Delivery, Lease, Outcome, Request
from scraper.urls import Scope
from tests.frontier.model import (
    Clock,
    Model,
    Steady,
    Stepped,
    copy_hands,
    done,
    durable_frontier,
    failed,
    image,
    policy,
    skipped,
    small,
)

HOSTS = [f"http://h{number}.test" for number in range(5)]
MEMORY = Path("/dev/shm")  # hundreds of files are made, and none is to outlive its test
PER_HOST = 2
RETRIES = 1

pages = st.builds("{}/{}".format, st.sampled_from(HOSTS), st.integers(0, 8))
requests = st.one_of(
    pages.map(Request),
    st.tuples(pages, st.integers(-1, 2)).map(lambda it: Request(it[0], priority=it[1], data={"page": 1})),
    st.tuples(pages, st.sampled_from([b"1", b"2"])).map(lambda it: Request(it[0], method="POST", body=it[1])),
    st.tuples(pages, st.sampled_from(["one", "two"])).map(lambda it: Request(it[0], dedup_key=it[1])),
)
seeds = st.lists(requests, min_size=1, max_size=8, unique_by=urls.fingerprint)

Plan = tuple[str, list[str], list[Request], str, float]
plans = st.tuples(
    st.sampled_from(["done", "done", "redirect", "redirect", "retry", "retry", "fail", "skip"]),
    st.lists(pages, max_size=6),
    st.lists(requests, max_size=2),
    st.sampled_from([f"{HOSTS[0]}/{number}" for number in range(12)]),
    st.sampled_from([0.0, 0.0, 3.0, 1e9]),
)


def planned(lease: Lease, plan: Plan) -> Outcome:
    kind, links, further, final_url, retry_after_s = plan
    if kind == "retry":
        return failed(lease, retry_after_s=retry_after_s)
    if kind == "fail":
        return failed(lease, retryable=False)
    if kind == "skip":
        return skipped(lease)
    outcome = done(lease, *links, final_url=final_url if kind == "redirect" else None, requests=further)
    return outcome._replace(dropped=(("malformed", 1),)) if retry_after_s else outcome


class Machine(RuleBasedStateMachine):
    """Drives a frontier and its model, and beside them the frontier in memory as far as it can follow."""

    max_depth: ClassVar[int | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.small = small(hosts=3)
        self.small.__enter__()
        self.patch = pytest.MonkeyPatch()
        self.clock = Clock()
        self.patch.setattr(durable, "time", self.clock)
        self.model = Model(per_host=PER_HOST, max_depth=self.max_depth, retries=RETRIES)
        self.path = Path(self.folder.name) / "crawl.db"
        self.leases: list[Lease] = []
        self.fetched: set[str] = set()
        self.widened: list[str] = []
        self.kills = 0
        self.front = self.frontier()
        # All that it has is leased at once, so that any request can end in it when it ends in the other.
        self.mirror: MemoryFrontier | None = MemoryFrontier(
            scope=Scope("host"),
            pacer=Steady(1_000_000),
            retry=policy(RETRIES),
            max_depth=self.max_depth,
        )
        self.mirrored: dict[str, Lease] = {}

    def frontier(self, *, retry_failed: bool = False) -> Stepped:
        return durable_frontier(
            self.path,
            retry_failed=retry_failed,
            per_host=PER_HOST,
            in_flight=1,
            max_depth=self.max_depth,
            retries=RETRIES,
        )

    @initialize(requests=seeds)
    def open(self, requests: list[Request]) -> None:
        self.runner.run(self.front.open(requests))
        self.add_to_others(requests)

    @rule(requests=seeds)
    def add(self, requests: list[Request]) -> None:
        self.runner.run(self.front.add(requests))
        self.add_to_others(requests)

    def add_to_others(self, requests: list[Request]) -> None:
        self.model.add(requests)
        if self.mirror is not None:
            self.runner.run(self.mirror.add(requests))

    @rule(host=st.sampled_from(HOSTS))
    def widen(self, host: str) -> None:
        self.widened.append(f"{host}/")
        self.front.widen(f"{host}/")
        self.model.widen(f"{host}/")
        if self.mirror is not None:
            self.mirror.widen(f"{host}/")

    @rule(plans=st.lists(plans, min_size=4, max_size=6), is_late=st.booleans())
    def work(self, plans: list[Plan], *, is_late: bool) -> None:
        self.lease(len(plans))
        if self.leases:
            self.commit(plans, 0, is_late=is_late)

    @rule(most=st.integers(1, 8))
    def lease(self, most: int) -> None:
        for _ in range(most):
            leased = self.front.lease(0.0)
            if leased is None:
                return
            self.model.lease(leased)
            self.leases.append(leased)

    @precondition(lambda self: len(self.leases) > len(self.fetched))
    @rule()
    def fetch(self) -> None:
        leased = next(leased for leased in self.leases if leased.key not in self.fetched)
        self.front.fetched(leased, None, 0.0)
        self.model.fetched(leased)
        self.fetched.add(leased.key)

    @precondition(lambda self: len(self.leases) > len(self.fetched))
    @rule(from_end=st.integers(0, 2))
    def hand_back(self, from_end: int) -> None:
        unused = [leased for leased in self.leases if leased.key not in self.fetched]
        leased = unused[-1 - min(from_end, len(unused) - 1)]
        self.front.hand_back(leased, 0.0)
        self.model.hand_back(leased)
        self.leases.remove(leased)

    @rule(host=st.sampled_from(HOSTS), is_held=st.booleans())
    def hold(self, host: str, *, is_held: bool) -> None:
        name = urls.host_port(f"{host}/")
        if is_held:
            self.front.hold(name)
            self.model.held.add(name)
        else:
            self.front.release(name)
            self.model.held.discard(name)

    @precondition(lambda self: self.leases)
    @rule(plans=st.lists(plans, min_size=1, max_size=5), start=st.integers(0, 3), is_late=st.booleans())
    def commit(self, plans: list[Plan], start: int, *, is_late: bool) -> None:
        """A batch ends. Between its two steps a seed may come that a page of it was led to."""
        start = min(start, len(self.leases) - 1)
        batch = self.leases[start : start + len(plans)]
        outcomes = [planned(leased, plan) for leased, plan in zip(batch, plans, strict=False)]
        settled = self.settle(outcomes)
        if is_late:
            self.add([Request(plans[0][3])])
        is_led_to_known = self.model.settle(outcomes) != [outcome.state for outcome in settled]
        is_final = self.runner.run(self.front.commit(settled, Delivery()))
        assert is_final != is_led_to_known
        if not is_final:
            self.check()
            settled = self.settle(outcomes)
            assert self.runner.run(self.front.commit(settled, Delivery()))
        self.model.commit(settled, self.clock.now_s)
        self.leases = [leased for leased in self.leases if leased not in batch]
        self.fetched -= {leased.key for leased in batch}
        if self.mirror is not None:
            self.runner.run(self.follow(self.mirror, outcomes))

    def settle(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        for outcome in outcomes:
            self.front.fetched(outcome.lease, None, 0.0)
            self.model.fetched(outcome.lease)
        settled = self.runner.run(self.front.settle(outcomes, 0.0))
        assert [outcome.state for outcome in settled] == self.model.settle(outcomes)
        return settled

    async def follow(self, mirror: MemoryFrontier, outcomes: Sequence[Outcome]) -> None:
        while (leased := mirror.lease(math.inf)) is not None:
            self.mirrored[leased.key] = leased
        own = [outcome._replace(lease=self.mirrored.pop(outcome.lease.key)) for outcome in outcomes]
        for outcome in own:
            mirror.fetched(outcome.lease, None, 0.0)
        await mirror.commit(await mirror.settle(own, 0.0), Delivery())

    @rule(seconds=st.sampled_from([0.0, 1.0, 1.5, 200.0]))
    def attend(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.runner.run(self.front.attend_once())
        self.model.attend(self.clock.now_s)

    @precondition(lambda self: self.leases)
    @rule()
    def kill(self) -> None:
        self.kills += 1
        killed = image(self.path, Path(self.folder.name) / str(self.kills))
        self.runner.run(self.front.aclose())
        self.path = killed
        self.reopen(crashed=True)

    @precondition(lambda self: self.leases)
    @rule(plans=st.lists(plans, min_size=1, max_size=4), is_durable=st.booleans())
    def kill_in_commit(self, plans: list[Plan], *, is_durable: bool) -> None:
        """It dies inside the transaction, or behind it, when nobody has heard of it yet."""
        self.kills += 1
        folder = Path(self.folder.name) / str(self.kills)
        outcomes = [planned(leased, plan) for leased, plan in zip(self.leases, plans, strict=False)]
        settled = self.settle(outcomes)

        def die(_: sqlite3.Connection) -> None:
            copy_hands(self.path, folder) if is_durable else image(self.path, folder)

        delivery = Delivery((), (die,))
        assert self.runner.run(self.front.commit(settled, delivery))
        killed = image(self.path, folder) if is_durable else folder / self.path.name
        self.runner.run(self.front.aclose())
        self.path = killed
        if is_durable:
            self.model.commit(settled, self.clock.now_s)
            for known in self.model.of("delayed"):
                known.crashes += known.key in {outcome.lease.key for outcome in settled}
            if self.mirror is not None:
                self.runner.run(self.follow(self.mirror, outcomes))
        self.reopen(crashed=True)

    @rule(retry_failed=st.booleans())
    def close(self, *, retry_failed: bool) -> None:
        self.runner.run(self.front.aclose())
        if retry_failed:
            self.mirror = None
            self.model.retry_failed()
        self.reopen(crashed=False, retry_failed=retry_failed)

    def reopen(self, *, crashed: bool, retry_failed: bool = False) -> None:
        self.model.reopen(crashed=crashed)
        self.leases.clear()
        self.fetched.clear()
        self.model.held.clear()
        self.front = self.frontier(retry_failed=retry_failed)
        self.runner.run(self.front.open([]))
        for url in self.widened:  # becomes durable with the next commit; a redirect that is lost comes again
            self.front.widen(url)

    @invariant()
    def check(self) -> None:
        counts = self.front.statistics()
        self.model.check(counts)
        if self.mirror is not None:
            other = self.mirror.statistics()
            for name in ("seen", "done", "failed", "skipped", "waiting", "failures", "skips", "items", "bytes"):
                assert getattr(counts, name) == getattr(other, name), name
            assert counts.hosts_met == other.hosts_met
            assert sum(counts.dropped.values()) == sum(other.dropped.values())

    def teardown(self) -> None:
        try:
            self.drain()
        finally:
            self.runner.run(self.front.aclose())
            self.runner.close()
            self.patch.undo()
            self.small.__exit__(None, None, None)
            self.folder.cleanup()

    def drain(self) -> None:
        """Everything that waits is leased in the end."""
        if not self.model.requests:
            return
        for name in self.model.held:
            self.front.release(name)
        self.model.held.clear()
        rounds = 0
        while self.model.of("ready", "leased", "delayed"):
            rounds += 1
            assert rounds < 200, "requests wait that are never leased"
            self.attend(200.0)
            self.lease(1_000)
            outcomes = [done(leased) for leased in self.leases]
            assert self.runner.run(self.front.commit(self.settle(outcomes), Delivery()))
            self.model.commit(outcomes, self.clock.now_s)
            self.leases.clear()
            self.fetched.clear()
        self.model.check(self.front.statistics())
        assert self.front.lease(0.0) is None


class MachineWithDepth(Machine):
    """The same with a bound on depth. What a page's links are worth then depends on when it was found nearer, so the
    frontier in memory, which looks a moment longer, does not follow."""

    max_depth = 2

    def __init__(self) -> None:
        super().__init__()
        self.mirror = None


# Four seconds where there is nothing else to do; a limit that strikes in the middle looks like a failure to Hypothesis.
pytestmark = pytest.mark.timeout(300)

PROFILE = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),  # to make a failure shorter takes minutes: add Phase.shrink when there is one
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAnyCourse = Machine.TestCase
TestAnyCourse.settings = PROFILE
TestAnyCourseWithDepth = MachineWithDepth.TestCase
TestAnyCourseWithDepth.settings = PROFILE
