"""Long work of the event loop in pieces: a page may have 100,000 links, and nobody else shall wait for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

T = TypeVar("T")

# Some 5 ms of admitting links. Hardly any page has more.
_SLICE = 4_096


def is_long(values: Sequence[object]) -> bool:
    """Whether `in_slices` would let others run in between; otherwise it cannot be cancelled either."""
    return len(values) > _SLICE


async def in_slices(values: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """The values in their order, with a turn of the event loop between two slices."""
    for start in range(0, len(values), _SLICE):
        if start:
            await asyncio.sleep(0)
        yield values[start : start + _SLICE]
