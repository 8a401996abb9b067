"""Functions that the tests run in workers: workers import them by name."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn


def double(number: int) -> int:
    return number * 2


def identity(value: Any) -> Any:
    return value


def pid(_: object) -> int:
    return os.getpid()


class NeedsKeyword(Exception):
    """Pickles, but does not unpickle: its keyword is required."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class UnpicklableResult:
    def __reduce__(self) -> NoReturn:
        raise TypeError("this stays here")


class LoadsNowhere:
    """Pickles, but raises when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _refuse_to_load, ()


def _refuse_to_load() -> NoReturn:
    raise RuntimeError("this does not load")


class HasNoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def misbehave(kind: str) -> Any:
    """One function for the failure matrix: what it does is its payload."""
    match kind:
        case "raises":
            raise ValueError("bad page")
        case "raises unpicklable":
            raise NeedsKeyword(code=7)
        case "raises without text":
            raise HasNoText
        case "raises SystemExit":
            sys.exit(3)
        case "exits":
            os._exit(3)
        case "segfaults":
            ctypes.string_at(0)
        case "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "returns unpicklable":
            return UnpicklableResult()
        case "returns what does not load":
            return LoadsNowhere()
        case "huge result":
            return bytes(20_000_000)
        case "recurses":
            return misbehave(kind)
    return kind


def print_and_return(text: str) -> str:
    print(text)  # noqa: T201  # what is tested is where it goes
    return text


def touch_and_wait(paths: tuple[str, str]) -> int:
    """Creates the first file, waits for the second, and returns the worker's process."""
    started, go = paths
    Path(started).touch()
    while not Path(go).exists():
        time.sleep(0.002)
    return os.getpid()


def wait_if_asked(task: tuple[str, str, str]) -> str:
    """Waits like `touch_and_wait` if the first field says so; returns it."""
    name, started, go = task
    if name == "wait":
        touch_and_wait((started, go))
    return name


def wait_holding_the_gil(path: str) -> None:
    """Says that it runs, and then never lets another thread of its process run."""
    Path(path).write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(600)


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def ignore_termination(path: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(path).touch()
    while True:
        time.sleep(1)


def signal_handlers(_: object) -> str:
    return str(signal.getsignal(signal.SIGINT))


def read_input(_: object) -> str:
    return sys.stdin.read()


def counting(folder: str) -> Callable[[object], int]:
    """A factory that leaves a file for each time it was called."""
    handle, _ = tempfile.mkstemp(dir=folder)
    os.close(handle)

    def count(_: object) -> int:
        return len(list(Path(folder).iterdir()))

    return count


def refusing() -> NoReturn:
    raise LookupError("no such parser")


def exiting() -> NoReturn:
    os._exit(5)


def never_ready() -> NoReturn:
    while True:
        time.sleep(1)


def strike_late(task: str) -> str:
    """A page whose damage shows only when other pages run: here, its process ends a moment later."""
    if task == "bomb":
        threading.Timer(0.02, os._exit, (6,)).start()
    else:
        time.sleep(0.004)
    return task


def start_a_thread(path: str) -> int:
    """Leaves a thread behind that ends when the file appears, and that its process waits for at its exit."""

    def wait() -> None:
        while not Path(path).exists():
            time.sleep(0.01)

    threading.Thread(target=wait).start()
    return os.getpid()


def fork_and_exit(seconds: float) -> None:
    """Leaves a child behind that outlives this process by so much."""
    if os.fork() == 0:
        time.sleep(seconds)
        os._exit(0)
    os._exit(4)


def set_up_slowly(started: str, go: str) -> Callable[[Any], Any]:
    touch_and_wait((started, go))
    return identity


def dying_idle(flag: str) -> Callable[[Any], Any]:
    """Set up well; while the file exists, the process ends a moment later."""
    if Path(flag).exists():
        threading.Timer(0.05, os._exit, (7,)).start()
    return identity


def dying_at_set_up(flag: str) -> Callable[[Any], Any]:
    if Path(flag).exists():
        os._exit(8)
    return identity


def compute(_: object) -> None:
    """Python for about two milliseconds."""
    total = 0
    for number in range(60_000):
        total += number


def wait_or_compute(how: str) -> None:
    """Two kinds of page for one function."""
    if how == "wait":
        time.sleep(0.005)
    else:
        compute(None)


released = threading.Event()
"""Set by a test whose threads are to come to their end."""


def hang_in_threads(how: str) -> str:
    """A page that does not return before the test is over, unless it runs in a worker process."""
    if how == "hang" and threading.current_thread() is not threading.main_thread():
        released.wait()
    return how


def allocator_settings(_: object) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("MALLOC_")}
