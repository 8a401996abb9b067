"""Worker processes: real ones, that really die."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from scraper.errors import WorkerStartFailed
from scraper.offload import ExecutorStatistics, OffloadPool, Result, Work, slot
from scraper.options import OffloadOptions
from tests.offload import functions
from tests.offload.conftest import until, worker_processes

DOUBLE = Work.of(functions.double)
WAIT = Work.of(functions.wait_if_asked)


def statistics(pool: OffloadPool) -> ExecutorStatistics:
    [process] = pool.statistics().executors
    return process


def workers() -> list[psutil.Process]:
    return worker_processes()


class Steps:
    """Files through which a page under way says that it runs, and is let go on."""

    def __init__(self, folder: Path, name: str) -> None:
        self.started = folder / f"{name}.started"
        self.go = folder / f"{name}.go"

    @property
    def task(self) -> tuple[str, str, str]:
        return "wait", str(self.started), str(self.go)


QUICK = ("quick", "", "")


async def test_a_late_page_does_not_hold_the_others(tmp_path: Path) -> None:
    """One worker has a page that takes long, and eleven more behind it: all those are done by the other one, while
    it still runs."""
    steps = Steps(tmp_path, "a")
    results: list[Result] = []
    options = OffloadOptions(batch_s=0.05, workers=2)
    async with OffloadPool(executor="process", options=options) as pool, pool.lane(WAIT) as lane:
        for task in (steps.task, *[QUICK] * 23):
            lane.submit(task, 1, results.append)
        await until(lambda: len(results) == 23)
        assert steps.started.exists()
        assert not steps.go.exists()
        assert statistics(pool).running == 1
        assert statistics(pool).returned > 0
        steps.go.touch()
        await until(lambda: len(results) == 24)


async def test_results_before_a_late_page_come_at_once(tmp_path: Path) -> None:
    """With a single worker, so that nobody else can have done them."""
    steps = Steps(tmp_path, "a")
    results: list[Result] = []
    options = OffloadOptions(batch_s=0.05, workers=1)
    async with OffloadPool(executor="process", options=options) as pool, pool.lane(WAIT) as lane:
        for task in (QUICK, QUICK, steps.task, QUICK):
            lane.submit(task, 1, results.append)
        await until(lambda: len(results) == 2)
        await until(lambda: statistics(pool).waiting == 1)  # it came back, and waits for a worker
        steps.go.touch()
        await until(lambda: len(results) == 4)
    assert [result.value for result in results] == ["quick", "quick", "wait", "quick"]


async def test_a_portion_is_cut_between_pages_too() -> None:
    """Pages of 20 ms, so that a portion of sixteen is over its deadline of 50 ms after three."""
    options = OffloadOptions(batch_s=0.05, workers=1)
    async with OffloadPool(functions.sleep, executor="process", options=options) as pool:
        results = [result async for result in pool.map([0.02] * 16)]
        assert statistics(pool).returned > 0
    assert [result.value for result in results] == [0.02] * 16


async def test_a_worker_that_is_killed_while_idle_is_replaced() -> None:
    async with OffloadPool(functions.pid, executor="process", workers=1) as pool:
        first = await pool.run(None)
        os.kill(first, signal.SIGKILL)
        await until(lambda: statistics(pool).restarts == 1)
        assert await pool.run(None) != first
        assert statistics(pool).crashes == 0


async def test_workers_that_die_again_and_again_while_idle_are_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No page is to blame, and starting workers for ever would not help."""
    monkeypatch.setattr(slot, "_PAUSE_S", 0.001)
    results: list[Result] = []
    flag = tmp_path / "flag"
    work = Work("tests.offload.functions:dying_idle", (str(flag),))
    async with OffloadPool(executor="process", workers=1) as pool, pool.lane(work) as lane:
        flag.touch()
        workers()[0].kill()
        await until(lambda: statistics(pool).restarts == 5 and not workers())
        lane.submit("page", 4, results.append)
        await until(lambda: results)
    assert results[0].failure is not None
    assert results[0].failure.reason == "worker_start_failed"
    assert results[0].failure.detail.endswith("(exit code 7) without a page, 6 times in a row")


