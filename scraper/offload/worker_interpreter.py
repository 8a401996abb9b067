"""One worker in a sub-interpreter as its pool sees it: a thread that lives in one and serves the pool's socket.

    event loop ◄── socket pair ──► worker in a thread of this process, under the GIL of its own interpreter

The socket could be done without, as both ends are in one process: pickling and sending a page of 30 KB takes 8 µs of
the event loop's CPU, and with a queue of shared memory 3. Beside the milliseconds that such a page takes in Python
that is nothing, and in return a worker is the same here as in a process.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from scraper.errors import WorkerStartFailed
from scraper.offload import isolation
from scraper.offload.channel import Channel, memory_file
from scraper.offload.frames import Blob
from scraper.offload.kind import Exit, OnEnd, OnFrame
from scraper.offload.progress import CELL_BYTES, Cell, Doing
from scraper.offload.startup import in_same_place

logger = logging.getLogger(__name__)

# For one that was interrupted just now and will end in a moment; and for what interrupts it, when that shall end. The
# program waits for every thread of an interpreter, and for ever for one that its end has overtaken.
_ENDING_S = 0.1


class WorkerInterpreter:
    """Starts a worker. Call on the event loop, which does not wait for the interpreter.

    An interpreter cannot be killed. One that is to end whatever it runs has an exception raised in its function
    between two bytecodes; C code that does not return keeps it, its memory and, while it holds that interpreter's
    GIL, the program from their end.

    Args:
        greeting: the first frame; see `kind.greeting`.
        on_frame: called for each frame.
        on_end: called once, when its thread has ended.

    Raises:
        WorkerStartFailed: the system does not let us start a thread, or open what connects it.
    """

    def __init__(self, greeting: Any, on_frame: OnFrame, on_end: OnEnd) -> None:
        self._on_end = on_end
        self._last_doing: Doing | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._start(on_frame)
        except (OSError, RuntimeError) as error:
            raise WorkerStartFailed(f"an interpreter could not be started: {error}") from error
        self._channel.send(greeting)

    @property
    def doing(self) -> Doing:
        """What it runs at this moment, or ran when it ended."""
        return self._last_doing or self._cell.read()

    def send(self, what: Any, blobs: Sequence[Blob] = ()) -> None:
        self._channel.send(what, blobs)

    def take_write_cpu_s(self) -> float:
        return self._channel.take_write_cpu_s()

    def terminate(self) -> None:
        """Ends the conversation, whereupon the worker interrupts its function until the socket is closed, too."""
        self._channel.end()

    def kill(self) -> None:
        self.terminate()

    def kill_and_reap(self) -> None:
        self.terminate()
        self._thread.join(_ENDING_S)
        if not self.ended.done():
            if self._thread.is_alive():
                logger.warning("left an interpreter behind: it cannot be stopped before its function returns")
                atexit.register(self._thread.join, _ENDING_S)
            self._finish(Exit("it was let go"))

    def _start(self, on_frame: OnFrame) -> None:
        loop = asyncio.get_running_loop()

        def announce(ending: Exit) -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody is left who could want to know
                loop.call_soon_threadsafe(self._finish, ending)

        with ExitStack() as theirs, ExitStack() as ours:
            our_socket, their_socket = socket.socketpair()
            ours.callback(our_socket.close)
            theirs.callback(their_socket.close)
            cell_fd = memory_file(CELL_BYTES)
            theirs.callback(os.close, cell_fd)
            self._cell = Cell(cell_fd)
            ours.callback(self._cell.close)
            self._channel = Channel(our_socket, on_frame, on_closed=lambda: None)  # its thread is to end, too
            ours.callback(self._channel.close)
            program = in_same_place(
                f"from scraper.offload.inside import main; main({their_socket.fileno()}, {cell_fd})"
            )
            connection = theirs.pop_all()
            life = (program, connection, announce)
            self._thread = threading.Thread(target=_live, args=life, name="scraper-offload-interpreter", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:
                connection.close()
                raise
            self._ours = ours.pop_all()
        atexit.register(self._on_exit)

    def _on_exit(self) -> None:
        """The program ends without having closed its pool."""
        self.terminate()
        self._thread.join(_ENDING_S)
        self._ours.close()
        self._thread.join(_ENDING_S)

    def _finish(self, ending: Exit) -> None:
        if not self.ended.done():
            atexit.unregister(self._on_exit)
            self._channel.read_rest()
            self.ended.set_result(None)
            self._last_doing = self._cell.read()
            self._ours.close()
            self._on_end(ending)


def _live(program: str, connection: ExitStack, announce: Callable[[Exit], None]) -> None:
    """The thread's life: an interpreter's, from its making to its end."""
    ending = Exit("its interpreter ended")
    try:
        with connection:
            interpreter = isolation.create()
            try:
                interpreter.exec(program)
            finally:
                interpreter.close()
    except Exception as error:  # noqa: BLE001  # whatever its program raised, which has no type here
        ending = Exit(f"its interpreter failed: {error}")
    announce(ending)
