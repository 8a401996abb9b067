"""Links without end. Each ends after `pages` (50) pages, unless it is asked for more, up to a thousand million."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from fixtures_server.behaviours.behaviour import Behaviour, Group, page
from fixtures_server.reply import small_page

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange

_PAGES = 50
_MOST_PAGES = 1_000_000_000  # as good as endless
_LONG_URL_CHARACTERS = 2_000_000


async def calendar(exchange: Exchange) -> None:
    """A calendar with a link to the next month, for ever: `pages` (50) months of it.

    Every page is new and none is of use: a budget for each host or for each pattern of URLs ends it.
    """
    pages, month = _bound(exchange), exchange.request.integer("month", 0, low=0, high=_MOST_PAGES)
    title = f"<h2>{month % 12 + 1:02} / {2026 + month // 12}</h2>\n"
    link = f'<a href="calendar?pages={pages}&amp;month={month + 1}">next month</a>\n' if month + 1 < pages else ""
    await exchange.respond(page(exchange, title + link))


async def session_ids(exchange: Exchange) -> None:
    """The same page under a new session id in each link, for ever: `pages` (50) of them.

    One page under many addresses: what repeats itself word for word, or in a parameter like `sid`, is met once.
    """
    pages, given = _bound(exchange), exchange.request.text("sid", "")
    step = int(given[:8], 16) if given[:8].strip("0123456789abcdef") == "" and given else 0
    following = f"{step + 1:08x}"
    following += hashlib.sha256(following.encode()).hexdigest()[:24]
    link = f'<a href="session-ids?pages={pages}&amp;sid={following}">the same again</a>\n' if step + 1 < pages else ""
    await exchange.respond(page(exchange, link))


async def repeated_segments(exchange: Exchange) -> None:
    """A relative link that lacks its slash, so that each page is one level deeper: `pages` (50) of them.

    The same words again and again in a path are the sign of a mistake in a link, and no place on the site.
    """
    pages = _bound(exchange)
    level = exchange.request.path.split("/").count("photos")
    here = "" if level else "repeated-segments/"
    link = f'<a href="{here}photos/?pages={pages}">photos</a>\n' if level + 1 < pages else ""
    await exchange.respond(small_page("repeated-segments", link))


async def long_url(exchange: Exchange) -> None:
    """A link whose URL has `characters` (2000000) characters.

    A page; the link is left out and counted. Servers take some 8,000, and every URL is kept, compared and logged.
    """
    characters = exchange.request.integer("characters", _LONG_URL_CHARACTERS, low=1, high=50_000_000)
    await exchange.respond(page(exchange, f'<a href="ok?{"x" * characters}">a long way</a>\n'))


def _bound(exchange: Exchange) -> int:
    return exchange.request.integer("pages", _PAGES, low=1, high=_MOST_PAGES)


GROUP = Group(
    "traps",
    "Traps",
    "Sites that never end, mostly by mistake. A crawl without a budget never ends either; here each trap ends after "
    "fifty pages, unless its URL asks for more, such as pages=1000000000.",
    (
        Behaviour(calendar),
        Behaviour(session_ids),
        Behaviour(repeated_segments, has_paths=True),
        Behaviour(long_url),
    ),
)