async def test_a_work_that_cannot_be_set_up_again_is_given_up_and_others_are_not(tmp_path: Path) -> None:
    """Its file was changed while the crawl ran, say. Once may be chance, so it is tried again."""
    results: list[Result] = []
    flag = tmp_path / "flag"
    work = Work("tests.offload.functions:dying_at_set_up", (str(flag),))
    async with OffloadPool(executor="process", workers=1) as pool, pool.lane(DOUBLE) as other, pool.lane(work) as lane:
        flag.touch()
        workers()[0].kill()
        lane.submit("page", 4, results.append)
        await until(lambda: results)
        other.submit(4, 4, results.append)
        await until(lambda: len(results) == 2)
        assert statistics(pool).restarts == 6  # five times with it, once without
    assert results[0].failure is not None
    assert "ended (exit code 8) while it set up" in results[0].failure.detail
    assert results[1].value == 8


async def test_a_page_whose_worker_was_killed_by_chance_runs_again(tmp_path: Path) -> None:
    steps = Steps(tmp_path, "a")
    async with OffloadPool(functions.touch_and_wait, executor="process", workers=1) as pool:
        running = asyncio.create_task(pool.run((str(steps.started), str(steps.go))))
        await until(steps.started.exists)
        [worker] = workers()
        worker.kill()
        steps.go.touch()
        assert await running != worker.pid
        assert (statistics(pool).crashes, statistics(pool).restarts) == (1, 1)


async def test_only_the_page_that_ran_is_suspected() -> None:
    """Its neighbours run again at once and together: alone they would need sixteen portions."""
    async with OffloadPool(functions.misbehave, executor="process", workers=1) as pool:
        results = [result async for result in pool.map(["ok"] * 7 + ["exits"] + ["ok"] * 8)]
        process = statistics(pool)
    assert [bool(result.failure) for result in results] == [False] * 7 + [True] + [False] * 8
    assert process.crashes == 2  # in the portion, and alone
    assert process.batches <= 5


async def test_a_crash_does_not_touch_the_other_worker(tmp_path: Path) -> None:
    steps = Steps(tmp_path, "a")
    results: list[Result] = []
    misbehave = Work.of(functions.misbehave)
    async with OffloadPool(executor="process", workers=2) as pool, pool.lane(WAIT) as lane, pool.lane(misbehave) as bad:
        lane.submit(steps.task, 1, results.append)
        await until(steps.started.exists)
        bad.submit("segfaults", 1, results.append)
        await until(lambda: len(results) == 1)
        steps.go.touch()
        await until(lambda: len(results) == 2)
    assert results[0].failure is not None
    assert results[1].value == "wait"


async def test_pages_that_strike_late_do_not_keep_a_pool_busy_for_ever() -> None:
    """None of them is the running page when the worker dies, so that no single death tells who is to blame."""
    tasks = ["bomb" if number in (0, 9, 30) else "page" for number in range(40)]
    async with OffloadPool(functions.strike_late, executor="process", workers=1) as pool:
        results = [result async for result in pool.map(tasks)]
        assert 1 <= statistics(pool).crashes <= 3 * 40
    assert [result.index for result in results] == list(range(40))


async def test_a_set_up_that_ends_the_worker_is_told() -> None:
    async with OffloadPool(executor="process", workers=2) as pool:
        with pytest.raises(WorkerStartFailed, match=r"ended \(exit code 5\) while it set up"):
            await pool.prepare(Work("tests.offload.functions:exiting"))
        await pool.prepare(DOUBLE)  # others are not hurt


