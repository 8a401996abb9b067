"""What runs in a sub-interpreter: a worker, or a trial of whether one would come up.

An isolated interpreter has no daemon threads, no signal handlers, no fork, and no exit of its own: `os._exit` and a
crash end the whole program.
"""

from __future__ import annotations

import io
import json
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from scraper.errors import ScraperError
from scraper.handlers import AdoptedMain, resolve
from scraper.offload.describe import setup_error
from scraper.offload.progress import Cell
from scraper.offload.worker import Worker

# How often a function is interrupted that goes on, such as one that catches whatever is raised. Between two of them
# the worker comes to its end, for which it needs a hundredth of this.
_INTERRUPT_EVERY_S = 0.05


def main(socket_fd: int, cell_fd: int) -> None:
    """Serves the pool at the other end of the socket until it closes.

    Both descriptors are the caller's to close.
    """
    _use_no_standard_stream_of_the_program()
    cell = Cell(cell_fd)
    with socket.fromfd(socket_fd, socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        interruption = _Interruption(sock)
        try:
            Worker(sock, cell, on_orphaned=interruption.start, has_process=False).serve()
        except _Interrupted:
            pass  # between two functions
        finally:
            with suppress(_Interrupted):  # one may still have been on its way
                interruption.stop()
            interruption.stop()
            cell.close()


def try_out(factory: str, args: Sequence[str], main_place: str | None, argv0: str) -> None:
    """Sets a work up as a worker does, and writes to the standard output what comes of it.

    That is one JSON line: null, or the class and the message of a `ScraperError`.
    """
    _use_no_standard_stream_of_the_program()
    sys.argv[:] = [argv0]
    if main_place is not None:
        sys.modules["__main__"] = AdoptedMain(main_place)
    error: ScraperError | None = None
    try:
        resolve(factory)(*args)
    except BaseException as raised:  # noqa: BLE001  # the boundary to the factory
        error = setup_error(args[-1] if args else factory, raised)
    told = None if error is None else (type(error).__name__, str(error))
    os.write(1, f"{json.dumps(told)}\n".encode())


def _use_no_standard_stream_of_the_program() -> None:
    """As in a worker process: the program's output may be the crawl's own, and its input the seeds."""
    sys.stdout = sys.stderr
    sys.stdin = io.StringIO()


class _Interrupted(BaseException):
    """Raised in a function that nobody waits for any more."""


class _Interruption:
    """Interrupts the thread that made it, again and again until it says stop, or the pool has closed the socket.

    That reaches it between two bytecodes; C code that does not come back is not to be interrupted. There the pool's
    closing is what counts: a thread that goes on would keep the program from its end.

    Args:
        sock: connected to the pool, which has ended the conversation.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._interrupted = threading.get_ident()
        self._is_over = False
        self._poll = select.poll()
        self._poll.register(sock, 0)  # for nothing but its being closed at either end
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if threading.get_ident() != self._interrupted and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="interruption")
            with suppress(RuntimeError):  # no thread to be had: then it ends when its function does
                self._thread.start()

    def stop(self) -> None:
        """Called in the interrupted thread: afterwards nothing is raised in it."""
        self._is_over = True
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join()
            _raise_in(self._interrupted, None)

    def _run(self) -> None:
        is_closed = False
        while not is_closed and not self._is_over:
            _raise_in(self._interrupted, _Interrupted)
            is_closed = bool(self._poll.poll(1000 * _INTERRUPT_EVERY_S))


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Has an exception raised in a thread; None takes back one that was not raised yet."""
    import ctypes  # noqa: PLC0415  # only a worker that is given up needs it

    set_error: Callable[..., Any] = ctypes.pythonapi.PyThreadState_SetAsyncExc
    set_error(ctypes.c_ulong(thread), None if error is None else ctypes.py_object(error))
