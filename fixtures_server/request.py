"""Requests: the head of an HTTP/1.1 message as values (RFC 9112), and its query as typed parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl, unquote_to_bytes


class BadRequest(Exception):
    """The request cannot be answered as it stands; the server says so with this status and closes.

    status: the status code of the answer
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message, status)
        self.message = message
        self.status = status


class Headers:
    """The header lines of a request, and what the server needs to know of them.

    Clients send the same lines again and again, so a connection parses a block of them once and keeps the result.
    """

    def __init__(self, block: bytes) -> None:
        self.items: tuple[tuple[str, str], ...] = tuple(_header(line) for line in block.split(b"\r\n") if line)
        by_name: dict[str, str] = {}
        for name, value in self.items:
            by_name[name] = f"{by_name[name]}, {value}" if name in by_name else value
        self.host = by_name.get("host", "")
        self.user_agent = by_name.get("user-agent", "")
        self.asks_to_close = "close" in by_name.get("connection", "").lower()
        self.expects_continue = by_name.get("expect", "").lower() == "100-continue"
        self.is_chunked = "chunked" in by_name.get("transfer-encoding", "").lower()
        length = by_name.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise BadRequest(f"Content-Length is not a number: {length}")
        self.content_length = int(length)
        self.has_body = self.is_chunked or self.content_length > 0
        self.accepts_gzip = "gzip" in by_name.get("accept-encoding", "").lower()
        self.accepts_json = "application/json" in by_name.get("accept", "").lower()


@dataclass(frozen=True)
class Request:
    """One request, read whole.

    target: path and query as they were sent
    keep_alive: whether the connection may stay open: the client speaks HTTP/1.1 and does not ask to close it
    """

    method: str
    target: str
    headers: Headers = field(repr=False)
    keep_alive: bool
    body: bytes = field(default=b"", repr=False)

    @cached_property
    def path(self) -> str:
        """The path, percent-decoded, without the query."""
        return decoded_path(self.target.encode("latin-1")).decode(errors="surrogateescape")

    @cached_property
    def query(self) -> dict[str, str]:
        """The parameters of the query; of several with one name the last counts."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    def text(self, name: str, default: str) -> str:
        """A parameter as text without line breaks, which would end a header. Raises BadRequest."""
        value = self.query.get(name, default)
        if "\r" in value or "\n" in value:
            raise BadRequest(f"{name} must not hold a line break")
        return value

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        """A parameter as a whole number. Raises BadRequest unless it lies between `low` and `high`."""
        value = self.number(name, default, low=low, high=high)
        if value != int(value):
            raise BadRequest(f"{name} must be a whole number, not {value}")
        return int(value)

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """A parameter as a number. Raises BadRequest unless it lies between `low` and `high`."""
        given = self.query.get(name)
        try:
            value = default if given is None else float(given)
        except ValueError:
            raise BadRequest(f"{name} must be a number, not {given}") from None
        if not low <= value <= high:
            raise BadRequest(f"{name} must be between {low:g} and {high:g}, not {given}")
        return value


def decoded_path(target: bytes) -> bytes:
    """The path of a request target, without its query, percent-decoded."""
    return unquote_to_bytes(target.partition(b"?")[0])


def chunked_body(data: bytes, largest_bytes: int) -> tuple[bytes, int] | None:
    """A chunked body at the start of `data` and the bytes it took, or None while some of it is missing.

    Raises BadRequest where the framing is wrong or the body larger than `largest_bytes` (RFC 9112, section 7.1).
    """
    parts: list[bytes] = []
    position = size = 0
    while True:
        end = data.find(b"\r\n", position)
        if end < 0:
            return None
        digits = data[position:end].partition(b";")[0].strip()
        if not digits or digits.strip(b"0123456789abcdefABCDEF"):  # int() would take a sign and more
            raise BadRequest("a chunk size is not a number")
        length = int(digits, 16)
        size += length
        if size > largest_bytes:
            raise BadRequest(f"the body is larger than {largest_bytes} bytes", 413)
        position = end + 2
        if length == 0:
            break
        if len(data) < position + length + 2:
            return None
        parts.append(data[position : position + length])
        position += length + 2
    while True:  # trailers, which nobody reads, up to an empty line
        end = data.find(b"\r\n", position)
        if end < 0:
            return None
        if end == position:
            return b"".join(parts), end + 2
        position = end + 2


def _header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    if not colon or not name or name != name.strip():
        raise BadRequest("a header line is not 'name: value'")
    return name.decode("latin-1").lower(), value.strip().decode("latin-1")
