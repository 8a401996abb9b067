"""A server that does exactly what it is told, byte by byte; for what the fixture server has no name for."""

import asyncio
import socket
import struct
from enum import Enum
from types import TracebackType
from typing import Self

HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole response with its length; the type is HTML unless the headers name one."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    if not any(line.lower().startswith("content-type") for line in headers):
        lines.append("Content-Type: text/html")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def turns() -> None:
    """Lets everybody on this event loop take what has arrived."""
    for _ in range(50):
        await asyncio.sleep(0)


class Step(Enum):
    """What a peer does between the bytes that it sends."""

    ASKED = "wait for the next request on this connection"
    TURNS = "give the client time to take what was sent: some turns of the event loop that both share"
    MARK = "tell the test that all before this was sent"
    HANG = "send nothing more, until the client closes"
    RESET = "tear the connection down"


Script = tuple[bytes | Step, ...]


class Peer:
    """Plays one script a connection; the last script serves all further connections.

    Attributes:
        scripts: the same; may be set before the first connection, where they depend on another peer's URL.
        requests: every request, as it came.
        connections: how many were accepted.
        open: how many are open now.
        most_open: how many were at a time.
        marked: set by `Step.MARK`.
    """

    def __init__(self, *scripts: Script) -> None:
        self.scripts = scripts
        self.requests: list[bytes] = []
        self.connections = 0
        self.open = self.most_open = 0
        self.marked = asyncio.Event()
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**24)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self.until_open(0)

    async def until_open(self, count: int) -> None:
        """Waits until this many connections are open."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.open == count)

    async def until_asked(self, count: int) -> None:
        """Waits until this many requests have come in all."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        await self._count(+1)
        try:
            for step in script:
                await self._do(step, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, as it may
        finally:
            writer.close()
            await self._count(-1)

    async def _do(self, step: bytes | Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match step:
            case Step.ASKED:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self.requests.append(head + await reader.readexactly(int(length or 0)))
                async with self._changed:
                    self._changed.notify_all()
            case Step.TURNS:
                await turns()
            case Step.MARK:
                self.marked.set()
            case Step.HANG:
                await reader.read()
            case Step.RESET:
                raw: socket.socket = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            case _:
                writer.write(step)
                await writer.drain()

    async def _count(self, change: int) -> None:
        async with self._changed:
            self.open += change
            self.most_open = max(self.most_open, self.open)
            self._changed.notify_all()
