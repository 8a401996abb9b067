"""What a crawl tells about itself: frozen values, live and final."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scraper.metrics.verdict import Bottleneck, Verdict
from scraper.model import CacheCounts


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A crawl at one moment.

    Args:
        elapsed_s: since it started.
        seen, done, failed, skipped, waiting: distinct requests; seen is the sum of the others.
        in_flight: requests being fetched, parsed or committed; part of waiting.
        items: handed to the sinks.
        bytes: of the bodies that were taken, as they came over the network.
        pages_per_s: pages that came to an end a second, since the snapshot before.
        loop_lag_ms: the event loop's worst lateness since the snapshot before.
        bottleneck: what limits the crawl at present, as in its verdict; None while that cannot be told.
        limited_by: the same in a few words with its number, such as "parsing (2 workers 97 % busy)"; empty with None.
    """

    elapsed_s: float
    seen: int
    done: int
    failed: int
    skipped: int
    waiting: int
    in_flight: int
    items: int
    bytes: int
    pages_per_s: float
    loop_lag_ms: float
    bottleneck: Bottleneck | None = None
    limited_by: str = ""


@dataclass(frozen=True, slots=True)
class StageStatistics:
    """One stage: how often, its wall and CPU seconds in all, its median and 99th percentile in milliseconds.

    A page's commit is its share of the commit that it was part of.
    """

    count: int
    total_s: float
    cpu_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class LagStatistics:
    """The event loop's lateness in milliseconds."""

    p50: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Strategy:
    """Where the pages of one handler were parsed, and why there."""

    handler: str
    parser: str
    executor: str
    workers: int
    pages: int
    why: str


@dataclass(frozen=True, slots=True)
class Statistics:
    """A crawl's final numbers. `to_dict` gives them in the form of the `--stats` file."""

    seen: int
    done: int
    failed: int
    skipped: int
    waiting: int
    items: int
    bytes: int
    elapsed_s: float
    pages_per_s: float
    cpu_s: float
    parser: str
    executor: str
    workers: int
    strategies: tuple[Strategy, ...]
    failures: Mapping[str, int]
    skips: Mapping[str, int]
    dropped: Mapping[str, int]
    retries: int
    stages: Mapping[str, StageStatistics]
    loop_lag_ms: LagStatistics
    verdict: Verdict
    series: tuple[Snapshot, ...]
    stopped: str | None
    cache: CacheCounts | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
