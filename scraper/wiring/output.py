"""The crawl's side of the sinks: items of committed pages, and records of failed ones."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from json import JSONDecodeError
from os import PathLike
from pathlib import Path

from scraper import urls
from scraper.errors import StateInDoubt, StateRefused
from scraper.frontier import OutputPart
from scraper.model import Delivery, Failure, Item, Outcome, State
from scraper.options import StateOptions
from scraper.report.clean import one_line
from scraper.sinks import EnclosedRows, Record, Resumable, Sink, SqliteSink, sink_for
from scraper.steps import Steps


class Output:
    """Gives the items of committed pages to the sinks, and the failed pages to the failures' own.

    Args:
        sinks: for items: sinks, or paths whose suffix says the format.
        failures: for failed pages.
        state: of a crawl that survives its process; None without one.
    """

    def __init__(
        self, sinks: Sequence[Sink | str | PathLike[str]], failures: Sink | None, state: StateOptions | None
    ) -> None:
        self._state = state
        self._rows: list[EnclosedRows] = []
        self._sinks: list[Sink] = []
        for sink in sinks:
            made = sink_for(sink) if isinstance(sink, str | PathLike) else sink
            if isinstance(made, SqliteSink) and state is not None and _is_same_file(made.path, state.path):
                self._rows.append(made.enclosed())
            else:
                self._sinks.append(made)
        self._failures = failures
        self._bases: dict[str, Resumable] = {}  # by name: those that can be cut back, as they were given
        self._kept: dict[str, Resumable] = {}  # and the parts of them that this crawl writes
        self._committed: dict[str, str] = {}
        self.first_failure = ""
        self._steps = Steps()
        self._stack = AsyncExitStack()

    @property
    def names(self) -> list[str]:
        """Of the outputs that can be cut back to what is committed: their paths, seen from the state's folder."""
        return sorted(name for sink in self._all() if (name := self._name(sink)) is not None)

    @property
    def failures_name(self) -> str | None:
        """Which of these the failed pages go to."""
        return None if self._failures is None else self._name(self._failures)

    def _all(self) -> list[Sink]:
        return [*self._sinks, *([self._failures] if self._failures is not None else [])]

    def _name(self, sink: Sink) -> str | None:
        if self._state is None or not isinstance(sink, Resumable) or sink.output in ("", "-"):
            return None
        return os.path.relpath(Path(sink.output).resolve(), Path(self._state.path).resolve().parent)

    async def open(self, mine: Sequence[OutputPart]) -> Delivery:
        """Opens all, or none.

        Args:
            mine: where each output goes on.

        Returns:
            How the outputs stand before the first page.

        Raises:
            OutputRefused: one cannot be written, or is not what the state says.
        """
        parts = {part.name: part for part in mine}
        async with AsyncExitStack() as stack:
            for place, sink in enumerate(self._all()):
                name = self._name(sink)
                if name is None:
                    stack.push_async_callback(sink.close)
                    await sink.open()
                    continue
                assert isinstance(sink, Resumable)
                self._bases[name] = sink
                own = sink.part(parts[name].part)
                assert isinstance(own, Resumable)
                self._put(place, own)
                stack.push_async_callback(own.close)
                await self._resume(own, parts[name].position)
                self._kept[name] = own
            if self._state is None:
                for sink in self._all():  # only now that none was refused may what they held before go
                    await sink.write(())
            self._stack = stack.pop_all()
        return self._delivery([rows.prepare for rows in self._rows])

    def _put(self, place: int, sink: Sink) -> None:
        if place < len(self._sinks):
            self._sinks[place] = sink
        else:
            self._failures = sink

    async def tidy(
        self, left: Sequence[OutputPart], release: Callable[[Sequence[OutputPart]], Awaitable[None]], *, is_end: bool
    ) -> None:
        """Cuts from parts that dead crawlers left what is not committed of them.

        Args:
            left: the parts.
            release: lets others have them, with the positions that they have now.
            is_end: the crawl has come to its end: what waits for company in them is written.

        Raises:
            OutputRefused: one is not what the state says.
        """
        for part in left:
            sink = self._bases[part.name].part(part.part) if part.name in self._bases else None
            if not isinstance(sink, Resumable) or sink.output == self._kept[part.name].output:  # a stream has no parts
                await release([part])
                continue
            try:
                await self._resume(sink, part.position)
                if is_end:
                    await sink.finish()
                await release([part._replace(position=sink.position)])
                sink.committed(sink.position)
            except StateInDoubt:
                sink.committed(sink.position)
                raise
            finally:
                await sink.close()

    async def _resume(self, sink: Resumable, position: str | None) -> None:
        assert self._state is not None
        try:
            await sink.resume(position, is_synced=self._state.synchronous == "full")
        except (KeyError, TypeError, JSONDecodeError) as error:
            raise StateRefused(
                f"state {os.fspath(self._state.path)} is damaged, in what it says of output {sink.output}: "
                "restore a copy, or name another file to begin anew"
            ) from error
        if position is not None:
            sink.committed(position)

    def leave(self) -> None:
        """It is not known what the state holds: all that was written stays, and the next run cuts it to size."""
        for sink in self._kept.values():
            sink.committed(sink.position)

    async def close(self) -> None:
        await self._stack.aclose()

    @property
    def loop_cpu_s(self) -> float:
        """CPU time of the event loop's thread in the sinks so far."""
        return self._steps.cpu_s

    async def write(self, outcomes: Sequence[Outcome]) -> Delivery:
        inserts: list[Callable[[sqlite3.Connection], None]] = []
        if self._sinks or self._rows:
            records = [
                Record(f"{outcome.lease.key}#{ordinal}", outcome.final_url or "", ordinal, item)
                for outcome in outcomes
                for ordinal, item in enumerate(outcome.items)
            ]
            for sink in self._sinks:
                await self._steps.of(sink.write(records))
            inserts = [partial(rows.insert, records=records) for rows in self._rows]
        if not self.first_failure:
            self.first_failure = next((_in_words(o) for o in outcomes if o.state is State.FAILED), "")
        if self._failures is not None:
            records = [_failure_record(o) for o in outcomes if o.state is State.FAILED]
            await self._steps.of(self._failures.write(records))
        return self._delivery(inserts)

    def _delivery(self, inserts: Sequence[Callable[[sqlite3.Connection], None]] = ()) -> Delivery:
        positions = ((name, sink.position) for name, sink in self._kept.items())
        return Delivery(
            tuple((name, position) for name, position in positions if self._committed.get(name) != position),
            tuple(inserts),
        )

    def committed(self, delivery: Delivery) -> None:
        """The state has what was delivered."""
        for name, position in delivery.positions:
            self._committed[name] = position
            self._kept[name].committed(position)

    async def take_back(self) -> None:
        """Cuts the outputs back to what is committed. Standard output and sinks that cannot do that keep it."""
        for name, sink in self._kept.items():
            await sink.close()
            await self._resume(sink, self._committed.get(name))

    async def finish(self) -> Delivery:
        """The crawl has come to its end: what waited for company is written."""
        for sink in self._kept.values():
            await sink.finish()
        return self._delivery()


