"""What the crawlers here have in common: their arguments, their clock, and how a page's links are counted."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin

if TYPE_CHECKING:
    from collections.abc import Iterable


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("seed")
    parser.add_argument("output")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--own-links", action="store_true", help="Crawlee: follow the outline's links")
    options = parser.parse_args()
    options.folder = options.seed.rsplit("/", 1)[0] + "/"
    return options


def absolute_links(url: str, hrefs: Iterable[str]) -> set[str]:
    """The distinct http links of a page, without fragments."""
    links = {urldefrag(urljoin(url, href.strip())).url for href in hrefs}
    return {link for link in links if link.startswith(("http://", "https://"))}


def collapsed(text: str | None) -> str | None:
    return " ".join(text.split()) if text else None


class Clock:
    """Times a crawl from its start to its last page, so that a framework's slow end is not counted."""

    def __init__(self) -> None:
        self.pages = 0
        self.started = self.last = time.perf_counter()

    def start(self) -> None:
        self.started = time.perf_counter()

    def page(self) -> None:
        self.pages += 1
        self.last = time.perf_counter()

    def report(self) -> None:
        print(json.dumps({"pages": self.pages, "elapsed_s": self.last - self.started}))
