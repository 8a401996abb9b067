"""Steers a lane of `auto`: measures its work on its own first payloads, chooses, and looks again when they change.

    known behaviour ─► enough payloads ─► observe in a worker process ─► roofline ─► close call? try each ─► watch
                                               ▲                                                              │
                                               └──────────── other payloads than those that were measured ────┘

Payloads are never run for the measurement alone: the observed ones are ordinary payloads, run in a worker with a
heartbeat beside it, and their results are used. One lane of a pool measures at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol

from scraper.errors import ScraperError
from scraper.offload.choice import Choice, choose_measured
from scraper.offload.costs import LoopCost, Machine
from scraper.offload.lane import Lane, Route
from scraper.offload.observation import Observation, cost_of
from scraper.offload.values import Place, Strategy, Work
from scraper.options import ExecutorName

logger = logging.getLogger(__name__)


# Measuring costs some 0.1 s of CPU, a hundredth of what 10,000 pages of a millisecond take. A lane earns it by so many
# payloads over so long a time, or by so much work; one that ends before is as fast with what is known of it.
_EARNED_ITEMS = 64
_EARNED_S = 0.25
_EARNED_RUN_S = 0.5

# So much work is observed, half of it with a heartbeat: enough samples for a share within some per cent.
_OBSERVED_S = 0.06
_MOST_OBSERVED = 512

# A trial of two strategies: so many windows each in turn, each of so many payloads, but no shorter than what the
# system's scheduler makes of two equal ones.
_WINDOWS = 3
_WINDOW_ITEMS = 50
_SHORTEST_WINDOW_S = 0.1
_LONGEST_WINDOW_S = 0.3
_SETTLE_S = 0.02
_LOOK_S = 0.02

# A strategy is told from another only while it is the limit: payloads wait for it, or the loop is busy.
_SATURATED = 0.7

# Of two tried strategies the predicted one stays unless another is faster by more than the trial's own noise.
_CLEARLY = 1.03

# How often the watch looks, what change of the mean run time means other payloads, and after how many it measures
# again whatever they took: a mixture can change without its time. Where measuring changes nothing, the next is put
# off twice as long.
_WATCH_S = 0.5
_WATCH_ITEMS = 64
_DRIFT = 2.0
_STALE_ITEMS = 50_000
_PATIENCE_S = 1.0
_MOST_PATIENCE_S = 60.0


class Observer(Protocol):
    """An executor whose workers can observe a work; see `PortionExecutor.observe`."""

    def observe(self, work: Work, *, items: int, has_heartbeat: bool) -> asyncio.Future[Observation]:
        """Has the next portion of a work, up to so many payloads, run and measured in a worker."""


class Surroundings(Protocol):
    """What a router asks of its pool."""

    @property
    def workers(self) -> int | None:
        """As asked for; None leaves the number free."""

    @property
    def machine(self) -> Machine:
        """What is known of the machine, at once."""

    @property
    def submitted_items(self) -> int:
        """Payloads of all lanes that were ever submitted."""

    def route(self, strategy: Strategy, work: Work) -> Route:
        """A way to that executor, which is started if need be."""

    def observer(self, work: Work, strategy: Strategy) -> tuple[Route, Observer]:
        """A way to a worker process that can observe: one of the strategy's, or one aside."""

    @property
    def executors(self) -> Sequence[ExecutorName]:
        """Those of this system."""

    async def loads(self, work: Work) -> bool:
        """Whether everything that a work imports loads in an interpreter; finding out takes a process."""

    def chose(self, work: Work, choice: Strategy, predicted: Mapping[Place, float]) -> None:
        """Takes note of what was decided, for the lanes to come."""


class _Mark(NamedTuple):
    """Counters at one moment."""

    at_s: float
    loop_cpu_s: float
    items: int
    run_s: float
    pool_items: int


