"""URLs that were met lately: most links of most pages are among them, and the file need not be asked again."""

from __future__ import annotations

# Of each of two generations: some 250 bytes a URL, so at most 33 MB.
_GENERATION = 65_536


class Recent:
    """Known URLs and the smallest depth at which each was found, in bounded memory.

    When the young generation is full it becomes the old one, and the old one is forgotten.
    """

    def __init__(self) -> None:
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}

    def knows(self, url: str, depth: int) -> bool:
        """Whether the URL is known, and not for a larger depth than this."""
        found = self._young.get(url)
        if found is None:
            found = self._old.get(url)
            if found is None:
                return False
            self._add(url, found)
        return found <= depth

    def add(self, url: str, depth: int) -> None:
        self._add(url, depth)

    def _add(self, url: str, depth: int) -> None:
        if len(self._young) >= _GENERATION:
            self._old, self._young = self._young, {}
        self._young[url] = depth
