"""The robots.txt files that a crawl without a state file keeps."""

from __future__ import annotations

import time
import zlib
from collections import OrderedDict
from collections.abc import Callable

from scraper.frontier.state.values import RobotsText

# A typical file packs to 300 bytes: enough for 200,000 sites that have one. Behind it they are fetched again.
_MAX_BYTES = 64_000_000
# What an entry takes beside its text.
_ENTRY_BYTES = 400


class RobotsTexts:
    """Packed texts by origin, those kept last up to a bound of memory.

    Args:
        clock_s: what freshness is counted by.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._texts: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0

    def recall(self, origin: str) -> RobotsText | None:
        packed, until_s = self._texts.get(origin, (b"", 0.0))
        return RobotsText(zlib.decompress(packed), until_s - self._clock_s()) if packed else None

    def keep(self, origin: str, text: RobotsText) -> None:
        self._drop(origin)
        packed = zlib.compress(text.body)
        self._texts[origin] = packed, self._clock_s() + text.fresh_s
        self._bytes += len(packed) + _ENTRY_BYTES
        while self._bytes > _MAX_BYTES:
            self._drop(next(iter(self._texts)))

    def _drop(self, origin: str) -> None:
        packed, _ = self._texts.pop(origin, (b"", 0.0))
        if packed:
            self._bytes -= len(packed) + _ENTRY_BYTES