async def test_a_set_up_that_never_ends_is_told() -> None:
    options = OffloadOptions(executor="process", workers=2, start_timeout_s=1.0)
    async with OffloadPool(options=options) as pool:
        await pool.prepare(DOUBLE)
        with pytest.raises(WorkerStartFailed, match=r"'tests.offload.functions:never_ready' was not ready within 1 s"):
            await pool.prepare(Work("tests.offload.functions:never_ready"))
        results: list[Result] = []
        async with pool.lane(DOUBLE) as lane:
            lane.submit(4, 1, results.append)
            await until(lambda: results)
        assert results[0].value == 8


@pytest.mark.parametrize("factory", ["exiting", "never_ready"])
async def test_pages_of_a_work_that_ends_its_worker_fail_and_others_do_not(factory: str) -> None:
    """A handler that a crawl meets while it runs: nobody waits for its set-up, and it must not take the pool along."""
    results: list[Result] = []
    others: list[Result] = []
    options = OffloadOptions(executor="process", workers=2, start_timeout_s=1.0)
    async with OffloadPool(options=options) as pool, pool.lane(DOUBLE) as other:
        lane = pool.lane(Work(f"tests.offload.functions:{factory}"))
        for number in range(20):
            lane.submit("page", 4, results.append)
            other.submit(number, 4, others.append)
        await until(lambda: len(results) == len(others) == 20)
        lane.submit("page", 4, results.append)
        await until(lambda: len(results) == 21)
    assert {result.failure.reason for result in results if result.failure} == {"worker_start_failed"}
    assert [result.failure for result in others if result.failure] == []


async def test_an_interpreter_that_does_not_come_up_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stuck = tmp_path / "python"
    stuck.write_text("#!/bin/sh\nexec sleep 600\n")
    stuck.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stuck))
    options = OffloadOptions(executor="process", workers=2, start_timeout_s=0.2)
    with pytest.raises(WorkerStartFailed, match=r"did not come up within 0\.2 s"):
        async with OffloadPool(functions.double, options=options):
            pytest.fail("it opened")


async def test_an_interpreter_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 9\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(WorkerStartFailed, match=r"exit code 9\) without a page, 3 times in a row"):
        async with OffloadPool(functions.double, executor="process", workers=2):
            pytest.fail("it opened")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    with pytest.raises(WorkerStartFailed, match="could not be started"):
        async with OffloadPool(functions.double, executor="process", workers=2):
            pytest.fail("it opened")


async def test_pages_of_a_pool_whose_interpreter_went_away_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """No endless loop of starting workers, and nobody waits for ever."""
    async with OffloadPool(functions.misbehave, executor="process", workers=2) as pool:
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        results = [result async for result in pool.map(["exits"] * 20)]
        assert {result.failure.reason for result in results if result.failure} <= {
            "worker_crashed",
            "worker_start_failed",
        }
        assert len(results) == 20
        with pytest.raises(WorkerStartFailed, match="could not be started"):
            await pool.run("fine")
        later: list[Result] = []
        pool.lane(DOUBLE).submit(1, 1, later.append)
        await until(lambda: later)
        assert later[0].failure is not None
        assert later[0].failure.reason == "worker_start_failed"


async def test_a_system_that_is_out_of_files_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more_files() -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pipe", no_more_files)
    with pytest.raises(WorkerStartFailed, match=r"could not be started: .* Too many open files"):
        async with OffloadPool(functions.double, executor="process", workers=2):
            pytest.fail("it opened")


async def test_workers_are_tended_where_linux_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without descriptors of processes and files of memory only: a socket's end tells of a death."""
    monkeypatch.delattr(os, "pidfd_open")
    monkeypatch.delattr(os, "memfd_create")
    async with OffloadPool(functions.misbehave, executor="process", workers=2) as pool:
        results = [result async for result in pool.map(["ok", "segfaults", *["ok"] * 20])]
    assert [result.failure.reason for result in results if result.failure] == ["worker_crashed"]
    assert "SIGSEGV" in (results[1].failure.detail if results[1].failure else "")


async def test_workers_ignore_interrupts() -> None:
    async with OffloadPool(functions.pid, executor="process", workers=1) as pool:
        [worker] = workers()
        assert os.getpgid(worker.pid) != os.getpgid(0)  # where a terminal's Ctrl-C does not reach it
        worker.send_signal(signal.SIGINT)
        assert await pool.run(None) == worker.pid


