"""State files, and frontiers that are closed at the end of their test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from scraper.frontier import durable
from scraper.model import Request
from scraper.options import ScopeName
from tests.frontier.model import Clock, Stepped, durable_frontier


class Opening(Protocol):
    async def __call__(
        self,
        seeds: list[Request] | None = None,
        *,
        path: Path | None = None,
        join: bool = False,
        retry_failed: bool = False,
        scope: ScopeName = "host",
        per_host: int = 8,
        in_flight: int = 32,
        max_depth: int | None = None,
        retries: int = 2,
    ) -> Stepped: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that frontiers read; it stands still unless it is set."""
    clock = Clock()
    monkeypatch.setattr(durable, "time", clock)
    return clock


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "crawl.db"


@pytest.fixture
async def opened(state: Path) -> AsyncIterator[Opening]:
    """Opens frontiers on the test's state file, or on another."""
    async with AsyncExitStack() as stack:

        async def opening(
            seeds: list[Request] | None = None,
            *,
            path: Path | None = None,
            join: bool = False,
            retry_failed: bool = False,
            scope: ScopeName = "host",
            per_host: int = 8,
            in_flight: int = 32,
            max_depth: int | None = None,
            retries: int = 2,
        ) -> Stepped:
            front = durable_frontier(
                path or state,
                join=join,
                retry_failed=retry_failed,
                scope=scope,
                per_host=per_host,
                in_flight=in_flight,
                max_depth=max_depth,
                retries=retries,
            )
            stack.push_async_callback(front.aclose)
            await front.open(seeds or [])
            return front

        yield opening
