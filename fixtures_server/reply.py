"""Well-formed answers as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is ready to be sent, kept from one request to the next.

    data: head and body in one, so that one system call sends them
    head_bytes: how much of it is the head, for HEAD
    delay_s: the page's latency
    """

    status: int
    data: bytes
    head_bytes: int
    delay_s: float = 0.0

    def head(self, *, keep_alive: bool) -> bytes:
        """The head alone, told to the client whether the connection stays open."""
        head = self.data[: self.head_bytes]
        return head if keep_alive else head[:-2] + b"Connection: close\r\n\r\n"


def response_head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """A status line and header lines, up to the empty line. What is not Latin-1 goes out as UTF-8."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unnamed')}", *(f"{name}: {value}" for name, value in headers)]
    return b"".join(_line(line) for line in lines) + b"\r\n"


def reply(status: int, headers: Iterable[tuple[str, str]], body: bytes, delay_s: float = 0.0) -> Reply:
    """An answer with a body of known length; without one where the status allows none (RFC 9110, section 6.4.1)."""
    if status in (204, 304):
        head = response_head(status, headers)
        return Reply(status, head, len(head), delay_s)
    head = response_head(status, [*headers, ("Content-Length", str(len(body)))])
    return Reply(status, head + body, len(head), delay_s)


def small_page(title: str, content: str = "") -> str:
    """A small page of HTML; the title is text, the content markup."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>\n'
        f"<body><h1>{escape(title)}</h1>\n{content}</body></html>\n"
    )


def _line(line: str) -> bytes:
    try:
        return line.encode("latin-1") + b"\r\n"
    except UnicodeEncodeError:
        return line.encode(errors="surrogateescape") + b"\r\n"
