"""Handlers that want one thing each, for crawls that lack it; workers import them from here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from scraper import Links, Page

BUSY_S = 0.004
SLEEP_S = 0.01
LINKS = 1_500


def wants_nothing(page: Page) -> Iterator[Any]:
    yield {"url": page.url}


def follows(page: Page) -> Iterator[Any]:
    yield {"url": page.url}
    yield Links(tuple(page.links()))


def computes(page: Page) -> Iterator[Any]:
    """Python that holds the GIL, so long by the CPU's clock that other programs make it longer only by the wall's."""
    until_s = time.thread_time() + BUSY_S
    while time.thread_time() < until_s:
        sum(range(1_000))
    yield {"url": page.url}


def sleeps(page: Page) -> Iterator[Any]:
    time.sleep(SLEEP_S)
    yield {"url": page.url}


def links_to_many(page: Page) -> Iterator[Any]:
    yield {"url": page.url}
    yield Links(tuple(f"{page.url}/{number}" for number in range(LINKS)))
