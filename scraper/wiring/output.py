"""The crawl's side of the sinks: items of committed pages, and records of failed ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from os import PathLike

from scraper import urls
from scraper.model import Failure, Item, Outcome, State
from scraper.sinks import Record, Sink, sink_for
from scraper.wiring.steps import Steps


class Output:
    """Gives the items of committed pages to the sinks, and the failed pages to the failures' own."""

    def __init__(self, sinks: Sequence[Sink | str | PathLike[str]], failures: Sink | None) -> None:
        self._sinks = tuple(sink_for(sink) if isinstance(sink, str | PathLike) else sink for sink in sinks)
        self.first_failure = ""
        self._failures = failures
        self._steps = Steps()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> None:
        all_sinks = [*self._sinks, *([self._failures] if self._failures is not None else [])]
        async with AsyncExitStack() as stack:
            for sink in all_sinks:
                stack.push_async_callback(sink.close)
                await sink.open()
            for sink in all_sinks:  # only now that none was refused may what they held before go
                await sink.write(())
            self._stack = stack.pop_all()

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def loop_cpu_s(self) -> float:
        """CPU time of the event loop's thread in the sinks so far."""
        return self._steps.cpu_s

    async def write(self, outcomes: Sequence[Outcome]) -> None:
        if self._sinks:
            records = [
                Record(f"{outcome.lease.key}#{ordinal}", outcome.final_url or "", ordinal, item)
                for outcome in outcomes
                for ordinal, item in enumerate(outcome.items)
            ]
            for sink in self._sinks:
                await self._steps.of(sink.write(records))
        if not self.first_failure:
            self.first_failure = next((_in_words(o) for o in outcomes if o.state is State.FAILED), "")
        if self._failures is not None:
            records = [_failure_record(o) for o in outcomes if o.state is State.FAILED]
            await self._steps.of(self._failures.write(records))


def _in_words(outcome: Outcome) -> str:
    end = outcome.end
    why = (end.detail or end.reason) if end is not None else ""
    return f"{urls.without_credentials(outcome.lease.request.url)}: {why}"


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
