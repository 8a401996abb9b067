"""The handler that a crawl uses when it is given none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scraper.model import Links
from scraper.parse.page import Page


def outline(page: Page) -> Iterator[dict[str, Any] | Links]:
    """What a page is about, and every link to follow. Runs on each parser.

    The item has `url, status, title, h1, description, canonical, lang, links`; the last is the number of distinct
    absolute links, the others are None where the page says nothing.
    """
    links = page.link_tuple()
    yield {
        "url": page.url,
        "status": page.status,
        "title": page.title,
        "h1": page.h1,
        "description": page.meta("description"),
        "canonical": page.canonical,
        "lang": page.lang,
        "links": len(links),
    }
    yield Links(links)
