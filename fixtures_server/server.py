"""The server: which request gets which answer, and the listening socket."""

from __future__ import annotations

import asyncio
import gzip
import json
from abc import ABC, abstractmethod
from html import escape
from typing import TYPE_CHECKING

from fixtures_server import gallery
from fixtures_server.access_log import CONTROL_PREFIX, AccessLog
from fixtures_server.connection import Connection
from fixtures_server.content import latency_s
from fixtures_server.exchange import HTML_HEADERS, Counts
from fixtures_server.reply import reply, small_page
from fixtures_server.request import BadRequest, decoded_path

if TYPE_CHECKING:
    from fixtures_server.content import Content, Resource
    from fixtures_server.exchange import Exchange, Handler
    from fixtures_server.options import CorpusOptions, SiteOptions
    from fixtures_server.reply import Reply
    from fixtures_server.request import Request

FAULTS_PREFIX = gallery.FAULTS_PREFIX
_RESERVED = (FAULTS_PREFIX.encode(), CONTROL_PREFIX.encode())

# Answers are kept until they fill this, then the others are made anew each time: a crawl asks for every page once, so
# to evict one page for another would only cost. 256 MB hold 20,000 pages of 12 KB, or 6,000 of 40 KB, and leave a
# small machine its memory.
_KEPT_REPLY_BYTES = 256 * 1024 * 1024
_BACKLOG = 4096  # connections that wait to be accepted: more than any crawler opens at once; the kernel may hold fewer
_CLOSING_S = 1.0  # what was written gets this long to reach its client when the server stops


