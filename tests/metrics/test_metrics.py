"""Histograms, loop lag, the course over time, and the verdict."""

import asyncio
import itertools
import time

import pytest

from scraper.crawl import Parsed
from scraper.metrics import LagMeter, Recorder, judge
from scraper.metrics.histogram import Histogram
from scraper.metrics.verdict import Load
from scraper.model import Extraction, Failure, Stage


def test_quantiles_are_within_five_per_cent() -> None:
    histogram = Histogram()
    for millisecond in range(1, 1001):
        histogram.add(millisecond / 1000)
    assert histogram.quantile_s(0.5) == pytest.approx(0.5, rel=0.05)
    assert histogram.quantile_s(0.99) == pytest.approx(0.99, rel=0.05)
    assert histogram.quantile_s(1.0) <= histogram.max_s == 1.0
    assert histogram.total_s == pytest.approx(500.5)


def test_an_empty_histogram_and_a_zero_duration_are_zero() -> None:
    histogram = Histogram()
    assert histogram.quantile_s(0.99) == 0.0
    histogram.add(0.0)
    assert histogram.quantile_s(0.5) == 0.0


async def test_a_blocked_loop_counts_for_every_tick_it_missed() -> None:
    """One late tick in a hundred would hide the block behind a good 99th percentile."""
    lag = LagMeter()
    lag.start()
    await asyncio.sleep(0.02)
    time.sleep(0.2)
    await asyncio.sleep(0.02)
    lag.stop()
    assert lag.lateness.max_s >= 0.15
    assert lag.lateness.count >= 30
    assert lag.take_recent_max_s() >= 0.15
    assert lag.take_recent_max_s() == 0.0


def test_snapshots_give_the_rate_since_the_one_before() -> None:
    recorder = Recorder()
    first = recorder.snapshot(seen=10, done=4, failed=1, skipped=1, in_flight=2, loop_lag_s=0.01)
    assert first.waiting == 4
    assert first.loop_lag_ms == pytest.approx(10.0)
    second = recorder.snapshot(seen=10, done=4, failed=1, skipped=1, in_flight=0, loop_lag_s=0.0)
    assert second.pages_per_s == 0.0
    assert recorder.series() == (first, second)


def test_a_long_crawl_keeps_a_bounded_course_from_its_start_to_its_end() -> None:
    recorder = Recorder()
    points = [recorder.snapshot(seen=n, done=n, failed=0, skipped=0, in_flight=0, loop_lag_s=0.0) for n in range(5000)]
    series = recorder.series()
    assert 200 <= len(series) <= 600
    assert series[0] == points[0]
    assert series[-1].done > 4900
    steps = {later.done - earlier.done for earlier, later in itertools.pairwise(series)}
    assert len(steps) == 1


def test_stages_have_counts_and_seconds() -> None:
    recorder = Recorder()
    for parse_s in (0.004, 0.006):
        seconds = (parse_s, 0.003, 0.001, 0.001)
        recorder.parsed(Parsed(Extraction(), 0.01, 0.02, 0.03, 0.001, 0.002, seconds))
    recorder.parsed(Parsed(Failure(Stage.EXTRACT, "worker_crashed"), 0.01, 0.02, 0.03, 0.001, 0.002, None))
    recorder.fetched(0.1)
    recorder.committed(2, wall_s=0.2, cpu_s=0.1)
    stages = recorder.stages()
    assert set(stages) == {"queue", "fetch", "handoff", "parse", "extract", "return", "commit"}
    assert [stages[name].count for name in ("queue", "parse", "fetch", "commit")] == [3, 2, 1, 2]
    assert stages["parse"].total_s == pytest.approx(0.01)
    assert stages["parse"].cpu_s == pytest.approx(0.006)
    assert stages["return"].cpu_s == pytest.approx(0.006)
    assert stages["commit"].total_s == pytest.approx(0.2)
    assert stages["commit"].cpu_s == pytest.approx(0.1)


def test_nothing_is_lost_between_two_looks() -> None:
    recorder = Recorder()
    for _ in range(1000):
        recorder.parsed(Parsed(Extraction(), 0.01, 0.0, 0.0, 0.0, 0.0, None))
        recorder.fetched(0.5)
    assert recorder.stages()["queue"].count == recorder.stages()["fetch"].count == 1000
    assert recorder.wall_s(Stage.FETCH) == pytest.approx(500.0)


QUIET = {
    "elapsed_s": 10.0,
    "loop_cpu_s": 1.0,
    "process_cpu_s": 1.0,
    "worker_wall_s": 1.0,
    "worker_cpu_s": 1.0,
    "fetch_wall_s": 10.0,
    "commit_cpu_s": 0.5,
    "sink_wall_s": 0.2,
    "concurrency": 32,
    "per_host": 8,
    "hosts": 8,
    "workers": 2,
    "cores": 2,
    "executor": "process",
}


@pytest.mark.parametrize(
    ("change", "bottleneck"),
    [
        ({"fetch_wall_s": 310.0}, "latency"),
        ({"fetch_wall_s": 79.0, "hosts": 1}, "politeness"),
        ({"loop_cpu_s": 9.7, "process_cpu_s": 9.7, "fetch_wall_s": 310.0}, "fetch_cpu"),
        ({"worker_wall_s": 19.5, "worker_cpu_s": 10.0, "fetch_wall_s": 300.0}, "parse_cpu"),
        ({"worker_wall_s": 10.0, "worker_cpu_s": 9.5, "workers": 1, "loop_cpu_s": 2.0}, "parse_cpu"),
        (
            {"worker_wall_s": 9.0, "worker_cpu_s": 9.0, "loop_cpu_s": 9.8, "executor": "inline", "workers": 1},
            "parse_cpu",
        ),
        ({"worker_wall_s": 19.8, "worker_cpu_s": 9.0, "process_cpu_s": 10.0, "executor": "thread"}, "gil"),
        ({"sink_wall_s": 9.5, "fetch_wall_s": 300.0}, "sink"),
        ({"commit_cpu_s": 9.0, "loop_cpu_s": 9.8, "process_cpu_s": 9.8}, "commit"),
        ({"process_cpu_s": 5.0, "worker_wall_s": 16.0, "worker_cpu_s": 14.8}, "cores"),
    ],
)
def test_the_busiest_resource_is_the_bottleneck(change: dict[str, float], bottleneck: str) -> None:
    load = Load(**{**QUIET, **change})  # type: ignore[arg-type]
    verdict = judge(load)
    assert verdict.bottleneck == bottleneck
    assert verdict.predicted_gain >= 1.0
    assert verdict.evidence
    assert verdict.advice


def test_a_short_crawl_is_not_judged_with_certainty() -> None:
    verdict = judge(Load(**{**QUIET, "elapsed_s": 0.05}))  # type: ignore[arg-type]
    assert "too short" in verdict.evidence
    assert verdict.predicted_gain == 1.0
