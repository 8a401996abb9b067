"""One measurement of the strategy matrix, in a process of its own: prints one JSON object.

python -m benchmarks.matrix_measure rate FUNCTION BYTES EXECUTOR WORKERS SECONDS WARM_UP_SECONDS
python -m benchmarks.matrix_measure cost FUNCTION BYTES SECONDS
"""

from __future__ import annotations

import asyncio
import itertools
import json
import pickle
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from benchmarks.known import KNOWN
from scraper.offload import OffloadPool, Work
from scraper.offload.costs import WorkCost
from scraper.offload.probe.judge import work_cost
from scraper.offload.probe.process import Probing

Function = Callable[[bytes], object]

_FUNCTIONS = {known.name: known.function for known in KNOWN}
_PAGES = 8  # different ones, so that no cache is warmer than it is in a crawl
_WORDS = ("alpha", "beta", "gamma", "delta", "price", "stock")


def pages(size: int) -> list[bytes]:
    """Pages of exactly this size: a list of short articles with a link each, the same in every run."""
    return [_page(size, random.Random(seed)) for seed in range(_PAGES)]  # noqa: S311  # no secrets


def _page(size: int, chance: random.Random) -> bytes:
    parts = [f"<!doctype html><html><head><title>Page {chance.random()}</title></head><body>"]
    chars = 0
    while chars < size:
        text = " ".join(chance.choice(_WORDS) for _ in range(chance.randint(10, 40)))
        link = f'<a href="/page/{chance.randint(0, 9999)}">more</a>'
        parts.append(f'<div class="c{chance.randint(0, 9)}"><h2>{text[:30]}</h2><p>{text}</p>{link}</div>')
        chars += len(parts[-1])
    return "".join(parts)[:size].encode()


async def rate(
    function: Function, body: list[bytes], executor: Any, workers: int, *, seconds: float, warm_up_s: float
) -> dict[str, Any]:
    """Pages a second through `OffloadPool.map` once it runs, and CPU a page of the loop's thread and this process.

    Nothing in the measured time may let the GIL go: beside threads that run Python each time is a switch interval, and
    reading the workers' CPU from /proc takes seconds.
    """
    clock = time.perf_counter
    async with OffloadPool(function, executor=executor, workers=workers or None) as pool:
        results = pool.map(itertools.cycle(body), ordered=False)
        begin_s = clock() + warm_up_s
        async for result in results:
            result.unwrap()
            if clock() >= begin_s:
                break
        count = 0
        loop_s, main_s, started_s = time.thread_time(), time.process_time(), clock()
        async for result in results:
            result.unwrap()
            count += 1
            if clock() - started_s >= seconds:
                break
        elapsed_s = clock() - started_s
        loop_s, main_s = time.thread_time() - loop_s, time.process_time() - main_s
        used = [f"{each.executor} {each.workers}" for each in pool.statistics().executors]
        await results.aclose()
    return {
        "pages_per_s": count / elapsed_s,
        "loop_cpu_s": loop_s / count,
        "main_cpu_s": main_s / count,
        "pages": count,
        "elapsed_s": elapsed_s,
        "used": used,
    }


def cost(function: Function, body: list[bytes], budget_s: float) -> WorkCost:
    """What the probe makes of the function."""
    blobs = [pickle.dumps(page, pickle.HIGHEST_PROTOCOL) for page in body]
    measured = Probing(Work.of(function), blobs, budget_s=budget_s, memory_bytes=None).run()
    return work_cost(measured)[0]


def main() -> None:
    match sys.argv[1:]:
        case ["rate", name, size, executor, workers, seconds, warm_up_s]:
            run = rate(
                _FUNCTIONS[name],
                pages(int(size)),
                executor,
                int(workers),
                seconds=float(seconds),
                warm_up_s=float(warm_up_s),
            )
            json.dump(asyncio.run(run), sys.stdout)
        case ["cost", name, size, seconds]:
            json.dump(asdict(cost(_FUNCTIONS[name], pages(int(size)), float(seconds))), sys.stdout)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