class Listener(ABC):
    """A listening socket on a loopback address, its connections, and the requests about the server itself.

    log: where requests are noted
    """

    def __init__(self, log: AccessLog) -> None:
        self.log = log
        self.counts = Counts()
        self._connections: set[Connection] = set()
        self._accepted = 0
        self._listener: asyncio.Server | None = None
        self._all_closed = asyncio.Event()

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port: the one given, or a free one for 0. Raises OSError where that fails."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._accept, host, port, backlog=_BACKLOG)
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Stop listening, give up what is under way and close every connection."""
        if self._listener is not None:
            self._listener.close()
        self._all_closed.clear()
        for connection in list(self._connections):
            connection.close()
        if self._connections:
            try:
                await asyncio.wait_for(self._all_closed.wait(), _CLOSING_S)
            except TimeoutError:
                for connection in list(self._connections):
                    connection.abort()

    # What a connection asks for.

    @abstractmethod
    def ready_reply(self, target: bytes, *, gzip: bool) -> Reply | None:
        """The answer to a GET of a page, or None where there is none ready."""

    def handler(self, request: Request) -> Handler:
        """What answers a request that has no reply ready."""
        path = request.path
        if path == CONTROL_PREFIX + "access-log":
            return self._show_log
        if path == CONTROL_PREFIX + "reset":
            return self._reset
        return self.page_handler(request)

    @abstractmethod
    def page_handler(self, request: Request) -> Handler:
        """What answers a request that is not about the server itself."""

    def _accept(self) -> Connection:
        self._accepted += 1
        return Connection(self, self._accepted)

    def opened(self, connection: Connection) -> None:
        """A connection is there; it is closed when the server stops."""
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        if not self._connections:
            self._all_closed.set()

    # Handlers.

    async def _show_log(self, exchange: Exchange) -> None:
        headers = (("Content-Type", "application/jsonl"),)
        await exchange.respond(self.log.json_lines(), headers=headers)

    async def _reset(self, exchange: Exchange) -> None:
        if exchange.request.method != "POST":  # so that no crawler and no browser comes upon it
            raise BadRequest("reset is asked for with POST", 405)
        self.forget()
        await exchange.respond(b"", status=204)

    def forget(self) -> None:
        """Begin anew: what was asked so far is forgotten."""
        self.log.clear()
        self.counts.clear()


class Server(Listener):
    """A site on one loopback address.

    content: the pages
    options: the same content's options, for latency and gzip
    log: where requests are noted
    """

    def __init__(self, content: Content, options: SiteOptions | CorpusOptions, log: AccessLog) -> None:
        super().__init__(log)
        self._content = content
        self._options = options
        self._replies: dict[bytes, Reply] = {}
        self._gzip_replies: dict[bytes, Reply] = {}
        self._kept_bytes = 0

    def ready_reply(self, target: bytes, *, gzip: bool) -> Reply | None:
        """The answer to a GET of a page, made when it is first asked for; None where there is no page."""
        gzip = gzip and self._options.gzip
        path = decoded_path(target) if b"%" in target or b"?" in target else target
        replies = self._gzip_replies if gzip else self._replies
        found = replies.get(path)
        if found is not None or path.startswith(_RESERVED):
            return found
        text = path.decode(errors="surrogateescape")
        resource = self._content.resource(text)
        if resource is None:
            return None
        found = self._reply(text, resource, gzip=gzip)
        if self._kept_bytes + len(found.data) <= _KEPT_REPLY_BYTES:
            self._kept_bytes += len(found.data)
            replies[path] = found
        return found

    def page_handler(self, request: Request) -> Handler:
        """What answers a request that has no reply ready."""
        path = request.path
        if path in ("/echo", "/echo.json"):
            return _echo
        if path == FAULTS_PREFIX.rstrip("/") or path.startswith(FAULTS_PREFIX):
            return gallery.fault_handler(path) or not_found
        return self._page

    def _reply(self, path: str, resource: Resource, *, gzip: bool) -> Reply:
        headers = [("Content-Type", resource.content_type)]
        body = resource.body
        if resource.location is not None:
            headers.append(("Location", resource.location))
        if self._options.gzip:
            headers.append(("Vary", "Accept-Encoding"))
        if gzip and resource.status == 200 and resource.content_type.startswith("text/"):
            headers.append(("Content-Encoding", "gzip"))
            body = resource.gzipped if resource.gzipped is not None else _gzipped(body)
        options = self._options
        delay_s = latency_s(options.latency_s, options.distribution, options.seed, path)
        return reply(resource.status, headers, body, delay_s)

    # Handlers.

    async def _page(self, exchange: Exchange) -> None:
        """A page, where the client asks for it otherwise than by a plain GET."""
        request = exchange.request
        ready = self.ready_reply(request.target.encode("latin-1"), gzip=request.headers.accepts_gzip)
        if ready is None:
            await not_found(exchange)
        elif request.method not in ("GET", "HEAD"):
            await exchange.respond(small_page("405"), status=405, headers=(("Allow", "GET, HEAD"), *HTML_HEADERS))
        else:
            await exchange.pause(ready.delay_s)
            head = ready.head(keep_alive=exchange.keep_alive)
            await exchange.send(head if request.method == "HEAD" else head + ready.data[ready.head_bytes :])


async def not_found(exchange: Exchange) -> None:
    """There is no such page."""
    await exchange.respond(small_page("404", "<p>There is no such page.</p>\n"), status=404)


async def _echo(exchange: Exchange) -> None:
    """The request itself: as JSON at /echo.json or for a client that accepts JSON, else as a page."""
    request = exchange.request
    headers = request.headers
    body = request.body.decode("utf-8", "replace")
    if request.path.endswith(".json") or headers.accepts_json:
        seen = {"method": request.method, "target": request.target, "headers": headers.items, "body": body}
        await exchange.respond(json.dumps(seen) + "\n", headers=(("Content-Type", "application/json"),))
        return
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>\n" for name, value in headers.items)
    content = (
        f'<p id="method">{escape(request.method)}</p>\n<p id="target">{escape(request.target)}</p>\n'
        f'<table class="headers">\n{rows}</table>\n<pre id="body">{escape(body)}</pre>\n'
    )
    await exchange.respond(small_page("Echo", content))


def _gzipped(body: bytes) -> bytes:
    # No time in it: the same page is the same bytes. Level 6 is what common servers use at most.
    return gzip.compress(body, 6, mtime=0)
