"""Functions that the tests of the probe run in its child: by name, as a worker would."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

_BACKTRACKS = re.compile(r"(a+)+b")
_shared = threading.Lock()


def waits(_: bytes) -> None:
    time.sleep(0.01)


def computes(_: bytes) -> int:
    return sum(number * number for number in range(30_000))


def hashes(_: bytes) -> bytes:
    """C that lets the GIL go."""
    return hashlib.pbkdf2_hmac("sha256", b"a", b"b", 10_000)


def backtracks(_: bytes) -> bool:
    """C that keeps the GIL for some tens of milliseconds."""
    return _BACKTRACKS.match("a" * 20) is not None


def hashes_in_turn(_: bytes) -> None:
    """One thread at a time."""
    with _shared:
        hashlib.pbkdf2_hmac("sha256", b"a", b"b", 10_000)


def never_returns(_: bytes) -> NoReturn:
    while True:
        pass


def never_lets_go(_: bytes) -> bool:
    """Takes longer than the universe is old, in one call into C."""
    return _BACKTRACKS.match("a" * 60) is not None


def sleeps_with_the_gil(_: bytes) -> None:
    sleep = ctypes.PyDLL(None).sleep
    sleep(3600)


def returns_once(_: bytes, calls: list[int] = []) -> None:  # noqa: B006  # it counts its calls
    calls.append(1)
    if len(calls) > 1:
        never_returns(b"")


def exits(_: bytes) -> NoReturn:
    os._exit(3)


def dies_of_a_signal(_: bytes) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leaves(_: bytes) -> NoReturn:
    sys.exit(3)


def raises(_: bytes) -> NoReturn:
    raise ValueError("no such thing")


def raises_on_some(body: bytes) -> int:
    if body.startswith(b"bad"):
        raise ValueError("bad page")
    return computes(body)


_met: set[bytes] = set()


def raises_the_second_time(body: bytes) -> int:
    if body.startswith(b"bad") and body in _met:
        raise ValueError("bad page")
    _met.add(body)
    return computes(body)


def prints(_: bytes) -> None:
    print("x" * 1000)  # noqa: T201  # it is what is tested
    print("x" * 1000, file=sys.stderr)  # noqa: T201
    computes(b"")


def takes_all_memory(_: bytes) -> int:
    kept = []
    while True:
        kept.append(bytearray(50_000_000))


def returns_a_lambda(_: bytes) -> Callable[[], Any]:
    computes(b"")
    return lambda: None


def dies_of_company(_: bytes) -> None:
    """Ends the process when it runs in any other than the main thread."""
    if threading.current_thread() is not threading.main_thread():
        os._exit(4)
    computes(b"")


def handler(page: Any) -> Any:
    yield {"url": page.url, "title": page.title}


def failing_handler(page: Any) -> Any:
    raise KeyError(page.url)


def hangs_later(_: bytes, calls: list[int] = []) -> None:  # noqa: B006  # it counts its calls
    """Long after the first calls."""
    calls.append(1)
    if len(calls) > 20:
        never_returns(b"")
    computes(b"")


def first_call_is_slow(_: bytes, calls: list[int] = []) -> None:  # noqa: B006  # it counts its calls
    if not calls:
        time.sleep(0.8)
    calls.append(1)
    computes(b"")


def takes_long(_: bytes) -> int:
    """In Python, with most of a second for each page."""
    ends_s = time.thread_time() + 0.7
    count = 0
    while time.thread_time() < ends_s:
        count += 1
    return count


def leaves_threads(_: bytes) -> None:
    """In any other than the main thread."""
    if threading.current_thread() is not threading.main_thread():
        sys.exit(1)
    computes(b"")
