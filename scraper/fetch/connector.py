"""Connections: where names lead, which connection may be used again, and how many are kept."""

from __future__ import annotations

import asyncio
import functools
import socket
import sys
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.helpers import set_exception

from scraper.options import Resolve

was_reused: ContextVar[bool] = ContextVar("was_reused", default=False)
"""Whether the request that this task sent last went out on a connection that had served before."""

# Browsers trust an address about that long; a crawl asks for the same few names all the time.
_DNS_TTL_S = 60
# Common servers keep an idle connection between 5 s and 75 s. Longer would rarely find it alive.
_KEEPALIVE_S = 15.0
# Hosts with idle connections. A broad crawl would otherwise keep one to every host of the last 15 s, which
# exceeds the usual limit of 1,024 open files at 70 hosts a second.
_MAX_IDLE_HOSTS = 128
# Before these, asyncio could leave a TLS transport open whose peer never answers the shutdown (python/cpython#118960).
_LEAKS_TLS_TRANSPORTS = sys.version_info < (3, 12, 8) or (3, 13) <= sys.version_info < (3, 13, 1)


class FixedResolver(AbstractResolver):
    """Knows the addresses it was given, and asks the system for all others.

    IP addresses in URLs are no names and never come here.
    """

    def __init__(self, fixed: tuple[Resolve, ...]) -> None:
        self._fixed = {(entry.host.lower().rstrip("."), entry.port): entry.address for entry in fixed}
        # In threads of the loop's own pool, because getaddrinfo blocks; the name service of the system is what
        # users expect, with its hosts file and search rules.
        self._system = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError where the name has no address."""
        address = self._fixed.get((host.lower().rstrip("."), port))
        if address is not None:
            return [
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                    proto=0,
                    flags=socket.AI_NUMERICHOST,
                )
            ]
        try:
            found = await self._system.resolve(host, port, family)
        except UnicodeError as exc:  # a label that the name service's encoding cannot carry
            raise socket.gaierror(socket.EAI_NONAME, "not a host name") from exc
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
        return found

    async def close(self) -> None:
        await self._system.close()


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


class Connector(aiohttp.TCPConnector):
    """Hands out connections that are clean, and keeps a bounded number of idle ones.

    It reaches into aiohttp where aiohttp has no other way; tests/fetch/test_connector.py holds each reason.

    Args:
        connections: in use at once.
        resolver: where host names lead.
    """

    def __init__(self, connections: int, resolver: AbstractResolver) -> None:
        super().__init__(
            limit=connections,
            limit_per_host=0,  # a host's share is the frontier's
            resolver=resolver,
            ttl_dns_cache=_DNS_TTL_S,
            keepalive_timeout=_KEEPALIVE_S,
            enable_cleanup_closed=_LEAKS_TLS_TRANSPORTS,
        )
        self._factory = functools.partial(_protocol, self._loop)

    async def _get(self, key: Any, traces: Any) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            # Bytes that came while it was idle would be taken for the answer to the next request.
            if protocol is not None and not protocol.should_close:
                was_reused.set(True)
                return connection
            connection.close()
        return None

    def _release(self, key: Any, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        if len(self._conns) > _MAX_IDLE_HOSTS:
            for idle, _ in self._conns.pop(next(iter(self._conns))):
                idle.close()
