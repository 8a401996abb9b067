"""Cookies that a client must not keep, or not all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fixtures_server.behaviours.behaviour import Behaviour, Group, case, page
from fixtures_server.exchange import HTML_HEADERS
from fixtures_server.reply import reply

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange

_COOKIES_A_PAGE = 50  # far below the caps that clients have on header fields: Python's own is 100


async def cookie_domain(exchange: Exchange) -> None:
    """Sets a cookie for the `domain` (com).

    The cookie is to be dropped, and the page is a page. A cookie for a public suffix, such as co.uk, would be sent to
    every site below it; one for part of an IP address to strangers. To be asked by a name below the domain.
    """
    domain = exchange.request.text("domain", "com")
    await exchange.respond(page(exchange), headers=(*HTML_HEADERS, ("Set-Cookie", f"super=1; Domain={domain}; Path=/")))


async def many_cookies(exchange: Exchange) -> None:
    """`count` (10000) cookies, fifty on each page; the first page links to the others.

    A client keeps a bounded number for each site, 50 at least (RFC 6265, section 6.1). One that sends them all back has
    a header that no server takes.
    """
    request = exchange.request
    count = request.integer("count", 10_000, low=1, high=1_000_000)
    first = request.integer("first", 0, low=0, high=1_000_000)
    last = min(first + _COOKIES_A_PAGE, count)
    cookies = tuple(("Set-Cookie", f"many-{number}={'x' * 20}; Path=/") for number in range(first, last))
    others = range(_COOKIES_A_PAGE, count, _COOKIES_A_PAGE) if first == 0 else ()
    links = "".join(f'<a href="many-cookies?count={count}&amp;first={other}">more</a>\n' for other in others)
    await exchange.respond(page(exchange, links), headers=(*HTML_HEADERS, *cookies))


async def cookie_control_characters(exchange: Exchange) -> None:
    """A cookie with control characters in its name and its value.

    It is to be dropped, or the whole answer refused: sent back, it could end a line of the request.
    """
    whole = reply(200, (*HTML_HEADERS, ("Set-Cookie", "na\x01me=val\x7fue\x0b; Path=/")), page(exchange).encode())
    await exchange.send(whole.data)


GROUP = Group(
    "cookies",
    "Cookies",
    "The pages are pages; what counts is which cookies come back. /echo shows those that do.",
    (
        Behaviour(
            cookie_domain,
            tuple(case(domain=domain) for domain in ("co.uk", "com", "0.0.1", "127.0.0.1", "elsewhere.invalid")),
        ),
        Behaviour(many_cookies),
        Behaviour(cookie_control_characters, (case("done", "failed:bad_framing"),)),
    ),
)
