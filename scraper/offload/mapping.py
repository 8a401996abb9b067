"""`OffloadPool.map`: an input of any length through a pool, with a bounded number of payloads between both ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable
from typing import Any

from scraper.offload.lane import Lane
from scraper.offload.values import Result


class Window:
    """What was taken from the input and is not yet with the consumer.

    Args:
        lane: where payloads go.
        max_items, max_bytes: it holds no more than this; a single payload may be larger.
        is_ordered: results leave in the order of the input.
    """

    def __init__(self, lane: Lane, max_items: int, max_bytes: int, *, is_ordered: bool) -> None:
        self._lane = lane
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._is_ordered = is_ordered
        self._sizes: dict[int, int] = {}  # of what is in the window, by its index
        self._bytes = 0
        self._ended: dict[int, Result] = {}
        self._next_in = self._next_out = 0
        self._has_room = asyncio.Event()
        self._has_result = asyncio.Event()

    async def feed(self, source: Iterable[Any] | AsyncIterable[Any]) -> None:
        """Takes the input as there is room, to its end."""
        try:
            if isinstance(source, AsyncIterable):
                async for payload in source:
                    await self._submit(payload)
            else:
                for payload in source:
                    await self._submit(payload)
        finally:
            self._has_result.set()  # perhaps there will be no further one: the consumer looks again

    async def next(self, feeding: asyncio.Task[None]) -> Result | None:
        """The next result; None when the feeding has ended and everything is out.

        Raises:
            Exception: whatever the input raised, after the results of what it gave before.
        """
        while not (feeding.done() and not self._sizes):
            result = self._take()
            if result is not None:
                return result
            self._has_result.clear()
            await self._has_result.wait()
        feeding.result()
        return None

    async def _submit(self, payload: Any) -> None:
        size_bytes = size_of(payload)
        while len(self._sizes) >= self._max_items or (self._sizes and self._bytes + size_bytes > self._max_bytes):
            self._has_room.clear()
            await self._has_room.wait()
        index = self._next_in
        self._lane.submit(payload, size_bytes, lambda result: self._on_done(index, result))
        self._next_in += 1
        self._sizes[index] = size_bytes
        self._bytes += size_bytes

    def _on_done(self, index: int, result: Result) -> None:
        result.index = index
        self._ended[index] = result
        if not self._is_ordered or index == self._next_out:
            self._has_result.set()

    def _take(self) -> Result | None:
        index = self._next_out if self._is_ordered else next(iter(self._ended), -1)
        result = self._ended.pop(index, None)
        if result is not None:
            self._next_out += 1
            self._bytes -= self._sizes.pop(index)
            self._has_room.set()
        return result


def size_of(payload: Any) -> int:
    """About what a payload takes: the text and bytes in it, and in its own items."""
    if isinstance(payload, bytes | bytearray | memoryview | str):
        return len(payload)
    items = payload.values() if isinstance(payload, dict) else payload if isinstance(payload, tuple | list) else ()
    return 100 + sum(len(item) for item in items if isinstance(item, bytes | bytearray | memoryview | str))
