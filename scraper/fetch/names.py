"""Where host names lead: addresses that were given, that are known, or that the name service has."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import NamedTuple

import anyio
import anyio.to_thread
from aiohttp.abc import AbstractResolver, ResolveResult

from scraper.options import Resolve

# Browsers trust an address about that long; a crawl asks for the same few names all the time.
_TTL_S = 60.0
# Names that are remembered, a few hundred bytes each.
_MOST_KNOWN = 10_000
# Look-ups at a time. A name whose servers are silent holds its thread for 10 to 20 s, so a list with many dead names
# needs many.
_THREADS = 32


class _Lookup(NamedTuple):
    """One question to the name service, for everybody who has it at the same time."""

    asked: asyncio.Event
    task: asyncio.Task[list[ResolveResult]]


class Names(AbstractResolver):
    """Knows the addresses it was given, and asks the system for all others.

    IP addresses in URLs are no names and never come here. The name service of the system is what users expect, with
    its hosts file and search rules; it blocks, so that each look-up takes a thread.

    Args:
        fixed: addresses that are given.
        queued: entered by a task while it waits for a free thread, which is not the name service's fault.
    """

    def __init__(self, fixed: tuple[Resolve, ...], queued: Callable[[], AbstractContextManager[None]]) -> None:
        self._fixed = {(entry.host.lower().rstrip("."), entry.port): entry.address for entry in fixed}
        self._queued = queued
        self._threads = asyncio.Semaphore(_THREADS)
        self._known: dict[tuple[str, int], tuple[float, list[ResolveResult]]] = {}
        self._lookups: dict[tuple[str, int], _Lookup] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError where the name has no address."""
        address = self._fixed.get((host.lower().rstrip("."), port))
        if address is not None:
            return [_result(host, address, port, socket.AF_INET6 if ":" in address else socket.AF_INET)]
        key = host, port
        until_s, known = self._known.get(key, (0.0, []))
        if time.monotonic() < until_s:
            return known
        lookup = self._lookups.get(key)
        if lookup is None:
            asked = asyncio.Event()
            task = asyncio.create_task(self._look_up(host, port, family, asked))
            task.add_done_callback(partial(self._ended, key))
            lookup = self._lookups[key] = _Lookup(asked, task)
        if not lookup.asked.is_set():
            with self._queued():
                await lookup.asked.wait()
        return await asyncio.shield(lookup.task)  # others may wait for it too

    async def close(self) -> None:
        for lookup in self._lookups.values():
            lookup.task.cancel()

    async def _look_up(
        self, host: str, port: int, family: socket.AddressFamily, asked: asyncio.Event
    ) -> list[ResolveResult]:
        try:
            async with self._threads:
                asked.set()
                return await anyio.to_thread.run_sync(
                    _addresses, host, port, family, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
                )
        finally:
            asked.set()

    def _ended(self, key: tuple[str, int], task: asyncio.Task[list[ResolveResult]]) -> None:
        del self._lookups[key]
        if task.cancelled() or task.exception() is not None:
            return
        self._known.pop(key, None)
        self._known[key] = time.monotonic() + _TTL_S, task.result()
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    # Of the kinds that this machine has an address of. Windows gives itself none for its own name.
    flags = 0 if host.lower().rstrip(".") == "localhost" else socket.AI_ADDRCONFIG
    try:
        found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as exc:  # a label that the name service's encoding cannot carry
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from exc
    results = []
    for kind, _, _, _, address in found:
        if kind in (socket.AF_INET, socket.AF_INET6):
            # A link-local address says nothing without its interface.
            scope = f"%{address[3]}" if len(address) == 4 and address[3] else ""
            results.append(_result(host, f"{address[0]}{scope}", port, kind))
    if not results:
        raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
    return results


def _result(host: str, address: str, port: int, family: int) -> ResolveResult:
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
