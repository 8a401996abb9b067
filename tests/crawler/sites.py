"""Sites with names of their own on one port, answered by functions of the test, and a log of what they were asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from scraper import FetchOptions, Resolve
from tests.fetch.peer import answer

Answer = bytes | Callable[[], bytes | Awaitable[bytes]]


def page(*links: str, title: str = "page") -> bytes:
    anchors = "".join(f'<a href="{link}">{link}</a>' for link in links)
    return answer(f"<title>{title}</title>{anchors}".encode())


def robots(*lines: str) -> bytes:
    return answer("\n".join(lines).encode(), "Content-Type: text/plain")


def redirect(to: str, status: str = "302 Found") -> bytes:
    return answer(b"", f"Location: {to}", status=status)


def status(line: str, *headers: str) -> bytes:
    return answer(b"", *headers, status=line)


@dataclass(slots=True)
class Asked:
    """One request, by the server's monotonic clock."""

    host: str
    path: str
    start_s: float
    end_s: float | None = None


class Sites:
    """One server for any number of names.

    Args:
        sites: by name, then by path; what is not there is 404. Answers are whole, or functions that give them.

    Attributes:
        log: every request, in the order of their arrival.
    """

    def __init__(self, sites: Mapping[str, Mapping[str, Answer]]) -> None:
        self._sites = sites
        self._serving: set[asyncio.Task[None]] = set()
        self.log: list[Asked] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    def url(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.port}{path}"

    def fetch_options(self, **options: object) -> FetchOptions:
        """Sends all the names here."""
        resolve = tuple(Resolve(host=host, port=self.port, address="127.0.0.1") for host in self._sites)
        return FetchOptions(resolve=resolve, **options)  # type: ignore[arg-type]

    def asked(self, host: str) -> list[str]:
        """The paths that a name was asked for, in their order."""
        return [entry.path for entry in self.log if entry.host == host]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head.decode("latin-1"), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, as it may
        finally:
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        first, *fields = head.split("\r\n")
        host = next(field.partition(":")[2].strip() for field in fields if field.lower().startswith("host:"))
        entry = Asked(host.partition(":")[0], first.split(" ")[1], time.monotonic())
        self.log.append(entry)
        found = self._sites[entry.host].get(entry.path, status("404 Not Found"))
        if callable(found):
            made = found()
            found = made if isinstance(made, bytes) else await made
        entry.end_s = time.monotonic()
        if not found:
            raise ConnectionError
        writer.write(found)
        await writer.drain()
