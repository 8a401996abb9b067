"""A fixture server in a child process, seen from Python."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self
from urllib.parse import urlencode, urlsplit

from fixtures_server.access_log import CONTROL_PREFIX, LogEntry
from fixtures_server.corpus import Corpus
from fixtures_server.errors import FixtureServerError
from fixtures_server.options import CorpusOptions, SiteOptions, WorldOptions
from fixtures_server.site import SyntheticSite
from fixtures_server.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

EXIT_WITH_PARENT = "--exit-with-parent"
READY = "serving "  # begins the one line that the server prints, when it listens; the URL follows

_STARTING_S = 30.0  # an interpreter starts in 0.2 s; on a machine under full load it may be many times that
_STOPPING_S = 5.0  # the server gives its clients one second
_POLL_S = 0.005
_ANSWERING_S = 30.0  # a full log takes seconds to write out


class ServerProcess:
    """A server in a process of its own, for the length of a `with` or an `async with`.

    arguments: of `python -m fixtures_server`
    log_file: where to append each request as a line of JSON, besides the log in memory
    host: a loopback address

    The server ends with the block, and at the latest with this process, however that ends.
    """

    _errors: IO[bytes]  # what the child writes to its standard error, from its launch on
    _deadline_s: float

    def __init__(self, arguments: Sequence[str], log_file: str | os.PathLike[str] | None, host: str) -> None:
        self._host = host
        log = [] if log_file is None else [f"--access-log={os.fspath(log_file)}"]
        self._arguments = [f"--host={host}", *log, *arguments]
        self._child: subprocess.Popen[bytes] | None = None
        self._printed = b""
        self._url = ""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._url if self._child is not None else 'not running'}>"

    async def __aenter__(self) -> Self:
        self._launch()
        try:
            while not self._is_ready():  # noqa: ASYNC110 -- another process sets no event here
                await asyncio.sleep(_POLL_S)
        except BaseException:
            self._kill()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ask_to_stop()
        try:
            while not self._has_stopped():  # noqa: ASYNC110 -- as above
                await asyncio.sleep(_POLL_S)
        finally:
            self._kill()

    def __enter__(self) -> Self:
        self._launch()
        try:
            while not self._is_ready():
                time.sleep(_POLL_S)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ask_to_stop()
        try:
            while not self._has_stopped():
                time.sleep(_POLL_S)
        finally:
            self._kill()

    # Addresses.

    @property
    def url(self) -> str:
        """The address of the server's first page: of a synthetic site all can be reached from there."""
        if not self._url:
            raise FixtureServerError("the fixture server is not running: enter it with `with` or `async with`")
        return self._url

    @property
    def pid(self) -> int:
        """The server's process, to measure what it uses."""
        if self._child is None:
            raise FixtureServerError("the fixture server is not running")
        return self._child.pid

    # The access log.

    async def access_log(self) -> list[LogEntry]:
        """The requests so far, the oldest first: the last 200,000. Raises FixtureServerError."""
        return _entries(await self._ask("GET", "access-log"))

    def access_log_blocking(self) -> list[LogEntry]:
        """As `access_log`, for callers without an event loop."""
        return _entries(self._ask_blocking("GET", "access-log"))

    async def reset(self) -> None:
        """Forget the access log, and how often each flaky address has failed."""
        await self._ask("POST", "reset")

    def reset_blocking(self) -> None:
        """As `reset`, for callers without an event loop."""
        self._ask_blocking("POST", "reset")

    async def _ask(self, method: str, name: str) -> bytes:
        address = urlsplit(self.url)
        try:
            async with asyncio.timeout(_ANSWERING_S):
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
                try:
                    writer.write(_control_request(method, name, address.netloc))
                    answer = await reader.read()
                finally:
                    writer.close()
                    await writer.wait_closed()
        except OSError as exc:  # TimeoutError is one
            raise FixtureServerError(f"the fixture server at {self.url} does not answer: {exc!r}") from exc
        return _control_answer(answer)

    def _ask_blocking(self, method: str, name: str) -> bytes:
        address = urlsplit(self.url)
        try:
            with socket.create_connection((address.hostname, address.port), timeout=_ANSWERING_S) as connection:
                connection.sendall(_control_request(method, name, address.netloc))
                answer = b"".join(iter(lambda: connection.recv(1 << 20), b""))
        except OSError as exc:
            raise FixtureServerError(f"the fixture server at {self.url} does not answer: {exc!r}") from exc
        return _control_answer(answer)

    # The process: each of these decides at once; the callers do the waiting.

    def _launch(self) -> None:
        if self._child is not None:
            raise FixtureServerError("the fixture server is running already")
        package = Path(__file__).parent.parent
        search = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- a pipe that nobody reads would fill up and block it
        self._printed = b""
        self._deadline_s = time.monotonic() + _STARTING_S
        self._child = subprocess.Popen(  # noqa: S603 -- our own module and validated options
            # -P: the current directory may hold modules that hide others.
            [sys.executable, "-P", "-m", "fixtures_server", EXIT_WITH_PARENT, *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(search)},
            # Ctrl-C in a terminal is for the crawl, which may want to finish what is in flight.
            start_new_session=True,
        )
        assert self._child.stdout is not None
        os.set_blocking(self._child.stdout.fileno(), False)

    def _is_ready(self) -> bool:
        """Whether the server listens. Raises FixtureServerError once it is clear that it will not."""
        child = self._child
        assert child is not None
        assert child.stdout is not None
        ended = child.poll() is not None  # before reading: what it printed last is then there to be read
        self._printed += child.stdout.read() or b""
        line, newline, _ = self._printed.partition(b"\n")
        if newline and line.startswith(READY.encode()):
            self._url = line.decode().removeprefix(READY).split()[0]
            return True
        if ended:
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            reason = said[-1] if said else f"it ended with status {child.returncode}"
            raise FixtureServerError(f"the fixture server did not start: {reason}")
        if time.monotonic() > self._deadline_s:
            raise FixtureServerError(f"the fixture server did not start within {_STARTING_S:g} s")
        return False

    def _ask_to_stop(self) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        self._deadline_s = time.monotonic() + _STOPPING_S
        self._child.stdin.close()

    def _has_stopped(self) -> bool:
        assert self._child is not None
        return self._child.poll() is not None or time.monotonic() > self._deadline_s

    def _kill(self) -> None:
        """Leave nothing behind: neither the process, nor a pipe to it, nor what it had to say of its mistakes."""
        child, self._child, self._url = self._child, None, ""
        if child is None:
            return
        if child.poll() is None:
            child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        self._errors.seek(0)
        sys.stderr.write(self._errors.read().decode(errors="replace"))
        self._errors.close()


