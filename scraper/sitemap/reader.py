"""One sitemap, read piece by piece: from bytes, packed or not, to entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from scraper.errors import InvalidOption
from scraper.sitemap.collecting import Collector
from scraper.sitemap.decoding import TextDecoder
from scraper.sitemap.lines import LineReader
from scraper.sitemap.markup import MarkupReader
from scraper.sitemap.unpacking import Unpacker
from scraper.sitemap.values import Entry, Form, Problem, SitemapLimits, Stopped

STEP_BYTES = 4_096
"""How much is unpacked and parsed between two lists of entries: some twenty of them, and 0.2 ms."""

# What stands before XML in spite of the standard, and before text.
_BLANK = " \t\r\n\f\v\ufeff"


class SitemapReader:
    """Takes a file in chunks of any size, and gives its entries as they come, in constant memory.

    The entries do not depend on where the chunks are cut. No content raises anything: reading ends where a file stops
    making sense, and `problem` says why.

        reader = SitemapReader()
        for chunk in chunks:
            for entries in reader.feed(chunk):
                ...
        for entries in reader.close():
            ...

    Args:
        limits: what is read of one file at most.
        since: leaves out what has certainly not changed since then. An entry whose date is unknown stays, and so does
            one whose date is a day, a month or a year that ends later.

    Raises:
        InvalidOption: `since` has no time zone.
    """

    def __init__(self, limits: SitemapLimits | None = None, *, since: datetime | None = None) -> None:
        check_since(since)
        self._limits = limits or SitemapLimits()
        self._waiting = b""
        self._unpacker = Unpacker(self._limits, STEP_BYTES)
        self._decoder = TextDecoder()
        self._collector = Collector(self._limits, since)
        self._reader: MarkupReader | LineReader | None = None
        self._is_closed = False
        self.problem: Problem | None = None

    def __repr__(self) -> str:
        state = self.problem.reason if self.problem else "closed" if self._is_closed else "reading"
        return f"<SitemapReader {self.form or 'of unknown form'}, {self._collector.seen:,} entries, {state}>"

    @property
    def form(self) -> Form | None:
        """What the file is written as; None while that is unknown."""
        return None if self._reader is None else self._reader.form

    @property
    def left_out(self) -> Mapping[str, int]:
        """Reason and count of what was left out so far."""
        return dict(self._collector.left_out)

    def feed(self, chunk: bytes) -> Iterator[list[Entry]]:
        """Gives the entries that the chunk completes, a list (which may be empty) for each step.

        A caller may do something else between the steps. All of them must be taken before the next call.
        """
        # Steps begin at the same offsets wherever chunks are cut: so do the results, and tiny chunks cost little.
        chunk = self._waiting + chunk
        end = len(chunk) - len(chunk) % STEP_BYTES
        self._waiting = chunk[end:]
        for start in range(0, end, STEP_BYTES):
            yield from self._steps(chunk[start : start + STEP_BYTES])

    def close(self) -> Iterator[list[Entry]]:
        """Gives the rest, now that the file has ended."""
        if self._is_closed:
            return
        self._is_closed = True
        rest, self._waiting = self._waiting, b""
        yield from self._steps(rest)
        if self.problem is None:
            try:
                self._finish()
            except Stopped as stopped:
                self.problem = stopped.problem
            yield self._collector.take()

    def _steps(self, data: bytes) -> Iterator[list[Entry]]:
        if self.problem is not None:
            return
        try:
            for piece in self._unpacker.unpack(data):
                self._read(self._decoder.decode(piece))
                yield self._collector.take()
        except Stopped as stopped:
            self.problem = stopped.problem
            yield self._collector.take()

    def _finish(self) -> None:
        self._unpacker.finish()
        self._read(self._decoder.decode(b"", is_last=True))
        if self._reader is None:
            raise Stopped("empty", "it has no content")
        self._reader.finish()

    def _read(self, text: str) -> None:
        if self._reader is None:
            text = text.lstrip(_BLANK)
            if text.startswith("<"):
                self._reader = MarkupReader(self._collector, self._limits)
            elif text:
                self._reader = LineReader(self._collector, self._limits.text_chars)
        if self._reader is not None and text:
            self._reader.read(text)


def check_since(since: datetime | None) -> None:
    """Raises InvalidOption if the moment has no time zone."""
    if since is not None and since.utcoffset() is None:
        raise InvalidOption(f"since {since} has no time zone: give it one, such as datetime.UTC")
