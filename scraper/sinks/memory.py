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

    async def resume(self, position: str | None, *, is_synced: bool = False) -> None:  # noqa: ARG002
        """As `open`: a list does not outlive its process."""
        await self.open()

    async def write(self, records: Sequence[Record]) -> None:
        if not self.is_open:
            raise NotRunning("the memory sink is not open")
        self.records.extend(records)

    async def close(self) -> None:
        self.is_open = False

    @property
    def position(self) -> str:
        return ""

    def committed(self, position: str) -> None:
        """There is nothing to cut back."""

    async def finish(self) -> None:
        """Nothing waits."""

    def part(self, number: int) -> MemorySink:  # noqa: ARG002
        return self

    @property
    def output(self) -> str:
        return ""

    def __repr__(self) -> str:
        return f"<MemorySink: {len(self.records)} records, {'open' if self.is_open else 'closed'}>"