async def test_what_functions_print_does_not_mix_with_the_output(capfd: pytest.CaptureFixture[str]) -> None:
    async with OffloadPool(functions.print_and_return, executor="process", workers=1) as pool:
        assert await pool.run("to be seen") == "to be seen"
        output, errors = capfd.readouterr()
    assert output == ""
    assert errors == "to be seen\n"


async def test_functions_have_no_input() -> None:
    async with OffloadPool(functions.read_input, executor="process", workers=1) as pool:
        assert await pool.run(None) == ""


async def test_two_portions_are_under_way_in_each_worker_and_no_more(tmp_path: Path) -> None:
    """So that a worker never waits for the event loop, and most of the backlog is still anybody's."""
    steps = [Steps(tmp_path, "a"), Steps(tmp_path, "b")]
    results: list[Result] = []
    options = OffloadOptions(executor="process", workers=2, batch_items=4, batch_s=30.0)
    async with OffloadPool(options=options) as pool, pool.lane(WAIT) as lane:
        for step in steps:
            lane.submit(step.task, 1, results.append)
        await until(lambda: all(step.started.exists() for step in steps))
        for _ in range(40):
            lane.submit(QUICK, 1, results.append)
        await until(lambda: statistics(pool).running == 2 + 2 * 4)
        assert statistics(pool).waiting == 32
        for step in steps:
            step.go.touch()
        await until(lambda: len(results) == 42)


async def test_few_pages_are_shared_out_evenly(tmp_path: Path) -> None:
    """Four pages, two workers: both get two, and none gets four."""
    steps = [Steps(tmp_path, str(number)) for number in range(4)]
    results: list[Result] = []
    options = OffloadOptions(executor="process", workers=2, batch_s=30.0)
    async with OffloadPool(options=options) as pool, pool.lane(WAIT) as lane:
        for step in steps:
            lane.submit(step.task, 1, results.append)
        await until(lambda: sum(step.started.exists() for step in steps) == 2)
        for step in steps:
            step.go.touch()
        await until(lambda: len(results) == 4)
    assert sorted(result.worker or 0 for result in results) == [0, 0, 1, 1]


async def test_payloads_larger_than_the_socket_wait_in_the_pool_without_blocking_the_loop(tmp_path: Path) -> None:
    """The worker does not read on while its main thread runs; its courier does."""
    async with OffloadPool(len, executor="process", workers=1) as pool:
        sizes = [5_000_000, 10, 7_000_000, 900_000, 900_000, 900_000]
        results = [result async for result in pool.map(bytes(size) for size in sizes)]
    assert [result.value for result in results] == sizes


async def test_a_worker_that_does_not_want_to_end_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    async with OffloadPool(executor="process", workers=1) as pool:
        lane = pool.lane(Work.of(functions.ignore_termination))
        lane.submit(str(ready), 1, lambda _: None)
        await until(ready.exists)
        [worker] = workers()
    assert not worker.is_running()


async def test_a_page_that_forks_does_not_hide_its_workers_death() -> None:
    """The forked child holds the worker's socket open, so that its end alone would not tell."""
    async with OffloadPool(functions.fork_and_exit, executor="process", workers=1) as pool:
        [result] = [result async for result in pool.map([0.5])]
    assert result.failure is not None
    assert result.failure.reason == "worker_crashed"
    await until(lambda: not worker_processes())


async def test_workers_keep_freed_memory_unless_the_user_has_set_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Giving it back after each page and asking for it again halves the throughput of lexbor on small pages."""
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000")
    async with OffloadPool(functions.allocator_settings, executor="process", workers=1) as pool:
        settings = await pool.run(None)
    assert settings["MALLOC_TRIM_THRESHOLD_"] == "1000"
    assert int(settings["MALLOC_MMAP_THRESHOLD_"]) > 1_000_000
