"""Work that must not end half way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def to_its_end(work: Awaitable[T]) -> T:
    """Awaits work that comes to its end whatever happens to the caller, and is answered.

    A cancellation that came meanwhile is delivered at the caller's next wait. Otherwise nobody would know what the work
    did, such as whether a commit is durable.
    """
    ended = asyncio.ensure_future(work)
    was_cancelled = False
    while not ended.done():
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError:
            was_cancelled = True
    task = asyncio.current_task()
    if was_cancelled and task is not None:
        task.uncancel()
        task.cancel()
    return ended.result()
