"""What it brings that worker processes keep freed memory: pages a second with the settings and with glibc's own.

    python -m benchmarks.allocator [--rounds N] [--seconds S]

Both arms take turns in one run; the ratios are those of the pairs.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics

from benchmarks import known, matrix_measure
from scraper.offload import worker_process

CASES = (
    (known.lexbor_select, 5_000),
    (known.lexbor_select, 50_000),
    (known.lexbor_select, 500_000),
    (known.lxml_parse, 50_000),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.6)
    parsed = parser.parse_args()
    ours = dict(worker_process._ALLOCATOR)  # noqa: SLF001  # the one thing that is compared
    for function, page_bytes in CASES:
        rates: dict[bool, list[float]] = {True: [], False: []}
        for number in range(parsed.rounds):
            for is_ours in (number % 2 == 0, number % 2 == 1):
                worker_process._ALLOCATOR = ours if is_ours else {}  # noqa: SLF001
                body = matrix_measure.pages(page_bytes)
                run = matrix_measure.rate(function, body, "process", 2, seconds=parsed.seconds, warm_up_s=0.4)
                rates[is_ours].append(asyncio.run(run)["pages_per_s"])
        ratios = sorted(kept / given for kept, given in zip(rates[True], rates[False], strict=True))
        print(
            f"{function.__name__}, {page_bytes // 1000} KB: {statistics.median(rates[True]):,.0f} pages/s, "
            f"{statistics.median(ratios):.2f} times as many ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
