"""The wire between a pool and its worker processes: a pickled head, then blobs, each with its length before it.

    u64 bytes that follow | u32 bytes of the head | head: pickle of (what, lengths of the blobs) | blob | blob | …

Blobs are pickles of single payloads and results. They travel apart from the head so that nothing copies them on
the way (they go out in one gathering write, and are unpickled where they came in), and so that one that cannot be
unpickled spoils only itself.
"""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Sequence
from typing import Any

Blob = bytes | memoryview

PREFIX = struct.Struct("<QI")

# Linux takes at most 1024 pieces in one gathering write (IOV_MAX).
MAX_PIECES = 1024


def pack(what: Any, blobs: Sequence[Blob] = ()) -> list[memoryview]:
    """The pieces of one frame, for a gathering write."""
    lengths = [len(blob) for blob in blobs]
    head = pickle.dumps((what, lengths), pickle.HIGHEST_PROTOCOL)
    prefix = PREFIX.pack(len(head) + sum(lengths), len(head))
    return [memoryview(prefix + head), *(memoryview(blob) for blob in blobs if len(blob))]


def unpack(body: memoryview, head_bytes: int) -> tuple[Any, list[memoryview]]:
    """What was packed; the blobs are views into the body."""
    what, lengths = pickle.loads(body[:head_bytes])  # noqa: S301  # from our own worker or pool
    blobs = []
    start = head_bytes
    for length in lengths:
        blobs.append(body[start : start + length])
        start += length
    return what, blobs


def advance(pieces: list[memoryview], sent_bytes: int) -> list[memoryview]:
    """What of the pieces is left to send."""
    for index, piece in enumerate(pieces):
        if sent_bytes < len(piece):
            return [piece[sent_bytes:], *pieces[index + 1 :]]
        sent_bytes -= len(piece)
    return []


def send(sock: socket.socket, pieces: list[memoryview]) -> None:
    """Writes a frame to a blocking socket."""
    while pieces:
        pieces = advance(pieces, sock.sendmsg(pieces[:MAX_PIECES]))


def receive(sock: socket.socket) -> tuple[Any, list[memoryview]] | None:
    """Reads a frame from a blocking socket; None when the other end is gone."""
    prefix = _receive_exactly(sock, PREFIX.size)
    if prefix is None:
        return None
    body_bytes, head_bytes = PREFIX.unpack(prefix)
    body = _receive_exactly(sock, body_bytes)
    return None if body is None else unpack(body, head_bytes)


def _receive_exactly(sock: socket.socket, size: int) -> memoryview | None:
    view = memoryview(bytearray(size))
    got = 0
    while got < size:
        try:
            count = sock.recv_into(view[got:], 0, socket.MSG_WAITALL)
        except ConnectionResetError:
            return None
        if count == 0:
            return None
        got += count
    return view


class FrameAssembler:
    """Puts frames together from what a non-blocking socket has."""

    _USUAL_BYTES = 262_144  # the results of a portion fit, and mostly in one read

    def __init__(self) -> None:
        self._buffer = bytearray(self._USUAL_BYTES)
        self._filled = 0

    def read(self, sock: socket.socket) -> list[tuple[Any, list[memoryview]]] | None:
        """Reads once. Returns the frames that are complete, or None when the other end is gone.

        The blobs are valid until the next call.

        Raises:
            BlockingIOError: there is nothing to read yet.
        """
        if self._filled == 0 and len(self._buffer) != self._USUAL_BYTES:
            self._buffer = bytearray(self._USUAL_BYTES)
        try:
            count = sock.recv_into(memoryview(self._buffer)[self._filled :])
        except ConnectionResetError:
            return None
        if count == 0:
            return None
        self._filled += count
        return self._complete()

    def _complete(self) -> list[tuple[Any, list[memoryview]]]:
        frames = []
        view = memoryview(self._buffer)[: self._filled]
        start = 0
        size = 0
        while self._filled - start >= PREFIX.size:
            body_bytes, head_bytes = PREFIX.unpack_from(view, start)
            size = PREFIX.size + body_bytes
            if self._filled - start < size:
                break
            frames.append(unpack(view[start + PREFIX.size : start + size], head_bytes))
            start += size
            size = 0
        rest = self._filled - start
        if start == 0 and size <= len(self._buffer):
            return frames
        if rest:
            # The frames just returned are views into the old buffer, which they keep alive.
            self._buffer = bytearray(max(self._USUAL_BYTES, size))
            self._buffer[:rest] = view[start:]
        self._filled = rest
        return frames
