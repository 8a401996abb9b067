"""Connections: where names lead, which connection may be used again, and how many are kept."""

from __future__ import annotations

import asyncio
import errno
import functools
import socket
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.helpers import set_exception

from scraper.fetch.address_check import AddressCheck
from scraper.options import Resolve

was_reused: ContextVar[bool] = ContextVar("was_reused", default=False)
"""Whether the request that this task sent last went out on a connection that had served before."""

_checked: ContextVar[frozenset[str]] = ContextVar("checked", default=frozenset())
"""The addresses that the connection which this task opens may lead to."""

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
        resolver: where host names lead.
        check: asked for the address of every connection that is handed out, a new or an idle one.
    """

    def __init__(self, connections: int, resolver: AbstractResolver, check: AddressCheck) -> None:
        super().__init__(
            limit=connections,
            limit_per_host=0,  # a host's share is the frontier's
            resolver=resolver,
            ttl_dns_cache=_DNS_TTL_S,
            keepalive_timeout=_KEEPALIVE_S,
            enable_cleanup_closed=_LEAKS_TLS_TRANSPORTS,
            socket_factory=_open_socket,
        )
        self._check = check
        self._factory = functools.partial(_protocol, self._loop)

    async def _resolve_host(self, host: str, port: int, traces: Sequence[Any] | None = None) -> list[ResolveResult]:
        """Only the addresses that may be connected to.

        A resolver could not do that: IP addresses in URLs never come to one, and aiohttp keeps what it answered, while
        what is permitted may change. What is returned here is connected to without being looked up again.

        Raises:
            Refused: there is none.
        """
        found = await super()._resolve_host(host, port, traces)
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
                was_reused.set(True)
                return connection
            connection.close()
        return None

    def _is_permitted(self, key: Any, protocol: ResponseHandler) -> bool:
        """Whether an idle connection may still be used: a crawl that named its host may have ended meanwhile."""
        peer = protocol.transport.get_extra_info("peername") if protocol.transport is not None else None
        return peer is not None and self._check.refusal(key.host, key.port, peer[0]) is None

    def _release(self, key: Any, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        if len(self._conns) > _MAX_IDLE_HOSTS:
            for idle, _ in self._conns.pop(next(iter(self._conns))):
                idle.close()
