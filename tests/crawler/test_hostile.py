"""A handler that runs away, in the crawl that the benchmark measures."""

from __future__ import annotations

from benchmarks import hostile


async def test_offenders_fail_for_their_own_reasons_and_all_other_pages_are_done() -> None:
    """Endless loops, C that keeps the GIL, quadratic nesting, segmentation faults and gigabytes, in one crawl."""
    assert await hostile.measure(pages=50, deadline_s=0.5) == 0
