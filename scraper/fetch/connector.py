"""Connections: where they may lead, which connection may be used again, and how many are kept."""

from __future__ import annotations

import asyncio
import errno
import functools
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import AddrInfoType
from aiohttp.abc import ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.helpers import set_exception

from scraper.fetch.address_check import AddressCheck
from scraper.fetch.deadline import TimeLimit
from scraper.fetch.names import Names
from scraper.options import Resolve


@dataclass(slots=True)
class Exchange:
    """What a connector tells of the request that a task sends.

    Attributes:
        began_s: when it went out; before that, when its connection began to be made. Waiting for a free connection
            or for a thread to look a name up is the crawl's own, and comes before both.
        was_reused: whether it went out on a connection that had served before.
        proxy: host and port of the proxy that it goes through, which the user named and so may be anywhere.
    """

    began_s: float
    was_reused: bool = False
    proxy: tuple[str | None, int | None] | None = None


exchange: ContextVar[Exchange] = ContextVar("exchange")
"""The one that is under way in this task."""

_checked: ContextVar[frozenset[str]] = ContextVar("checked", default=frozenset())
"""The addresses that the connection which this task opens may lead to."""

# Common servers keep an idle connection between 5 s and 75 s. Longer would rarely find it alive.
_KEEPALIVE_S = 15.0
# Hosts with idle connections. A broad crawl would otherwise keep one to every host of the last 15 s, which
# exceeds the usual limit of 1,024 open files at 70 hosts a second.
_MAX_IDLE_HOSTS = 128
# Before these, asyncio could leave a TLS transport open whose peer never answers the shutdown (python/cpython#118960).
_LEAKS_TLS_TRANSPORTS = sys.version_info < (3, 12, 8) or (3, 13) <= sys.version_info < (3, 13, 1)


class _Protocol(ResponseHandler):
    """Tells the reader of a body what broke it.

    aiohttp tells only who waits for a header: an invalid chunk size would leave the reader waiting until its deadline.
    """

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        super().set_exception(exc, *cause)
        body = self._payload
        if body is not None and not body.is_eof() and body.exception() is None:
            set_exception(body, exc, *cause)


def _protocol(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _Protocol(loop)


def _open_socket(where: AddrInfoType) -> socket.socket:
    """The last step before a connection. Should aiohttp come here past the check, there is none."""
    family, kind, protocol, _, address = where
    if address[0] not in _checked.get():
        raise PermissionError(errno.EACCES, "the address was not checked")
    return socket.socket(family, kind, protocol)


class Connector(aiohttp.TCPConnector):
    """Hands out connections that are clean and lead where they may, and keeps a bounded number of idle ones.

    It reaches into aiohttp where aiohttp has no other way; tests/fetch/test_connector.py and test_address_check.py
    hold each reason.

    Args:
        connections: in use at once.
        fixed: hosts whose address is given.
        check: asked for the address of every connection that is handed out, a new or an idle one.
        attempts: the time limit that requests are under.
        connect_timeout_s: to open one connection.
    """

    def __init__(
        self,
        connections: int,
        fixed: tuple[Resolve, ...],
        check: AddressCheck,
        attempts: TimeLimit,
        connect_timeout_s: float,
    ) -> None:
        self._names = Names(fixed, self._queued)
        super().__init__(
            limit=connections,
            limit_per_host=0,  # a host's share is the frontier's
            resolver=self._names,
            use_dns_cache=False,  # its own task for each look-up could not tell who waits for what
            keepalive_timeout=_KEEPALIVE_S,
            enable_cleanup_closed=_LEAKS_TLS_TRANSPORTS,
            socket_factory=_open_socket,
        )
        self._check = check
        self._attempts = attempts
        self._clock = attempts.clock
        # aiohttp's own would count what is not the site's, and its wait for a free connection besides.
        self._connects = TimeLimit(connect_timeout_s, self._clock)
        self._factory = functools.partial(_protocol, self._loop)

    async def close(self, *, abort_ssl: bool = False) -> None:
        self._connects.close()
        await self._names.close()
        await super().close(abort_ssl=abort_ssl)

    async def connect(self, *request: Any, **how: Any) -> Connection:
        connection = await super().connect(*request, **how)
        exchange.get().began_s = self._clock.now_s()
        return connection

    async def _wait_for_available_connection(self, key: Any, traces: Any) -> None:
        with self._attempts.paused():
            await super()._wait_for_available_connection(key, traces)
        exchange.get().began_s = self._clock.now_s()

    async def _create_connection(self, *request: Any, **how: Any) -> ResponseHandler:
        with self._connects:
            return await super()._create_connection(*request, **how)

    @contextmanager
    def _queued(self) -> Iterator[None]:
        """Entered while a connection that is being made waits for something that is not the site's."""
        with self._attempts.paused(), self._connects.paused():
            yield
        exchange.get().began_s = self._clock.now_s()

    async def _resolve_host(self, host: str, port: int, traces: Sequence[Any] | None = None) -> list[ResolveResult]:
        """Only the addresses that may be connected to.

        A resolver could not do that: IP addresses in URLs never come to one, and aiohttp keeps what it answered, while
        what is permitted may change. What is returned here is connected to without being looked up again.

        Raises:
            Refused: there is none.
        """
        found = await super()._resolve_host(host, port, traces)
        if (host, port) == exchange.get().proxy:
            _checked.set(frozenset([one["host"] for one in found]))
            return found
        refusals = [self._check.refusal(host, port, one["host"]) for one in found]
        permitted = [one for one, refusal in zip(found, refusals, strict=True) if refusal is None]
        if not permitted and refusals[0] is not None:
            raise refusals[0]
        _checked.set(frozenset([one["host"] for one in permitted]))
        return permitted

    async def _get(self, key: Any, traces: Any) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            # Bytes that came while it was idle would be taken for the answer to the next request.
            if protocol is not None and not protocol.should_close and self._is_permitted(key, protocol):
                exchange.get().was_reused = True
                return connection
            connection.close()
        return None

    def _is_permitted(self, key: Any, protocol: ResponseHandler) -> bool:
        """Whether an idle connection may still be used: a crawl that named its host may have ended meanwhile."""
        if key.proxy is not None:
            return True
        peer = protocol.transport.get_extra_info("peername") if protocol.transport is not None else None
        return peer is not None and self._check.refusal(key.host, key.port, peer[0]) is None

    def _release(self, key: Any, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        if len(self._conns) > _MAX_IDLE_HOSTS:
            for idle, _ in self._conns.pop(next(iter(self._conns))):
                idle.close()
