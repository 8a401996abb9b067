"""Reads a body: framing that can be trusted, caps while it comes, content codings undone."""

from __future__ import annotations

import asyncio

import aiohttp
import anyio
import anyio.to_thread
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from scraper.fetch.deadline import TimeLimit
from scraper.fetch.decoding import Decoder
from scraper.fetch.refused import Refused

# Compressed bytes that are unpacked in one go, and unpacked bytes up to which that happens on the event loop: about
# 1 ms of inflating. Beyond, a thread (0.2 ms to reach) pays: the codecs release the GIL.
_ON_LOOP_BYTES = 262_144

# What may still come of a body that nobody wants so that its connection can be used again, and how long that may
# take: about what a new connection with TLS would cost.
_DISCARD_BYTES = 65_536
_DISCARD_S = 1.0


async def read_body(
    response: aiohttp.ClientResponse, max_bytes: int, threads: anyio.CapacityLimiter, attempts: TimeLimit
) -> tuple[bytes, int]:
    """The unpacked body, and how many bytes of it came over the network.

    Args:
        response: whose body nobody has read yet.
        max_bytes: cap on the body as it comes, and as it unpacks.
        threads: for unpacking large bodies.
        attempts: the time limit that this is under; unpacking in a thread does not count.

    Raises:
        Refused: too large, wrongly framed, or not to be unpacked.
        aiohttp.ClientError: the connection broke.
    """
    is_framed = _check_framing(response, max_bytes)
    decoder = _decoder(response, max_bytes)
    content = response.content
    protocol = response.connection.protocol if response.connection is not None else None
    unpacked: list[bytes] = []
    waiting: list[bytes] = []
    wire_bytes = waiting_bytes = 0
    is_over = False
    try:
        while not is_over:
            is_over = content.is_eof()  # at once for a small page, which comes together with its header
            chunk = content.read_nowait() if is_over else await content.readany()
            wire_bytes += len(chunk)
            if wire_bytes > max_bytes:
                raise Refused("body_too_large", f"the body is larger than the cap of {max_bytes} bytes")
            waiting.append(chunk)
            waiting_bytes += len(chunk)
            if decoder is not None and waiting_bytes >= _ON_LOOP_BYTES:
                await _unpack(decoder, b"".join(waiting), unpacked, threads, attempts)
                waiting.clear()
                waiting_bytes = 0
    except aiohttp.ClientPayloadError as exc:
        # What ended the connection says more than that the body is not whole.
        raise _loss(protocol) or exc from exc
    if not is_framed and (loss := _loss(protocol)) is not None:
        raise loss
    if protocol is not None and isinstance(protocol.exception(), HttpProcessingError):
        # What came with the end of the body is no answer, so that was not its end: the length is wrong.
        raise Refused("bad_framing", "bytes follow the end of the body")
    body = b"".join(waiting)
    if decoder is None or wire_bytes == 0:
        return body, wire_bytes
    await _unpack(decoder, body, unpacked, threads, attempts)
    decoder.finish()
    return b"".join(unpacked), wire_bytes


async def discard_body(response: aiohttp.ClientResponse) -> None:
    """Frees the connection: for another request if little is left to come, otherwise by closing it."""
    content = response.content
    left_bytes = _DISCARD_BYTES
    if int(response.headers.get(hdrs.CONTENT_LENGTH, 0)) > left_bytes:
        return
    try:
        async with asyncio.timeout(_DISCARD_S):
            while left_bytes > 0 and (chunk := await content.readany()):
                left_bytes -= len(chunk)
    except (aiohttp.ClientError, HttpProcessingError, OSError):
        pass  # the answer is known; its connection is closed by whoever sent the request


def _check_framing(response: aiohttp.ClientResponse, max_bytes: int) -> bool:
    """Whether the header says where the body ends."""
    headers = response.headers
    length = headers.get(hdrs.CONTENT_LENGTH)
    if length is not None:
        if int(length) > max_bytes and response.method != "HEAD":
            raise Refused("body_too_large", f"a body of {length[:20]} bytes; the cap is {max_bytes}")
        return True
    if hdrs.TRANSFER_ENCODING not in headers:
        return False
    # aiohttp undoes nothing but chunks, and would pass on what is packed beneath (RFC 9112 section 6.1).
    transfer = ", ".join(headers.getall(hdrs.TRANSFER_ENCODING)).lower()
    if transfer not in ("chunked", "identity"):
        raise Refused("bad_framing", f"the Transfer-Encoding {transfer[:40]!r} is not chunked")
    return transfer == "chunked"


def _decoder(response: aiohttp.ClientResponse, max_bytes: int) -> Decoder | None:
    headers = response.headers
    if hdrs.CONTENT_ENCODING not in headers:
        return None
    decoder = Decoder(", ".join(headers.getall(hdrs.CONTENT_ENCODING)), max_bytes)
    return None if decoder.is_identity else decoder


async def _unpack(
    decoder: Decoder, data: bytes, unpacked: list[bytes], threads: anyio.CapacityLimiter, attempts: TimeLimit
) -> None:
    on_loop_bytes = 0
    pieces = decoder.unpack(data)
    for piece in pieces:
        unpacked.append(piece)
        on_loop_bytes += len(piece)
        if on_loop_bytes >= _ON_LOOP_BYTES:
            with attempts.paused():
                unpacked += await anyio.to_thread.run_sync(list, pieces, limiter=threads)
            return


def _loss(protocol: ResponseHandler | None) -> aiohttp.ClientOSError | None:
    """The error that tore the connection down, if one did."""
    error = protocol.exception() if protocol is not None else None
    return error if isinstance(error, aiohttp.ClientOSError) else None
