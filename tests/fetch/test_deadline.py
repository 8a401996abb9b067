"""One time limit for many tasks: the promises of asyncio.timeout."""

import asyncio
import contextlib
import gc
import weakref

import pytest

from scraper.fetch.deadline import TimeLimit
from scraper.fetch.stalls import LoopClock


async def test_what_takes_too_long_ends_with_a_timeout() -> None:
    limit = TimeLimit(0.01, LoopClock())
    with pytest.raises(TimeoutError), limit:
        await asyncio.Event().wait()
    limit.close()


async def test_what_is_done_in_time_is_left_alone() -> None:
    limit = TimeLimit(60, LoopClock())
    with limit:
        await asyncio.sleep(0)
    limit.close()


async def test_every_task_has_its_own_limit() -> None:
    limit = TimeLimit(0.01, LoopClock())

    async def endless() -> str:
        try:
            with limit:
                await asyncio.Event().wait()
        except TimeoutError:
            return "timeout"
        return "done"

    async def short() -> str:
        with limit:
            await asyncio.sleep(0)
        return "done"

    ends = await asyncio.gather(endless(), short(), endless(), short())
    assert list(ends) == ["timeout", "done", "timeout", "done"]
    assert await endless() == "timeout"  # and again, when all were done with
    limit.close()


async def test_limits_that_end_one_after_the_other_all_end() -> None:
    """One timer serves them all, and has to be set anew for the next."""
    limit = TimeLimit(0.02, LoopClock())

    async def endless() -> None:
        with limit:
            await asyncio.Event().wait()

    tasks = []
    for _ in range(3):
        tasks.append(asyncio.create_task(endless()))
        await asyncio.sleep(0.005)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [TimeoutError] * 3
    limit.close()


async def test_closing_leaves_no_timer() -> None:
    limit = TimeLimit(60, LoopClock())
    with limit:
        pass
    limit.close()
    gone = weakref.ref(limit)
    del limit
    gc.collect()
    assert gone() is None


async def test_a_task_may_go_on_after_its_timeout() -> None:
    """It was the limit that cancelled it, so it is not cancelled any more."""
    limit = TimeLimit(0.01, LoopClock())
    with contextlib.suppress(TimeoutError), limit:
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)
    limit.close()


async def test_cancelling_is_no_timeout() -> None:
    limit = TimeLimit(60, LoopClock())
    entered = asyncio.Event()

    async def work() -> None:
        with limit:
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    limit.close()


async def test_a_task_that_is_cancelled_while_it_expires_stays_cancelled() -> None:
    limit = TimeLimit(0.01, LoopClock())
    expired = asyncio.Event()

    async def work() -> None:
        with limit:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                expired.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await expired.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    limit.close()


async def test_an_error_of_its_own_is_not_hidden_by_the_timeout() -> None:
    limit = TimeLimit(0.01, LoopClock())

    async def work() -> None:
        with limit:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as exc:
                raise KeyError("clean-up failed") from exc

    with pytest.raises(KeyError):
        await asyncio.create_task(work())
    limit.close()


async def test_time_in_a_pause_does_not_count() -> None:
    limit = TimeLimit(0.02, LoopClock())
    resumed = asyncio.Event()

    async def work() -> None:
        with limit:
            with limit.paused():
                await asyncio.sleep(0.04)
            resumed.set()
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await work()
    assert resumed.is_set()
    limit.close()


async def test_the_time_before_a_pause_counts() -> None:
    """Also where a task that began later has more time left, and the timer was set for that."""
    limit = TimeLimit(0.1, LoopClock())
    paused, resume = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def pausing() -> None:
        try:
            with limit:
                await asyncio.sleep(0.05)
                with limit.paused():
                    paused.set()
                    await resume.wait()
                await asyncio.Event().wait()
        finally:
            ended.append("pausing")

    async def steady() -> None:
        try:
            with limit:
                resume.set()
                await asyncio.Event().wait()
        finally:
            ended.append("steady")

    first = asyncio.create_task(pausing())
    await paused.wait()
    ends = await asyncio.gather(first, steady(), return_exceptions=True)
    assert [type(end) for end in ends] == [TimeoutError] * 2
    assert ended == ["pausing", "steady"]
    limit.close()


async def test_a_task_may_be_under_the_limit_anew_in_a_pause() -> None:
    limit = TimeLimit(0.05, LoopClock())

    async def work() -> list[str]:
        ended: list[str] = []
        try:
            with limit, limit.paused():
                with contextlib.suppress(TimeoutError), limit:
                    with limit.paused():
                        await asyncio.sleep(0.1)
                    ended.append("inner goes on")
                    await asyncio.Event().wait()
                ended.append("inner timeout")
            ended.append("outer goes on")
            with limit:
                await asyncio.Event().wait()
        except TimeoutError:
            ended.append("outer timeout")
        return ended

    assert await work() == ["inner goes on", "inner timeout", "outer goes on", "outer timeout"]
    limit.close()


async def test_closing_ends_a_pause() -> None:
    limit = TimeLimit(60, LoopClock())

    async def work() -> None:
        with limit, limit.paused():
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    limit.close()
    with pytest.raises(TimeoutError):
        await task


async def test_cancelling_in_a_pause_is_no_timeout() -> None:
    limit = TimeLimit(60, LoopClock())

    async def work() -> None:
        with limit, limit.paused():
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    limit.close()
