"""Answers that take their time, or never come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fixtures_server.behaviours.behaviour import Behaviour, Group, case, page
from fixtures_server.exchange import HTML_HEADERS
from fixtures_server.reply import reply

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange

# A handler waits at most this long: longer than any crawler's deadline, and a forgotten test still ends.
_LONGEST_S = 600.0


async def slow_body(exchange: Exchange) -> None:
    """The body comes one byte each `interval_s` (1) seconds.

    Each byte comes in time, so only a deadline for the whole attempt ends it.
    """
    whole = reply(200, HTML_HEADERS, page(exchange).encode())
    await exchange.send(whole.data[: whole.head_bytes])
    await _trickle(exchange, whole.data[whole.head_bytes :])


async def slow_headers(exchange: Exchange) -> None:
    """The status line and the headers come one byte each `interval_s` (1) seconds, the body then at once.

    As with a slow body: a time-out for a single read never ends it.
    """
    whole = reply(200, HTML_HEADERS, page(exchange).encode())
    await _trickle(exchange, whole.data[: whole.head_bytes])
    await exchange.send(whole.data[whole.head_bytes :])


async def slow(exchange: Exchange) -> None:
    """A page, after `wait_s` (1) seconds.

    To be waited for, without holding up other hosts.
    """
    await exchange.pause(exchange.request.number("wait_s", 1.0, low=0, high=_LONGEST_S))
    await exchange.respond(page(exchange))


async def silence(exchange: Exchange) -> None:
    """Nothing at all, for ten minutes.

    To be given up after the deadline; the connection is closed, and nothing else on it is waited for.
    """
    await exchange.pause(_LONGEST_S)
    exchange.close()


async def silence_after_headers(exchange: Exchange) -> None:
    """The headers and half of the body, then nothing for ten minutes.

    To be given up as silence before them is. Half of a page is none.
    """
    whole = reply(200, HTML_HEADERS, page(exchange).encode())
    await exchange.send(whole.data[: (whole.head_bytes + len(whole.data)) // 2])
    await exchange.pause(_LONGEST_S)
    exchange.close()


async def _trickle(exchange: Exchange, data: bytes) -> None:
    interval_s = exchange.request.number("interval_s", 1.0, low=0, high=_LONGEST_S)
    for position in range(len(data)):
        await exchange.send(data[position : position + 1])
        await exchange.pause(interval_s)


GROUP = Group(
    "pacing",
    "Slow and silent",
    "Each attempt needs one deadline over everything: connecting, waiting, reading, redirects. Without it a few such "
    "pages hold all of a crawler's connections.",
    (
        Behaviour(slow_body, (case("failed:timeout"), case(interval_s=0.001))),
        Behaviour(slow_headers, (case("failed:timeout"), case(interval_s=0.001))),
        Behaviour(slow, (case(wait_s=0.5),)),
        Behaviour(silence, (case("failed:timeout"),)),
        Behaviour(silence_after_headers, (case("failed:timeout"),)),
    ),
)
