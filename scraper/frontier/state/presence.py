"""A crawler's sign of life, and what it had in its hands.

Each crawler on a state file has a file beside it, which it locks for as long as it lives. The kernel lets go of the
lock when the process ends, however it ends, so no clock is needed to see that a crawler is dead. The file holds the
numbers of the requests that are under way. It is written through memory that the kernel keeps when the process is
killed: no system call and no transaction for a lease, and yet it is known afterwards which pages were in flight.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from pathlib import Path

# Slots for requests under way. Far more than any crawl has: the largest concurrency in use is a few thousand.
SLOTS = 65_536
_SLOT_BYTES = 8


class Presence:
    """The file of one living crawler.

    Args:
        state: path of the state file.
        number: of the crawler; never given twice.

    Raises:
        OSError: the file cannot be made, or the disk has no room for it.
    """

    def __init__(self, state: str, number: int) -> None:
        self._path = _path(state, number)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Room is taken now: a page of a mapping that the disk has no room for would end the process.
            _take_room(self._fd, SLOTS * _SLOT_BYTES)
            self._memory = mmap.mmap(self._fd, SLOTS * _SLOT_BYTES)
        except BaseException:
            os.close(self._fd)
            self._path.unlink(missing_ok=True)
            raise
        self._numbers = memoryview(self._memory).cast("q")
        self._free = list(range(SLOTS - 1, -1, -1))
        self._slot_of: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<Presence {self._path.name}: {len(self._slot_of)} under way>"

    @property
    def has_room(self) -> bool:
        return bool(self._free)

    def take(self, request: int) -> None:
        """Notes that a request is under way."""
        slot = self._free.pop()
        self._slot_of[request] = slot
        self._numbers[slot] = request

    def give_back(self, request: int) -> None:
        """The request is not under way any more."""
        slot = self._slot_of.pop(request)
        self._numbers[slot] = 0
        self._free.append(slot)

    def close(self) -> None:
        """Ends in good order: nothing was in this crawler's hands."""
        self._path.unlink(missing_ok=True)
        self._numbers.release()
        self._memory.close()
        os.close(self._fd)


def _take_room(fd: int, size_bytes: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size_bytes)
    else:  # macOS
        with open(fd, "wb", closefd=False) as file:
            file.write(bytes(size_bytes))


def is_alive(state: str, number: int) -> bool:
    """Whether the process of a crawler still runs."""
    try:
        fd = os.open(_path(state, number), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def under_way(state: str, number: int) -> list[int]:
    """Requests that a crawler has, or had when it died."""
    try:
        data = _path(state, number).read_bytes()
    except FileNotFoundError:
        return []
    whole = len(data) - len(data) % _SLOT_BYTES
    return [request for request in memoryview(data[:whole]).cast("q") if request > 0]


def numbers(state: str) -> set[int]:
    """Crawlers of which there is a file, living or dead."""
    prefix = _path(state, 0).name.removesuffix("0")
    ends = {path.name.removeprefix(prefix) for path in Path(state).parent.iterdir() if path.name.startswith(prefix)}
    return {int(end) for end in ends if end.isdecimal()}


def forget(state: str, number: int) -> None:
    """Removes what a dead crawler left."""
    with contextlib.suppress(FileNotFoundError):
        _path(state, number).unlink()


def _path(state: str, number: int) -> Path:
    return Path(f"{state}-crawler-{number}")
