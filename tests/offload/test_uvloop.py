"""The same on uvloop, whose readiness callbacks, futures and clock are its own."""

from __future__ import annotations

import asyncio

import pytest

from scraper.offload import OffloadPool
from scraper.options import ExecutorName
from tests.offload import functions

uvloop = pytest.importorskip("uvloop")


async def crash_and_go_on(executor: ExecutorName) -> None:
    kinds = ["fine", "exits" if executor == "process" else "raises", "huge result", *["fine"] * 60]
    async with OffloadPool(functions.misbehave, executor=executor, workers=2) as pool:
        results = [result async for result in pool.map(kinds)]
    assert [bool(result.failure) for result in results] == [False, True, *[False] * 61]


def test_a_pool_runs_on_uvloop(executor: ExecutorName) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(crash_and_go_on(executor))
