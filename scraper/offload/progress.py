"""What a worker process is doing, in memory that it shares with the pool: still readable when it has died."""

from __future__ import annotations

import mmap
import struct
from typing import NamedTuple

IDLE, BUILDING, RUNNING = 0, 1, 2


class Doing(NamedTuple):
    """State; the number of the portion and the place in it that run, or of the work that is built; since when."""

    state: int
    number: int
    place: int
    since_s: float


_CELL = struct.Struct("<IQId")


CELL_BYTES = mmap.PAGESIZE


class Cell:
    """Written by one worker before each step: a store to memory, no system call.

    Args:
        fd: of a file of `CELL_BYTES`, which may be closed afterwards.
    """

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, CELL_BYTES)

    def write(self, state: int, number: int = 0, place: int = 0, since_s: float = 0.0) -> None:
        _CELL.pack_into(self._memory, 0, state, number, place, since_s)

    def read(self) -> Doing:
        """Twice the same, because the worker may be writing at this moment."""
        seen = _CELL.unpack_from(self._memory)
        while (again := _CELL.unpack_from(self._memory)) != seen:
            seen = again
        return Doing(*seen)

    def close(self) -> None:
        self._memory.close()
