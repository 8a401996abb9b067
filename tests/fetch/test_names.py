"""Names are looked up once for all who ask, remembered for a while, and without end for nobody."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import pytest

from scraper.fetch import names
from scraper.fetch.names import Names
from scraper.options import Resolve


class Service:
    """A name service: every name has an address, except those that it is told of.

    Attributes:
        asked: the names, in order.
        missing: names without an address.
        answers: cleared, it is silent.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.missing: set[str] = set()
        self.answers = threading.Event()
        self.answers.set()
        self.found: list[Any] = [(socket.AF_INET, ("127.0.0.1", 80)), (socket.AF_INET6, ("::1", 80, 0, 0))]

    def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked.append(host)
        self.answers.wait()
        if host in self.missing:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in self.found]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    service = Service()
    monkeypatch.setattr(socket, "getaddrinfo", service.getaddrinfo)
    return service


@pytest.fixture
async def resolver() -> AsyncIterator[Names]:
    resolver = Names((Resolve(host="Fixed.test.", port=80, address="192.0.2.1"),), nullcontext)
    yield resolver
    await resolver.close()


async def addresses(resolver: Names, host: str, port: int = 80) -> list[str]:
    return [one["host"] for one in await resolver.resolve(host, port)]


async def test_what_is_given_is_not_asked_for(resolver: Names, service: Service) -> None:
    assert await addresses(resolver, "fixed.test") == ["192.0.2.1"]
    assert service.asked == []
    assert await addresses(resolver, "fixed.test", 81) == ["127.0.0.1", "::1"]


async def test_a_name_is_asked_for_once(resolver: Names, service: Service) -> None:
    service.answers.clear()
    waiting = [asyncio.create_task(addresses(resolver, "a.test")) for _ in range(3)]
    while not service.asked:
        await asyncio.sleep(0.001)
    waiting.append(asyncio.create_task(addresses(resolver, "a.test")))
    service.answers.set()
    assert await asyncio.gather(*waiting) == [["127.0.0.1", "::1"]] * 4
    await addresses(resolver, "a.test")
    assert service.asked == ["a.test"]


async def test_a_name_without_an_address_is_asked_for_again(resolver: Names, service: Service) -> None:
    service.missing.add("a.test")
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await resolver.resolve("a.test", 80)
    service.missing.clear()
    assert await addresses(resolver, "a.test") == ["127.0.0.1", "::1"]


async def test_one_who_gives_up_takes_the_answer_from_nobody(resolver: Names, service: Service) -> None:
    service.answers.clear()
    first, second = (asyncio.create_task(addresses(resolver, "a.test")) for _ in range(2))
    while not service.asked:
        await asyncio.sleep(0.001)
    first.cancel()
    await asyncio.wait([first])
    service.answers.set()
    assert await second == ["127.0.0.1", "::1"]
    assert first.cancelled()


async def test_an_error_that_nobody_waits_for_any_more_is_not_reported(resolver: Names, service: Service) -> None:
    """asyncio tells of exceptions that were never looked at, which the tests take for errors."""
    service.answers.clear()
    service.missing.add("a.test")
    task = asyncio.create_task(addresses(resolver, "a.test"))
    while not service.asked:
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    service.answers.set()
    service.missing.clear()
    await addresses(resolver, "b.test")


async def test_a_bounded_number_of_names_is_known(
    resolver: Names, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "_MOST_KNOWN", 2)
    for host in ("a.test", "b.test", "c.test", "b.test", "a.test"):
        await resolver.resolve(host, 80)
    assert service.asked == ["a.test", "b.test", "c.test", "a.test"]


async def test_a_link_local_address_keeps_its_interface(resolver: Names, service: Service) -> None:
    service.found = [(socket.AF_INET6, ("fe80::1", 80, 0, 7))]
    assert await addresses(resolver, "printer.test") == ["fe80::1%7"]


async def test_closing_ends_what_is_looked_up(service: Service) -> None:
    service.answers.clear()
    resolver = Names((), nullcontext)
    task = asyncio.create_task(addresses(resolver, "a.test"))
    while not service.asked:
        await asyncio.sleep(0.001)
    await resolver.close()
    with pytest.raises(asyncio.CancelledError):
        await task
    service.answers.set()
