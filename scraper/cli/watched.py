"""Outputs through which the command line sees what it tells about."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scraper.report import FailedPage
from scraper.sinks import Record, Resumable


class Watched:
    """A sink as it is, and which of its parts this crawler came to write.

    Args:
        sink: that takes everything.
        taken: called with each batch before the sink gets it.

    Attributes:
        written: the part that this crawler writes, as soon as it is open.
    """

    def __init__(self, sink: Resumable, taken: Callable[[Sequence[Record]], None] | None = None) -> None:
        self._sink = sink
        self._taken = taken
        self._whole = self
        self.written: Resumable | None = None

    async def open(self) -> None:
        await self._sink.open()
        self._whole.written = self._sink

    async def resume(self, position: str | None, *, is_synced: bool = False) -> None:
        await self._sink.resume(position, is_synced=is_synced)
        if self._whole.written is None:  # its own comes first, before those of dead crawlers that are cut back
            self._whole.written = self._sink

    async def write(self, records: Sequence[Record]) -> None:
        if self._taken is not None:
            self._taken(records)
        await self._sink.write(records)

    async def close(self) -> None:
        await self._sink.close()

    async def finish(self) -> None:
        await self._sink.finish()

    def committed(self, position: str) -> None:
        self._sink.committed(position)

    def part(self, number: int) -> Watched:
        part = self._sink.part(number)
        assert isinstance(part, Resumable)
        watched = Watched(part, self._taken)
        watched._whole = self._whole
        return watched

    @property
    def position(self) -> str:
        return self._sink.position

    @property
    def output(self) -> str:
        return self._sink.output

    def __repr__(self) -> str:
        return f"Watched({self._sink!r})"


class FirstFailures:
    """The first few failed pages, for a summary; a sink of its own where nothing else takes the failures."""

    _SHOWN = 5

    def __init__(self) -> None:
        self.pages: tuple[FailedPage, ...] = ()

    def take(self, records: Sequence[Record]) -> None:
        for record in records:
            if len(self.pages) == self._SHOWN:
                return
            item = record.item
            page = FailedPage(record.url, item["stage"], item["reason"], item["detail"])
            if page not in self.pages:  # a batch that could not be committed comes again
                self.pages += (page,)

    async def open(self) -> None:
        """Nothing to open."""

    async def write(self, records: Sequence[Record]) -> None:
        self.take(records)

    async def close(self) -> None:
        """Nothing to close."""
