"""What a table has no column for, counted by key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

# Pages can make up keys without end: beyond so many, values are counted without their key.
_MAX_KEYS = 1_000
_MAX_LISTED = 10
_MAX_KEY_CHARACTERS = 60


class LeftOut:
    """Counts values by key, in bounded memory."""

    def __init__(self) -> None:
        self._by_key: Counter[str] = Counter()
        self._others = 0

    def add(self, keys: Iterable[object]) -> None:
        for key in keys:
            name = str(key)[:_MAX_KEY_CHARACTERS]
            if name in self._by_key or len(self._by_key) < _MAX_KEYS:
                self._by_key[name] += 1
            else:
                self._others += 1

    def __bool__(self) -> bool:
        return bool(self._by_key)

    def __str__(self) -> str:
        """Such as: 12 values ('colour', 'size')."""
        count = self._by_key.total() + self._others
        listed = ", ".join(repr(key) for key in list(self._by_key)[:_MAX_LISTED])
        dots = ", …" if len(self._by_key) > _MAX_LISTED else ""
        return f"{count:,} {'value' if count == 1 else 'values'} ({listed}{dots})"
