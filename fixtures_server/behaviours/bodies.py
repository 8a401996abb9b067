"""Bodies that come through well and are hard to read: character encodings, other types, extreme sizes."""

from __future__ import annotations

import asyncio
import codecs
from html import escape
from typing import TYPE_CHECKING

from fixtures_server.behaviours.behaviour import Behaviour, Group, case, page
from fixtures_server.exchange import HTML_HEADERS
from fixtures_server.reply import response_head
from fixtures_server.request import BadRequest

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange

_ACCENTS = "<p>na\u00efve caf\u00e9 \u00fcber \u00df</p>\n"
# The smallest GIF there is: one transparent pixel.
_GIF = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
_MEGABYTE = 1_000_000


async def charset(exchange: Exchange) -> None:
    """A page in the codec `body` (utf-8) whose header says `header` and whose meta says `meta`; empty is silent.

    A page in any case: the header goes before the page's own word, a name that is none counts for nothing, and what
    cannot be decoded becomes a replacement character.
    """
    request = exchange.request
    name = request.text("body", "utf-8")
    try:
        codec = codecs.lookup(name)
    except LookupError:
        raise BadRequest(f"body names no codec: {name}") from None
    meta = request.text("meta", "")
    declared = f'<meta charset="{meta}">' if meta else ""
    header = request.text("header", "")
    content_type = f"text/html; charset={header}" if header else "text/html"
    html = (
        f"<!DOCTYPE html>\n<html lang=en><head>{declared}<title>charset</title></head><body>{_ACCENTS}</body></html>\n"
    )
    body = codec.encode(html, "xmlcharrefreplace")[0]
    await exchange.respond(body, headers=(("Content-Type", content_type),))


async def lying_charset(exchange: Exchange) -> None:
    """The header and the page say utf-8; the bytes are Latin-1.

    A page, with replacement characters: never an error that escapes.
    """
    await exchange.respond(page(exchange, _ACCENTS).encode("latin-1"))


async def bom(exchange: Exchange) -> None:
    """A page that begins with the byte order mark of UTF-8, and a header that says Latin-1.

    A page: the byte order mark goes before the header (WHATWG Encoding).
    """
    body = codecs.BOM_UTF8 + page(exchange, _ACCENTS).encode()
    await exchange.respond(body, headers=(("Content-Type", "text/html; charset=iso-8859-1"),))


async def utf_16(exchange: Exchange) -> None:
    """A page in UTF-16 with a byte order mark, and no charset in the header.

    A page: its byte order mark says what it is.
    """
    html = page(exchange, _ACCENTS).replace('<meta charset="utf-8">', "")
    await exchange.respond(html.encode("utf-16"), headers=(("Content-Type", "text/html"),))


async def nul_bytes(exchange: Exchange) -> None:
    """NUL bytes in the text, in a tag and in an attribute.

    A page: a parser that ends at the first NUL loses the rest in silence.
    """
    await exchange.respond(page(exchange, '<p cl\0ass="a\0b">be\0fore <a href="/\0">and</a> after</p>\n'))


async def deep_nesting(exchange: Exchange) -> None:
    """`depth` (20000) nested elements.

    A failure, or a page whose deepest text is there. Some parsers take time that grows with the square of the depth,
    some overflow the stack, and lxml leaves out what is deeper than 255 or 2,048 levels and says nothing.
    """
    depth = exchange.request.integer("depth", 20_000, low=1, high=5_000_000)
    await exchange.respond(page(exchange, "<div>" * depth + "deep" + "</div>" * depth))


