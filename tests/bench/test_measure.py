"""Single measurements: they end, count whole deliveries, and leave nothing behind."""

import asyncio
from typing import Literal

import psutil
import pytest

from scraper.bench.measure import Measurement, measure
from scraper.bench.pages import synthetic_pages
from scraper.bench.plan import Case, Timing
from scraper.bench.usage import ProcessMeter
from scraper.bench.window import Window
from scraper.metrics.histogram import Histogram
from scraper.options import ExecutorName

OUTLINE = "scraper.parse.outline:outline"


@pytest.mark.parametrize("mode", ["parse", "crawl"])
@pytest.mark.parametrize("executor", ["inline", "thread", "process", "auto"])
async def test_a_measurement_goes_on_as_long_as_it_is_wanted(
    mode: Literal["parse", "crawl"], executor: ExecutorName
) -> None:
    """The pages come again and again: a crawl that has run dry would never end its measurement."""
    timing = Timing(seconds=0.8, warm_up_s=0.2, limit_s=20)
    async with synthetic_pages(0, is_served=mode == "crawl") as pages:
        before = {child.pid for child in psutil.Process().children(recursive=True)}
        case = Case(mode, "lexbor", executor, 2)
        late = Histogram()
        sample = await measure(Measurement(case=case, pages=pages, handler=OUTLINE, timing=timing, lateness=late))
        assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert sample.problem is None
    assert sample.elapsed_s >= 0.8
    assert sample.pages >= timing.least_pages
    assert sample.ended >= sample.pages
    assert not sample.failures
    assert sample.cpu_s > 0
    assert sample.rss_bytes > 10_000_000
    assert late.count > 10


async def test_a_measurement_that_is_cancelled_leaves_no_worker() -> None:
    timing = Timing(seconds=30, warm_up_s=0.1)
    async with synthetic_pages(0, is_served=True) as pages:
        before = {child.pid for child in psutil.Process().children(recursive=True)}
        wanted = Measurement(case=Case("crawl", "lexbor", "process", 1), pages=pages, handler=OUTLINE, timing=timing)
        running = asyncio.create_task(measure(wanted))
        while {child.pid for child in psutil.Process().children(recursive=True)} <= before:
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


async def test_what_is_delivered_together_is_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that closed in the middle of a portion would count a part of it, and that by its size too much."""
    now_s = 0.0
    monkeypatch.setattr("scraper.bench.window.time.perf_counter", lambda: now_s)
    ended = 0
    timing = Timing(seconds=1.0, warm_up_s=0.5, least_pages=1)
    window = Window(timing, ProcessMeter(), Histogram(), lambda: ended)
    for _ in range(6):  # a portion of ten pages every 0.6 s, whose pages take 0.05 s each to come in
        for _ in range(10):
            window.delivering()
            ended += 1
            now_s += 0.05
        now_s += 0.1
        await asyncio.sleep(0)
    assert window.is_closed
    sample = await window.closed()
    assert sample.pages == 20
    assert sample.elapsed_s == pytest.approx(1.2)


async def test_a_measurement_without_pages_has_a_time_limit() -> None:
    window = Window(Timing(seconds=0.01, warm_up_s=0.01, limit_s=0.01), ProcessMeter(), Histogram(), lambda: 0)
    with pytest.raises(TimeoutError):
        await window.closed()
