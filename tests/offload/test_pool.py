"""What holds wherever functions run."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from scraper.errors import (
    FunctionFailed,
    HandlerNotImportable,
    InvalidOption,
    NotRunning,
    UsageError,
    WorkerStartFailed,
)
from scraper.model import Failure, Stage
from scraper.offload import OffloadPool, Result, Work
from scraper.options import ExecutorName, OffloadOptions
from tests.offload import functions
from tests.offload.conftest import until, worker_processes

IDENTITY = Work.of(functions.identity)


async def collect(results: AsyncIterator[Result]) -> list[Result]:
    return [result async for result in results]


async def test_map_gives_results_in_the_order_of_the_input(executor: ExecutorName) -> None:
    async with OffloadPool(functions.double, executor=executor, workers=2) as pool:
        results = await collect(pool.map(range(200)))
    assert [result.unwrap() for result in results] == list(range(0, 400, 2))
    assert [result.index for result in results] == list(range(200))
    assert {result.executor for result in results} == {executor}


async def test_map_gives_results_as_they_end(tmp_path: Path) -> None:
    """The first payload holds one worker until another result is out; in the order of the input that would hang."""
    go = tmp_path / "go"
    tasks = [("wait", str(tmp_path / "started"), str(go)), *[("go on", "", "")] * 50]
    options = OffloadOptions(batch_items=1)
    async with OffloadPool(functions.wait_if_asked, executor="process", workers=2, options=options) as pool:
        indexes: list[int] = []
        async for result in pool.map(tasks, ordered=False):
            assert result.index is not None
            indexes.append(result.index)
            go.touch()
    assert sorted(indexes) == list(range(51))
    assert indexes[0] != 0


async def test_map_takes_an_async_iterable(executor: ExecutorName) -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(40):
            await asyncio.sleep(0)
            yield number

    async with OffloadPool(functions.double, executor=executor, workers=1) as pool:
        results = await collect(pool.map(numbers()))
    assert [result.value for result in results] == list(range(0, 80, 2))


async def test_an_empty_input_gives_nothing(executor: ExecutorName) -> None:
    async with OffloadPool(functions.double, executor=executor, workers=1) as pool:
        assert await collect(pool.map([])) == []


async def test_a_failure_is_a_result_too(executor: ExecutorName) -> None:
    async with OffloadPool(functions.misbehave, executor=executor, workers=1) as pool:
        good, bad, further = await collect(pool.map(["good", "raises", "good"]))
    assert (good.unwrap(), further.unwrap()) == ("good", "good")
    assert bad.value is None
    assert bad.failure == Failure(Stage.EXTRACT, "raised", bad.failure.detail if bad.failure else "")
    with pytest.raises(FunctionFailed, match=r"raised: ValueError: bad page \(functions\.py:\d+\)"):
        bad.unwrap()


@pytest.mark.parametrize("is_ordered", [True, False])
async def test_a_slow_consumer_slows_the_input(executor: ExecutorName, *, is_ordered: bool) -> None:
    """The input is endless: what was taken of it must be bounded, and is when the consumer stops to look."""
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        for number in itertools.count():
            taken = number
            yield number

    options = OffloadOptions(batch_items=2)
    async with OffloadPool(functions.double, executor=executor, workers=2, options=options) as pool:
        seen = 0
        async with aclosing(pool.map(endless(), ordered=is_ordered)) as results:
            async for _ in results:
                seen += 1
                # Every result that can come has come when nothing runs and nothing waits.
                await until(lambda: pool.statistics().waiting == pool.statistics().running == 0)
                assert taken <= seen + 2 * 2 * 4  # two workers, portions of two, four portions a worker
                if seen == 30:
                    break
    assert seen == 30


async def test_map_bounds_the_bytes_under_way(executor: ExecutorName) -> None:
    taken = 0

    def bodies() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield bytes(1000)

    options = OffloadOptions(batch_bytes=1000)
    async with OffloadPool(len, executor=executor, workers=1, options=options) as pool:
        result = await anext(pool.map(bodies()))
        assert result.value == 1000
        assert taken <= 1 + 4 + 1  # given out, in the window, and at its door


async def test_a_payload_above_every_bound_goes_through(executor: ExecutorName) -> None:
    options = OffloadOptions(batch_bytes=1000)
    async with OffloadPool(len, executor=executor, workers=1, options=options) as pool:
        results = await collect(pool.map([bytes(3_000_000), bytes(1), bytes(2_000_000)]))
    assert [result.value for result in results] == [3_000_000, 1, 2_000_000]


async def test_leaving_the_loop_drops_what_waits(executor: ExecutorName) -> None:
    async with OffloadPool(functions.sleep, executor=executor, workers=1) as pool:
        taken = itertools.count()
        async for _ in pool.map(0.002 for _ in taken):
            break
        await until(lambda: pool.statistics().running == pool.statistics().waiting == 0)
        in_all = next(taken)
        assert in_all > 50
        assert pool.statistics().items < in_all - 10
        assert await pool.run(0.0) == 0.0
        assert next(taken) == in_all + 1  # nobody went on reading


async def test_what_the_input_raises_comes_after_its_results(executor: ExecutorName) -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("no third")

    async with OffloadPool(functions.double, executor=executor, workers=1) as pool:
        results = pool.map(broken())
        assert [(await anext(results)).value for _ in range(2)] == [2, 4]
        with pytest.raises(LookupError, match="no third"):
            await anext(results)


async def test_two_maps_share_a_pool(executor: ExecutorName) -> None:
    async with OffloadPool(functions.double, executor=executor, workers=2) as pool:
        first, second = await asyncio.gather(collect(pool.map(range(100))), collect(pool.map(range(100, 200))))
    assert [result.value for result in first] == list(range(0, 200, 2))
    assert [result.value for result in second] == list(range(200, 400, 2))


async def test_run_returns_or_raises(executor: ExecutorName) -> None:
    async with OffloadPool(functions.misbehave, executor=executor, workers=1) as pool:
        assert await pool.run("hello") == "hello"
        with pytest.raises(FunctionFailed, match="bad page"):
            await pool.run("raises")


async def test_many_runs_share_portions() -> None:
    """Each has a lane of its own, and still they travel together."""
    async with OffloadPool(functions.double, executor="process", workers=1) as pool:
        assert await asyncio.gather(*(pool.run(number) for number in range(64))) == list(range(0, 128, 2))
        [process] = pool.statistics().executors
        assert process.batches <= 8


async def test_the_times_of_a_result_add_up(executor: ExecutorName) -> None:
    async with OffloadPool(functions.sleep, executor=executor, workers=1) as pool:
        await pool.run(0.0)
        started_s = time.monotonic()
        results = await collect(pool.map([0.01, 0.01]))
        elapsed_s = time.monotonic() - started_s
    for result in results:
        assert result.run_s >= 0.01
        times_s = (result.queue_s, result.handoff_s, result.run_s, result.return_s)
        assert min(times_s) >= 0
        assert sum(times_s) <= elapsed_s
    assert results[1].queue_s >= 0.01  # it waited for the first one


async def test_a_function_needs_a_name() -> None:
    with pytest.raises(HandlerNotImportable, match="a lambda"):
        OffloadPool(lambda value: value)


@pytest.mark.parametrize("wrong", [{"executor": "fork"}, {"workers": 0}, {"workers": -1}])
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        OffloadPool(functions.double, **wrong)


async def test_a_function_that_does_not_import_is_refused(executor: ExecutorName) -> None:
    with pytest.raises(HandlerNotImportable, match="has no 'missing'"):
        async with OffloadPool("tests.offload.functions:missing", executor=executor, workers=2):
            pytest.fail("it opened")
    with pytest.raises(HandlerNotImportable, match="ModuleNotFoundError"):
        async with OffloadPool("tests.offload.nowhere:missing", executor=executor, workers=2):
            pytest.fail("it opened")


async def test_a_factory_that_raises_is_told(executor: ExecutorName) -> None:
    async with OffloadPool(executor=executor, workers=2) as pool:
        with pytest.raises(WorkerStartFailed, match=r"could not be set up in a worker: LookupError: no such parser"):
            await pool.prepare(Work("tests.offload.functions:refusing"))
        async with pool.lane(IDENTITY):
            pass  # others are not hurt


async def test_a_payload_of_a_work_that_cannot_be_set_up_fails(executor: ExecutorName) -> None:
    """A crawl learns of some handlers only while it runs, and submits without waiting for the set-up."""
    results: list[Result] = []
    async with OffloadPool(executor=executor, workers=2) as pool:
        for factory in ("tests.offload.functions:refusing", "tests.offload.functions:missing"):
            pool.lane(Work(factory)).submit("page", 4, results.append)
        await until(lambda: len(results) == 2)
    assert {result.failure.reason for result in results if result.failure} == {
        "worker_start_failed",
        "handler_not_importable",
    }


async def test_a_lane_works_without_waiting_for_its_preparation(executor: ExecutorName) -> None:
    results: list[Result] = []
    async with OffloadPool(executor=executor, workers=2) as pool:
        lane = pool.lane(IDENTITY)
        for number in range(10):
            lane.submit(number, 1, results.append)
        await until(lambda: len(results) == 10)
    assert sorted(result.value for result in results) == list(range(10))


async def test_a_factory_is_called_once_in_each_worker(executor: ExecutorName, tmp_path: Path) -> None:
    async with OffloadPool(executor=executor, workers=2) as pool:
        work = Work("tests.offload.functions:counting", (str(tmp_path),))
        await pool.prepare(work)
        await pool.prepare(work)
        # Whether an interpreter can have it at all is tried once before, in another process.
        calls = {"inline": 1, "interpreter": 3}.get(executor, 2)
        assert len(list(tmp_path.iterdir())) == calls
        results: list[Result] = []
        async with pool.lane(work) as lane:
            for _ in range(20):
                lane.submit(None, 1, results.append)
            await until(lambda: len(results) == 20)
        assert len(list(tmp_path.iterdir())) == calls


async def test_closing_a_lane_drops_only_its_own(executor: ExecutorName) -> None:
    mine: list[Result] = []
    others: list[Result] = []
    async with OffloadPool(executor=executor, workers=1) as pool:
        await pool.prepare(IDENTITY)
        lane, other = pool.lane(IDENTITY), pool.lane(IDENTITY)
        for number in range(100):
            lane.submit(number, 10, mine.append)
            other.submit(number, 10, others.append)
        assert pool.statistics().waiting > 100
        await lane.aclose()
        assert (lane.unended, lane.waiting) == (0, 0)
        with pytest.raises(NotRunning, match="lane was closed"):
            lane.submit(0, 1, mine.append)
        await until(lambda: len(others) == 100)
        await until(lambda: pool.statistics().running == pool.statistics().waiting == 0)
    assert mine == []
    assert [result.value for result in others] == list(range(100))


async def test_a_callback_that_raises_does_not_keep_others_from_their_results(executor: ExecutorName) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    results: list[Result] = []

    def broken(_: Result) -> None:
        raise ZeroDivisionError

    async with OffloadPool(executor=executor, workers=1) as pool, pool.lane(IDENTITY) as lane:
        for number in range(20):
            lane.submit(number, 1, broken if number == 3 else results.append)
        await until(lambda: lane.unended == 0)
    assert [result.value for result in results] == [*range(3), *range(4, 20)]
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]


async def test_what_has_not_ended_when_the_pool_closes_fails(tmp_path: Path) -> None:
    """A crawl on a shared pool must not wait for ever when somebody closes the pool under it."""
    for executor in ("thread", "process"):
        results: list[Result] = []
        started, go = tmp_path / f"{executor} started", tmp_path / f"{executor} go"
        async with OffloadPool(executor=executor, workers=1) as pool:
            lane = pool.lane(Work.of(functions.wait_if_asked))
            lane.submit(("wait", str(started), str(go)), 1, results.append)
            lane.submit(("behind", "", ""), 1, results.append)
            await until(started.exists)
            asyncio.get_running_loop().call_later(0.05, go.touch)
        reasons = [result.failure.reason if result.failure else "" for result in results]
        assert reasons == ["pool_closed", "pool_closed"]
        with pytest.raises(NotRunning):
            lane.submit(("behind", "", ""), 1, results.append)


async def test_a_map_under_which_the_pool_closes_ends() -> None:
    async with OffloadPool(functions.double, executor="process", workers=1) as pool:
        results = pool.map(itertools.count())
        await anext(results)
    with pytest.raises(NotRunning):
        await collect(results)


async def test_a_pool_that_is_not_open_is_refused() -> None:
    pool = OffloadPool(functions.double)
    with pytest.raises(NotRunning, match="async with"):
        await pool.run(1)
    async with pool:
        with pytest.raises(UsageError, match="open already"):
            await pool.__aenter__()
    with pytest.raises(NotRunning):
        pool.lane(IDENTITY)


async def test_a_pool_can_be_opened_again(executor: ExecutorName) -> None:
    pool = OffloadPool(functions.double, executor=executor, workers=1)
    for _ in range(2):
        async with pool:
            assert await pool.run(2) == 4


async def test_map_needs_a_function() -> None:
    async with OffloadPool() as pool:
        with pytest.raises(UsageError, match=r"OffloadPool\(function\)"):
            await collect(pool.map([1]))
        with pytest.raises(UsageError, match=r"OffloadPool\(function\)"):
            await pool.run(1)


async def test_a_pool_starts_only_what_its_works_need() -> None:
    async with OffloadPool(workers=1) as pool:
        assert worker_processes() == []
        assert repr(pool) == "<OffloadPool [no workers]>"
        await pool.prepare(Work.of(functions.double, known="releases_gil"))
        assert [each.executor for each in pool.statistics().executors] == ["thread"]
        assert worker_processes() == []
        await pool.prepare(Work.of(functions.double, known="holds_gil"))
        assert repr(pool) == (
            "<OffloadPool [thread: 1 workers, 0 running, 0 waiting | process: 1 workers, 0 running, 0 waiting]>"
        )


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
async def test_a_cancelled_pool_leaves_nothing(executor: ExecutorName, tmp_path: Path) -> None:
    """Cancelled while pages run and wait. What is left alive is for conftest.py to find; here, open files."""
    files_before, threads_before = open_files(), threading.active_count()
    started = tmp_path / "started"

    async def crawl() -> None:
        async with OffloadPool(functions.wait_if_asked, executor=executor, workers=2) as pool:
            tasks = [("go on", "", ""), ("wait", str(started), str(tmp_path / "go"))]
            async for _ in pool.map(itertools.cycle(tasks if executor != "inline" else tasks[:1])):
                started.touch()

    task = asyncio.create_task(crawl())
    await until(started.exists)
    task.cancel()
    if executor == "thread":  # which cannot be stopped, only waited for
        asyncio.get_running_loop().call_later(0.05, (tmp_path / "go").touch)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert open_files() == files_before
    assert threading.active_count() == threads_before


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
async def test_a_pool_that_is_cancelled_while_it_starts_leaves_nothing() -> None:
    files_before = open_files()
    task = asyncio.create_task(OffloadPool("tests.offload.functions:double", executor="process").__aenter__())
    await until(worker_processes)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert open_files() == files_before


async def test_a_pool_whose_closing_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    """A second Ctrl-C: no time to be polite to a worker that ignores being asked."""
    ready = tmp_path / "ready"

    async def use() -> None:
        async with OffloadPool(functions.ignore_termination, executor="process", workers=1) as pool:
            pool.lane(Work.of(functions.ignore_termination)).submit(str(ready), 1, print)
            await until(ready.exists)

    task = asyncio.create_task(use())
    await until(ready.exists)
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert worker_processes() == []
