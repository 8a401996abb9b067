"""What can go wrong with a page, as functions that workers import by name."""

# ruff: noqa: T201  # what is tested is where prints go

from __future__ import annotations

import ctypes
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scraper import Page
from tests.offload.functions import NeedsKeyword, UnpicklableResult

Task = tuple[str, str]
"""What shall happen, and a file whose appearance ends what would not end by itself."""


def suffer(task: Task) -> Any:
    kind, release = task
    match kind:
        case "raises":
            raise ValueError("bad page")
        case "raises unpicklable":
            raise NeedsKeyword(code=7)
        case "os._exit":
            os._exit(3)
        case "sys.exit":
            sys.exit(3)
        case "segfaults":
            ctypes.string_at(0)
        case "hangs":
            spin(release)
        case "hangs for ever in C with the GIL":
            backtrack(60)
        case "keeps the GIL in C for long":
            backtrack(25)
        case "allocates 1 GB":
            return len(bytearray(1 << 30))
        case "allocates more than there is":
            return len(bytearray(1 << 62))
        case "returns unpicklable":
            return UnpicklableResult()
        case "returns a generator":
            return numbers()
        case "returns what has no end":
            return EndlessResult()
        case "yields without end":
            return [number for number in numbers() if is_over(release)]
    return kind


def spin(release: str) -> None:
    """Python without end."""
    while not os.path.exists(release):  # noqa: PTH110  # in a tight loop
        pass


def is_over(release: str) -> bool:
    """Never true. Raises when the file appears, because nothing else ends a generator without end."""
    if Path(release).exists():
        raise StopIteration
    return False


def backtrack(characters: int) -> None:
    """C that keeps the GIL; every further character doubles its time, which is about a second for 25."""
    re.match(r"(a+)+$", "a" * characters + "b")


def numbers() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


class EndlessResult:
    """Pickling it does not come to an end, in C."""

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (), None, numbers()


class SlowPayload:
    """Unpickling it takes that long."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return time.sleep, (self.seconds,)


def keep(task: tuple[str, int]) -> int:
    """Leaks memory, as a handler with a global cache does. Returns its process."""
    name, size_bytes = task
    _KEPT[name] = os.urandom(1) * size_bytes
    return os.getpid()


_KEPT: dict[str, bytes] = {}


def leave_a_mark(path: str) -> int:
    """Appends a line for each time that it ran. Returns its process."""
    with Path(path).open("a") as file:
        file.write("x\n")
    return os.getpid()


def hoarding() -> Any:
    """A factory that takes 60 MB before the first page."""
    keep(("set-up", 60_000_000))
    return keep


def speak(task: tuple[str, str]) -> Any:
    """Prints and logs."""
    how, text = task
    log = logging.getLogger("tests.speaker")
    match how:
        case "print":
            print(text)
        case "print without end of line":
            print(text, end="")
        case "complain":
            print(text, file=sys.stderr)
        case "print and die":
            print(text)
            ctypes.string_at(0)
        case "flood":
            for number in range(int(text)):
                print("line", number)
        case "one long line":
            print("x" * int(text))
        case "write by C":
            os.write(2, text.encode())
        case "write by C to the output":
            os.write(1, text.encode())
        case "warn":
            log.warning("%s", text)
        case "debug":
            log.debug("%s", text)
            return log.isEnabledFor(logging.DEBUG)
        case "log an error":
            try:
                int(text)
            except ValueError:
                log.exception("it went wrong")
        case "destroy":
            _PrintsAtItsEnd(text)
        case "fork and print":
            if os.fork() == 0:
                print(text)
                os._exit(0)
            os.wait()
    return None


class _PrintsAtItsEnd:
    def __init__(self, text: str) -> None:
        self._text = text

    def __del__(self) -> None:
        print(self._text)


def endless_handler(_: Page) -> Iterator[dict[str, int]]:
    """A handler whose items have no end, and come fast."""
    for number in numbers():
        yield {"number": number}


def slow_endless_handler(page: Page) -> Iterator[dict[str, int]]:
    """One whose items have no end, and come slowly. It ends when the file appears that the page's body names."""
    for number in numbers():
        if Path(page.body.decode()).exists():
            return
        time.sleep(0.01)
        yield {"number": number}


def greedy_handler(_: Page) -> Iterator[dict[str, int]]:
    yield {"bytes": len(bytearray(1 << 62))}
