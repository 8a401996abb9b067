"""One worker process as its pool sees it: started, written to, read from, and reaped when it has ended.

The socket is read and written by the event loop's plain readiness callbacks with one gathering write for a
portion. Measured on batches of 16 pages of 30 KB: 13 µs of main-process CPU a page, where asyncio's stream
transport takes 40 (it copies what does not fit into the socket at once) and uvloop's takes 13.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from scraper.errors import WorkerStartFailed
from scraper.handlers import main_place
from scraper.offload.frames import MAX_PIECES, Blob, FrameAssembler, advance, pack
from scraper.offload.progress import CELL_BYTES, Cell, Doing

OnFrame = Callable[[Any, list[memoryview], float], None]
"""Takes what a worker sent, its blobs (valid during the call), and the CPU seconds that reading it took."""

# A worker whose socket has closed is dying; one that is not dead by then has lost its socket and is of no use.
_DYING_S = 1.0


class WorkerProcess:
    """Starts a worker. Call on the event loop; starting one takes about half a millisecond of it.

    Args:
        batch_s: after which a running portion is given back.
        on_frame: called for each frame.
        on_end: called once with the exit status as `Popen.returncode` has it, when the process has been reaped.

    Raises:
        WorkerStartFailed: the system does not let us start a process.
    """

    def __init__(self, batch_s: float, on_frame: OnFrame, on_end: Callable[[int], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_frame = on_frame
        self._on_end = on_end
        self._assembler = FrameAssembler()
        self._unsent: list[memoryview] = []
        self._write_cpu_s = 0.0
        self.ended: asyncio.Future[int] = self._loop.create_future()
        self._last_doing: Doing | None = None
        try:
            self._process = self._start()
        except OSError as error:
            raise WorkerStartFailed(f"a worker process could not be started: {error}") from error
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._on_readable)
        self._exit_fd = _exit_descriptor(self._process.pid)
        if self._exit_fd is not None:
            self._loop.add_reader(self._exit_fd, self._on_exit)
        self.send(("hello", main_place(), sys.argv[0] if sys.argv else "", batch_s))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def doing(self) -> Doing:
        """What it runs at this moment, or ran when it died."""
        return self._last_doing or self._cell.read()

    def send(self, what: Any, blobs: Sequence[Blob] = ()) -> None:
        """Sends a frame. Never blocks: what does not fit into the socket goes when there is room."""
        if self.ended.done():
            return
        is_waiting = bool(self._unsent)
        self._unsent.extend(pack(what, blobs))
        if not is_waiting:
            self._write()

    def take_write_cpu_s(self) -> float:
        """CPU seconds spent since the last call on writing what had not fitted into the socket at once."""
        cpu_s, self._write_cpu_s = self._write_cpu_s, 0.0
        return cpu_s

    def terminate(self) -> None:
        if not self.ended.done():
            self._process.terminate()

    def kill(self) -> None:
        if not self.ended.done():
            self._process.kill()

    def kill_and_reap(self) -> None:
        """Ends it here and now, blocking for the moment that the kernel takes; for when there is no time to wait."""
        if not self.ended.done():
            self._process.kill()
            self._finish(self._process.wait())

    def _start(self) -> subprocess.Popen[bytes]:
        """Opens what connects both sides, and starts the process with its ends."""
        with ExitStack() as theirs, ExitStack() as ours:
            self._socket, their_socket = socket.socketpair()
            ours.callback(self._socket.close)
            theirs.callback(their_socket.close)
            lifeline, our_lifeline = os.pipe()
            ours.callback(os.close, our_lifeline)
            theirs.callback(os.close, lifeline)
            cell = _memory_file(CELL_BYTES)
            theirs.callback(os.close, cell)
            self._cell = Cell(cell)
            ours.callback(self._cell.close)
            process = _spawn(their_socket.fileno(), lifeline, cell)
            self._ours = ours.pop_all()
            return process

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
            if not self._read():
                self._stop_io()
                self._reap(self._loop.time() + _DYING_S)

    def _on_exit(self) -> None:
        """It has ended; what it sent before is still to be read. A child of its own may hold the socket open."""
        with suppress(BlockingIOError):
            while self._read():
                pass
        self._finish(self._process.wait())

    def _read(self) -> bool:
        """Reads once; whether the other end is still open."""
        started_cpu_s = time.thread_time()
        frames = self._assembler.read(self._socket)
        if frames:
            read_cpu_s = (time.thread_time() - started_cpu_s) / len(frames)
            for what, blobs in frames:
                self._on_frame(what, blobs, read_cpu_s)
        return frames is not None and not self.ended.done()

    def _stop_io(self) -> None:
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)

    def _reap(self, deadline_s: float, pause_s: float = 0.001) -> None:
        if self.ended.done():
            return
        returncode = self._process.poll()
        if returncode is not None:
            self._finish(returncode)
            return
        if self._loop.time() >= deadline_s:
            self._process.kill()
        self._loop.call_later(pause_s, self._reap, deadline_s, min(2 * pause_s, 0.05))

    def _finish(self, returncode: int) -> None:
        if not self.ended.done():
            self.ended.set_result(returncode)
            self._last_doing = self._cell.read()
            self._release()
            self._on_end(returncode)

    def _release(self) -> None:
        self._stop_io()
        self._unsent = []
        self._ours.close()
        if self._exit_fd is not None:
            self._loop.remove_reader(self._exit_fd)
            os.close(self._exit_fd)
            self._exit_fd = None


def _spawn(socket_fd: int, lifeline_fd: int, cell_fd: int) -> subprocess.Popen[bytes]:
    """Whatever imports here shall import there: the same interpreter, flags and search path.

    A process group of its own keeps Ctrl-C away from it even before it can ignore the signal. What functions print
    goes to the standard error: the standard output may be the crawl's own output.
    """
    if not sys.executable:
        raise OSError("sys.executable is not set")
    here = str(Path.cwd())
    path = [str(entry) or here for entry in sys.path]
    program = (
        f"import sys; sys.path[:] = {path!a}; "
        f"from scraper.offload.worker import main; main({socket_fd}, {lifeline_fd}, {cell_fd})"
    )
    return subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, *_interpreter_options(), "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=2 if _is_open(2) else subprocess.DEVNULL,
        pass_fds=(socket_fd, lifeline_fd, cell_fd),
        process_group=0,
    )


def _interpreter_options() -> list[str]:
    """The command line that gives another interpreter this one's flags and -X options."""
    options: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined] # noqa: SLF001  # as multiprocessing does
    for name, value in sys._xoptions.items():  # noqa: SLF001  # the one place that has them
        option = name if value is True else f"{name}={value}"
        if option not in options and name != "dev":
            options += ["-X", option]
    return options


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _exit_descriptor(pid: int) -> int | None:
    """Becomes readable when the process ends (Linux); elsewhere the end of its socket has to tell."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # a kernel before 5.3, or a sandbox
        return None


def _memory_file(size: int) -> int:
    """A file descriptor that a worker can inherit, of memory only where the system has such files."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("scraper-progress")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return fd
