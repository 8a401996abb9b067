"""What a sink takes of the loop's thread, with all that the loop does meanwhile left out."""

from __future__ import annotations

import asyncio
import time

import pytest

from scraper.steps import Steps


def compute(cpu_s: float) -> None:
    until_s = time.thread_time() + cpu_s
    while time.thread_time() < until_s:
        pass


async def test_only_the_awaiteds_own_steps_count() -> None:
    """A sink that waits for its disk does not get the blame for the pages that are parsed in line meanwhile."""

    async def writes(has_begun: asyncio.Event, may_end: asyncio.Event) -> None:
        compute(0.05)
        has_begun.set()
        await may_end.wait()
        compute(0.05)

    steps, has_begun, may_end = Steps(), asyncio.Event(), asyncio.Event()
    writing = asyncio.create_task(steps.of(writes(has_begun, may_end)))
    await has_begun.wait()
    compute(0.5)
    may_end.set()
    await writing
    assert 0.1 <= steps.cpu_s < 0.4


async def test_a_cancellation_and_an_error_pass_through() -> None:
    ends: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            ends.append("cleaned up")
            raise

    async def fails() -> None:
        await asyncio.sleep(0)
        raise OSError("no space left")

    waiting = asyncio.create_task(Steps().of(waits()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ends == ["cleaned up"]
    with pytest.raises(OSError, match="no space"):
        await Steps().of(fails())


async def test_an_awaited_may_deal_with_what_is_thrown_into_it() -> None:
    async def ignores() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)

    steps = Steps()
    waiting = asyncio.create_task(steps.of(ignores()))
    await asyncio.sleep(0)
    waiting.cancel()
    await waiting
    assert waiting.done()
