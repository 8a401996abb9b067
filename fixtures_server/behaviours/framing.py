"""Answers that are none: the bytes do not make one complete HTTP/1.1 message (RFC 9112)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fixtures_server.behaviours.behaviour import Behaviour, Group, case, page
from fixtures_server.exchange import HTML_HEADERS
from fixtures_server.reply import reply, response_head, small_page

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange

# Long enough for the client to have read what was sent: a reset overtakes bytes that are still on their way.
_BEFORE_RESET_S = 0.05
# Longer than any crawler's deadline, and a forgotten test still ends.
_SILENCE_S = 600.0

_UNSOLICITED = small_page("Unsolicited")


async def reset(exchange: Exchange) -> None:
    """The connection is reset in the middle of the body.

    A failure, even where the body's length is unknown: not every end of a connection is the end of a page. May be
    tried again.
    """
    whole = reply(200, HTML_HEADERS, page(exchange).encode())
    await exchange.send(whole.data[: (whole.head_bytes + len(whole.data)) // 2])
    await exchange.pause(_BEFORE_RESET_S)
    exchange.reset()


async def reset_at_once(exchange: Exchange) -> None:
    """The connection is reset before anything is sent.

    A failure that may be tried again. The server may have acted on the request, so only one that is idempotent is
    repeated unasked.
    """
    exchange.reset()


async def empty_reply(exchange: Exchange) -> None:
    """The connection is closed before anything is sent.

    A failure that may be tried again.
    """
    exchange.close()


async def headers_cut(exchange: Exchange) -> None:
    """The connection is closed in the middle of the headers.

    A failure that may be tried again; half of a header says nothing.
    """
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/ht")
    exchange.close()


async def length_too_long(exchange: Exchange) -> None:
    """Content-Length promises 100 bytes more than come before the connection is closed.

    The body is not whole, and so is no page; it may be tried again.
    """
    body = page(exchange).encode()
    await _send_with_length(exchange, str(len(body) + 100), body)
    exchange.close()


async def length_too_short(exchange: Exchange) -> None:
    """Content-Length promises half of the body; the rest follows on a connection that stays open.

    Where the body ends is the server's word, so half a page is what there is to take. What follows it must not be
    read as the answer to the next request: the connection is closed.
    """
    body = page(exchange).encode()
    await _send_with_length(exchange, str(len(body) // 2), body)


async def length_negative(exchange: Exchange) -> None:
    """Content-Length: -1.

    No valid HTTP (RFC 9112, section 6.3): a failure, and the connection is closed.
    """
    await _send_with_length(exchange, "-1", page(exchange).encode())
    exchange.close()


async def lengths_differ(exchange: Exchange) -> None:
    """Two Content-Length headers that disagree.

    Who believes the first and who believes the second see different answers behind it, which is how requests are
    smuggled. No valid HTTP: a failure, and the connection is closed.
    """
    body = page(exchange).encode()
    lengths = (("Content-Length", str(len(body))), ("Content-Length", str(len(body) // 2)))
    await exchange.send(response_head(200, (*HTML_HEADERS, *lengths)) + body)
    exchange.close()


async def length_and_chunked(exchange: Exchange) -> None:
    """Content-Length together with Transfer-Encoding: chunked.

    The same with two ways to say where the body ends. RFC 9112 lets a client believe the chunks, if it then closes
    the connection.
    """
    body = page(exchange).encode()
    both = (("Content-Length", str(len(body))), ("Transfer-Encoding", "chunked"))
    await exchange.send(response_head(200, (*HTML_HEADERS, *both)) + _chunk(body) + _chunk(b""))
    exchange.close()


async def until_close(exchange: Exchange) -> None:
    """No length at all: the body ends where the connection does, which is allowed.

    A page, from a connection that is not used again.
    """
    await exchange.send(response_head(200, HTML_HEADERS) + page(exchange).encode())
    exchange.close()


async def silence(exchange: Exchange) -> None:
    """Nothing at all, for ten minutes.

    To be given up after the deadline; the connection is closed, and nothing else on it is waited for.
    """
    await exchange.pause(_SILENCE_S)
    exchange.close()


async def silence_after_headers(exchange: Exchange) -> None:
    """The headers and half of the body, then nothing for ten minutes.

    To be given up as silence before them is. Half of a page is none.
    """
    whole = reply(200, HTML_HEADERS, page(exchange).encode())
    await exchange.send(whole.data[: (whole.head_bytes + len(whole.data)) // 2])
    await exchange.pause(_SILENCE_S)
    exchange.close()


async def chunked(exchange: Exchange) -> None:
    """A page in chunks, with nothing wrong.

    A page.
    """
    await _send_chunked(exchange, _chunk(b""))


async def chunked_cut(exchange: Exchange) -> None:
    """A body in chunks, closed before the last chunk.

    The body is not whole, and so is no page, although all of it that came reads well.
    """
    await _send_chunked(exchange, b"")
    exchange.close()


async def chunked_cut_inside(exchange: Exchange) -> None:
    """A body in chunks, closed in the middle of one.

    The body is not whole, and so is no page.
    """
    await _send_chunked(exchange, b"40\r\nonly a few bytes")
    exchange.close()


async def chunk_size_garbage(exchange: Exchange) -> None:
    """A chunk whose size is not a number.

    No valid HTTP: a failure at once, not a wait until the deadline.
    """
    await _send_chunked(exchange, b"lots\r\nof it\r\n")
    exchange.close()


async def status_line_garbage(exchange: Exchange) -> None:
    """A status line that is none.

    No valid HTTP: a failure, and the connection is closed.
    """
    await exchange.send(b"HTTTP/one two hundred\r\nContent-Length: 0\r\n\r\n")
    exchange.close()


async def header_without_colon(exchange: Exchange) -> None:
    """A header line without a colon.

    No valid HTTP. Some clients skip the line and take the page.
    """
    body = page(exchange).encode()
    await exchange.send(b"HTTP/1.1 200 OK\r\nnot a header\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    exchange.close()


async def many_headers(exchange: Exchange) -> None:
    """`count` (2000) headers of `size` (10) bytes each.

    Fields, their number and all of them together need a cap, or the header alone fills the memory: that of the body
    comes too late.
    """
    count = exchange.request.integer("count", 2000, low=0, high=100_000)
    size = exchange.request.integer("size", 10, low=1, high=10_000_000)
    lines = tuple((f"X-{number}", "x" * size) for number in range(count))
    await exchange.respond(page(exchange), headers=(*HTML_HEADERS, *lines))


async def trailing_bytes(exchange: Exchange) -> None:
    """A good answer, and a second one that nobody asked for, on a connection that stays open.

    The page is the first answer. The connection must be closed: otherwise the second answer is taken for that of the
    next request, and a page is stored under another one's URL.
    """
    answers = [reply(200, HTML_HEADERS, html.encode()).data for html in (page(exchange), _UNSOLICITED)]
    await exchange.send(b"".join(answers))


async def late_second_answer(exchange: Exchange) -> None:
    """A good answer, and `wait_s` (0.2) seconds later a second one that nobody asked for.

    The page is the first answer. A connection that has said something since it fell idle must not be used again. The
    second comes only if the connection is idle then: after the next request nobody could tell it from its answer.
    """
    await exchange.respond(page(exchange))
    await exchange.pause(exchange.request.number("wait_s", 0.2, low=0, high=60))
    if not exchange.is_asked_again:
        await exchange.send(reply(200, HTML_HEADERS, _UNSOLICITED.encode()).data)


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


_BAD_FRAMING = (case("failed:bad_framing"),)
_TRUNCATED = (case("failed:truncated_body"),)
_RESET = (case("failed:connection_reset"),)
_DISCONNECTED = (case("failed:disconnected"),)

# Answers that never come stand between others: many in a row would look like a host that is down.
GROUP = Group(
    "framing",
    "Broken framing, and silence",
    "The bytes do not make one complete HTTP/1.1 message. A client names the failure, tries again a bounded number of "
    "times, hands nothing on, and above all never takes the rest of one answer for the beginning of another.",
    (
        Behaviour(reset, _RESET),
        Behaviour(length_too_long, _TRUNCATED),
        Behaviour(length_too_short, (case("done", "failed:bad_framing"),)),
        Behaviour(reset_at_once, _RESET),
        Behaviour(silence, (case("failed:timeout"),)),
        Behaviour(length_negative, _BAD_FRAMING),
        Behaviour(lengths_differ, _BAD_FRAMING),
        Behaviour(empty_reply, _DISCONNECTED),
        Behaviour(length_and_chunked, (case("failed:bad_framing", "done"),)),
        Behaviour(until_close),
        Behaviour(headers_cut, _DISCONNECTED),
        Behaviour(chunked),
        Behaviour(chunked_cut, _TRUNCATED),
        Behaviour(chunked_cut_inside, _TRUNCATED),
        Behaviour(chunk_size_garbage, _BAD_FRAMING),
        Behaviour(status_line_garbage, _BAD_FRAMING),
        Behaviour(header_without_colon, (case("failed:bad_framing", "done"),)),
        Behaviour(silence_after_headers, (case("failed:timeout"),)),
        Behaviour(
            many_headers,
            (
                case("failed:header_too_large", count=2000),
                case("failed:header_too_large", count=20_000),
                case("failed:header_too_large", count=1, size=1_000_000),
            ),
        ),
        Behaviour(trailing_bytes),
        Behaviour(late_second_answer),
    ),
)
