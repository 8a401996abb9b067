"""Well-formed answers with a status, and answers that change from one request to the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

from fixtures_server.behaviours.behaviour import Behaviour, Case, Group, case, page
from fixtures_server.exchange import HTML_HEADERS

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange


async def ok(exchange: Exchange) -> None:
    """A small page and nothing wrong with it.

    Here to be led to, and to be found among all others.
    """
    await exchange.respond(page(exchange))


async def status(exchange: Exchange) -> None:
    """Any status: `code` (404).

    Only 2xx is a page. An error's body is no content of the site, however it looks; 999 is no status that HTTP
    knows, and still comes from real sites. 5xx may be tried again, a bounded number of times.
    """
    code = exchange.request.integer("code", 404, low=200, high=999)
    await exchange.respond(page(exchange), status=code)


async def flaky(exchange: Exchange) -> None:
    """Fails `fails` (2) times for each `key` with the status `code` (503), then answers.

    To be tried again after a wait that grows. A client that never tries again reports the failure.
    """
    fails = exchange.request.integer("fails", 2, low=0, high=1_000_000)
    code = exchange.request.integer("code", 503, low=200, high=999)
    nth = exchange.count(f"flaky {exchange.request.text('key', '')}")
    if nth <= fails:
        await exchange.respond(page(exchange, f"<p>failure {nth} of {fails}</p>\n"), status=code)
    else:
        await exchange.respond(page(exchange, f"<p>after {fails} failures</p>\n"))


async def too_many_requests(exchange: Exchange) -> None:
    """429 for the first `times` (1) requests of each `key`, with a Retry-After; then 200.

    The header is `retry_after` (1) as it is written, or a date `date_in_s` seconds from now. It says how long to
    leave the host alone, and is the server's word: what lies in the past or is no time at all must not mean at once
    and for ever, and 30,000 years must not hold a crawl.
    """
    request = exchange.request
    times = request.integer("times", 1, low=0, high=1_000_000)
    retry_after = request.text("retry_after", "1")
    if "date_in_s" in request.query:
        wait = timedelta(seconds=request.number("date_in_s", 1.0, low=-1e9, high=1e9))
        retry_after = format_datetime(datetime.now(UTC) + wait, usegmt=True)
    if exchange.count(f"too-many-requests {request.text('key', '')}") <= times:
        await exchange.respond(page(exchange), status=429, headers=(("Retry-After", retry_after), *HTML_HEADERS))
    else:
        await exchange.respond(page(exchange))


def _apart(**parameters: str | float) -> Case:
    """It slows down whoever does what it is asked to, for all other pages of the host as well."""
    return replace(case("done", "failed:http_429", **parameters), is_apart=True)


GROUP = Group(
    "answers",
    "Statuses, and answers that change",
    "Well-formed answers. What counts is that an error is not taken for a page, that a retry is bounded, and that a "
    "server is left alone for as long as it asks, within reason.",
    (
        Behaviour(ok),
        Behaviour(
            status,
            (
                case(code=204),
                *(case(f"failed:http_{code}", code=code) for code in (304, 403, 404, 410, 500, 503, 999)),
            ),
        ),
        Behaviour(flaky, (case("done", "failed:http_500", fails=1, code=500, key="gallery"),)),
        Behaviour(
            too_many_requests,
            (
                _apart(retry_after=1, key="a-second"),
                _apart(date_in_s=1, key="a-date"),
                _apart(retry_after="Fri, 31 Dec 1999 23:59:59 GMT", key="the-past"),
                _apart(retry_after=-1, key="negative"),
                _apart(retry_after="soon", key="garbage"),
                _apart(retry_after="1000000000000", key="for-ever"),
            ),
        ),
    ),
)
