"""The handler of the crawls that are killed. Worker processes import it, so it imports little."""

from __future__ import annotations

import os
import signal
import time
import zlib
from collections.abc import Iterator
from typing import Any

from scraper import Links, Page

ITEMS_ON_A_PAGE = (0, 1, 1, 3, 7)
# So that a worker that is killed at a random moment has a page in hand more often than not.
_HANDLING_S = 0.004

MURDER_VARIABLE = "SCRAPER_TEST_MURDER"
"""Set in worker processes that shall die of a page: a file that does not exist yet, and whom it kills besides (a
process id, or 0)."""


def items_on(url: str) -> list[dict[str, Any]]:
    """What the handler makes of a page, so that the oracle knows it too: some pages give nothing, some much."""
    number = zlib.crc32(url.encode())
    return [item_on(url, n) for n in range(ITEMS_ON_A_PAGE[number % len(ITEMS_ON_A_PAGE)])]


def item_on(url: str, n: int) -> dict[str, Any]:
    item: dict[str, Any] = {"key": f"{url}#{n}", "n": n, "text": f'é\u2028"{"x" * n}"\nand, more'}
    if n == 2:  # a key that not every item has, and that comes late
        item["extra"] = {"deep": [n]}
    return item


def visit(page: Page) -> Iterator[Any]:
    time.sleep(_HANDLING_S)
    yield from items_on(page.url)
    _die_once()
    yield Links(tuple(page.links()))


def _die_once() -> None:
    """The first worker that comes here with a murder at hand ends, in the middle of its page."""
    murder = os.environ.get(MURDER_VARIABLE)
    if murder is None:
        return
    path, _, victim = murder.rpartition(":")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    if victim != "0":
        os.kill(int(victim), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
