"""Unpacks a file that may be gzip, piece by piece, and stops a bomb at the cap."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from scraper.sitemap.values import SitemapLimits, Stopped

_MAGIC = b"\x1f\x8b"
_GZIP_WBITS = zlib.MAX_WBITS | 16

# Below this much output a high ratio is no harm, and small files of one repeated line have one.
_RATIO_COUNTS_FROM_BYTES = 1_048_576

# Each costs a decoder, also when it holds nothing.
_MAX_MEMBERS = 1_000


class Unpacker:
    """Whether a file is packed is seen in its first two bytes: names and headers are often wrong about it.

    Args:
        limits: of which `file_bytes` and `ratio` count here.
        step_bytes: how much one piece may have.
    """

    def __init__(self, limits: SitemapLimits, step_bytes: int) -> None:
        self._limits = limits
        self._step_bytes = step_bytes
        self._member = zlib.decompressobj(_GZIP_WBITS)
        self._members = 1
        self._is_packed: bool | None = None
        self._is_over = False
        self._packed_bytes = 0
        self._unpacked_bytes = 0

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Gives what the data unpacks to; the first data must have two bytes if the file has.

        Raises:
            Stopped: garbage, or more than a cap.
        """
        if self._is_packed is None:
            self._is_packed = data.startswith(_MAGIC)
        self._packed_bytes += len(data)
        if not self._is_packed:
            yield self._counted(data)
        while data and self._is_packed and not self._is_over:
            if self._member.eof:
                data = self._behind_the_end(data)
            else:
                yield from self._inflated(data)
                data = self._member.unused_data

    def finish(self) -> None:
        """Raises Stopped if the file ended in the middle of its packed data."""
        if self._is_packed and not self._member.eof:
            raise Stopped("truncated", "its gzip data ends too early")

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        """Takes all of the data, except for what is behind the end of a member.

        What zlib still holds then comes with the next data: it needs the checksum at the end of a member.
        """
        while data:
            try:
                piece = self._member.decompress(data, self._step_bytes)
            except zlib.error as exc:
                raise Stopped("bad_gzip", f"it begins as gzip and is none: {exc}") from exc
            data = self._member.unconsumed_tail
            if piece:
                yield self._counted(piece)

    def _behind_the_end(self, data: bytes) -> bytes:
        """Opens another member if one begins here; other bytes are ignored, as they are in pages."""
        if data[0] != _MAGIC[0]:
            self._is_over = True
            return b""
        self._members += 1
        if self._members > _MAX_MEMBERS:
            raise Stopped("bad_gzip", f"it is made of more than {_MAX_MEMBERS:,} gzip members")
        self._member = zlib.decompressobj(_GZIP_WBITS)
        return data

    def _counted(self, piece: bytes) -> bytes:
        self._unpacked_bytes += len(piece)
        unpacked_bytes = self._unpacked_bytes
        if unpacked_bytes > self._limits.file_bytes:
            raise Stopped(
                "too_large", f"it is larger than the {self._limits.file_bytes:,} bytes that are read of a file"
            )
        if unpacked_bytes > max(_RATIO_COUNTS_FROM_BYTES, self._packed_bytes * self._limits.ratio):
            raise Stopped("gzip_bomb", f"it unpacks to more than {self._limits.ratio:g} times its size")
        return piece
