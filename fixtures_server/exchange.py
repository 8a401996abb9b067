"""One request and the means to answer it: well-formed, or with any bytes at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol

from fixtures_server.reply import reply

if TYPE_CHECKING:
    from fixtures_server.access_log import Record
    from fixtures_server.request import Request

_STATUS_END = len("HTTP/1.1 200")

HTML_HEADERS = (("Content-Type", "text/html; charset=utf-8"),)


class Channel(Protocol):
    """The connection, as an exchange sees it."""

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...

    def reset(self) -> None: ...

    @property
    def is_asked_again(self) -> bool: ...


class Exchange:
    """One request and its answer. A handler is a coroutine function that takes an exchange.

    `respond` sends a well-formed answer. `send` sends bytes as they are, for everything else. After its handler the
    connection waits for the next request, unless the handler called `close` or the client asked for that.
    If the client goes away the handler is cancelled.
    """

    def __init__(self, request: Request, record: Record, channel: Channel, counts: Counts) -> None:
        self.request = request
        self.keep_alive = request.keep_alive
        self._record = record
        self._channel = channel
        self._counts = counts
        self._beginning = b""  # of the answer, until its status is known

    async def respond(
        self,
        body: bytes | str,
        *,
        status: int = 200,
        headers: tuple[tuple[str, str], ...] = HTML_HEADERS,
    ) -> None:
        """Send an answer with its length; to HEAD its head alone. Text goes out as UTF-8."""
        if not self.keep_alive:
            headers = (*headers, ("Connection", "close"))
        self._record.retry_after_s = _retry_after_s(headers)
        whole = reply(status, headers, body.encode() if isinstance(body, str) else body)
        await self.send(whole.data[: whole.head_bytes] if self.request.method == "HEAD" else whole.data)

    async def send(self, data: bytes) -> None:
        """Send bytes as they are, and wait while the client is slow to take them."""
        record = self._record
        if len(self._beginning) < _STATUS_END:
            self._beginning += data[:_STATUS_END]
            version, _, code = self._beginning[:_STATUS_END].partition(b" ")
            if version == b"HTTP/1.1" and len(code) == 3 and code.isdigit():
                record.status = int(code)
        record.sent_bytes += len(data)
        record.hand_over()
        self._channel.write(data)
        await self._channel.drain()

    @property
    def is_asked_again(self) -> bool:
        """Whether the client has sent something since, which is most likely its next request."""
        return self._channel.is_asked_again

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        self._record.go_on()
        await asyncio.sleep(seconds)

    def close(self) -> None:
        """Close the connection after this exchange, once everything was sent."""
        self.keep_alive = False

    def reset(self) -> None:
        """Break the connection off at once: the client gets a TCP RST, not an end of file."""
        self.keep_alive = False
        self._channel.reset()

    def count(self, key: str) -> int:
        """How often this was called with this key, this time included; the server keeps the count."""
        return self._counts.next(key)


class Counts:
    """How often each key was asked for: the memory behind answers that change from one request to the next."""

    # A crawl of a hundred thousand flaky pages still counts rightly, in about 10 MB. Then the oldest key is forgotten.
    _KEPT_KEYS = 100_000

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def next(self, key: str) -> int:
        """Count one more, and return the count."""
        if key not in self._counts and len(self._counts) >= self._KEPT_KEYS:
            del self._counts[next(iter(self._counts))]
        self._counts[key] = self._counts.get(key, 0) + 1
        return self._counts[key]

    def clear(self) -> None:
        """Forget all counts."""
        self._counts.clear()


def _retry_after_s(headers: Iterable[tuple[str, str]]) -> float | None:
    """The seconds that a Retry-After asks to wait, given as a number or as a date (RFC 9110, section 10.2.3)."""
    for name, value in headers:
        if name.lower() == "retry-after":
            if value.isascii() and value.isdigit():
                return float(value)
            try:
                return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
            except ValueError:
                return None  # an answer may be wrong on purpose
    return None


Handler = Callable[[Exchange], Awaitable[None]]
