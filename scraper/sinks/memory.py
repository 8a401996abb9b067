"""A list as an output: for tests, notebooks and small crawls."""

from __future__ import annotations

from collections.abc import Sequence

from scraper.errors import NotRunning
from scraper.model import Item
from scraper.sinks.protocol import Record


class MemorySink:
    """Keeps every record in `records`, in the order of their commits, and in memory: for crawls of bounded size."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.is_open = False

    @property
    def items(self) -> list[Item]:
        return [record.item for record in self.records]

    async def open(self) -> None:
        self.is_open = True

    async def write(self, records: Sequence[Record]) -> None:
        if not self.is_open:
            raise NotRunning("the memory sink is not open")
        self.records.extend(records)

    async def close(self) -> None:
        self.is_open = False

    def __repr__(self) -> str:
        return f"<MemorySink: {len(self.records)} records, {'open' if self.is_open else 'closed'}>"
