"""URLs that were met lately: most links of most pages are among them, and the file need not be asked again."""

from __future__ import annotations

from collections.abc import Iterable

# Of each of two generations: some 250 bytes a URL, so at most 33 MB.
_GENERATION = 65_536


class Recent:
    """Known URLs and the smallest depth at which each was found, in bounded memory.

    When the young generation is full it becomes the old one, and the old one is forgotten.
    """

    def __init__(self) -> None:
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}

    def unmet(self, urls: Iterable[str], depth: int) -> list[str]:
        """Of URLs that were found at this depth: those that are not known, or for a larger depth only; in their order.

        It is the hot path of a crawl, so one call for all links of a page.
        """
        young, found = self._young, []
        for url in urls:
            known = young.get(url)
            if known is None:
                known = self._old.get(url)
                if known is None:
                    found.append(url)
                    continue
                self.add(url, known)
                young = self._young
            if known > depth:
                found.append(url)
        return found

    def add(self, url: str, depth: int) -> None:
        if len(self._young) >= _GENERATION:
            self._old, self._young = self._young, {}
        self._young[url] = depth
