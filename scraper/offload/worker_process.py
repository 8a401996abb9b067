"""One worker process as its pool sees it: started, written to, read from, and reaped when it has ended."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from scraper.errors import WorkerStartFailed
from scraper.offload.channel import Channel, memory_file
from scraper.offload.describe import describe_exit
from scraper.offload.frames import Blob
from scraper.offload.kind import Exit, OnEnd, OnFrame
from scraper.offload.progress import CELL_BYTES, Cell, Doing
from scraper.offload.startup import in_same_place, interpreter_options

# A parser allocates a page's tree and frees all of it. glibc would give that memory back to the system after each page
# and ask for it again for the next; told to keep 64 MB, lexbor does twice as many pages of 5 KB a second, and as many
# as before of larger ones (benchmarks/allocator.py). Other C libraries do not read this. (32 MB is the second's most.)
_ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": "67108864", "MALLOC_MMAP_THRESHOLD_": "33554432"}

# A worker whose socket has closed is dying; one that is not dead by then has lost its socket and is of no use.
_DYING_S = 1.0


class WorkerProcess:
    """Starts a worker. Call on the event loop; starting one takes about half a millisecond of it.

    Args:
        greeting: the first frame; see `kind.greeting`.
        on_frame: called for each frame.
        on_end: called once, when the process has been reaped.

    Raises:
        WorkerStartFailed: the system does not let us start a process.
    """

    def __init__(self, greeting: Any, on_frame: OnFrame, on_end: OnEnd) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._last_doing: Doing | None = None
        self._was_killed = False
        self._known_kills = _out_of_memory_kills()
        try:
            self._process = self._start(on_frame)
        except OSError as error:
            raise WorkerStartFailed(f"a worker process could not be started: {error}") from error
        self._exit_fd = _exit_descriptor(self._process.pid)
        if self._exit_fd is not None:
            self._loop.add_reader(self._exit_fd, self._on_exit)
        self.send(greeting)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def doing(self) -> Doing:
        """What it runs at this moment, or ran when it died."""
        return self._last_doing or self._cell.read()

    def send(self, what: Any, blobs: Sequence[Blob] = ()) -> None:
        self._channel.send(what, blobs)

    def take_write_cpu_s(self) -> float:
        return self._channel.take_write_cpu_s()

    def terminate(self) -> None:
        if not self.ended.done():
            self._process.terminate()

    def kill(self) -> None:
        if not self.ended.done():
            self._was_killed = True
            self._process.kill()

    def kill_and_reap(self) -> None:
        """Ends it here and now, blocking for the moment that the kernel takes; for when there is no time to wait."""
        if not self.ended.done():
            self.kill()
            self._finish(self._process.wait())

    def _start(self, on_frame: OnFrame) -> subprocess.Popen[bytes]:
        """Opens what connects both sides, and starts the process with its ends."""
        with ExitStack() as theirs, ExitStack() as ours:
            our_socket, their_socket = socket.socketpair()
            ours.callback(our_socket.close)
            theirs.callback(their_socket.close)
            lifeline, our_lifeline = os.pipe()
            ours.callback(os.close, our_lifeline)
            theirs.callback(os.close, lifeline)
            cell = memory_file(CELL_BYTES)
            theirs.callback(os.close, cell)
            self._cell = Cell(cell)
            ours.callback(self._cell.close)
            process = _spawn(their_socket.fileno(), lifeline, cell)
            self._channel = Channel(our_socket, on_frame, self._on_closed)
            ours.callback(self._channel.close)
            self._ours = ours.pop_all()
            return process

    def _on_closed(self) -> None:
        self._reap(self._loop.time() + _DYING_S)

    def _on_exit(self) -> None:
        """It has ended; what it sent before is still to be read. A child of its own may hold the socket open."""
        self._channel.read_rest()
        self._finish(self._process.wait())

    def _reap(self, deadline_s: float, pause_s: float = 0.001) -> None:
        if self.ended.done():
            return
        returncode = self._process.poll()
        if returncode is not None:
            self._finish(returncode)
            return
        if self._loop.time() >= deadline_s:
            self.kill()
        self._loop.call_later(pause_s, self._reap, deadline_s, min(2 * pause_s, 0.05))

    def _finish(self, returncode: int) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
            self._last_doing = self._cell.read()
            self._release()
            self._on_end(self._exit(returncode))

    def _exit(self, returncode: int) -> Exit:
        # The kernel leaves no other trace of its reason in what a parent may read.
        if returncode == -signal.SIGKILL and not self._was_killed and _out_of_memory_kills() > self._known_kills:
            return Exit("killed by the system, which was out of memory", is_out_of_memory=True)
        return Exit(describe_exit(returncode))

    def _release(self) -> None:
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
    program = in_same_place(f"from scraper.offload.worker import main; main({socket_fd}, {lifeline_fd}, {cell_fd})")
    return subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, *interpreter_options(), "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=2 if _is_open(2) else subprocess.DEVNULL,
        pass_fds=(socket_fd, lifeline_fd, cell_fd),
        process_group=0,
        env=_ALLOCATOR | os.environ,  # what the user has set goes before
    )


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


def _out_of_memory_kills() -> int:
    """How often this kernel has ended a process for lack of memory; 0 where it does not say."""
    try:
        with Path("/proc/vmstat").open("rb") as file:
            return next((int(line.split()[1]) for line in file if line.startswith(b"oom_kill ")), 0)
    except OSError:
        return 0
