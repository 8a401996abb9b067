"""Histograms, loop lag, and the course over time."""

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from scraper.crawl import Parsed
from scraper.metrics import LagMeter, Recorder
from scraper.metrics.clocks import ThreadClock, machine_busy_s
from scraper.metrics.histogram import Histogram
from scraper.metrics.usage import Usage, steady
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


async def test_a_tick_that_is_late_because_the_loop_computed_is_not_barred_and_one_behind_a_block_is() -> None:
    """Who waits for the GIL is late like who computes, and only the clock of its thread tells them apart."""
    clock = ThreadClock()
    clock.start()
    looks: list[tuple[int, int]] = []
    lag = LagMeter(clock, lambda ticks, barred: looks.append((ticks, barred)))
    lag.start()
    await asyncio.sleep(0.02)
    computed_until_s = time.thread_time() + 0.2
    while time.thread_time() < computed_until_s:
        pass
    await asyncio.sleep(0.02)
    computing, barred_computing = map(sum, zip(*looks, strict=True))
    looks.clear()
    time.sleep(0.2)
    await asyncio.sleep(0.02)
    blocked, barred_blocked = map(sum, zip(*looks, strict=True))
    lag.stop()
    clock.close()
    assert computing >= 30
    assert blocked >= 30
    assert barred_blocked > 0.6 * blocked
    if Path("/proc/thread-self/schedstat").exists():  # else a wait for a CPU cannot be told from a block
        assert barred_computing < 0.4 * computing


def test_a_thread_clock_keeps_its_delay_when_it_is_closed() -> None:
    clock = ThreadClock()
    clock.start()
    before_s = clock.delay_s
    clock.close()
    kept_s = clock.delay_s
    assert kept_s >= before_s >= 0.0
    assert clock.delay_s == kept_s
    clock.close()
    assert clock.delay_s == kept_s


def test_the_machine_is_busy_for_at_least_what_this_process_computes() -> None:
    machine_s, own_s = machine_busy_s(), time.process_time()
    while time.process_time() < own_s + 0.3:
        pass
    assert machine_busy_s() - machine_s > 0.2


def course(*points: tuple[float, float, float]) -> list[Usage]:
    """Of (elapsed_s, pages, ticks without a known page) with a tick every 5 ms."""
    return [
        Usage(elapsed_s=elapsed_s, pages=pages, ticks=200 * elapsed_s, links=dry) for elapsed_s, pages, dry in points
    ]


def test_the_steady_part_leaves_out_ramp_up_and_tail() -> None:
    points = course((0, 0, 0), (1, 0, 190), (2, 10, 200), (5, 500, 210), (8, 900, 220), (9, 950, 400), (10, 960, 590))
    part = steady(points)
    assert (part.elapsed_s, part.pages) == (6, 890)


def test_a_crawl_that_never_knows_enough_pages_is_not_all_tail() -> None:
    """A chain of pages is like a tail from its beginning to its end."""
    part = steady(course(*((second, second, 200.0 * second) for second in range(11))))
    assert part.elapsed_s == 9


def test_what_has_no_length_has_no_steady_part() -> None:
    assert steady([]) == steady(course((0, 0, 0))) == Usage()
    assert steady(course((0, 0, 0), (0.2, 3, 30))).elapsed_s == 0.2