async def huge_page(exchange: Exchange) -> None:
    """A page of `megabytes` (50), with its length.

    To be refused by its length, before the body is read.
    """
    megabytes = exchange.request.integer("megabytes", 50, low=1, high=10_000)
    line = b"<p>" + b"many words " * 90 + b"</p>\n"
    block = line * (_MEGABYTE // len(line))
    block += b" " * (_MEGABYTE - len(block))
    head = page(exchange, "").encode()
    length = ("Content-Length", str(len(head) + megabytes * _MEGABYTE))
    await exchange.send(response_head(200, (*HTML_HEADERS, length)) + head)
    for _ in range(megabytes):
        await exchange.send(block)


async def endless_page(exchange: Exchange) -> None:
    """A page in chunks that ends only with the connection.

    To be refused when the cap is reached.
    """
    await exchange.send(response_head(200, (*HTML_HEADERS, ("Transfer-Encoding", "chunked"))))
    text = b"<p>" + b"and so on " * 1000 + b"</p>\n"
    while True:  # until the client goes away: then this is cancelled
        await exchange.send(b"%x\r\n%b\r\n" % (len(text), text))


async def many_links(exchange: Exchange) -> None:
    """`count` (100000) links to different addresses below `base` (http://links.invalid/), none of which exists.

    A bounded number of them is taken and the rest counted, or the page is refused for its size. Links are cheap to
    write and dear to keep: each costs a crawler a join, a look-up and a place in its queue.
    """
    count = exchange.request.integer("count", 100_000, low=0, high=5_000_000)
    base = escape(exchange.request.text("base", "http://links.invalid/"))
    links = await asyncio.to_thread(_links, count)  # a million take a second, in which others must be answered
    await exchange.respond(page(exchange, f'<base href="{base}">\n{links}'))


async def base(exchange: Exchange) -> None:
    """A page whose base is `href` (file:///etc/), and a relative link in it.

    The links lead nowhere that the page itself may not lead to: a base out of http and https, or that is no URL,
    does not count.
    """
    href = escape(exchange.request.text("href", "file:///etc/"))
    html = page(exchange, '<a href="hostname">a relative link</a>\n')
    await exchange.respond(html.replace("<head>", f'<head><base href="{href}">', 1))


async def meta_refresh(exchange: Exchange) -> None:
    """Two pages that lead to each other at once, by a meta refresh.

    Two pages: whoever follows a refresh as if it were a redirect needs to bound it as one.
    """
    other = 1 - exchange.request.integer("at", 0, low=0, high=1)
    refresh = f'<meta http-equiv="refresh" content="0; url=meta-refresh?at={other}">'
    await exchange.respond(page(exchange).replace("<head>", f"<head>{refresh}", 1))


async def not_html(exchange: Exchange) -> None:
    """A body whose Content-Type is `type` (image/gif); a picture, whatever the type.

    To be left alone unless somebody asked for that type, by its header: its body need not be read.
    """
    await exchange.respond(_GIF, headers=(("Content-Type", exchange.request.text("type", "image/gif")),))


async def json(exchange: Exchange) -> None:
    """A JSON document.

    As any type that nobody asked for.
    """
    await exchange.respond('{"title": "json", "links": []}\n', headers=(("Content-Type", "application/json"),))


async def no_content_type(exchange: Exchange) -> None:
    """A page without a Content-Type.

    A page: without a type the first bytes decide.
    """
    await exchange.respond(page(exchange), headers=())


async def empty_page(exchange: Exchange) -> None:
    """Status 200, HTML, and no byte of it.

    A page without content; parsers that refuse an empty document must not fail it.
    """
    await exchange.respond(b"")


def _links(count: int) -> str:
    return "".join(f"<a href={number:x}>x</a>\n" for number in range(count))


_DEEP = ("failed:nesting_too_deep", "failed:parse_timeout", "done")
_SKIPPED = "skipped:content_type"

GROUP = Group(
    "bodies",
    "Documents",
    "Bodies that come through well and are hard to read. A page must not crash, hang or fill the process that parses "
    "it, and never cost another page anything.",
    (
        Behaviour(
            charset,
            (
                case(body="utf-8", header="utf-8"),
                case(body="cp1252", meta="windows-1252"),
                case(body="utf-8", header="klingon"),
            ),
        ),
        Behaviour(lying_charset),
        Behaviour(bom),
        Behaviour(utf_16),
        Behaviour(nul_bytes),
        Behaviour(deep_nesting, (case(*_DEEP, depth=20_000), case(*_DEEP, depth=100_000))),
        Behaviour(huge_page, (case("failed:body_too_large"),)),
        Behaviour(endless_page, (case("failed:body_too_large"),)),
        Behaviour(many_links, (case(count=150_000), case("failed:body_too_large", "done", count=1_000_000))),
        Behaviour(
            base,
            (
                case(href="file:///etc/"),
                case(href="javascript:alert(1)//"),
                case(href="http://["),
                case(href="http://10.0.0.1/"),
            ),
        ),
        Behaviour(meta_refresh, (case(), case(at=1))),
        Behaviour(
            not_html, (case(_SKIPPED), case(_SKIPPED, type="application/pdf"), case(_SKIPPED, type="text/plain"))
        ),
        Behaviour(json, (case(_SKIPPED),)),
        Behaviour(no_content_type),
        Behaviour(empty_page),
    ),
)
