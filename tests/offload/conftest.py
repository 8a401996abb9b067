from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator

import psutil
import pytest

from scraper.options import ExecutorName


def worker_processes() -> list[psutil.Process]:
    """Children of this process that run a pool's worker, ended ones that nobody waited for included.

    Other children are servers of other tests.
    """
    return [child for child in psutil.Process().children() if _is_worker(child)]


def _is_worker(child: psutil.Process) -> bool:
    try:
        return child.status() == psutil.STATUS_ZOMBIE or "scraper.offload.worker" in " ".join(child.cmdline())
    except psutil.ZombieProcess:
        return True
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(autouse=True)
def _leaves_nothing_alive() -> Iterator[None]:
    """Whatever a test does to a pool: no process, zombies included, and no thread of it is left."""
    yield
    assert worker_processes() == []
    assert [thread for thread in threading.enumerate() if thread.name.startswith("scraper-offload")] == []


needs_interpreters = pytest.mark.skipif(sys.version_info < (3, 13), reason="interpreters need Python 3.13 or later")


@pytest.fixture(params=["inline", "thread", "process", pytest.param("interpreter", marks=needs_interpreters)])
def executor(request: pytest.FixtureRequest) -> ExecutorName:
    name: ExecutorName = request.param
    return name


async def until(condition: Callable[[], object]) -> None:
    """Returns when the condition holds; the time limit of the test says when to stop hoping."""
    while not condition():
        await asyncio.sleep(0.002)
