"""Content codings: unpacks a body piece by piece, and stops a decompression bomb at the cap.

What comes from where: the codings and their order in a header are RFC 9110 section 8.4, gzip members RFC 1952,
zlib and deflate RFC 1950 and 1951, Brotli RFC 7932, Zstandard frames RFC 8878 and their window on the web
RFC 9659. As in browsers, "deflate" may be bare and bytes behind the end of a gzip or Zstandard stream are ignored.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import brotli

from scraper.fetch.refused import Refused

# Of the two bindings this one bounds what a step may unpack, and it is the standard library from 3.14 on.
if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# One step's output. Pieces of this size keep the joined body the only large allocation.
STEP_BYTES = 65_536
# Curl's bound on stacked codings; more than two is nobody's page.
MAX_CODINGS = 5
# Members of a gzip body or frames of a Zstandard body. Each costs a decoder, also when it holds nothing.
MAX_STREAMS = 1_000
# RFC 9659: a decoder on the web need not reserve a window of more than 8 MB.
_ZSTD_WINDOW_LOG = 23

_FOREIGN = (zlib.error, brotli.error, zstd.ZstdError)


class _Stream(Protocol):
    """One compressed stream: a gzip member, a zlib stream, a Brotli stream, a Zstandard frame."""

    def step(self, data: bytes) -> bytes:
        """Takes all of the data, gives about STEP_BYTES at most; more of it on calls without data."""

    @property
    def has_more(self) -> bool:
        """Whether a call without data may give more."""

    @property
    def is_complete(self) -> bool: ...

    @property
    def rest(self) -> bytes:
        """What came behind the end."""


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._inflate = zlib.decompressobj(wbits)
        self.has_more = False

    def step(self, data: bytes) -> bytes:
        output = self._inflate.decompress(self._inflate.unconsumed_tail + data, STEP_BYTES)
        # A full step may hide output that needs no further input.
        self.has_more = not self._inflate.eof and len(output) == STEP_BYTES
        return output

    @property
    def is_complete(self) -> bool:
        return self._inflate.eof

    @property
    def rest(self) -> bytes:
        return self._inflate.unused_data


class _Deflate:
    """With the zlib header that RFC 9110 asks for, or bare as some servers send it: the first two bytes tell."""

    rest = b""  # nothing follows a deflate stream

    def __init__(self) -> None:
        self._head = b""
        self._stream: _Zlib | None = None

    def step(self, data: bytes) -> bytes:
        if self._stream is None:
            self._head += data
            if len(self._head) < 2:
                return b""
            has_header = self._head[0] & 0x0F == 8 and int.from_bytes(self._head[:2], "big") % 31 == 0
            self._stream = _Zlib(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
            data = self._head
        return self._stream.step(data)

    @property
    def has_more(self) -> bool:
        return self._stream is not None and self._stream.has_more

    @property
    def is_complete(self) -> bool:
        return self._stream is not None and self._stream.is_complete


class _Brotli:
    rest = b""  # the library refuses bytes behind the end

    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()
        self.has_more = False

    def step(self, data: bytes) -> bytes:
        output: bytes = self._decoder.process(data, output_buffer_limit=STEP_BYTES)
        # As above; and input that did not fit is kept inside.
        self.has_more = len(output) >= STEP_BYTES or not self._decoder.can_accept_more_data()
        return output

    @property
    def is_complete(self) -> bool:
        return bool(self._decoder.is_finished())


class _Zstandard:
    def __init__(self) -> None:
        self._decoder = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG},
        )

    def step(self, data: bytes) -> bytes:
        return self._decoder.decompress(data, max_length=STEP_BYTES)

    @property
    def has_more(self) -> bool:
        return not self._decoder.eof and not self._decoder.needs_input

    @property
    def is_complete(self) -> bool:
        return self._decoder.eof

    @property
    def rest(self) -> bytes:
        return self._decoder.unused_data


def _never(_: bytes) -> bool:
    return False


def _starts_member(head: bytes) -> bool:
    return head.startswith(b"\x1f\x8b")


def _starts_frame(head: bytes) -> bool:
    is_skippable = head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F
    return head.startswith(b"\x28\xb5\x2f\xfd") or is_skippable


@dataclass(frozen=True, slots=True)
class _Coding:
    open: Callable[[], _Stream]
    starts_another: Callable[[bytes], bool]
    magic_bytes: int  # that starts_another needs


_GZIP = _Coding(lambda: _Zlib(zlib.MAX_WBITS | 16), _starts_member, 2)
_CODINGS = {
    "gzip": _GZIP,
    "deflate": _Coding(_Deflate, _never, 0),
    "br": _Coding(_Brotli, _never, 0),
    "zstd": _Coding(_Zstandard, _starts_frame, 4),
}
_ALIASES = {"x-gzip": _GZIP}  # RFC 9110 section 8.4.1.3

ACCEPT_ENCODING = ", ".join(_CODINGS)
"""What a request may ask for: exactly what can be unpacked."""


class _Layer:
    """One coding of a body, over all the streams that it is made of."""

    def __init__(self, coding: _Coding, max_bytes: int) -> None:
        self._coding = coding
        self._stream = coding.open()
        self._streams = 1
        self._left_bytes = max_bytes
        self._head = b""  # behind a complete stream, too short to tell whether another begins
        self._is_over = False

    def unpack(self, data: bytes) -> Iterator[bytes]:
        # In slices, because each stream of many keeps a copy of what lies behind it.
        for start in range(0, len(data), STEP_BYTES):
            rest = data[start : start + STEP_BYTES]
            while rest:
                if self._stream.is_complete:
                    rest = self._behind_the_end(rest)
                if rest:
                    yield from self._feed(rest)
                    rest = self._stream.rest

    def finish(self) -> None:
        """Raises Refused unless the data so far was whole."""
        if not self._stream.is_complete:
            raise Refused("truncated_encoding", "the compressed body ends too early")

    def _feed(self, data: bytes) -> Iterator[bytes]:
        while data or self._stream.has_more:
            output = self._stream.step(data)
            data = b""
            self._left_bytes -= len(output)
            if self._left_bytes < 0:
                raise Refused("body_too_large", "the body is larger than the cap when unpacked")
            if output:
                yield output

    def _behind_the_end(self, data: bytes) -> bytes:
        """Opens another stream if one begins here, and gives what to feed it."""
        if self._is_over:
            return b""
        self._head += data
        if len(self._head) < self._coding.magic_bytes:
            return b""
        if not self._coding.starts_another(self._head):
            self._is_over = True
            return b""
        self._streams += 1
        if self._streams > MAX_STREAMS:
            raise Refused("bad_encoding", f"the body is made of more than {MAX_STREAMS} compressed streams")
        self._stream = self._coding.open()
        data, self._head = self._head, b""
        return data


class Decoder:
    """Unpacks one body through the codings that its header names, the last applied first.

    Args:
        content_encoding: the header's value, such as "gzip" or "deflate, br".
        max_bytes: cap on the output of every coding.

    Raises:
        Refused: a coding is unknown, or there are more than five.
    """

    def __init__(self, content_encoding: str, max_bytes: int) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        codings = [name for name in names if name not in ("", "identity")]
        if len(codings) > MAX_CODINGS:
            raise Refused("unknown_encoding", f"{len(codings)} codings are stacked")
        self._layers: list[_Layer] = []
        for name in reversed(codings):
            coding = _CODINGS.get(name) or _ALIASES.get(name)
            if coding is None:
                raise Refused("unknown_encoding", f"the Content-Encoding {name[:40]!r} is unknown")
            self._layers.append(_Layer(coding, max_bytes))

    @property
    def is_identity(self) -> bool:
        """Whether there is nothing to unpack."""
        return not self._layers

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Gives what the data unpacks to, in pieces; must be drained before the next call.

        Raises:
            Refused: garbage, or more than the cap.
        """
        pieces: Iterator[bytes] = iter((data,))
        for layer in self._layers:
            pieces = _through(layer, pieces)
        try:
            yield from pieces
        except _FOREIGN as exc:
            raise Refused("bad_encoding", f"the compressed body is not what it claims to be: {exc}") from exc

    def finish(self) -> None:
        """Raises Refused if the body ended in the middle of a stream."""
        for layer in self._layers:
            layer.finish()


def _through(layer: _Layer, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from layer.unpack(piece)
