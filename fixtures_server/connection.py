"""One client's connection: reads requests, answers them one after another.

    bytes ─► head ─┬─► a reply that is ready (GET of a page): written at once, or after the page's latency
                   └─► anything else: a handler, as a task; the next request waits until it has ended

The first way is what a benchmark exercises, and takes no task, no parsed headers beyond the first of their kind, and
no rendering. The second is what tests exercise, and a handler there may send whatever it likes.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Protocol, cast

from fixtures_server.exchange import Exchange
from fixtures_server.reply import reply
from fixtures_server.request import BadRequest, Headers, Request, chunked_body

if TYPE_CHECKING:
    from fixtures_server.access_log import AccessLog, Record
    from fixtures_server.exchange import Counts, Handler
    from fixtures_server.reply import Reply

_LARGEST_HEAD_BYTES = 64 * 1024  # twice what common servers take; a longer head gets 431
_LARGEST_BODY_BYTES = 1024 * 1024  # bodies are echoed, not stored: a megabyte is more than a test needs
_LARGEST_BUFFER_BYTES = _LARGEST_HEAD_BYTES + _LARGEST_BODY_BYTES  # while an answer is under way, reading stops here
_KEPT_HEADER_BLOCKS = 64  # a client sends a handful of different ones on a connection


class Service(Protocol):
    """What stands behind the connections."""

    log: AccessLog
    counts: Counts

    def ready_reply(self, target: bytes, *, gzip: bool) -> Reply | None:
        """The answer to a GET of a page, or None where there is none ready."""

    def handler(self, request: Request) -> Handler:
        """What answers this request."""

    def opened(self, connection: Connection) -> None:
        """A connection is there, and may be closed or aborted."""

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""


class Connection(asyncio.Protocol):
    """A connection from a client, with a number for the log."""

    _transport: asyncio.Transport  # from connection_made on, before which nothing else is called

    def __init__(self, service: Service, number: int) -> None:
        self._service = service
        self._number = number
        self._buffer = b""
        self._headers: dict[bytes, Headers] = {}
        self._is_busy = False  # an answer is under way
        self._is_writable = asyncio.Event()
        self._is_writable.set()
        self._told_to_continue = False
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._record: Record | None = None

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._service.opened(self)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._is_busy:
            self._serve()
        elif len(self._buffer) > _LARGEST_BUFFER_BYTES:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        # A client that closes and one that only shuts its sending half down look the same. Taking both as gone means
        # that a handler which sends nothing ends with its client, and the log shows when.
        return False

    def pause_writing(self) -> None:
        self._is_writable.clear()

    def resume_writing(self) -> None:
        self._is_writable.set()
        if not self._is_busy:
            self._serve()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._buffer = b""
        if self._task is not None:
            self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._record is not None:
            self._record.go_on()
            self._service.log.finish(self._record)
        self._is_writable.set()
        self._service.closed(self)

    # The exchange's side.

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def drain(self) -> None:
        # The loop always gets its turn, so that a client that went away is noticed and the handler cancelled.
        await asyncio.sleep(0)
        await self._is_writable.wait()

    @property
    def is_asked_again(self) -> bool:
        return bool(self._buffer)

    def reset(self) -> None:
        # Closing with a linger time of zero sends RST (socket(7), SO_LINGER).
        sock: socket.socket = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def close(self) -> None:
        """Give up what is under way and close, once what was written has been sent."""
        if self._task is not None:
            self._task.cancel()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    # Requests.

    def _serve(self) -> None:
        """Answer requests from the buffer until one takes time or the buffer is used up."""
        try:
            while self._buffer and not self._is_busy and self._is_writable.is_set() and self._serve_one():
                pass
        except BadRequest as bad:
            record = self._service.log.begin(self._number, "", "", Headers(b""))  # nothing in it is to be relied on
            headers = (("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close"))
            self._buffer = b""
            self._is_busy = True  # whatever else arrives is not read
            self._write_ready(reply(bad.status, headers, f"{bad.message}\n".encode()), record)
            self._transport.close()

    def _serve_one(self) -> bool:
        """Start to answer the first request of the buffer; False while it is not there as a whole."""
        if self._transport.is_closing():
            return False
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n")
        if end < 0 or end > _LARGEST_HEAD_BYTES:
            if len(buffer) > _LARGEST_HEAD_BYTES:
                raise BadRequest("the head of the request is too large", 431)
            return False
        line_end = buffer.find(b"\r\n")
        if line_end == 0:  # an empty line before a request is to be ignored (RFC 9112, section 2.2)
            self._buffer = buffer[2:]
            return True
        method, _, rest = buffer[:line_end].partition(b" ")
        target, _, version = rest.rpartition(b" ")
        headers = self._parsed_headers(buffer[line_end + 2 : end + 2])
        if method == b"GET" and version == b"HTTP/1.1" and not headers.has_body and not headers.asks_to_close:
            ready = self._service.ready_reply(target, gzip=headers.accepts_gzip)
            if ready is not None:
                self._buffer = buffer[end + 4 :]
                self._send_ready(ready, target, headers)
                return True
        body = self._body(headers, end + 4)
        if body is None:
            return False
        self._start_exchange(_request(method, target, version, headers, body))
        return True

    def _parsed_headers(self, block: bytes) -> Headers:
        headers = self._headers.get(block)
        if headers is None:
            headers = Headers(block)
            if len(self._headers) >= _KEPT_HEADER_BLOCKS:
                self._headers.clear()
            self._headers[block] = headers
        return headers

    def _body(self, headers: Headers, start: int) -> bytes | None:
        """The body of the request, taken from the buffer with its head, or None while some of it is missing."""
        if headers.content_length > _LARGEST_BODY_BYTES:
            raise BadRequest(f"the body is larger than {_LARGEST_BODY_BYTES} bytes", 413)
        data = self._buffer[start:]
        if headers.is_chunked:
            found = chunked_body(data, _LARGEST_BODY_BYTES)
        else:
            length = headers.content_length
            found = (data[:length], length) if len(data) >= length else None
        if found is None:
            if headers.expects_continue and not self._told_to_continue:
                self._told_to_continue = True
                self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        self._told_to_continue = False
        body, taken = found
        self._buffer = data[taken:]
        return body

    # Answers that are ready.

    def _send_ready(self, ready: Reply, target: bytes, headers: Headers) -> None:
        record = self._service.log.begin(self._number, "GET", target.decode("latin-1"), headers)
        if ready.delay_s:
            self._is_busy = True
            self._record = record
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(ready.delay_s, self._send_delayed, ready, record)
        else:
            self._write_ready(ready, record)

    def _send_delayed(self, ready: Reply, record: Record) -> None:
        self._write_ready(ready, record)
        self._timer = None
        self._end_answer(keep_alive=True)

    def _write_ready(self, ready: Reply, record: Record) -> None:
        record.hand_over()
        self._transport.write(ready.data)
        record.status = ready.status
        record.sent_bytes = len(ready.data)
        self._service.log.finish(record)

    # Answers that a handler gives.

    def _start_exchange(self, request: Request) -> None:
        service = self._service
        self._is_busy = True
        self._record = service.log.begin(self._number, request.method, request.target, request.headers)
        exchange = Exchange(request, self._record, self, service.counts)
        self._task = asyncio.get_running_loop().create_task(_run(service.handler(request), exchange))
        self._task.add_done_callback(lambda task: self._exchange_ended(task, exchange))

    def _exchange_ended(self, task: asyncio.Task[None], exchange: Exchange) -> None:
        self._task = None
        if task.cancelled():
            return  # the connection is gone, or is being closed
        failure = task.exception()
        if failure is not None:  # a mistake in a handler: say it, and end this connection alone
            context = {"message": f"{exchange.request.target} failed", "exception": failure}
            asyncio.get_running_loop().call_exception_handler(context)
            self.abort()
        elif not self._transport.is_closing():
            self._end_answer(keep_alive=exchange.keep_alive)

    def _end_answer(self, *, keep_alive: bool) -> None:
        if self._record is not None:
            self._service.log.finish(self._record)
            self._record = None
        if not keep_alive:
            self._transport.close()
            return
        self._is_busy = False
        self._transport.resume_reading()
        self._serve()


async def _run(handler: Handler, exchange: Exchange) -> None:
    try:
        await handler(exchange)
    except BadRequest as bad:
        await exchange.respond(
            f"{bad.message}\n", status=bad.status, headers=(("Content-Type", "text/plain; charset=utf-8"),)
        )


def _request(method: bytes, target: bytes, version: bytes, headers: Headers, body: bytes) -> Request:
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not method or not target:
        raise BadRequest("the request line is not 'METHOD TARGET HTTP/1.1'")
    keep_alive = version == b"HTTP/1.1" and not headers.asks_to_close
    if not target.startswith(b"/") and b"://" in target:  # as a proxy is asked (RFC 9112, section 3.2.2)
        target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
    return Request(method.decode("latin-1"), target.decode("latin-1"), headers, keep_alive, body)
