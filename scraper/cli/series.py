"""Snapshots of a crawl as points of a plot."""

from __future__ import annotations

from collections.abc import Iterable

from scraper.metrics import Snapshot
from scraper.report import TimePoint


def time_points(series: Iterable[Snapshot]) -> tuple[TimePoint, ...]:
    return tuple(
        TimePoint(
            at_s=point.elapsed_s,
            pages_per_s=point.pages_per_s,
            waiting=point.waiting,
            in_flight=point.in_flight,
            loop_lag_ms=point.loop_lag_ms,
            failed=point.failed,
        )
        for point in series
    )