class Router:
    """Steers one lane, as a task that ends with it.

    Args:
        lane: whose strategy is chosen.
        pool: where it belongs.
        turn: held while a lane measures; shared by the lanes of a pool.
    """

    def __init__(self, lane: Lane, pool: Surroundings, turn: asyncio.Lock) -> None:
        self._lane = lane
        self._pool = pool
        self._turn = turn

    async def run(self) -> None:
        """Steers until it is cancelled, or until a payload ran past its deadline where it cannot be stopped."""
        steering = asyncio.create_task(self._steer())
        overdue = asyncio.create_task(self._lane.overdue.wait())
        tasks = (steering, overdue)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if not steering.cancelled():
            steering.result()  # it does not end by itself
        await self._flee()

    async def _flee(self) -> None:
        workers = self._pool.workers or self._pool.machine.cpus
        why = "one of its pages ran past the deadline, and only a process can be stopped"
        try:
            await self._go(Strategy("process", workers, why), {})
        except ScraperError as error:
            self._stay(error)

    async def _steer(self) -> None:
        loop_cost = await self._until_earned()
        patience_s = _PATIENCE_S
        while True:
            before = self._lane.strategy.place
            async with self._turn:
                try:
                    await self._decide(loop_cost)
                except ScraperError as error:
                    self._stay(error)
            patience_s = _PATIENCE_S if self._lane.strategy.place != before else min(2 * patience_s, _MOST_PATIENCE_S)
            loop_cost = await self._until_changed(patience_s)

    def _stay(self, error: ScraperError) -> None:
        logger.warning("%s stays with executor %s: %s", self._lane.work.title, self._lane.strategy.executor, error)

    async def _until_earned(self) -> LoopCost:
        start = self._mark()
        while True:
            await asyncio.sleep(_LOOK_S)
            now = self._mark()
            items, run_s = now.items - start.items, now.run_s - start.run_s
            if not items:
                start = now  # the time before the first payload is not the work's
            elif (items >= _EARNED_ITEMS and now.at_s - start.at_s >= _EARNED_S) or run_s >= _EARNED_RUN_S:
                return self._loop_cost(start, now)

    async def _decide(self, loop_cost: LoopCost) -> None:
        """Measures, chooses, and tries where predictions are too close.

        Raises:
            ScraperError: an executor did not come up, or the observing worker died.
        """
        lane, pool = self._lane, self._pool
        observations = await self._observe()
        cost = cost_of(observations)
        if cost is None:
            return
        payloads = sum(each.payloads for each in observations)
        choose = partial(choose_measured, cost, loop_cost, pool.machine, workers=pool.workers, payloads=payloads)
        choice = choose(pool.executors)
        if choice.has("interpreter") and not await pool.loads(lane.work):
            choice = choose([executor for executor in pool.executors if executor != "interpreter"])
        await self._go(choice.strategy, choice.predicted)
        if choice.rivals:
            await self._try(choice)

    async def _go(self, strategy: Strategy, predicted: Mapping[Place, float]) -> None:
        lane = self._lane
        before = lane.strategy
        route = self._pool.route(strategy, lane.work)
        await route.executor.prepare(lane.work)
        lane.switch(route)
        self._pool.chose(lane.work, strategy, predicted)
        change = "stays with" if before.place == strategy.place else f"goes from {before.executor} to"
        logger.info("%s %s %s × %d: %s", lane.work.title, change, strategy.executor, strategy.workers, strategy.why)

    async def _observe(self) -> list[Observation]:
        lane = self._lane
        route, observer = self._pool.observer(lane.work, lane.strategy)
        await route.executor.prepare(lane.work)
        mean_s = lane.run_s / max(lane.items, 1)
        wanted = min(max(int(_OBSERVED_S / 2 / max(mean_s, 1e-6)), 1), _MOST_OBSERVED)
        found: list[Observation] = []
        before = lane.route
        # All of it: what other workers do meanwhile would be measured, too.
        lane.switch(route)
        try:
            for has_heartbeat in (False, True):
                left = wanted
                while left > 0:
                    found.append(await observer.observe(lane.work, items=left, has_heartbeat=has_heartbeat))
                    left -= found[-1].payloads
        finally:
            lane.switch(before)
        return found

    # trials

    async def _try(self, choice: Choice) -> None:
        """Tries the choice and its rivals in turn; the fastest stays, and the choice if that cannot be told."""
        contenders = (choice.strategy, *choice.rivals)
        routes = [self._pool.route(strategy, self._lane.work) for strategy in contenders]
        for route in routes:
            await route.executor.prepare(self._lane.work)
        items = [0] * len(routes)
        elapsed_s = [0.0] * len(routes)
        for at in [*range(len(routes))] * _WINDOWS:
            window = await self._window(routes[at])
            if window is None:
                self._lane.switch(routes[0])
                return
            items[at] += window[0]
            elapsed_s[at] += window[1]
        rates = [count / seconds for count, seconds in zip(items, elapsed_s, strict=True)]
        best = max(range(len(rates)), key=rates.__getitem__)
        if rates[best] < _CLEARLY * rates[0]:
            best = 0
        tried = ", ".join(f"{strategy.executor} {rate:,.0f}" for strategy, rate in zip(contenders, rates, strict=True))
        strategy = contenders[best]
        await self._go(replace(strategy, why=f"{strategy.why}; tried: {tried}"), choice.predicted)

    async def _window(self, route: Route) -> tuple[int, float] | None:
        """Payloads that ended and seconds; None if something else than the strategy was the limit."""
        self._lane.switch(route)
        await asyncio.sleep(_SETTLE_S)
        start = now = self._mark()
        looks = waiting = 0
        while not self._is_long_enough(start, now):
            await asyncio.sleep(_LOOK_S)
            looks += 1
            waiting += bool(self._lane.waiting)
            now = self._mark()
        seconds = now.at_s - start.at_s
        is_loop_busy = now.loop_cpu_s - start.loop_cpu_s > _SATURATED * seconds
        if waiting < _SATURATED * looks and not is_loop_busy:
            return None
        return now.items - start.items, seconds

    @staticmethod
    def _is_long_enough(start: _Mark, now: _Mark) -> bool:
        seconds = now.at_s - start.at_s
        if seconds >= _LONGEST_WINDOW_S:
            return True
        return now.items - start.items >= _WINDOW_ITEMS and seconds >= _SHORTEST_WINDOW_S

    # the watch

    async def _until_changed(self, patience_s: float) -> LoopCost:
        """Returns when payloads are not what they were, or may not be."""
        decided = before = self._mark()
        usual_s: float | None = None
        while True:
            await asyncio.sleep(_WATCH_S)
            now = self._mark()
            items = now.items - before.items
            if items < _WATCH_ITEMS:
                continue
            mean_s = (now.run_s - before.run_s) / items
            loop_cost = self._loop_cost(before, now)
            before = now
            if usual_s is None:
                usual_s = mean_s
            is_other = not usual_s / _DRIFT <= mean_s <= usual_s * _DRIFT
            is_stale = now.items - decided.items >= _STALE_ITEMS
            if (is_other or is_stale) and now.at_s - decided.at_s >= patience_s:
                return loop_cost

    def _mark(self) -> _Mark:
        lane = self._lane
        return _Mark(time.monotonic(), time.thread_time(), lane.items, lane.run_s, self._pool.submitted_items)

    def _loop_cost(self, start: _Mark, end: _Mark) -> LoopCost:
        """What the loop's thread does for a payload beside its hand-off, and beside running it in line."""
        strategy = self._lane.strategy
        cpu_s = (end.loop_cpu_s - start.loop_cpu_s) / max(end.pool_items - start.pool_items, 1)
        if strategy.executor == "inline":
            cpu_s -= (end.run_s - start.run_s) / max(end.items - start.items, 1)
        elif (handoff := self._pool.machine.handoffs.get(strategy.executor)) is not None:
            cpu_s -= handoff.main_cpu_s
        cpu_s = max(cpu_s, 0.0)
        return LoopCost(cpu_s, cpu_s)
