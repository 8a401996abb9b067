"""What a host may answer for its robots.txt (RFC 9309).

A robots.txt counts only at the root of its host: here the answers stand to be looked at, and a host of its own serves
one of them by its handler. None of them needs a parameter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fixtures_server.behaviours.behaviour import Behaviour, Group, case, page
from fixtures_server.exchange import HTML_HEADERS
from fixtures_server.reply import small_page

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange

_TEXT = (("Content-Type", "text/plain; charset=utf-8"),)
_KEPT_BYTES = 500 * 1024  # a crawler reads at least that much (RFC 9309, section 2.5)
_LONGEST_S = 600.0


async def robots_refusing(exchange: Exchange) -> None:
    """Nobody may fetch anything.

    No page of the host is fetched.
    """
    await _send(exchange, "User-agent: *\nDisallow: /\n")


async def robots_error(exchange: Exchange) -> None:
    """500, and no file.

    Nothing is known, so nothing is allowed (section 2.3.1.4); to be asked for again later.
    """
    await exchange.respond(page(exchange), status=500)


async def robots_silence(exchange: Exchange) -> None:
    """No answer, for ten minutes.

    As an error of the server: nothing is allowed for the time being, and other hosts do not wait for it.
    """
    await exchange.pause(_LONGEST_S)
    exchange.close()


async def robots_missing(exchange: Exchange) -> None:
    """404: there are no rules.

    Everything is allowed (section 2.3.1.3).
    """
    await exchange.respond(page(exchange), status=404)


async def robots_large(exchange: Exchange) -> None:
    """Over 500 KiB: `Disallow: /early/` in front of that place, `Disallow: /` behind it.

    What stands in the first 500 KiB counts: /early/ is not allowed, the rest is or is not. The file is not kept.
    """
    filling = ("# nothing to see\n" * (_KEPT_BYTES // 17 + 1)).encode()
    await _send(exchange, "User-agent: *\nDisallow: /early/\n" + filling.decode() + "Disallow: /\n" + "# x\n" * 30_000)


async def robots_redirects(exchange: Exchange) -> None:
    """Five redirects, then a file that refuses everything.

    At least five are followed (section 2.3.1.2): nothing is allowed.
    """
    await _redirected(exchange, 5)


async def robots_many_redirects(exchange: Exchange) -> None:
    """Twenty redirects, then a file that refuses everything.

    To be given up after five or more, as if there were no file: everything is allowed.
    """
    await _redirected(exchange, 20)


async def robots_html(exchange: Exchange) -> None:
    """A page where the file should be, as sites answer that have one page for everything.

    It holds no rules: everything is allowed.
    """
    await exchange.respond(small_page("Home", "<p>User-agent: this is a page</p>\n<p>Disallow: nothing</p>\n"))


async def robots_binary(exchange: Exchange) -> None:
    """Bytes that are no text, with NUL among them.

    It holds no rules: everything is allowed, and nothing crashes.
    """
    await exchange.respond(bytes(range(256)) * 64, headers=_TEXT)


async def robots_patterns(exchange: Exchange) -> None:
    """10,000 patterns of many `*` each, none of which matches.

    Each URL is matched in time that grows with the lengths alone. Made into regular expressions, one of them takes
    longer than the universe is old. /public/ is allowed.
    """
    stars = "*a" * 30
    lines = "".join(f"Disallow: /{stars}*b{number}$\n" for number in range(10_000))
    await _send(exchange, f"User-agent: *\n{lines}Allow: /public/\n")


async def robots_delay_huge(exchange: Exchange) -> None:
    """Crawl-delay: 1e9, which is 30 years.

    The server's word on pace, to be kept to up to a bound.
    """
    await _send(exchange, "User-agent: *\nCrawl-delay: 1e9\n")


async def robots_delay_negative(exchange: Exchange) -> None:
    """Crawl-delay: -1.

    No time at all: the line does not count.
    """
    await _send(exchange, "User-agent: *\nCrawl-delay: -1\n")


async def robots_delay_nan(exchange: Exchange) -> None:
    """Crawl-delay: NaN.

    No number at all, though many a parser takes it: every comparison with it is false, and so is the wait.
    """
    await _send(exchange, "User-agent: *\nCrawl-delay: NaN\n")


async def _send(exchange: Exchange, text: str) -> None:
    await exchange.respond(text, headers=_TEXT)


async def _redirected(exchange: Exchange, hops: int) -> None:
    at = exchange.request.integer("at", 0, low=0, high=hops)
    if at < hops:
        location = ("Location", f"{exchange.request.path}?at={at + 1}")
        await exchange.respond(page(exchange), status=302, headers=(location, *HTML_HEADERS))
    else:
        await _send(exchange, "User-agent: *\nDisallow: /\n")


_FILE = (case("skipped:content_type"),)

GROUP = Group(
    "robots",
    "robots.txt",
    "A robots.txt counts at the root of its host only, so on this page they are files like others; what is said here "
    "holds for a host that answers so.",
    (
        Behaviour(robots_refusing, _FILE),
        Behaviour(robots_error, (case("failed:http_500"),)),
        Behaviour(robots_silence, (case("failed:timeout"),)),
        Behaviour(robots_missing, (case("failed:http_404"),)),
        Behaviour(robots_large, _FILE),
        Behaviour(robots_redirects, _FILE),
        Behaviour(robots_many_redirects, (case("failed:too_many_redirects", "skipped:content_type"),)),
        Behaviour(robots_html),
        Behaviour(robots_binary, _FILE),
        Behaviour(robots_patterns, _FILE),
        Behaviour(robots_delay_huge, _FILE),
        Behaviour(robots_delay_negative, _FILE),
        Behaviour(robots_delay_nan, _FILE),
    ),
)
