"""Memory that workers may take, and workers that end because they have grown old or large."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from scraper.offload import ExecutorStatistics, OffloadPool, Result, Work, worker_process
from scraper.options import OffloadOptions
from tests.offload import faults, functions
from tests.offload.conftest import until, worker_processes

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits what one process may take")


def statistics(pool: OffloadPool) -> ExecutorStatistics:
    [executor] = pool.statistics().executors
    return executor


@linux_only
async def test_a_page_that_takes_too_much_memory_fails_and_its_worker_goes_on() -> None:
    """What it had taken until then is free again: the next pages take as much, one after the other."""
    options = OffloadOptions(executor="process", workers=1, memory_bytes=400_000_000, recycle_bytes=None)
    async with OffloadPool(faults.keep, options=options) as pool:
        first = await pool.run(("small", 1))
        results = [result async for result in pool.map([("large", 300_000_000), ("more", 300_000_000), ("small", 1)])]
        assert statistics(pool).restarts == 0
    assert results[1].failure is not None
    assert results[1].failure.reason == "out_of_memory"
    assert [result.value for result in results if result.failure is None] == [first, first]


async def test_a_worker_that_the_system_ended_for_lack_of_memory_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The kernel counts whom it ended; a worker that was killed meanwhile was it."""
    kills = 0
    monkeypatch.setattr(worker_process, "_out_of_memory_kills", lambda: kills)
    results: list[Result] = []
    work = Work.of(functions.touch_and_wait)
    async with OffloadPool(executor="process", workers=1) as pool, pool.lane(work) as lane:
        lane.submit((str(tmp_path / "started"), str(tmp_path / "never")), 1, results.append)
        for _ in range(2):
            await until((tmp_path / "started").exists)
            [worker] = worker_processes()
            (tmp_path / "started").unlink()
            kills += 1
            os.kill(worker.pid, signal.SIGKILL)
        await until(lambda: results)
    assert results[0].failure is not None
    assert results[0].failure.reason == "out_of_memory"
    assert "killed by the system, which was out of memory" in results[0].failure.detail


async def test_a_worker_ends_after_so_many_pages_and_none_is_lost_or_run_twice(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(60)]
    options = OffloadOptions(executor="process", workers=2, recycle_items=7, batch_items=4)
    async with OffloadPool(faults.leave_a_mark, options=options) as pool:
        results = [result async for result in pool.map(str(path) for path in paths)]
        process = statistics(pool)
    assert [path.read_text() for path in paths] == ["x\n"] * 60
    pages = Counter(result.unwrap() for result in results)
    assert max(pages.values()) < 7 + 2 * 4  # what it has already is run to its end
    assert process.recycled >= 3
    assert (process.restarts, process.crashes) == (0, 0)
    await until(lambda: not worker_processes())


async def test_a_worker_ends_when_it_has_grown_large() -> None:
    options = OffloadOptions(executor="process", workers=1, recycle_bytes=150_000_000, batch_items=1)
    async with OffloadPool(faults.keep, options=options) as pool:
        pids = [(await pool.run((str(number), 60_000_000))) for number in range(6)]
        assert statistics(pool).recycled >= 1
    assert pids[0] == pids[1]
    assert len(set(pids)) >= 2


async def test_a_worker_that_is_large_from_its_set_up_on_is_not_replaced() -> None:
    """The next one would be as large."""
    options = OffloadOptions(executor="process", workers=1, recycle_bytes=50_000_000)
    work = Work("tests.offload.faults:hoarding")
    results: list[Result] = []
    async with OffloadPool(options=options) as pool, pool.lane(work) as lane:
        for number in range(40):
            lane.submit((str(number), 1000), 1, results.append)
        await until(lambda: len(results) == 40)
        assert statistics(pool).recycled == 0


async def test_a_worker_that_does_not_end_when_it_is_replaced_is_left_to_the_pool(tmp_path: Path) -> None:
    """It has a thread of its own that does not end; nobody waits for it but the pool's close."""
    options = OffloadOptions(executor="process", workers=1, recycle_items=1, batch_items=1)
    async with OffloadPool(functions.start_a_thread, options=options) as pool:
        pids = {await pool.run(str(tmp_path / "never")) for _ in range(2)}
        assert len(pids) == 2
    assert worker_processes() == []