class FixtureServer(ServerProcess):
    """A site for crawlers in a process of its own, for the length of a `with` or an `async with`.

        async with FixtureServer(SiteOptions(pages=50, latency_s=0.1)) as site:
            found = await crawl(site.url)
            assert found == site.urls()

    options: a synthetic site (the default), or `CorpusOptions` for a directory
    log_file: where to append each request as a line of JSON, besides the log in memory
    host: a loopback address

    The server ends with the block, and at the latest with this process, however that ends.
    Raises OptionsRefused for a directory that cannot be served, and on entering FixtureServerError where the
    server does not start.
    """

    def __init__(
        self,
        options: SiteOptions | CorpusOptions | None = None,
        *,
        log_file: str | os.PathLike[str] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.options = options if options is not None else SiteOptions()
        self.content: SyntheticSite | Corpus = (
            Corpus(self.options) if isinstance(self.options, CorpusOptions) else SyntheticSite(self.options)
        )
        super().__init__(_site_arguments(self.options), log_file, host)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]} {self.options}>"

    def url_of(self, page: int) -> str:
        """The address of a page by its number; 0 is the first page. Raises IndexError where there is none."""
        content = self.content
        path = content.path_of(page) if isinstance(content, SyntheticSite) else content.paths()[page]
        return self.url.rstrip("/") + path

    def urls(self) -> set[str]:
        """The address of every page: what a crawl from `url` must find on a synthetic site, neither more nor less."""
        origin = self.url.rstrip("/")
        return {origin + path for path in self.content.paths()}

    def fault(self, name: str, **parameters: str | float) -> str:
        """The address of a named behaviour, with the parameters that its line at `/faults/` tells of."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        return f"{self.url}faults/{name}{query}"


class FixtureWorld(ServerProcess):
    """Many hosts in one server process, for the length of a `with` or an `async with`.

        async with FixtureWorld(WorldOptions(hosts=50)) as server:
            await crawl(server.world.seeds, server.world.resolve)
            assert not judge(await server.access_log(), Rules(hosts=server.world.rules)).violations

    options: how many hosts, and what they are like
    log_file: where to append each request as a line of JSON, besides the log in memory
    host: a loopback address; all names lead there

    Raises as `FixtureServer` does.
    """

    def __init__(
        self,
        options: WorldOptions | None = None,
        *,
        log_file: str | os.PathLike[str] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.options = options if options is not None else WorldOptions()
        self._world = World(self.options, port=0, address=host)
        super().__init__(_world_arguments(self.options), log_file, host)

    @property
    def world(self) -> World:
        """The hosts with the port that they have in this run."""
        port = urlsplit(self.url).port
        assert port is not None
        if self._world.port != port:
            self._world = World(self.options, port, self._host)
        return self._world


def _site_arguments(options: SiteOptions | CorpusOptions) -> list[str]:
    given: dict[str, object] = {"latency": options.latency_s, "seed": options.seed}
    given["distribution"] = options.distribution
    if isinstance(options, CorpusOptions):
        given["corpus"] = options.directory
    else:
        given["pages"] = options.pages
        given["page-bytes"] = options.page_bytes
        given["links"] = options.links_per_page
        given["fan-out"] = options.fan_out
    arguments = _arguments(given)
    return [*arguments, "--gzip"] if options.gzip else arguments


def _world_arguments(options: WorldOptions) -> list[str]:
    return _arguments(
        {
            "world": options.hosts,
            "pages": options.pages,
            "page-bytes": options.page_bytes,
            "links": options.links_per_page,
            "corpus": options.directory,
            "latency": options.latency_s,
            "crawl-delay": options.crawl_delay_s,
            "down": options.down_s,
            "seed": options.seed,
        }
    )


def _arguments(given: Mapping[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in given.items() if value is not None]


def _control_request(method: str, name: str, host: str) -> bytes:
    return f"{method} {CONTROL_PREFIX}{name} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()


def _control_answer(answer: bytes) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 204 ") or head.endswith(f"\r\nContent-Length: {len(body)}".encode()):
        return body
    raise FixtureServerError("the fixture server stopped in the middle of an answer")


def _entries(lines: bytes) -> list[LogEntry]:
    return [LogEntry.from_json(line) for line in lines.splitlines()]
