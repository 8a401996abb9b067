"""What the crawl asks of an output, and what it gives to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from scraper.model import Item


@dataclass(frozen=True, slots=True)
class Record:
    """One item on its way to an output.

    Args:
        key: the item's own, made of its request's fingerprint and its ordinal. Where an output may hold an
            item twice, this is what tells.
        url: of the page that gave it.
        ordinal: 0 for the first item of its page.
        item: plain data.
    """

    key: str
    url: str
    ordinal: int
    item: Item


class Sink(Protocol):
    """An output. Write your own by giving a class these three methods; no class to inherit from.

    The crawl makes one call at a time: `open` once, `write` for every committed batch in order, `close` once,
    also after a failure. `close` without `open` does nothing.
    """

    async def open(self) -> None:
        """Prove that the output can be written, and change nothing that is there yet.

        Raises:
            OutputRefused: it cannot be written; the message is one line that says what to change.
        """

    async def write(self, records: Sequence[Record]) -> None:
        """Take one committed batch. The first call, even an empty one, discards what an earlier crawl left.

        Raises:
            SinkError: the batch could not be written; the crawl stops.
            NotRunning: before `open` or after `close`.
        """

    async def close(self) -> None:
        """Finish the output.

        Raises:
            SinkError: the end could not be written.
        """


@runtime_checkable
class _Warns(Protocol):
    def warnings(self) -> tuple[str, ...]: ...


def warnings_of(sink: Sink) -> tuple[str, ...]:
    """Sentences about what the output could not hold as it came; empty for a sink without `warnings()`."""
    return sink.warnings() if isinstance(sink, _Warns) else ()
