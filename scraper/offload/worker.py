"""A worker: runs the functions of works on the payloads that its pool sends.

Started as a process by `scraper.offload.worker_process`. One thread runs the functions. A second, the courier, reads
what the pool sends, so that the next portion is at hand when the running one ends, and gives back the results so
far and the unstarted rest when the running portion takes longer than its time. Between two pages the first thread
does that itself: beside a function that keeps the GIL the courier does not get to run.

A worker process does not survive its pool: the courier ends it when the socket closes, and where the system can do that
(Linux) a pipe's end kills it even in a function that never lets the courier run.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import queue
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import Any

from scraper.errors import ScraperError
from scraper.handlers import IMPORTING_VARIABLE, AdoptedMain, resolve
from scraper.offload.describe import describe_error, failure_reason, setup_error, setup_reason
from scraper.offload.frames import Blob, pack, receive, send
from scraper.offload.memory import limit_memory, resident_bytes
from scraper.offload.output import Output
from scraper.offload.progress import BUILDING, IDLE, RUNNING, Cell

# index in the portion, reason of a failure or None, and when it was taken, started and ended
Record = tuple[int, str | None, float, float, float]


def main(socket_fd: int, lifeline_fd: int, cell_fd: int) -> None:
    """Serves the pool at the other end of the socket until it closes, in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    for fd in (socket_fd, lifeline_fd, cell_fd):
        os.set_inheritable(fd, False)  # what a function starts must not hold the pool's ends open
    die_with_parent(lifeline_fd)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # of a forked child, say
    cell = Cell(cell_fd)
    os.close(cell_fd)
    Worker(socket.socket(fileno=socket_fd), cell, on_orphaned=lambda: os._exit(1)).serve()


def die_with_parent(lifeline_fd: int) -> None:
    """Has the kernel kill this process when the pool's end of the pipe closes.

    Unlike PR_SET_PDEATHSIG this does not fire when only the thread that started the worker ends.
    """
    if not hasattr(fcntl, "F_SETSIG"):
        return
    fcntl.fcntl(lifeline_fd, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, fcntl.fcntl(lifeline_fd, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline_fd], [], [], 0)[0]:  # it closed before the kernel was asked
        os._exit(0)


class _Portion:
    __slots__ = ("ended", "has_heartbeat", "number", "received_s", "started_s", "waiting", "work")

    def __init__(self, number: int, work: int, blobs: list[memoryview], has_heartbeat: bool | None) -> None:
        self.number = number
        self.work = work
        self.has_heartbeat = has_heartbeat
        self.received_s = time.monotonic()
        self.started_s: float | None = None
        self.waiting = deque(enumerate(blobs))
        self.ended: list[tuple[Record, Blob]] = []


