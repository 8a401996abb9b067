from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from scraper.offload.frames import FrameAssembler, advance, pack, receive, send

FRAMES = [
    (("run", 1), [b"a" * 10, b"", b"b" * 100_000]),
    (("close",), []),
    (("run", 2), [b"c" * 3_000_000]),
    (("run", 3), [b"d"]),
]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def send_all(sock: socket.socket) -> None:
    for what, blobs in FRAMES:
        send(sock, pack(what, blobs))
    sock.shutdown(socket.SHUT_WR)


def test_frames_arrive_as_they_were_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    sender = threading.Thread(target=send_all, args=(theirs,))
    sender.start()
    for frame in FRAMES:
        received = receive(ours)
        assert received is not None
        assert (received[0], [bytes(blob) for blob in received[1]]) == frame
    assert receive(ours) is None
    sender.join()


@pytest.mark.parametrize("piece_bytes", [1, 7, 300_000])
def test_frames_are_assembled_from_any_pieces(pair: tuple[socket.socket, socket.socket], piece_bytes: int) -> None:
    """A stream socket gives what it has: half a prefix, or three frames and a half."""
    ours, theirs = pair
    ours.setblocking(False)
    frames = FRAMES if piece_bytes > 7 else [(what, [blob[:50] for blob in blobs]) for what, blobs in FRAMES]
    stream = b"".join(bytes(piece) for what, blobs in frames for piece in pack(what, blobs))
    assembler = FrameAssembler()
    assembled = []
    for start in range(0, len(stream), piece_bytes):
        rest = memoryview(stream)[start : start + piece_bytes]
        while rest:
            theirs.settimeout(0.0)
            with suppress(BlockingIOError):
                rest = rest[theirs.send(rest) :]
            complete = assembler.read(ours)
            assert complete is not None
            assembled += [(what, [bytes(blob) for blob in blobs]) for what, blobs in complete]
    while len(assembled) < len(frames):
        complete = assembler.read(ours)
        assert complete is not None
        assembled += [(what, [bytes(blob) for blob in blobs]) for what, blobs in complete]
    assert assembled == frames
    theirs.close()
    assert assembler.read(ours) is None


def test_a_write_that_stops_anywhere_goes_on_there() -> None:
    pieces = pack("head", [b"abc", b"defg"])
    whole = b"".join(pieces)
    for sent in range(len(whole) + 1):
        assert b"".join(advance(pieces, sent)) == whole[sent:]
