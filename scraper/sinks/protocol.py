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
        With a state, an earlier run of the same crawl is no earlier crawl: append.

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
class Resumable(Sink, Protocol):
    """A sink that goes on where a killed crawl left its output.

    A crawl with a durable state calls `resume` in place of `open`. Its state holds each sink's `position`, in
    the transaction that makes the pages of these items final, and tells the sink so by `committed`. What lies
    beyond the committed position is cut, so that each item is in the output exactly once.

    The position is committed once before the first `write`: a crawl that is killed in its first batch must not
    find an output that its state does not know. After the last page comes `finish`, one more commit, `close`.

    Standard output, pipes and devices cannot be read back: there `resume` is `open`, the position is empty, and
    an item may come a second time.

    At the steps of a write the sinks raise the audit event `scraper.sink` with the step and a path: `write`,
    `half` (where a batch takes more than one step), `written`, `part` (a part is whole), `cut`. A test that
    kills a crawl hooks in there; without a hook they cost nothing.
    """

    async def resume(self, position: str | None, *, is_synced: bool = False) -> None:
        """Check that what the position covers is unchanged, cut what lies beyond, and go on from there.

        After `close` it may be called again.

        Args:
            position: as the state holds it; None where the state knows nothing of this output.
            is_synced: each `write` is on the disk itself before it returns, and so survives a loss of power.

        Raises:
            OutputRefused: there is content that the state does not know, or what it knows is missing, shorter
                or changed; all is left as it is.
        """

    @property
    def position(self) -> str:
        """Where the output ends with all that was taken so far: a short JSON text, or an empty one."""

    def committed(self, position: str) -> None:
        """The state holds this position now: `close` cuts the output back to it."""

    async def finish(self) -> None:
        """The crawl has come to its end: write what waits for company. `position` may move; a commit follows.

        Raises:
            SinkError: as for `write`.
        """

    def part(self, number: int) -> Sink:
        """The same output's part that the crawler with this number writes: items.2.jsonl; number 1 has this one."""

    @property
    def output(self) -> str:
        """Its path as given; "-" for standard output."""


@runtime_checkable
class _Warns(Protocol):
    def warnings(self) -> tuple[str, ...]: ...


def warnings_of(sink: Sink) -> tuple[str, ...]:
    """Sentences about what the output could not hold as it came; empty for a sink without `warnings()`."""
    return sink.warnings() if isinstance(sink, _Warns) else ()
