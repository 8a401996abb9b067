"""What one kind of worker is to the executor that hands portions to it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from scraper.handlers import main_place
from scraper.offload.frames import Blob
from scraper.offload.output import levels
from scraper.offload.progress import Doing
from scraper.options import ExecutorName, OffloadOptions

OnFrame = Callable[[Any, list[memoryview], float], None]
"""Takes what a worker sent, its blobs (valid during the call), and the CPU seconds that reading it took."""


class Exit(NamedTuple):
    """How a worker ended, for a sentence, and whether the system ended it for lack of memory."""

    how: str
    is_out_of_memory: bool = False


OnEnd = Callable[[Exit], None]
"""Told once, when nothing of a worker is left."""


class WorkerHandle(Protocol):
    """One worker as its slot sees it. Every method is called on the event loop, and none blocks unless it says so."""

    @property
    def doing(self) -> Doing:
        """What it runs at this moment, or ran when it ended."""

    @property
    def ended(self) -> asyncio.Future[None]:
        """Done when nothing of it is left."""

    def send(self, what: Any, blobs: Sequence[Blob] = ()) -> None:
        """Sends a frame. What does not fit into the socket goes when there is room."""

    def take_write_cpu_s(self) -> float:
        """CPU seconds spent since the last call on writing what had not fitted into the socket at once."""

    def terminate(self) -> None:
        """Asks it to end, whatever it runs, if that can be asked."""

    def kill(self) -> None:
        """Ends it, whatever it runs. One that cannot be ended is let go, and ends when its function returns."""

    def kill_and_reap(self) -> None:
        """The same here and now, blocking for the moment that it takes; for when there is no time to wait."""


StartWorker = Callable[[OnFrame, OnEnd], WorkerHandle]
"""Starts a worker.

Raises:
    WorkerStartFailed: the system does not let us.
"""


@dataclass(frozen=True, slots=True)
class WorkerKind:
    """What is particular to one kind of worker.

    Args:
        executor: its name.
        title: what a message calls one: `worker process`.
        start: starts one.
        is_killable: whether `kill` ends one that runs a function.
    """

    executor: ExecutorName
    title: str
    start: StartWorker
    is_killable: bool


def greeting(options: OffloadOptions, *, memory_bytes: int | None) -> tuple[Any, ...]:
    """The first frame to a worker: where the program came from, and what binds the worker.

    Args:
        options: of the pool.
        memory_bytes: what the worker's process may take; None where it is not the worker's own.
    """
    return ("hello", main_place(), sys.argv[0] if sys.argv else "", options.batch_s, memory_bytes, levels())
