"""Answers that take their time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fixtures_server.behaviours.behaviour import Behaviour, Group, case, page
from fixtures_server.exchange import HTML_HEADERS
from fixtures_server.reply import reply

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange

_LONGEST_S = 600.0  # between two bytes


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


async def _trickle(exchange: Exchange, data: bytes) -> None:
    interval_s = exchange.request.number("interval_s", 1.0, low=0, high=_LONGEST_S)
    for position in range(len(data)):
        await exchange.send(data[position : position + 1])
        await exchange.pause(interval_s)


GROUP = Group(
    "pacing",
    "Slow answers",
    "Each attempt needs one deadline over everything: connecting, waiting, reading, redirects. Without it a few such "
    "pages hold all of a crawler's connections.",
    (
        Behaviour(slow_body, (case("failed:timeout"), case(interval_s=0))),
        Behaviour(slow, (case(wait_s=0.5),)),
        Behaviour(slow_headers, (case("failed:timeout"), case(interval_s=0))),
    ),
)
