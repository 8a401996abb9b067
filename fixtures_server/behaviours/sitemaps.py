"""Sitemaps (https://www.sitemaps.org/protocol.html) that cost their reader more than they should."""

from __future__ import annotations

import asyncio
from html import escape
from typing import TYPE_CHECKING

from fixtures_server.behaviours.behaviour import Behaviour, Group, case
from fixtures_server.behaviours.encodings import spaces_in_gzip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fixtures_server.exchange import Exchange

_XML = (("Content-Type", "application/xml"),)
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


async def sitemap(exchange: Exchange) -> None:
    """A sitemap of three pages of this server, and nothing wrong with it.

    Three URLs.
    """
    await _send(exchange, _urlset(f"{_origin(exchange)}/faults/ok?listed={number}" for number in range(3)))


async def sitemap_entities(exchange: Exchange) -> None:
    """Ten entities, each of ten of the one before: a kilobyte that unfolds to ten gigabytes.

    A document type has no place in a sitemap: entities are not unfolded, and the file is given up.
    """
    entities = '<!ENTITY e0 "aaaaaaaaaa">\n' + "".join(
        f'<!ENTITY e{number} "{f"&e{number - 1};" * 10}">\n' for number in range(1, 10)
    )
    text = f"<!DOCTYPE urlset [\n{entities}]>\n{_urlset([f'{_origin(exchange)}/&e9;'], are_escaped=True)}"
    await _send(exchange, text)


async def sitemap_external_entity(exchange: Exchange) -> None:
    """An entity that stands for a file of the machine that reads it.

    Nothing outside of the sitemap is read for it: neither a file nor, through a URL, a server in the reader's network.
    """
    entity = '<!DOCTYPE urlset [<!ENTITY file SYSTEM "file:///etc/hostname">]>\n'
    await _send(exchange, entity + _urlset([f"{_origin(exchange)}/&file;"], are_escaped=True))


async def sitemap_gzip_bomb(exchange: Exchange) -> None:
    """A packed sitemap of `megabytes` (200) of white space in 200 KB.

    A .xml.gz is unpacked by its reader and not by HTTP, so the cap on bodies does not hold for what it becomes.
    """
    packed = await asyncio.to_thread(spaces_in_gzip, exchange.request.integer("megabytes", 200, low=1, high=10_000))
    await exchange.respond(packed, headers=(("Content-Type", "application/gzip"),))


async def sitemap_of_itself(exchange: Exchange) -> None:
    """A sitemap index that lists itself, and itself by other addresses.

    The same file is read once, indexes to a bounded depth, and no more than a bounded number of files.
    """
    place = f"{_origin(exchange)}{exchange.request.path}"
    step = exchange.request.integer("step", 0, low=0, high=10**9)
    listed = "".join(f"<sitemap><loc>{escape(url)}</loc></sitemap>\n" for url in (place, f"{place}?step={step + 1}"))
    await _send(exchange, f"<sitemapindex {_NAMESPACE}>\n{listed}</sitemapindex>\n")


async def sitemap_long(exchange: Exchange) -> None:
    """`count` (60000) URLs; the protocol allows 50,000.

    To be read piece by piece, and its URLs taken as fast as there is room for them, up to a bound.
    """
    count = exchange.request.integer("count", 60_000, low=0, high=5_000_000)
    origin = _origin(exchange)
    await _send(exchange, _urlset(f"{origin}/nowhere/{number}" for number in range(count)))


async def sitemap_of_others(exchange: Exchange) -> None:
    """URLs of other hosts, of other schemes and of none, and one of this server.

    A sitemap speaks for its own site: what is out of scope stays out, whoever lists it.
    """
    others = (
        "http://elsewhere.invalid/",
        "http://10.0.0.1/",
        "file:///etc/hostname",
        "javascript:alert(1)",
        "http://[",
    )
    await _send(exchange, _urlset([*others, f"{_origin(exchange)}/faults/ok?listed=here"]))


async def _send(exchange: Exchange, text: str) -> None:
    await exchange.respond(_DECLARATION + text, headers=_XML)


def _urlset(urls: Iterable[str], *, are_escaped: bool = False) -> str:
    entries = "".join(f"<url><loc>{url if are_escaped else escape(url)}</loc></url>\n" for url in urls)
    return f"<urlset {_NAMESPACE}>\n{entries}</urlset>\n"


def _origin(exchange: Exchange) -> str:
    return f"http://{escape(exchange.request.headers.host)}"


_XML_PAGE = (case("done", "skipped:content_type"),)

GROUP = Group(
    "sitemaps",
    "Sitemaps",
    "Files that tell a crawler where to go, written by strangers. Given to a reader of sitemaps they are what is said "
    "here; found by a link they are XML like any other, and where that is read as pages, pages.",
    (
        Behaviour(sitemap, _XML_PAGE),
        Behaviour(sitemap_entities, _XML_PAGE),
        Behaviour(sitemap_external_entity, _XML_PAGE),
        Behaviour(sitemap_gzip_bomb, (case("skipped:content_type"),)),
        Behaviour(sitemap_of_itself, _XML_PAGE),
        Behaviour(sitemap_long, _XML_PAGE),
        Behaviour(sitemap_of_others, _XML_PAGE),
    ),
)
