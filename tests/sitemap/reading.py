"""Reads a whole body, as the tests of this folder do."""

from collections.abc import Iterable
from datetime import datetime

from scraper.sitemap import Entry, SitemapLimits, SitemapReader


def read(
    body: bytes | Iterable[bytes], limits: SitemapLimits | None = None, since: datetime | None = None
) -> tuple[list[Entry], SitemapReader]:
    """The entries of a body, given whole or in chunks, and the reader at its end."""
    reader = SitemapReader(limits, since=since)
    found: list[Entry] = []
    for chunk in [body] if isinstance(body, bytes) else body:
        for entries in reader.feed(chunk):
            found += entries
    for entries in reader.close():
        found += entries
    return found, reader


def locs(body: bytes | Iterable[bytes], limits: SitemapLimits | None = None) -> list[str]:
    return [entry.loc for entry in read(body, limits)[0]]


def problem(body: bytes | Iterable[bytes], limits: SitemapLimits | None = None) -> str | None:
    """The reason of a body's problem."""
    found = read(body, limits)[1].problem
    return None if found is None else found.reason
