"""Bodies that come through well and are hard to read: character encodings, other types, extreme sizes."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from fixtures_server.behaviours.behaviour import Behaviour, page
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
    """A page in the codec `body` (utf-8) whose header says `header` and whose meta says `meta`; empty is silent."""
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
    """The header and the page say utf-8; the bytes are Latin-1."""
    await exchange.respond(page(exchange, _ACCENTS).encode("latin-1"))


async def bom(exchange: Exchange) -> None:
    """A page that begins with the byte order mark of UTF-8, and a header that says Latin-1."""
    body = codecs.BOM_UTF8 + page(exchange, _ACCENTS).encode()
    await exchange.respond(body, headers=(("Content-Type", "text/html; charset=iso-8859-1"),))


async def utf_16(exchange: Exchange) -> None:
    """A page in UTF-16 with a byte order mark, and no charset in the header."""
    html = page(exchange, _ACCENTS).replace('<meta charset="utf-8">', "")
    await exchange.respond(html.encode("utf-16"), headers=(("Content-Type", "text/html"),))


async def nul_bytes(exchange: Exchange) -> None:
    """NUL bytes in the text, in a tag and in an attribute."""
    await exchange.respond(page(exchange, '<p cl\0ass="a\0b">be\0fore <a href="/\0">and</a> after</p>\n'))


async def deep_nesting(exchange: Exchange) -> None:
    """`depth` (20000) nested elements."""
    depth = exchange.request.integer("depth", 20_000, low=1, high=5_000_000)
    await exchange.respond(page(exchange, "<div>" * depth + "deep" + "</div>" * depth))


async def huge_page(exchange: Exchange) -> None:
    """A page of `megabytes` (50), with its length."""
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
    """A page in chunks that ends only with the connection."""
    await exchange.send(response_head(200, (*HTML_HEADERS, ("Transfer-Encoding", "chunked"))))
    text = b"<p>" + b"and so on " * 1000 + b"</p>\n"
    while True:  # until the client goes away: then this is cancelled
        await exchange.send(b"%x\r\n%b\r\n" % (len(text), text))


async def many_links(exchange: Exchange) -> None:
    """`count` (100000) links to different addresses, none of which exists."""
    count = exchange.request.integer("count", 100_000, low=0, high=5_000_000)
    await exchange.respond(page(exchange, "".join(f"<a href=/nowhere/{number}>x</a>\n" for number in range(count))))


async def not_html(exchange: Exchange) -> None:
    """A body whose Content-Type is `type` (image/gif); a picture, whatever the type."""
    await exchange.respond(_GIF, headers=(("Content-Type", exchange.request.text("type", "image/gif")),))


async def json(exchange: Exchange) -> None:
    """A JSON document."""
    await exchange.respond('{"title": "json", "links": []}\n', headers=(("Content-Type", "application/json"),))


async def no_content_type(exchange: Exchange) -> None:
    """A page without a Content-Type."""
    await exchange.respond(page(exchange), headers=())


async def empty_page(exchange: Exchange) -> None:
    """Status 200, HTML, and no byte of it."""
    await exchange.respond(b"")


BEHAVIOURS = (
    Behaviour(charset, ("body=utf-8&header=utf-8", "body=cp1252&meta=windows-1252", "body=utf-8&header=klingon")),
    Behaviour(lying_charset),
    Behaviour(bom),
    Behaviour(utf_16),
    Behaviour(nul_bytes),
    Behaviour(deep_nesting),
    Behaviour(huge_page),
    Behaviour(endless_page),
    Behaviour(many_links),
    Behaviour(not_html, ("", "type=application/pdf", "type=text/plain")),
    Behaviour(json),
    Behaviour(no_content_type),
    Behaviour(empty_page),
)
