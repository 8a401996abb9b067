"""The handler of crawls through the fixture server's gallery; workers import it from here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scraper import Links, Page


def asked(page: Page) -> Iterator[Any]:
    """What was asked for, and the title of what came: a page under another one's URL shows."""
    yield {"asked": page.request.url, "title": page.title}
    yield Links(tuple(page.links()))