def _is_same_file(one: str | PathLike[str], other: str | PathLike[str]) -> bool:
    return Path(one).resolve() == Path(other).resolve()


def _in_words(outcome: Outcome) -> str:
    end = outcome.end
    why = (end.detail or end.reason) if end is not None else ""
    return one_line(f"{urls.without_credentials(outcome.lease.request.url)}: {why}")  # it goes to a log


def _failure_record(outcome: Outcome) -> Record:
    url = urls.without_credentials(outcome.lease.request.url)
    end = outcome.end
    item: Item = {"url": url}
    if isinstance(end, Failure):
        item.update(stage=end.stage.value, reason=end.reason, detail=end.detail, attempts=outcome.lease.attempt)
    return Record(outcome.lease.key, url, 0, item)


class ItemChannel:
    """The sink behind `stream`: a batch is written when the consumer has taken all of it."""

    def __init__(self) -> None:
        self._batches: asyncio.Queue[Sequence[Record] | None] = asyncio.Queue()
        self._has_batch = False

    async def open(self) -> None:
        pass

    async def write(self, records: Sequence[Record]) -> None:
        if records:
            self._batches.put_nowait(records)
            await self._batches.join()

    async def close(self) -> None:
        pass

    async def take(self) -> Sequence[Record] | None:
        """The next batch; asking for it says that the one before is dealt with."""
        if self._has_batch:
            self._batches.task_done()
        batch = await self._batches.get()
        self._has_batch = batch is not None
        return batch

    def finish(self) -> None:
        self._batches.put_nowait(None)
