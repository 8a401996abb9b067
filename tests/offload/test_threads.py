"""What is particular to threads."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from scraper.errors import WorkerStartFailed
from scraper.offload import OffloadPool, Result, Work, threads
from scraper.options import OffloadOptions
from tests.offload import functions
from tests.offload.conftest import until


async def test_results_of_a_thread_that_got_stuck_come_out(tmp_path: Path) -> None:
    """They wait for company, and nobody else is there to announce them."""
    started, go = tmp_path / "started", tmp_path / "go"
    results: list[Result] = []
    options = OffloadOptions(executor="thread", workers=1, batch_s=0.02)
    async with OffloadPool(options=options) as pool, pool.lane(Work.of(functions.wait_if_asked)) as lane:
        for task in (("quick", "", ""), ("quick", "", ""), ("wait", str(started), str(go))):
            lane.submit(task, 1, results.append)
        await until(lambda: len(results) == 2)
        assert not go.exists()
        go.touch()
        await until(lambda: len(results) == 3)


async def test_a_thread_that_does_not_come_back_does_not_keep_the_pool_from_closing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(threads, "_PATIENCE_S", 0.05)
    started, go = tmp_path / "started", tmp_path / "go"
    with caplog.at_level(logging.WARNING):
        async with OffloadPool(executor="thread", workers=2) as pool:
            lane = pool.lane(Work.of(functions.touch_and_wait))
            lane.submit((str(started), str(go)), 1, lambda _: None)
            await until(started.exists)
    assert "left 1 threads behind" in caplog.text
    [left] = [thread for thread in threading.enumerate() if thread.name.startswith("scraper-offload")]
    assert left.daemon
    go.touch()
    await asyncio.to_thread(left.join)  # it ends with its page


async def test_a_set_up_that_never_ends_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(threads, "_PATIENCE_S", 0.05)
    started, go = tmp_path / "started", tmp_path / "go"
    options = OffloadOptions(executor="thread", workers=1, start_timeout_s=0.1)
    async with OffloadPool(options=options) as pool:
        with pytest.raises(WorkerStartFailed, match=r"was not ready within 0\.1 s"):
            await pool.prepare(Work("tests.offload.functions:set_up_slowly", (str(started), str(go))))
    go.touch()
    await until(lambda: not any(thread.name.startswith("scraper-offload") for thread in threading.enumerate()))


async def test_pages_run_in_several_threads_at_once(tmp_path: Path) -> None:
    """Each waits for the other to have started."""
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    async with OffloadPool(functions.touch_and_wait, executor="thread", workers=2) as pool:
        await asyncio.gather(pool.run((first, second)), pool.run((second, first)))


async def test_results_are_announced_together() -> None:
    """Waking the loop for each would cost more than handing over."""
    async with OffloadPool(functions.double, executor="thread", workers=2) as pool:
        assert len([result async for result in pool.map(range(2000))]) == 2000
        [executor] = pool.statistics().executors
    assert executor.batches < 1000
