"""Content encodings (RFC 9110, section 8.4): every common one, broken ones, and bodies that grow without end."""

from __future__ import annotations

import asyncio
import gzip as gzip_format
import importlib
import sys
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fixtures_server.behaviours.behaviour import Behaviour, Group, case, page
from fixtures_server.exchange import HTML_HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixtures_server.exchange import Exchange

_RAW_DEFLATE = -15
_MEGABYTE = 1_000_000


async def gzip(exchange: Exchange) -> None:
    """Content-Encoding: gzip, with nothing wrong.

    A page.
    """
    await _respond(exchange, "gzip", gzip_format.compress(page(exchange).encode()))


async def gzip_members(exchange: Exchange) -> None:
    """A gzip body of two members, one after the other, which is allowed.

    A page, of both (RFC 1952, section 2.2): a decoder that stops after the first loses half of it.
    """
    body = page(exchange).encode()
    middle = len(body) // 2
    await _respond(exchange, "gzip", gzip_format.compress(body[:middle]) + gzip_format.compress(body[middle:]))


async def gzip_truncated(exchange: Exchange) -> None:
    """A gzip body that ends half-way, in an answer that is otherwise complete.

    A failure that may be tried again. Many decoders give what they have and say nothing, and half a page becomes an
    item.
    """
    packed = gzip_format.compress(page(exchange, _paragraphs(200)).encode())
    await _respond(exchange, "gzip", packed[: len(packed) // 2])


async def gzip_garbage(exchange: Exchange) -> None:
    """Content-Encoding: gzip, and the body is not compressed at all.

    A failure: what is not gzip is not read as if it were a page.
    """
    await _respond(exchange, "gzip", page(exchange).encode())


async def gzip_trailing_garbage(exchange: Exchange) -> None:
    """A whole gzip body with other bytes behind it.

    A page; what follows is ignored, as browsers do, or the answer refused.
    """
    await _respond(exchange, "gzip", gzip_format.compress(page(exchange).encode()) + b"\xff\xfe and so on")


async def gzip_empty(exchange: Exchange) -> None:
    """Content-Encoding: gzip, and no body.

    A page without content: an empty body needs no unpacking.
    """
    await _respond(exchange, "gzip", b"")


async def gzip_bomb(exchange: Exchange) -> None:
    """A gzip body a thousandth of what it unpacks to: `megabytes` (200).

    To be refused when what is unpacked exceeds the cap, and not after: the cap holds for both sizes, while they come.
    """
    await _respond(exchange, "gzip", await _bomb(exchange, spaces_in_gzip))


async def deflate(exchange: Exchange) -> None:
    """Content-Encoding: deflate, in the zlib format that the standard asks for.

    A page.
    """
    await _respond(exchange, "deflate", zlib.compress(page(exchange).encode()))


async def deflate_raw(exchange: Exchange) -> None:
    """Content-Encoding: deflate without the zlib wrapper, as some servers send it.

    A page, as browsers read it: the first bytes tell the two apart.
    """
    packer = zlib.compressobj(wbits=_RAW_DEFLATE)
    await _respond(exchange, "deflate", packer.compress(page(exchange).encode()) + packer.flush())


async def br(exchange: Exchange) -> None:
    """Content-Encoding: br.

    A page.
    """
    await _respond(exchange, "br", _brotli(page(exchange).encode()))


async def br_bomb(exchange: Exchange) -> None:
    """A brotli body that unpacks to `megabytes` (200).

    To be refused when what is unpacked exceeds the cap, and not after: the cap holds for both sizes, while they come.
    """
    await _respond(exchange, "br", await _bomb(exchange, _brotli_bomb))


async def zstd(exchange: Exchange) -> None:
    """Content-Encoding: zstd.

    A page.
    """
    await _respond(exchange, "zstd", _zstd(page(exchange).encode()))


async def zstd_bomb(exchange: Exchange) -> None:
    """A zstd body that unpacks to `megabytes` (200).

    To be refused when what is unpacked exceeds the cap, and not after: the cap holds for both sizes, while they come.
    """
    await _respond(exchange, "zstd", await _bomb(exchange, _zstd_bomb))


async def stacked_encodings(exchange: Exchange) -> None:
    """Content-Encoding: gzip, br: packed twice, to be unpacked from the right.

    A page.
    """
    await _respond(exchange, "gzip, br", _brotli(gzip_format.compress(page(exchange).encode())))


async def stacked_bomb(exchange: Exchange) -> None:
    """A gzip body in a gzip body, which unpacks from less than a kilobyte to `megabytes` (200).

    The cap holds for every layer, not only for the last: each must be unpacked piece by piece.
    """
    inner = await _bomb(exchange, spaces_in_gzip)
    await _respond(exchange, "gzip, gzip", gzip_format.compress(inner))


async def many_encodings(exchange: Exchange) -> None:
    """Packed with gzip `layers` (100) times over, as the header says.

    To be refused: nobody packs so often, and each layer costs a decoder.
    """
    layers = exchange.request.integer("layers", 100, low=1, high=1000)
    body = page(exchange).encode()
    for _ in range(layers):
        body = gzip_format.compress(body, 1)
    await _respond(exchange, ", ".join(["gzip"] * layers), body)


async def unknown_encoding(exchange: Exchange) -> None:
    """A content encoding that nobody knows: `name` (rot13).

    A failure. Passed on as it came, it would be read as text.
    """
    name = exchange.request.text("name", "rot13")
    await _respond(exchange, name, page(exchange).encode())


async def _bomb(exchange: Exchange, make: Callable[[int], bytes]) -> bytes:
    """Made in a thread: it takes tenths of a second, in which others must be answered."""
    return await asyncio.to_thread(make, exchange.request.integer("megabytes", 200, low=1, high=10_000))


async def _respond(exchange: Exchange, encoding: str, body: bytes) -> None:
    await exchange.respond(body, headers=(*HTML_HEADERS, ("Content-Encoding", encoding)))


def _paragraphs(count: int) -> str:
    return "".join(f"<p>Paragraph {number} of {count}.</p>\n" for number in range(count))


@lru_cache(maxsize=2)  # a bomb is asked for again and again in one test, and takes tenths of a second to make
def spaces_in_gzip(megabytes: int) -> bytes:
    """Spaces in gzip format. After a full flush equal input gives equal output, so one megabyte is packed once."""
    spaces = b" " * _MEGABYTE
    packer = zlib.compressobj(9, wbits=_RAW_DEFLATE)
    packed = packer.compress(spaces) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(megabytes):
        checksum = zlib.crc32(spaces, checksum)
    size = megabytes * _MEGABYTE % 2**32
    header = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    last_block = b"\x03\x00"
    return header + packed * megabytes + last_block + checksum.to_bytes(4, "little") + size.to_bytes(4, "little")


def _brotli(data: bytes) -> bytes:
    import brotli  # noqa: PLC0415 -- only these pages need it, and the server starts sooner without

    packed: bytes = brotli.compress(data, quality=5)
    return packed


@lru_cache(maxsize=2)
def _brotli_bomb(megabytes: int) -> bytes:
    import brotli  # noqa: PLC0415

    packer = brotli.Compressor(quality=5)
    spaces = b" " * _MEGABYTE
    return b"".join([*(packer.process(spaces) for _ in range(megabytes)), packer.finish()])


@lru_cache(maxsize=2)
def _zstd_bomb(megabytes: int) -> bytes:
    packer = _zstd_module().ZstdCompressor()
    spaces = b" " * _MEGABYTE
    return b"".join([*(packer.compress(spaces) for _ in range(megabytes)), packer.flush()])


def _zstd(data: bytes) -> bytes:
    return bytes(_zstd_module().compress(data))


def _zstd_module() -> Any:
    # Part of Python from 3.14 on; before, the same module is a package of its own.
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


_TOO_LARGE = (case("failed:body_too_large"),)

GROUP = Group(
    "encodings",
    "Content encodings",
    "A body that is packed is whole only when it unpacks to its end, and its size is what it unpacks to.",
    (
        Behaviour(gzip),
        Behaviour(gzip_members),
        Behaviour(gzip_truncated, (case("failed:truncated_encoding"),)),
        Behaviour(gzip_garbage, (case("failed:bad_encoding"),)),
        Behaviour(gzip_trailing_garbage, (case("done", "failed:bad_encoding"),)),
        Behaviour(gzip_empty),
        Behaviour(gzip_bomb, _TOO_LARGE),
        Behaviour(deflate),
        Behaviour(deflate_raw),
        Behaviour(br),
        Behaviour(br_bomb, _TOO_LARGE),
        Behaviour(zstd),
        Behaviour(zstd_bomb, _TOO_LARGE),
        Behaviour(stacked_encodings),
        Behaviour(stacked_bomb, _TOO_LARGE),
        Behaviour(many_encodings, (case("failed:unknown_encoding"),)),
        Behaviour(unknown_encoding, (case("failed:unknown_encoding"),)),
    ),
)
