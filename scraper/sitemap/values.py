"""What reading sitemaps exchanges: small frozen values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from scraper.model import Failure, Skip
from scraper.options import check_positive
from scraper.urls import MAX_URL_CHARS

Fetch = Callable[[str], Awaitable[bytes | Failure | Skip]]
"""Gets the body behind a canonical URL, with content codings undone, or says why not."""


class Form(StrEnum):
    """What an entry, or a file, is written as."""

    URLSET = "urlset"
    INDEX = "sitemapindex"
    RSS = "rss"
    ATOM = "atom"
    TEXT = "text"


class Entry(NamedTuple):
    """One address that a sitemap lists.

    Args:
        loc: as it stands in the file, without white space around it; nothing says that it is a URL.
        lastmod: aware; the first moment of what the file names, such as a day or a year. None if unknown.
        form: what the entry is written as.
    """

    loc: str
    lastmod: datetime | None
    form: Form

    @property
    def is_index(self) -> bool:
        """Whether the address is another sitemap's and not a page's."""
        return self.form is Form.INDEX


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file was not read to its end, as data.

    Args:
        reason: a short stable word that statistics count by; the package's table has them all.
        detail: a sentence for the person who reads it.
    """

    reason: str
    detail: str


class Stopped(Exception):
    """Ends the reading of a file from deep inside it. It never leaves this package."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = Problem(reason, detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class SitemapLimits:
    """Bounds on what sites may send. The protocol allows 50 MB and 50,000 entries a file; some have more.

    Args:
        file_bytes: of one file, unpacked.
        ratio: of unpacked to packed bytes, from 1 MB on. Real files reach 30; gzip cannot exceed 1,032.
        file_entries: of one file.
        xml_depth: nested elements.
        text_chars: of one address.
        files: that a walk fetches.
        index_depth: indexes above a file. The protocol allows one.
        urls: that a walk gives.

    Raises:
        InvalidOption: a bound is not above zero.
    """

    file_bytes: int = 256 * 1024 * 1024
    ratio: float = 200.0
    file_entries: int = 1_000_000
    xml_depth: int = 32
    text_chars: int = MAX_URL_CHARS
    files: int = 10_000
    index_depth: int = 3
    urls: int = 10_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            check_positive(field.name, getattr(self, field.name))
