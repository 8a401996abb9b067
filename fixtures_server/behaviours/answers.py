"""Well-formed answers other than a page: statuses, redirects, answers that change."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fixtures_server.behaviours.behaviour import Behaviour, page
from fixtures_server.exchange import HTML_HEADERS

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange


async def ok(exchange: Exchange) -> None:
    """A small page and nothing wrong with it."""
    await exchange.respond(page(exchange))


async def status(exchange: Exchange) -> None:
    """Any status: `code` (404)."""
    code = exchange.request.integer("code", 404, low=200, high=999)
    await exchange.respond(page(exchange), status=code)


async def redirect(exchange: Exchange) -> None:
    """Redirects: `hops` (1) of them with the status `code` (302), the last leads `to` (/) as it is written."""
    request = exchange.request
    hops = request.integer("hops", 1, low=1, high=1000)
    code = request.integer("code", 302, low=300, high=399)
    location = request.text("to", "/")
    if hops > 1:
        location = f"{request.path}?{urlencode({'hops': hops - 1, 'code': code, 'to': location})}"
    await exchange.respond(page(exchange), status=code, headers=(("Location", location), *HTML_HEADERS))


async def redirect_loop(exchange: Exchange) -> None:
    """Redirects in a circle of `length` (2) addresses."""
    length = exchange.request.integer("length", 2, low=1, high=1000)
    at = exchange.request.integer("at", 0, low=0, high=1000)
    query = urlencode({"length": length, "at": (at + 1) % length})
    location = f"{exchange.request.path}?{query}"
    await exchange.respond(page(exchange), status=302, headers=(("Location", location), *HTML_HEADERS))


async def redirect_nowhere(exchange: Exchange) -> None:
    """A redirect without a Location."""
    await exchange.respond(page(exchange), status=302)


async def flaky(exchange: Exchange) -> None:
    """Fails `fails` (2) times for each `key` with the status `code` (503), then answers."""
    fails = exchange.request.integer("fails", 2, low=0, high=1_000_000)
    code = exchange.request.integer("code", 503, low=200, high=999)
    nth = exchange.count(f"flaky {exchange.request.text('key', '')}")
    if nth <= fails:
        await exchange.respond(page(exchange, f"<p>failure {nth} of {fails}</p>\n"), status=code)
    else:
        await exchange.respond(page(exchange, f"<p>after {fails} failures</p>\n"))


async def too_many_requests(exchange: Exchange) -> None:
    """429 for the first `times` (1) requests of each `key`, with the Retry-After `retry_after` (1); then 200."""
    times = exchange.request.integer("times", 1, low=0, high=1_000_000)
    retry_after = exchange.request.text("retry_after", "1")
    if exchange.count(f"too-many-requests {exchange.request.text('key', '')}") <= times:
        await exchange.respond(page(exchange), status=429, headers=(("Retry-After", retry_after), *HTML_HEADERS))
    else:
        await exchange.respond(page(exchange))


BEHAVIOURS = (
    Behaviour(ok),
    Behaviour(status, ("code=404", "code=403", "code=410", "code=500", "code=503", "code=204", "code=999")),
    Behaviour(redirect, ("to=/", "hops=3", "hops=11", "code=301", "code=307", "code=308", "to=file:///etc/hostname")),
    Behaviour(redirect_loop, ("", "length=1")),
    Behaviour(redirect_nowhere),
    Behaviour(flaky),
    Behaviour(too_many_requests),
)
