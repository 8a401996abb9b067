"""Content encodings (RFC 9110, section 8.4): every common one, broken ones, and bodies that grow without end."""

from __future__ import annotations

import gzip as gzip_format
import importlib
import sys
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fixtures_server.behaviours.behaviour import Behaviour, page
from fixtures_server.exchange import HTML_HEADERS

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange

_RAW_DEFLATE = -15
_MEGABYTE = 1_000_000


async def gzip(exchange: Exchange) -> None:
    """Content-Encoding: gzip, with nothing wrong."""
    await _respond(exchange, "gzip", gzip_format.compress(page(exchange).encode()))


async def gzip_members(exchange: Exchange) -> None:
    """A gzip body of two members, one after the other, which is allowed."""
    body = page(exchange).encode()
    middle = len(body) // 2
    await _respond(exchange, "gzip", gzip_format.compress(body[:middle]) + gzip_format.compress(body[middle:]))


async def gzip_truncated(exchange: Exchange) -> None:
    """A gzip body that ends half-way, in an answer that is otherwise complete."""
    packed = gzip_format.compress(page(exchange, _paragraphs(200)).encode())
    await _respond(exchange, "gzip", packed[: len(packed) // 2])


async def gzip_garbage(exchange: Exchange) -> None:
    """Content-Encoding: gzip, and the body is not compressed at all."""
    await _respond(exchange, "gzip", page(exchange).encode())


async def gzip_trailing_garbage(exchange: Exchange) -> None:
    """A whole gzip body with other bytes behind it."""
    await _respond(exchange, "gzip", gzip_format.compress(page(exchange).encode()) + b"\xff\xfe and so on")


async def gzip_empty(exchange: Exchange) -> None:
    """Content-Encoding: gzip, and no body."""
    await _respond(exchange, "gzip", b"")


async def gzip_bomb(exchange: Exchange) -> None:
    """A gzip body a thousandth of what it unpacks to: `megabytes` (200)."""
    await _respond(exchange, "gzip", _gzip_bomb(exchange.request.integer("megabytes", 200, low=1, high=10_000)))


async def deflate(exchange: Exchange) -> None:
    """Content-Encoding: deflate, in the zlib format that the standard asks for."""
    await _respond(exchange, "deflate", zlib.compress(page(exchange).encode()))


async def deflate_raw(exchange: Exchange) -> None:
    """Content-Encoding: deflate without the zlib wrapper, as some servers send it."""
    packer = zlib.compressobj(wbits=_RAW_DEFLATE)
    await _respond(exchange, "deflate", packer.compress(page(exchange).encode()) + packer.flush())


async def br(exchange: Exchange) -> None:
    """Content-Encoding: br."""
    await _respond(exchange, "br", _brotli(page(exchange).encode()))


async def br_bomb(exchange: Exchange) -> None:
    """A brotli body that unpacks to `megabytes` (200)."""
    await _respond(exchange, "br", _brotli_bomb(exchange.request.integer("megabytes", 200, low=1, high=10_000)))


async def zstd(exchange: Exchange) -> None:
    """Content-Encoding: zstd."""
    await _respond(exchange, "zstd", _zstd(page(exchange).encode()))


async def zstd_bomb(exchange: Exchange) -> None:
    """A zstd body that unpacks to `megabytes` (200)."""
    await _respond(exchange, "zstd", _zstd_bomb(exchange.request.integer("megabytes", 200, low=1, high=10_000)))


async def stacked_encodings(exchange: Exchange) -> None:
    """Content-Encoding: gzip, br: packed twice, to be unpacked from the right."""
    await _respond(exchange, "gzip, br", _brotli(gzip_format.compress(page(exchange).encode())))


async def unknown_encoding(exchange: Exchange) -> None:
    """A content encoding that nobody knows: `name` (rot13)."""
    name = exchange.request.text("name", "rot13")
    await _respond(exchange, name, page(exchange).encode())


async def _respond(exchange: Exchange, encoding: str, body: bytes) -> None:
    await exchange.respond(body, headers=(*HTML_HEADERS, ("Content-Encoding", encoding)))


def _paragraphs(count: int) -> str:
    return "".join(f"<p>Paragraph {number} of {count}.</p>\n" for number in range(count))


@lru_cache(maxsize=2)  # a bomb is asked for again and again in one test, and takes tenths of a second to make
def _gzip_bomb(megabytes: int) -> bytes:
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


BEHAVIOURS = (
    Behaviour(gzip),
    Behaviour(gzip_members),
    Behaviour(gzip_truncated),
    Behaviour(gzip_garbage),
    Behaviour(gzip_trailing_garbage),
    Behaviour(gzip_empty),
    Behaviour(gzip_bomb),
    Behaviour(deflate),
    Behaviour(deflate_raw),
    Behaviour(br),
    Behaviour(br_bomb),
    Behaviour(zstd),
    Behaviour(zstd_bomb),
    Behaviour(stacked_encodings),
    Behaviour(unknown_encoding),
)
