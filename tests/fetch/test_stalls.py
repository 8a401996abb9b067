"""What the crawler itself is late by is charged to no site: neither to an attempt's deadline nor to its latency."""

import asyncio
import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fixtures_server import FixtureServer
from scraper.fetch import AioFetcher, OpenGate, body, names
from scraper.fetch.decoding import Decoder
from scraper.fetch.stalls import LoopClock
from scraper.model import Failure, Request, Response
from scraper.options import FetchOptions
from tests.fetch.attempt import OPEN_GATE, attempt
from tests.fetch.peer import Peer, Step, answer

ASKED, HANG = Step.ASKED, Step.HANG
PAGE = answer(b"<p>page")


class Time:
    """Passes when it is told to."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def time_() -> Time:
    return Time()


@pytest.fixture
def clock(time_: Time) -> Iterator[LoopClock]:
    clock = LoopClock(time_)
    yield clock
    clock.close()


async def tick() -> None:
    """Lets the clock's timer come, which was set before this one."""
    await asyncio.sleep(0.06)


async def test_the_clock_runs_while_the_loop_does(clock: LoopClock, time_: Time) -> None:
    clock.start()
    start_s = clock.now_s()
    for _ in range(3):
        time_.s += 0.04
        await tick()
    assert clock.now_s() - start_s == pytest.approx(0.12)


async def test_the_clock_stands_while_the_loop_does(clock: LoopClock, time_: Time) -> None:
    clock.start()
    start_s = clock.now_s()
    time_.s += 0.03
    assert clock.now_s() - start_s == pytest.approx(0.03)
    time_.s += 7
    before_tick_s = clock.now_s()
    assert before_tick_s - start_s == pytest.approx(0.05)  # until the tick should have come
    await tick()
    assert clock.now_s() == pytest.approx(before_tick_s)  # it goes on where it stood
    time_.s += 0.01
    assert clock.now_s() == pytest.approx(before_tick_s + 0.01)


async def test_the_clock_is_watched_only_while_it_is_used(clock: LoopClock, time_: Time) -> None:
    start_s = clock.now_s()
    time_.s += 7
    clock.start()
    clock.start()
    clock.stop()
    time_.s += 7
    assert clock.now_s() - start_s == pytest.approx(7.05)
    clock.stop()
    await tick()
    time_.s += 7
    assert clock.now_s() - start_s == pytest.approx(14.05)


async def test_a_stalled_loop_takes_no_time_from_an_attempt(site: FixtureServer) -> None:
    """The answer comes after 0.1 s, and the loop looks again after 0.5 s: later than the deadline."""
    loop = asyncio.get_running_loop()
    loop.call_later(0.02, time.sleep, 0.5)
    got = await attempt(f"{site.url}faults/slow?wait_s=0.1", timeout_s=0.3)
    assert isinstance(got, Response)
    assert got.latency_s is not None
    assert got.latency_s < 0.25


async def test_a_stalled_loop_takes_no_time_from_a_connection(site: FixtureServer) -> None:
    asyncio.get_running_loop().call_soon(time.sleep, 0.5)
    got = await attempt(f"{site.url}faults/ok", connect_timeout_s=0.3)
    assert isinstance(got, Response)
    assert got.latency_s is not None
    assert got.latency_s < 0.25


async def test_latency_begins_when_the_connection_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def slowly(sock: socket.socket, address: Any) -> None:
        await asyncio.sleep(0.5)
        await connect(sock, address)

    monkeypatch.setattr(loop, "sock_connect", slowly)
    async with Peer((ASKED, PAGE)) as peer:
        got = await attempt(peer.url)
    assert isinstance(got, Response)
    assert got.latency_s is not None
    assert 0 < got.latency_s < 0.25


async def test_the_latency_of_a_failure_is_that_of_its_last_hop() -> None:
    """Neither the wait for its host's turn nor what led there says anything about it."""

    class SlowGate(OpenGate):
        async def hop(self, request: Request, url: str) -> None:
            await asyncio.sleep(0.5)

    moved = answer(b"", "Location: /b", status="302 Found")
    async with Peer((ASKED, moved, ASKED, answer(b"", status="503 Later"))) as peer:
        got = await attempt(peer.url, SlowGate())
    assert isinstance(got, Failure)
    assert got.latency_s is not None
    assert got.latency_s is not None
    assert 0 < got.latency_s < 0.25


async def test_waiting_for_a_free_connection_takes_no_time_from_an_attempt() -> None:
    async with Peer((ASKED, HANG), (ASKED, PAGE)) as peer, AioFetcher(FetchOptions(timeout_s=0.2), OPEN_GATE, 1) as one:
        first, second = await asyncio.gather(*(one.fetch(Request(f"{peer.url}{number}")) for number in range(2)))
    assert isinstance(first, Failure)
    assert first.reason == "timeout"
    assert isinstance(second, Response)
    assert second.latency_s is not None
    assert second.latency_s < 0.15


async def test_waiting_for_a_free_look_up_takes_no_time_from_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names whose servers are silent hold the threads that look names up."""
    is_over = threading.Event()

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        if host == "silent.test":
            is_over.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(names, "_THREADS", 1)
    options = FetchOptions(timeout_s=0.2, connect_timeout_s=0.1)
    async with Peer((ASKED, PAGE)) as peer, AioFetcher(options, OPEN_GATE, 4) as client:
        silent = asyncio.create_task(client.fetch(Request(f"http://silent.test:{peer.port}/")))
        await asyncio.sleep(0)
        other = asyncio.create_task(client.fetch(Request(f"http://other.test:{peer.port}/")))
        got = await silent
        assert isinstance(got, Failure)
        assert got.reason == "connect_timeout"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(other), 0.3)
        is_over.set()
        assert isinstance(await other, Response)


async def test_unpacking_in_a_thread_takes_no_time_from_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    unpack = Decoder.unpack

    def slowly(self: Decoder, data: bytes) -> Iterator[bytes]:
        for piece in unpack(self, data):
            yield piece
            time.sleep(0.3)

    monkeypatch.setattr(Decoder, "unpack", slowly)
    monkeypatch.setattr(body, "_ON_LOOP_BYTES", 1)
    packed = gzip.compress(b"<p>page")
    async with Peer((ASKED, answer(packed, "Content-Encoding: gzip"))) as peer:
        got = await attempt(peer.url, timeout_s=0.2)
    assert isinstance(got, Response)
    assert got.body == b"<p>page"
