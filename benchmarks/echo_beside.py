"""An event loop that echoes, beside busy threads of its process: how many round trips a second are left of it.

The loop and the busy threads are in a process of their own; the client, which only sends and waits, is in this one.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection
from queue import SimpleQueue

from benchmarks.gil_operations import OPERATIONS, Operation
from benchmarks.gil_rig import NotInstalled

# CPython's own, and a tenth of it.
INTERVALS_S = (0.005, 0.0005)

# How long the regular expression keeps the GIL.
_REGEX_S = 0.02

_TIMEOUT_S = 10.0
_WARM_UP_S = 0.1

Load = Callable[[list[bytes]], Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Beside:
    """What a client saw of the loop.

    Args:
        round_trips_per_s: one after the other.
        p99_s: of their times.
    """

    round_trips_per_s: float
    p99_s: float


def _count(_: list[bytes]) -> Callable[[], object]:
    return lambda: sum(number for number in range(10_000))


def _regex(_: list[bytes]) -> Callable[[], object]:
    """A pattern that backtracks for about `_REGEX_S`, in C, without giving the GIL back."""
    pattern, text = re.compile("(a+)+b"), "aaaaaaaaaaaa"
    while True:
        started_s = time.perf_counter()
        pattern.match(text)
        if time.perf_counter() - started_s >= 0.7 * _REGEX_S:
            return lambda: pattern.match(text)
        text += "a"


def _parsing(title: str) -> Load:
    operation = next(each for each in OPERATIONS if each.title == title)

    def load(pages: list[bytes]) -> Callable[[], object]:
        return _turns(operation, pages)

    return load


def _turns(operation: Operation, pages: list[bytes]) -> Callable[[], object]:
    prepare, run = operation.set_up()
    works = cycle([prepare(page) for page in pages])
    return lambda: run(next(works))


LOADS: dict[str, list[Load]] = {
    "nothing": [],
    "a thread of pure Python": [_count],
    "two threads of pure Python": [_count, _count],
    "a thread that parses with html.parser": [_parsing("html.parser")],
    "a thread that parses with lxml": [_parsing("lxml")],
    "two threads that parse with lxml": [_parsing("lxml"), _parsing("lxml")],
    "a thread that parses with turbohtml": [_parsing("turbohtml")],
    "a thread in a regular expression of 20 ms": [_regex],
}


def beside(load: str, interval_s: float, pages: list[bytes], window_s: float) -> Beside:
    """Measures one load at one switch interval.

    Raises:
        NotInstalled: the load's parser is missing.
    """
    with _serving(load, interval_s, pages) as port, socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as echo:
        echo.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _round_trips(echo, _WARM_UP_S)
        times_s = _round_trips(echo, window_s)
    p99_s = statistics.quantiles(times_s, n=100)[-1] if len(times_s) > 1 else times_s[0]
    return Beside(len(times_s) / sum(times_s), p99_s)


def _round_trips(echo: socket.socket, window_s: float) -> list[float]:
    times_s = []
    end_s = time.perf_counter() + window_s
    while (started_s := time.perf_counter()) < end_s:
        echo.sendall(b"ping")
        if not echo.recv(64):
            raise ConnectionError("the loop's process ended")
        times_s.append(time.perf_counter() - started_s)
    return times_s


@contextmanager
def _serving(load: str, interval_s: float, pages: list[bytes]) -> Iterator[int]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(theirs, load, interval_s, pages))
    process.start()
    theirs.close()
    try:
        port = ours.recv()
        if port is None:
            raise NotInstalled(load)
        yield port
    finally:
        process.terminate()
        process.join()


def _serve(connection: Connection, load: str, interval_s: float, pages: list[bytes]) -> None:
    sys.setswitchinterval(interval_s)
    for each in LOADS[load]:
        started: SimpleQueue[bool] = SimpleQueue()
        threading.Thread(target=_work, args=(each, pages, started), daemon=True).start()
        if not started.get():
            connection.send(None)
            return
    asyncio.run(_echo(connection))


def _work(load: Load, pages: list[bytes], started: SimpleQueue[bool]) -> None:
    try:
        run = load(pages)
    except ImportError:
        started.put(False)
        return
    started.put(True)
    while True:
        run()


async def _echo(connection: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(_Echo, "127.0.0.1", 0)
    connection.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)
