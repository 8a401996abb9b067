"""`auto` in real pools: where functions of known nature end up, and that nothing is lost or repeated on the way."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing

import pytest

from scraper.errors import WorkerCrashed
from scraper.offload import OffloadPool, Strategy, Work
from scraper.offload.observation import Observation
from scraper.offload.portions import PortionExecutor
from scraper.options import OffloadOptions

from . import functions
from .conftest import until


async def fed_until(pool: OffloadPool, work: Work, payload: object, condition: Callable[[], bool]) -> None:
    """Keeps one lane full until the condition holds."""
    async with pool.lane(work) as lane:

        def again(_: object) -> None:
            if not condition():
                lane.submit(payload, 100, again)

        for _ in range(64):
            lane.submit(payload, 100, again)
        await until(lambda: condition() and not lane.unended)


@pytest.mark.parametrize(
    ("function", "payload", "executor"),
    [
        (functions.sleep, 0.004, "thread"),
        (functions.identity, "tiny", "inline"),
    ],
)
async def test_a_work_goes_where_it_is_fastest(
    function: Callable[..., object], payload: object, executor: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Both start in processes, because nothing is known of them."""
    caplog.set_level(logging.INFO, "scraper")
    work = Work.of(function)
    async with OffloadPool(executor="auto") as pool:
        assert pool.strategy(work).executor == "process"
        await fed_until(pool, work, payload, lambda: pool.strategy(work).executor == executor)
        strategy = pool.strategy(work)
        assert "measured on" in strategy.why
        assert pool.predicted(work)[strategy.place] > 0
    # By way of another place, perhaps, where predictions were close and the trial decided.
    assert f" to {executor} × {strategy.workers}: measured on" in caplog.text


async def test_what_waits_gets_more_threads_than_there_are_cpus() -> None:
    work = Work.of(functions.sleep)
    async with OffloadPool(executor="auto") as pool:
        await fed_until(pool, work, 0.004, lambda: pool.strategy(work).workers > 4)
        assert pool.strategy(work).executor == "thread"


async def test_workers_that_were_asked_for_are_kept() -> None:
    work = Work.of(functions.sleep)
    async with OffloadPool(executor="auto", workers=3) as pool:
        await fed_until(pool, work, 0.004, lambda: pool.strategy(work).executor == "thread")
        assert pool.strategy(work).workers == 3


async def test_every_payload_ends_once_while_its_lane_changes_over() -> None:
    """Observation, trials and the change move what waits; each result comes back once, in order if asked for."""
    async with OffloadPool(functions.wait_or_compute, executor="auto") as pool:
        work = Work.of(functions.wait_or_compute)

        def payloads() -> Iterator[str]:
            while pool.strategy(work).executor == "process":
                yield "wait"
            yield from itertools.repeat("wait", 50)

        indices = [result.index async for result in pool.map(payloads()) if result.failure is None]
    assert indices == list(range(len(indices)))
    assert len(indices) > 50


async def test_a_later_lane_starts_where_the_last_one_ended() -> None:
    work = Work.of(functions.sleep)
    async with OffloadPool(executor="auto") as pool:
        await fed_until(pool, work, 0.004, lambda: pool.strategy(work).executor == "thread")
        async with pool.lane(work) as lane:
            assert lane.strategy.executor == "thread"


async def test_single_calls_are_measured_like_any_other() -> None:
    """A web service calls `run` for each request and never `map`."""
    async with OffloadPool(functions.identity, executor="auto") as pool:
        work = Work.of(functions.identity)
        while not pool.strategy(work).why.startswith("measured"):
            assert await asyncio.gather(*(pool.run(number) for number in range(50))) == list(range(50))


async def test_other_payloads_are_measured_anew() -> None:
    work = Work.of(functions.wait_or_compute)
    async with OffloadPool(executor="auto") as pool:
        await fed_until(pool, work, "wait", lambda: pool.strategy(work).workers > 4)
        seen: list[Strategy] = [pool.strategy(work)]
        async with pool.lane(work) as lane:
            await until_other(lane_results(lane.submit, "wait"), lambda: lane.items > 1_000)
            await until_other(lane_results(lane.submit, "compute"), lambda: pool.strategy(work) is not seen[0])
        assert pool.strategy(work).why != seen[0].why


async def lane_results(submit: Callable[..., object], payload: str) -> AsyncIterator[object]:
    """Results of a payload given again and again, many at a time."""
    ended: asyncio.Queue[object] = asyncio.Queue()
    for _ in range(64):
        submit(payload, 100, ended.put_nowait)
    while True:
        yield await ended.get()
        submit(payload, 100, ended.put_nowait)


async def until_other(results: AsyncIterator[object], condition: Callable[[], bool]) -> None:
    async with aclosing(results) as taken:  # type: ignore[type-var]
        async for _ in taken:
            if condition():
                return


async def test_a_page_that_hangs_in_a_thread_ends_in_a_process_and_takes_its_work_along() -> None:
    """A thread cannot be stopped: the page runs again where it can, and the pages after it go there at once."""
    work = Work("scraper.handlers:resolve", ("tests.offload.functions:hang_in_threads",), "releases_gil")
    options = OffloadOptions(executor="auto", deadline_s=0.3)
    ended: Counter[str] = Counter()
    async with OffloadPool(options=options) as pool:
        assert pool.strategy(work).executor == "thread"
        async with pool.lane(work) as lane:
            for payload in ("fine", "hang", "fine"):
                lane.submit(payload, 10, lambda result: ended.update([result.value]))
            await until(lambda: lane.strategy.executor == "process" and not lane.unended)
        assert "deadline" in pool.strategy(work).why
    assert ended == {"fine": 2, "hang": 1}
    functions.released.set()
    await until(lambda: not [each for each in threading.enumerate() if each.name.startswith("scraper-offload")])


async def test_a_worker_that_dies_while_it_measures_costs_no_page(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The lane stays where it was, says so, and measures again later."""

    def dying(executor: PortionExecutor, work: Work, *, items: int, has_heartbeat: bool) -> asyncio.Future[Observation]:
        observed: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()
        observed.set_exception(WorkerCrashed("the worker process that measured it ended (killed by SIGKILL)"))
        return observed

    monkeypatch.setattr(PortionExecutor, "observe", dying)
    work = Work.of(functions.sleep)
    async with OffloadPool(executor="auto") as pool:
        await fed_until(pool, work, 0.004, lambda: "stays with executor process" in caplog.text)
        assert pool.strategy(work).executor == "process"
    assert "killed by SIGKILL" in caplog.text
