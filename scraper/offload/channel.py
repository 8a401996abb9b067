"""What connects a worker with its pool: the pool's end of the socket, and the memory for the worker's progress.

The socket is read and written by the event loop's plain readiness callbacks with one gathering write for a
portion. Measured on batches of 16 pages of 30 KB: 13 µs of main-process CPU a page, where asyncio's stream
transport takes 40 (it copies what does not fit into the socket at once) and uvloop's takes 13.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from scraper.offload.frames import MAX_PIECES, Blob, FrameAssembler, advance, pack
from scraper.offload.kind import OnFrame


class Channel:
    """Frames to and from one worker. Call on the event loop.

    Args:
        sock: connected to the worker; the channel closes it.
        on_frame: called for each frame.
        on_closed: called once, when the worker has closed its end.
    """

    def __init__(self, sock: socket.socket, on_frame: OnFrame, on_closed: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._assembler = FrameAssembler()
        self._unsent: list[memoryview] = []
        self._write_cpu_s = 0.0
        self._is_closed = False
        sock.setblocking(False)
        self._loop.add_reader(sock, self._on_readable)

    def send(self, what: Any, blobs: Sequence[Blob] = ()) -> None:
        """Sends a frame. Never blocks: what does not fit into the socket goes when there is room."""
        if self._is_closed:
            return
        is_waiting = bool(self._unsent)
        self._unsent.extend(pack(what, blobs))
        if not is_waiting:
            self._write()

    def take_write_cpu_s(self) -> float:
        """CPU seconds spent since the last call on writing what had not fitted into the socket at once."""
        cpu_s, self._write_cpu_s = self._write_cpu_s, 0.0
        return cpu_s

    def read_rest(self) -> None:
        """Reads what a worker that has ended sent before."""
        with suppress(BlockingIOError):
            while self._read():
                pass

    def end(self) -> None:
        """Lets the worker know that nothing more comes; what it sends is still read."""
        if not self._is_closed:
            with suppress(OSError):  # it has closed its own end
                self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._unsent = []
            self._stop()
            self._socket.close()

    def _stop(self) -> None:
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)

    def _write(self) -> None:
        try:
            while self._unsent:
                sent_bytes = self._socket.sendmsg(self._unsent[:MAX_PIECES])
                self._unsent = advance(self._unsent, sent_bytes)
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._on_writable)
        except OSError:
            self._unsent = []  # it is dead or dying, which the reading side will learn

    def _on_writable(self) -> None:
        started_cpu_s = time.thread_time()
        self._loop.remove_writer(self._socket)
        self._write()
        self._write_cpu_s += time.thread_time() - started_cpu_s

    def _on_readable(self) -> None:
        with suppress(BlockingIOError):
            if not self._read() and not self._is_closed:
                self._stop()
                self._on_closed()

    def _read(self) -> bool:
        """Reads once; whether there may be more."""
        if self._is_closed:
            return False
        started_cpu_s = time.thread_time()
        frames = self._assembler.read(self._socket)
        if frames:
            read_cpu_s = (time.thread_time() - started_cpu_s) / len(frames)
            for what, blobs in frames:
                self._on_frame(what, blobs, read_cpu_s)
        return frames is not None


def memory_file(size: int) -> int:
    """A file descriptor that a worker can inherit, of memory only where the system has such files."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("scraper-progress")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return fd
