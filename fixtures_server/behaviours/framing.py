"""Answers whose framing is broken: the bytes do not make one complete HTTP/1.1 message (RFC 9112)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fixtures_server.behaviours.behaviour import Behaviour, page
from fixtures_server.exchange import HTML_HEADERS
from fixtures_server.reply import reply, response_head

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange

# Long enough for the client to have read what was sent: a reset overtakes bytes that are still on their way.
_BEFORE_RESET_S = 0.05


async def reset(exchange: Exchange) -> None:
    """The connection is reset in the middle of the body."""
    whole = reply(200, HTML_HEADERS, page(exchange).encode())
    await exchange.send(whole.data[: (whole.head_bytes + len(whole.data)) // 2])
    await exchange.pause(_BEFORE_RESET_S)
    exchange.reset()


async def reset_at_once(exchange: Exchange) -> None:
    """The connection is reset before anything is sent."""
    exchange.reset()


async def empty_reply(exchange: Exchange) -> None:
    """The connection is closed before anything is sent."""
    exchange.close()


async def headers_cut(exchange: Exchange) -> None:
    """The connection is closed in the middle of the headers."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/ht")
    exchange.close()


async def length_too_long(exchange: Exchange) -> None:
    """Content-Length promises 100 bytes more than come before the connection is closed."""
    body = page(exchange).encode()
    await _send_with_length(exchange, str(len(body) + 100), body)
    exchange.close()


async def length_too_short(exchange: Exchange) -> None:
    """Content-Length promises half of the body; the rest follows on a connection that stays open."""
    body = page(exchange).encode()
    await _send_with_length(exchange, str(len(body) // 2), body)


async def length_negative(exchange: Exchange) -> None:
    """Content-Length: -1."""
    await _send_with_length(exchange, "-1", page(exchange).encode())
    exchange.close()


async def lengths_differ(exchange: Exchange) -> None:
    """Two Content-Length headers that disagree."""
    body = page(exchange).encode()
    lengths = (("Content-Length", str(len(body))), ("Content-Length", str(len(body) // 2)))
    await exchange.send(response_head(200, (*HTML_HEADERS, *lengths)) + body)
    exchange.close()


async def length_and_chunked(exchange: Exchange) -> None:
    """Content-Length together with Transfer-Encoding: chunked."""
    body = page(exchange).encode()
    both = (("Content-Length", str(len(body))), ("Transfer-Encoding", "chunked"))
    await exchange.send(response_head(200, (*HTML_HEADERS, *both)) + _chunk(body) + _chunk(b""))
    exchange.close()


async def until_close(exchange: Exchange) -> None:
    """No length at all: the body ends where the connection does, which is allowed."""
    await exchange.send(response_head(200, HTML_HEADERS) + page(exchange).encode())
    exchange.close()


async def chunked(exchange: Exchange) -> None:
    """A page in chunks, with nothing wrong."""
    await _send_chunked(exchange, _chunk(b""))


async def chunked_cut(exchange: Exchange) -> None:
    """A body in chunks, closed before the last chunk."""
    await _send_chunked(exchange, b"")
    exchange.close()


async def chunked_cut_inside(exchange: Exchange) -> None:
    """A body in chunks, closed in the middle of one."""
    await _send_chunked(exchange, b"40\r\nonly a few bytes")
    exchange.close()


async def chunk_size_garbage(exchange: Exchange) -> None:
    """A chunk whose size is not a number."""
    await _send_chunked(exchange, b"lots\r\nof it\r\n")
    exchange.close()


async def status_line_garbage(exchange: Exchange) -> None:
    """A status line that is none."""
    await exchange.send(b"HTTTP/one two hundred\r\nContent-Length: 0\r\n\r\n")
    exchange.close()


async def header_without_colon(exchange: Exchange) -> None:
    """A header line without a colon."""
    body = page(exchange).encode()
    await exchange.send(b"HTTP/1.1 200 OK\r\nnot a header\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    exchange.close()


async def many_headers(exchange: Exchange) -> None:
    """`count` (2000) headers of `size` (10) bytes each."""
    count = exchange.request.integer("count", 2000, low=0, high=100_000)
    size = exchange.request.integer("size", 10, low=1, high=10_000_000)
    lines = tuple((f"X-{number}", "x" * size) for number in range(count))
    await exchange.respond(page(exchange), headers=(*HTML_HEADERS, *lines))


async def trailing_bytes(exchange: Exchange) -> None:
    """A good answer, and a second one that nobody asked for, on a connection that stays open."""
    await exchange.respond(page(exchange))
    await exchange.send(reply(200, HTML_HEADERS, page(exchange, "<p>Unsolicited.</p>\n").encode()).data)


async def late_second_answer(exchange: Exchange) -> None:
    """A good answer, and `wait_s` (0.2) seconds later a second one that nobody asked for."""
    await exchange.respond(page(exchange))
    await exchange.pause(exchange.request.number("wait_s", 0.2, low=0, high=60))
    await exchange.send(reply(200, HTML_HEADERS, page(exchange, "<p>Unsolicited.</p>\n").encode()).data)


async def _send_with_length(exchange: Exchange, length: str, body: bytes) -> None:
    await exchange.send(response_head(200, (*HTML_HEADERS, ("Content-Length", length))) + body)


async def _send_chunked(exchange: Exchange, end: bytes) -> None:
    body = page(exchange).encode()
    middle = len(body) // 2
    await exchange.send(response_head(200, (*HTML_HEADERS, ("Transfer-Encoding", "chunked"))))
    await exchange.send(_chunk(body[:middle]))
    await exchange.send(_chunk(body[middle:]) + end)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


BEHAVIOURS = (
    Behaviour(reset),
    Behaviour(reset_at_once),
    Behaviour(empty_reply),
    Behaviour(headers_cut),
    Behaviour(length_too_long),
    Behaviour(length_too_short),
    Behaviour(length_negative),
    Behaviour(lengths_differ),
    Behaviour(length_and_chunked),
    Behaviour(until_close),
    Behaviour(chunked),
    Behaviour(chunked_cut),
    Behaviour(chunked_cut_inside),
    Behaviour(chunk_size_garbage),
    Behaviour(status_line_garbage),
    Behaviour(header_without_colon),
    Behaviour(many_headers, ("", "count=20000", "count=1&size=1000000")),
    Behaviour(trailing_bytes),
    Behaviour(late_second_answer),
)
