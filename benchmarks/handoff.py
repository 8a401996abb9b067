"""What handing a page over costs the main process: CPU a page, by executor and page size, and beside it other ways.

    python benchmarks/handoff.py [--pages N] [--rounds N] [--uvloop]

The function hashes its page and says how much CPU that took, which is subtracted where it ran in this process. Of
interpreters, which are in this process with a GIL of their own, only the event loop's thread counts. All ways keep 64
pages under way on 2 workers. Rounds are interleaved; the table has medians.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import multiprocessing
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.connection import Connection

import anyio.to_process

from scraper.offload import OffloadPool, Result
from scraper.offload.gil import gil_facts
from scraper.offload.values import Work
from scraper.options import ExecutorName

WORKERS = 2
UNDER_WAY = 64
BATCH = 16
SIZES = (5_000, 30_000, 250_000)

Payload = tuple[str, bytes]
Answer = tuple[int, float]


def work(payload: Payload) -> Answer:
    """A function that computes in C without the GIL, as a parser of the good kind does."""
    started_s = time.thread_time()
    _, body = payload
    hashlib.sha256(body).digest()
    return len(body), time.thread_time() - started_s


async def by_pool(executor: ExecutorName, payloads: list[Payload]) -> float:
    """Lanes, as the crawler uses them."""
    function_s = 0.0
    left = len(payloads)
    source = iter(payloads)
    finished = asyncio.Event()

    def done(result: Result) -> None:
        nonlocal function_s, left
        function_s += result.unwrap()[1]
        left -= 1
        submit()
        if not left:
            finished.set()

    def submit() -> None:
        payload = next(source, None)
        if payload is not None:
            lane.submit(payload, len(payload[1]), done)

    clock_s = time.thread_time if executor == "interpreter" else time.process_time
    async with OffloadPool(executor=executor, workers=WORKERS) as pool, pool.lane(Work.of(work)) as lane:
        started_s = clock_s()
        for _ in range(UNDER_WAY):
            submit()
        await finished.wait()
        cpu_s = clock_s() - started_s
    return cpu_s - (0.0 if executor in ("process", "interpreter") else function_s)


async def by_map(executor: ExecutorName, payloads: list[Payload]) -> float:
    function_s = 0.0
    async with OffloadPool(work, executor=executor, workers=WORKERS) as pool:
        started_s = time.process_time()
        async for result in pool.map(payloads):
            function_s += result.unwrap()[1]
        cpu_s = time.process_time() - started_s
    return cpu_s - (0.0 if executor == "process" else function_s)


async def _each(call: Callable[[Payload], Awaitable[Answer]], payloads: list[Payload]) -> tuple[float, float]:
    source = iter(payloads)
    function_s = 0.0

    async def worker() -> None:
        nonlocal function_s
        for payload in source:
            function_s += (await call(payload))[1]

    await call(payloads[0])
    started_s = time.process_time()
    await asyncio.gather(*(worker() for _ in range(UNDER_WAY)))
    return time.process_time() - started_s, function_s


async def by_concurrent_futures(executor: Executor, payloads: list[Payload]) -> float:
    loop = asyncio.get_running_loop()
    with executor:
        cpu_s, function_s = await _each(lambda payload: loop.run_in_executor(executor, work, payload), payloads)
    return cpu_s - (function_s if isinstance(executor, ThreadPoolExecutor) else 0.0)


async def by_anyio_process(payloads: list[Payload]) -> float:
    limiter = anyio.CapacityLimiter(WORKERS)
    cpu_s, _ = await _each(lambda payload: anyio.to_process.run_sync(work, payload, limiter=limiter), payloads)
    return cpu_s


def _serve(connection: Connection) -> None:
    while (batch := connection.recv()) is not None:
        connection.send([work(payload) for payload in batch])


async def by_pipe_and_thread(payloads: list[Payload]) -> float:
    """Batches over multiprocessing's pipes, a thread for each worker that sends and receives."""
    context = multiprocessing.get_context("spawn")
    loop = asyncio.get_running_loop()
    left = len(payloads)
    finished = asyncio.Event()
    batches = [payloads[start : start + BATCH] for start in range(0, len(payloads), BATCH)]
    source = iter(batches)

    def deliver(answers: list[Answer]) -> None:
        nonlocal left
        left -= len(answers)
        if not left:
            finished.set()

    def tend(connection: Connection) -> None:
        for batch in source:
            connection.send(batch)
            loop.call_soon_threadsafe(deliver, connection.recv())
        connection.send(None)

    pairs = [context.Pipe() for _ in range(WORKERS)]
    processes = [context.Process(target=_serve, args=(theirs,)) for _, theirs in pairs]
    for process in processes:
        process.start()
    for ours, _ in pairs:
        ours.send(payloads[:1])
        ours.recv()
    threads = [threading.Thread(target=tend, args=(ours,)) for ours, _ in pairs]
    started_s = time.process_time()
    for thread in threads:
        thread.start()
    await finished.wait()
    cpu_s = time.process_time() - started_s
    for thread in threads:
        thread.join()
    for process in processes:
        process.join()
    for pair in pairs:
        for connection in pair:
            connection.close()
    return cpu_s


WAYS: dict[str, Callable[[list[Payload]], Awaitable[float]]] = {
    "inline": lambda payloads: by_pool("inline", payloads),
    "thread": lambda payloads: by_pool("thread", payloads),
    "process": lambda payloads: by_pool("process", payloads),
    **({"interpreter": lambda payloads: by_pool("interpreter", payloads)} if gil_facts().has_interpreters else {}),
    "thread, map": lambda payloads: by_map("thread", payloads),
    "process, map": lambda payloads: by_map("process", payloads),
    "ThreadPoolExecutor": lambda payloads: by_concurrent_futures(ThreadPoolExecutor(WORKERS), payloads),
    "multiprocessing.Pipe, threads": by_pipe_and_thread,
    "anyio.to_process": by_anyio_process,
    "ProcessPoolExecutor": lambda payloads: by_concurrent_futures(
        ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")), payloads
    ),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pages", type=int, default=2000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--uvloop", action="store_true")
    options = arguments.parse_args()
    run: Callable[..., float] = asyncio.run
    if options.uvloop:
        import uvloop  # noqa: PLC0415  # only where it is installed

        run = uvloop.run
    cpu_us: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.rounds):
        for size in SIZES:
            pages = max(
                UNDER_WAY, options.pages * SIZES[0] // max(size, SIZES[0]) if size > SIZES[1] else options.pages
            )
            payloads = [(f"https://example.org/{number}", bytes([number % 256]) * size) for number in range(pages)]
            for name, way in WAYS.items():
                cpu_us.setdefault((name, size), []).append(run(way(payloads)) / pages * 1e6)
    print(f"main-process CPU a page in µs, medians of {options.rounds} rounds{', uvloop' * options.uvloop}")
    print(f"{'':32}" + "".join(f"{size // 1000:>8} KB" for size in SIZES))
    for name in WAYS:
        print(f"{name:32}" + "".join(f"{statistics.median(cpu_us[name, size]):>11.1f}" for size in SIZES))


if __name__ == "__main__":
    main()
