"""Where functions run: in line, in threads, in worker processes or in interpreters, behind one protocol.

    lane.submit ─► backlog ─► executor ─► worker ─► executor ─► done(result)
                     ▲           │ inline: on the loop, one payload an iteration
                     │           │ thread: a free thread takes one payload after the other
                     └─ returned ┤ process: portions of payloads, two under way in each worker
                        or lost  └─────────────────────────────────────────────────────────────

A pool starts only the executors that its works need. A lane belongs to one user of the pool and to one work, so that
a crawl that ends drops only its own payloads. Names are imported when first used: worker processes import this
package too, and load nothing that they do not use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scraper.offload.lane import Lane as Lane
    from scraper.offload.pool import OffloadPool as OffloadPool
    from scraper.offload.values import ExecutorStatistics as ExecutorStatistics
    from scraper.offload.values import PoolStatistics as PoolStatistics
    from scraper.offload.values import Result as Result
    from scraper.offload.values import Strategy as Strategy
    from scraper.offload.values import Work as Work

_HOME = {
    "ExecutorStatistics": "scraper.offload.values",
    "Lane": "scraper.offload.lane",
    "OffloadPool": "scraper.offload.pool",
    "PoolStatistics": "scraper.offload.values",
    "Result": "scraper.offload.values",
    "Strategy": "scraper.offload.values",
    "Work": "scraper.offload.values",
}

__all__ = [
    "ExecutorStatistics",
    "Lane",
    "OffloadPool",
    "PoolStatistics",
    "Result",
    "Strategy",
    "Work",
]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