class Worker:
    """Serves a pool, in the thread that calls `serve`.

    Args:
        sock: connected to the pool; blocking.
        cell: where it writes down what it does.
        on_orphaned: called when the pool is gone, from either thread. If it returns, the worker comes to its end
            when the running function returns.
        has_process: whether the process is its own, and with it the environment.
    """

    def __init__(
        self, sock: socket.socket, cell: Cell, on_orphaned: Callable[[], object], *, has_process: bool = True
    ) -> None:
        self._socket = sock
        self._poll = select.poll()  # which takes any descriptor; select takes those below 1024
        self._poll.register(sock, select.POLLIN)
        self._cell = cell
        self._on_orphaned = on_orphaned
        self._has_process = has_process
        self._batch_s = 0.0
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._functions: dict[int, Callable[[Any], Any] | ScraperError] = {}
        self._lock = threading.Lock()  # of the portions, which both threads take from
        self._portions: deque[_Portion] = deque()  # the running one first
        self._is_over = False
        self._send_lock = threading.Lock()
        self._sender: int | None = None
        self._unsaid: deque[Any] = deque()
        self._output = Output(self._say)

    def serve(self) -> None:
        # Not a daemon, which interpreters do not have: it listens until the socket closes, at either end.
        courier = threading.Thread(target=self._receive_all, name="courier")
        courier.start()
        try:
            while (task := self._tasks.get()) is not None:
                task()
        finally:
            self._output.uninstall()
            self._is_over = True
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # a courier that still listens hears of it
            courier.join()

    # the courier's side

    def _receive_all(self) -> None:
        try:
            while True:
                patience_s = self._patience_s()
                if self._poll.poll(None if patience_s is None else 1000 * patience_s):
                    frame = receive(self._socket)
                    if frame is None:
                        if not self._is_over:
                            self._orphan()
                        return
                    self._accept(*frame)
                self._give_back_if_late()
        except BaseException:  # such as no memory for a payload: nobody would hear the pool any more
            self._orphan()
            raise

    def _accept(self, what: Any, blobs: list[memoryview]) -> None:
        match what:
            case ("run", number, work, has_heartbeat):
                portion = _Portion(number, work, blobs, has_heartbeat)
                with self._lock:
                    self._portions.append(portion)
                self._tasks.put(lambda: self._run(portion))
            case ("build", work, factory, args):
                self._tasks.put(lambda: self._build(work, factory, args))
            case ("hello", main_place, argv0, batch_s, memory_bytes, levels):
                self._batch_s = batch_s
                if memory_bytes is not None:
                    limit_memory(memory_bytes)
                sys.argv[:] = [argv0]
                if main_place is not None:
                    sys.modules["__main__"] = AdoptedMain(main_place)
                self._output.install(levels)
            case ("close",):
                self._close()

    def _close(self) -> None:
        with self._lock:
            for portion in self._portions:
                portion.waiting.clear()
        self._tasks.put(None)

    def _orphan(self) -> None:
        self._on_orphaned()
        self._close()

    def _patience_s(self) -> float | None:
        """How long the courier may sleep: until the running portion is late, if there is something to give back."""
        with self._lock:
            if not any(portion.waiting or portion.ended for portion in self._portions):
                return None
            started_s = self._portions[0].started_s
        return self._batch_s if started_s is None else max(0.0, started_s + self._batch_s - time.monotonic())

    def _give_back_if_late(self) -> None:
        reports = []
        with self._lock:
            started_s = self._portions[0].started_s if self._portions else None
            if started_s is not None and time.monotonic() - started_s >= self._batch_s:
                reports = [_take_report(portion, is_late=True) for portion in self._portions]
        for report in reports:
            if report is not None:
                self._send(*report)

    # the other thread's side

    def _build(self, work: int, factory: str, args: tuple[str, ...]) -> None:
        title = args[-1] if args else factory
        self._cell.write(BUILDING, work, 0, time.monotonic())
        if self._has_process:
            os.environ[IMPORTING_VARIABLE] = title.rpartition(":")[0] or title
        try:
            function: Callable[[Any], Any] | ScraperError = resolve(factory)(*args)
        except BaseException as error:  # noqa: BLE001  # the boundary to the factory
            function = setup_error(title, error)
        finally:
            os.environ.pop(IMPORTING_VARIABLE, None)
        self._functions[work] = function
        self._cell.write(IDLE)
        refusal = (type(function).__name__, str(function)) if isinstance(function, ScraperError) else None
        self._send(("built", work, refusal, resident_bytes()))

    def _run(self, portion: _Portion) -> None:
        function = self._functions[portion.work]
        observer = None
        if portion.has_heartbeat is not None and not isinstance(function, ScraperError):
            from scraper.offload.observation import Observer  # noqa: PLC0415  # few workers ever measure

            observer = Observer(has_heartbeat=portion.has_heartbeat)
            function = observer.around(function)
        portion.started_s = time.monotonic()
        while (item := self._take(portion)) is not None:
            index, blob = item
            self._cell.write(RUNNING, portion.number, index, time.monotonic())
            ended = _refuse(function, index) if isinstance(function, ScraperError) else _call(function, index, blob)
            self._output.end_page()
            if observer is not None:
                observer.count(len(blob), len(ended[1]))
            self._end(portion, ended)
        self._cell.write(IDLE)
        if observer is not None:
            self._send(("observed", portion.number, observer.stop().to_fields()))
        with self._lock:
            self._portions.remove(portion)
            report = _take_report(portion, is_late=False)
        if report is not None:
            self._send(*report)

    def _take(self, portion: _Portion) -> tuple[int, memoryview] | None:
        with self._lock:
            return portion.waiting.popleft() if portion.waiting else None

    def _end(self, portion: _Portion, ended: tuple[Record, Blob]) -> None:
        report = None
        with self._lock:
            portion.ended.append(ended)
            if portion.waiting and ended[0][4] - (portion.started_s or 0.0) >= self._batch_s:
                report = _take_report(portion, is_late=False)
        if report is not None:
            self._cell.write(IDLE)  # a pool that does not read at once is no fault of the page
            self._send(*report)

    # both sides

    def _send(self, what: Any, blobs: Sequence[Blob] = ()) -> None:
        try:
            with self._send_lock:
                self._sender = threading.get_ident()
                try:
                    send(self._socket, pack(what, blobs))
                    while self._unsaid:
                        send(self._socket, pack(self._unsaid.popleft()))
                finally:
                    self._sender = None
        except OSError:
            self._orphan()

    def _say(self, what: Any) -> None:
        if self._sender == threading.get_ident():  # a destructor prints, in the middle of the sending
            self._unsaid.append(what)
        else:
            self._send(what)


def _take_report(portion: _Portion, *, is_late: bool) -> tuple[Any, list[Blob]] | None:
    """Under the lock: what ended and was not reported yet, and what will not be started here.

    Late means that the page which runs now is what takes so long.
    """
    if not portion.ended and not portion.waiting:
        return None
    records = [record for record, _ in portion.ended]
    blobs = [blob for _, blob in portion.ended]
    returned = [index for index, _ in portion.waiting]
    portion.ended.clear()
    portion.waiting.clear()
    return ("ended", portion.number, portion.received_s, records, returned, is_late, resident_bytes()), blobs


def _refuse(error: ScraperError, index: int) -> tuple[Record, Blob]:
    now_s = time.monotonic()
    return (index, setup_reason(error), now_s, now_s, now_s), str(error).encode()


def _call(function: Callable[[Any], Any], index: int, blob: memoryview) -> tuple[Record, Blob]:
    taken_s = started_s = ended_s = time.monotonic()
    try:
        payload = pickle.loads(blob)  # noqa: S301  # from our own pool
    except Exception as error:  # noqa: BLE001  # the boundary to the payload's own unpickling
        reason, text = _failed(error, "payload_not_picklable")
        return (index, reason, taken_s, started_s, ended_s), text
    started_s = time.monotonic()
    try:
        value = function(payload)
    except BaseException as error:  # noqa: BLE001  # the boundary to the user's function
        reason, text = _failed(error, "raised")
        return (index, reason, taken_s, started_s, time.monotonic()), text
    ended_s = time.monotonic()
    try:
        result = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001  # the boundary to the result's own pickling
        reason, text = _failed(error, "result_not_picklable", f"a {type(value).__name__} was returned: ")
        return (index, reason, taken_s, started_s, ended_s), text
    return (index, None, taken_s, started_s, ended_s), result


def _failed(error: BaseException, reason: str, before: str = "") -> tuple[str, Blob]:
    if isinstance(error, MemoryError):
        traceback.clear_frames(error.__traceback__)  # which hold what took the memory
    return failure_reason(error, reason), f"{before}{describe_error(error)}".encode()
