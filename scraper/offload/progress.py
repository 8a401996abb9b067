"""What a worker process is doing, in memory that it shares with the pool: still readable when it has died."""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from typing import NamedTuple

IDLE, BUILDING, RUNNING = 0, 1, 2


class Doing(NamedTuple):
    """State; the number of the portion and the place in it that run, or of the work that is built; since when."""

    state: int
    number: int
    place: int
    since_s: float


_CELL = struct.Struct("<IQId")


def create_cell() -> int:
    """A file descriptor that a worker can inherit, of memory only where the system has such files."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("scraper-progress")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, mmap.PAGESIZE)
    return fd


class Cell:
    """Written by one worker before each step: a store to memory, no system call."""

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, mmap.PAGESIZE)

    def write(self, state: int, number: int = 0, place: int = 0, since_s: float = 0.0) -> None:
        _CELL.pack_into(self._memory, 0, state, number, place, since_s)

    def read(self) -> Doing:
        return Doing(*_CELL.unpack_from(self._memory))

    def close(self) -> None:
        self._memory.close()
