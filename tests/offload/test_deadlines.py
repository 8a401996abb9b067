"""What a deadline does beside ending one page; what the page may have done is in the fault matrix."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from scraper.errors import ParseTimeout, WorkerError, WorkerStartFailed
from scraper.offload import ExecutorStatistics, OffloadPool, Result, Work
from scraper.offload.backlog import Job, Queue
from scraper.offload.executor import Executor
from scraper.offload.processes import ProcessExecutor
from scraper.offload.threads import ThreadExecutor
from scraper.options import ExecutorName, OffloadOptions
from tests.offload import faults, functions
from tests.offload.conftest import until, worker_processes

OPTIONS = OffloadOptions(workers=1, deadline_s=0.2)
TOUCH_AND_WAIT = Work.of(functions.touch_and_wait)


def statistics(pool: OffloadPool) -> ExecutorStatistics:
    [executor] = pool.statistics().executors
    return executor


async def threads_have_ended() -> None:
    await until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("scraper-offload")])


def submit(executor: Executor, work: Work, payload: object, *, is_suspect: bool = False) -> list[Result]:
    """As a lane does; the result will be in the list."""
    results: list[Result] = []
    job = Job(Queue(work), payload, 1, results.append, is_suspect=is_suspect)
    job.queue.unended[job] = None
    executor.submit(job)
    return results


async def test_a_page_is_tried_alone_before_it_is_blamed(tmp_path: Path) -> None:
    """The first time, whatever ran beside it may have been in its way."""
    async with OffloadPool(faults.suffer, executor="process", options=OPTIONS) as pool:
        with pytest.raises(ParseTimeout, match=r"deadline of 0\.2 s, alone in its worker process"):
            await pool.run(("hangs", str(tmp_path / "never")))
        assert (statistics(pool).timeouts, statistics(pool).crashes, statistics(pool).restarts) == (2, 0, 2)
        assert await pool.run(("innocent", "")) == "innocent"


async def test_a_suspect_has_its_worker_to_itself_from_the_start(tmp_path: Path) -> None:
    """So that it is blamed at once, and others need not run again because of it."""
    executor = ProcessExecutor(OPTIONS, 1)
    work = Work.of(faults.suffer)
    innocent = [submit(executor, work, ("innocent", "")) for _ in range(3)]
    suspect = submit(executor, work, ("hangs", str(tmp_path / "never")), is_suspect=True)
    innocent += [submit(executor, work, ("innocent", "")) for _ in range(3)]
    await until(lambda: suspect and all(innocent))
    assert suspect[0].failure is not None
    assert suspect[0].failure.reason == "parse_timeout"
    assert suspect[0].run_s >= 0.2
    assert [result.value for [result] in innocent] == ["innocent"] * 6
    assert executor.statistics().timeouts == 1
    await executor.aclose()


async def test_a_page_beside_one_that_hangs_ends_without_waiting_for_its_deadline(tmp_path: Path) -> None:
    """Its worker gives it back, and another takes it."""
    results: list[Result] = []
    options = OffloadOptions(workers=2, batch_s=0.05, deadline_s=20.0)
    async with OffloadPool(executor="process", options=options) as pool, pool.lane(Work.of(faults.suffer)) as lane:
        for kind in ("hangs", *["innocent"] * 10):
            lane.submit((kind, str(tmp_path / "never")), 1, results.append)
        await until(lambda: len(results) == 10)


async def test_reading_a_payload_counts() -> None:
    async with OffloadPool(functions.identity, executor="process", options=OPTIONS) as pool:
        with pytest.raises(ParseTimeout):
            await pool.run(faults.SlowPayload(60.0))


@pytest.mark.parametrize("executor", ["thread", "process"])
async def test_without_a_deadline_a_page_may_take_its_time(executor: ExecutorName) -> None:
    options = OffloadOptions(workers=1, deadline_s=None)
    async with OffloadPool(functions.sleep, executor=executor, options=options) as pool:
        assert await pool.run(0.3) == 0.3


@pytest.mark.parametrize("executor", ["thread", "process"])
async def test_a_page_is_not_blamed_for_a_busy_event_loop(executor: ExecutorName) -> None:
    """It has ended well in time; its end is what the loop was too busy to read."""
    async with OffloadPool(functions.sleep, executor=executor, options=OPTIONS) as pool:
        running = asyncio.create_task(pool.run(0.05))
        await asyncio.sleep(0.02)  # so that it runs
        time.sleep(0.5)  # the event loop does something else
        assert await running == 0.05
        assert statistics(pool).timeouts == 0


@pytest.mark.parametrize("executor", ["thread", "process"])
async def test_many_pages_in_time_are_no_page_over_time(executor: ExecutorName) -> None:
    """The deadline is each page's, not its portion's."""
    options = OffloadOptions(workers=1, deadline_s=0.3, batch_s=10.0)
    async with OffloadPool(functions.sleep, executor=executor, options=options) as pool:
        assert [result.value async for result in pool.map([0.04] * 15)] == [0.04] * 15
        assert statistics(pool).timeouts == 0


async def test_a_worker_that_was_ended_is_replaced_by_one(tmp_path: Path) -> None:
    async with OffloadPool(faults.suffer, executor="process", options=OPTIONS) as pool:
        with pytest.raises(ParseTimeout):
            await pool.run(("hangs", str(tmp_path / "never")))
        await until(lambda: statistics(pool).workers == 1)
        assert len(worker_processes()) == 1
        assert repr(pool.statistics().executors[0]).startswith("ExecutorStatistics(executor='process', workers=1")
        assert str(statistics(pool)) == "1 workers, 0 running, 0 waiting, 2 timeouts"


async def test_a_lost_thread_is_replaced_and_its_late_result_dropped(tmp_path: Path) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    results: list[Result] = []
    async with OffloadPool(executor="thread", options=OPTIONS) as pool, pool.lane(TOUCH_AND_WAIT) as lane:
        lane.submit((str(started), str(go)), 1, results.append)
        await until(lambda: results)
        assert results[0].failure is not None
        assert results[0].failure.reason == "parse_timeout"
        assert results[0].run_s >= 0.2
        assert (statistics(pool).timeouts, statistics(pool).lost, statistics(pool).workers) == (1, 1, 1)
        lane.submit((str(tmp_path / "other"), str(started)), 1, results.append)
        await until(lambda: len(results) == 2)
        assert results[1].failure is None
        go.touch()
        await until(lambda: statistics(pool).recovered)
        assert (statistics(pool).lost, statistics(pool).workers, statistics(pool).running) == (0, 1, 0)
        assert len(results) == 2
    await threads_have_ended()


async def test_when_too_many_threads_are_lost_what_waits_fails_and_the_first_that_returns_works_on(
    tmp_path: Path,
) -> None:
    """One worker and the four that replaced it, one after the other."""
    go = tmp_path / "go"
    results: list[Result] = []
    async with OffloadPool(executor="thread", options=OPTIONS) as pool, pool.lane(TOUCH_AND_WAIT) as lane:
        for number in range(8):
            lane.submit((str(tmp_path / f"started {number}"), str(go)), 1, results.append)
        await until(lambda: len(results) == 8)
        reasons = [result.failure.reason for result in results if result.failure]
        assert reasons == ["parse_timeout"] * 5 + ["workers_lost"] * 3
        assert (statistics(pool).lost, statistics(pool).workers) == (5, 0)
        with pytest.raises(WorkerError, match="5 threads run past a deadline"):
            results[-1].unwrap()
        with pytest.raises(WorkerStartFailed, match="executor process can kill what runs away"):
            await pool.prepare(Work.of(functions.double))
        go.touch()
        await until(lambda: statistics(pool).recovered == 5)
        assert (statistics(pool).lost, statistics(pool).workers) == (0, 1)
        lane.submit((str(tmp_path / "last"), str(go)), 1, results.append)
        await until(lambda: len(results) == 9)
        assert results[8].failure is None
    await threads_have_ended()


async def test_a_pool_closes_without_its_lost_threads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    async with OffloadPool(functions.touch_and_wait, executor="thread", options=OPTIONS) as pool:
        with pytest.raises(ParseTimeout, match="cannot be stopped"):
            await pool.run((str(started), str(go)))
    assert "left 1 threads behind" in caplog.text
    go.touch()
    await threads_have_ended()


async def test_a_set_up_that_never_ends_does_not_keep_threads_from_other_works(tmp_path: Path) -> None:
    """Nobody waited for it: a crawl meets a new handler. Its pages fail, and the next ones at once."""
    go = tmp_path / "go"
    work = Work("tests.offload.functions:set_up_slowly", (str(tmp_path / "started"), str(go)))
    executor = ThreadExecutor(OffloadOptions(start_timeout_s=0.2), 1)
    stuck = submit(executor, work, "page")
    other = submit(executor, Work.of(functions.double), 4)
    await until(lambda: stuck and other)
    assert stuck[0].failure is not None
    assert stuck[0].failure.reason == "worker_start_failed"
    assert other[0].value == 8
    again = submit(executor, work, "page")
    await until(lambda: again)
    assert again[0].failure == stuck[0].failure
    assert executor.statistics().lost == 1
    go.touch()
    await until(lambda: executor.statistics().lost == 0)
    await executor.aclose()
    await threads_have_ended()
