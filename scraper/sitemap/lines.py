"""Sitemaps of plain text: a URL a line."""

from __future__ import annotations

import re

from scraper.sitemap.collecting import Collector
from scraper.sitemap.values import Form, Stopped

_LINE_END = re.compile(r"[\r\n]")
_URL = re.compile(r"https?://", re.IGNORECASE)


class LineReader:
    """Reads text piece by piece. What does not begin with a URL is no sitemap.

    Args:
        collector: gets the entries.
        max_chars: of a line.
    """

    def __init__(self, collector: Collector, max_chars: int) -> None:
        self._collector = collector
        self._max_chars = max_chars
        self._rest = ""  # of a line whose end has not come
        self._is_skipping = False  # the rest of a line that is too long
        self.form: Form | None = None

    def read(self, text: str) -> None:
        """Raises Stopped if this is no sitemap, or has too many lines."""
        *lines, self._rest = _LINE_END.split(self._rest + text)
        for line in lines:
            self._read_line(line)
        if len(self._rest) > self._max_chars:
            self._read_line(self._rest)
            self._rest = ""
            self._is_skipping = True

    def finish(self) -> None:
        """The last line, which may have no end. Raises Stopped as `read` does."""
        self._read_line(self._rest)
        if self.form is None:
            raise _no_sitemap()

    def _read_line(self, line: str) -> None:
        is_rest, self._is_skipping = self._is_skipping, False
        if is_rest:
            return
        address = line.strip()
        is_url = _URL.match(address) is not None
        if is_url:
            self.form = Form.TEXT
        elif address and self.form is None:
            raise _no_sitemap()
        if len(line) > self._max_chars:
            self._collector.refuse("loc_too_long")
        elif is_url:
            self._collector.add(Form.TEXT, address, "")
        elif address:
            self._collector.left_out["not_a_url"] += 1


def _no_sitemap() -> Stopped:
    return Stopped("not_a_sitemap", "it is neither XML nor a list of URLs")
