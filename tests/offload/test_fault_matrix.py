"""What a page does × where it runs × alone or among others: each fault has one end, and no neighbour pays."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from scraper.errors import FunctionFailed, ParseTimeout, WorkerCrashed
from scraper.model import Failure, Request, Response
from scraper.offload import OffloadPool, Result, Work
from scraper.options import ExecutorName, OffloadOptions
from scraper.parse.extract import decode_result, encode_task
from tests.offload import faults
from tests.offload.conftest import until

ROOT = Path(__file__).parents[2]

# One worker, so that a portion has the fault and its neighbours.
OPTIONS = OffloadOptions(workers=1, deadline_s=0.3, memory_bytes=500_000_000)

interpreter = pytest.param(
    "interpreter",
    marks=pytest.mark.skipif(sys.version_info < (3, 13), reason="interpreters need Python 3.13 or later"),
)
EXECUTORS = ["thread", "process", interpreter]


@dataclass(frozen=True)
class Fails:
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class EndsTheProgram:
    """What runs in the program's own process takes it along; the state file is what is left."""

    returncode: int


@dataclass(frozen=True)
class Succeeds:
    """Where nothing is pickled, or nothing limited, it is no fault."""


End = Fails | EndsTheProgram | Succeeds

RAISED = Fails("raised", "ValueError: bad page")
TOO_LATE = Fails("parse_timeout", "deadline of 0.3 s")
NOT_STOPPED = Fails("parse_timeout", "cannot be stopped: executor process can kill what runs away")
NO_MEMORY = Fails("out_of_memory", "MemoryError")

# thread, process, interpreter
ENDS: dict[str, tuple[End, End, End]] = {
    "raises": (RAISED, RAISED, RAISED),
    "raises unpicklable": (Fails("raised", "code 7"),) * 3,
    "sys.exit": (Fails("raised", "SystemExit: 3"),) * 3,
    "os._exit": (EndsTheProgram(3), Fails("worker_crashed", "exit code 3"), EndsTheProgram(3)),
    "segfaults": (
        EndsTheProgram(-signal.SIGSEGV),
        Fails("worker_crashed", "killed by SIGSEGV"),
        EndsTheProgram(-signal.SIGSEGV),
    ),
    "hangs": (NOT_STOPPED, TOO_LATE, NOT_STOPPED),
    "allocates more than there is": (NO_MEMORY,) * 3,
    "returns unpicklable": (
        Succeeds(),
        Fails("result_not_picklable", "a UnpicklableResult was returned: TypeError: this stays here"),
        Fails("result_not_picklable", "a UnpicklableResult was returned: TypeError: this stays here"),
    ),
    "returns a generator": (
        Succeeds(),
        Fails("result_not_picklable", "a generator was returned"),
        Fails("result_not_picklable", "a generator was returned"),
    ),
    "yields without end": (NOT_STOPPED, TOO_LATE, NOT_STOPPED),
}
# What only a process can bear; elsewhere it would run for ever, or take the machine's memory.
IN_PROCESSES: dict[str, End] = {
    "hangs for ever in C with the GIL": TOO_LATE,
    "returns what has no end": TOO_LATE,
    "allocates 1 GB": NO_MEMORY,
}
# Nothing else of the program runs meanwhile, so that nobody notices in time; then it goes on as if nothing was.
BLOCKING = "keeps the GIL in C for long"

INNOCENT = "innocent"
RAISES = {"parse_timeout": ParseTimeout, "worker_crashed": WorkerCrashed}


def end_of(kind: str, executor: ExecutorName) -> End:
    if executor == "process" and kind in IN_PROCESSES:
        return IN_PROCESSES[kind]
    return ENDS[kind][("thread", "process", "interpreter").index(executor)]


def cells() -> list[object]:
    made: list[object] = []
    for kind in ENDS:
        made += [pytest.param("thread", kind), pytest.param("process", kind)]
        made.append(pytest.param("interpreter", kind, marks=interpreter.marks))
    return made + [pytest.param("process", kind) for kind in IN_PROCESSES]


async def results_of(executor: ExecutorName, kinds: list[str], release: Path) -> list[Result]:
    async with OffloadPool(faults.suffer, executor=executor, options=OPTIONS) as pool:
        results = [result async for result in pool.map((kind, str(release)) for kind in kinds)]
    release.touch()
    await until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("scraper-offload")])
    return results


PROGRAM = """
import asyncio, json, sys
from scraper.offload import OffloadPool
from scraper.options import OffloadOptions

async def main():
    executor, kinds = sys.argv[1], json.loads(sys.argv[2])
    options = OffloadOptions(workers=1, deadline_s=0.3)
    async with OffloadPool("tests.offload.faults:suffer", executor=executor, options=options) as pool:
        async for result in pool.map((kind, "") for kind in kinds):
            print(result.value, flush=True)

asyncio.run(main())
"""


def run_program(executor: ExecutorName, kinds: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, executor, json.dumps(kinds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def check(end: End, result: Result) -> None:
    if isinstance(end, Succeeds):
        assert result.failure is None
        return
    assert isinstance(end, Fails)
    assert result.failure is not None
    assert result.failure.reason == end.reason
    assert end.detail in result.failure.detail
    with pytest.raises(RAISES.get(end.reason, FunctionFailed), match=end.reason):
        result.unwrap()


async def check_cell(executor: ExecutorName, kind: str, release: Path, neighbours: int) -> None:
    end = end_of(kind, executor)
    if kind == "allocates 1 GB" and sys.platform != "linux":
        pytest.skip("only Linux limits what one process may take")
    kinds = [INNOCENT] * neighbours + [kind] + [INNOCENT] * neighbours
    if isinstance(end, EndsTheProgram):
        done = await asyncio.to_thread(run_program, executor, kinds)
        assert done.returncode == end.returncode
        return
    results = await results_of(executor, kinds, release)
    check(end, results.pop(neighbours))
    assert [result.value for result in results] == [INNOCENT] * 2 * neighbours


@pytest.mark.parametrize(("executor", "kind"), cells())
async def test_a_page_alone(executor: ExecutorName, kind: str, tmp_path: Path) -> None:
    await check_cell(executor, kind, tmp_path / "release", 0)


@pytest.mark.parametrize(("executor", "kind"), cells())
async def test_a_page_among_others(executor: ExecutorName, kind: str, tmp_path: Path) -> None:
    """Those before it and those behind it in its portion have their values."""
    await check_cell(executor, kind, tmp_path / "release", 5)


@pytest.mark.parametrize("neighbours", [0, 5])
async def test_c_code_with_the_gil_stops_the_program_for_as_long_as_it_runs(neighbours: int, tmp_path: Path) -> None:
    """In a thread. Its deadline passes unnoticed; when it is over, its value is as good as any."""
    kinds = [INNOCENT] * neighbours + [BLOCKING] + [INNOCENT] * neighbours
    results = await results_of("thread", kinds, tmp_path / "release")
    assert [result.value for result in results] == kinds


async def extract(executor: ExecutorName, handler: str, body: bytes, options: OffloadOptions = OPTIONS) -> Result:
    work = Work("scraper.parse.extract:extractor", ("html.parser", f"tests.offload.faults:{handler}"))
    response = Response("https://example.org/", 200, (), body, len(body), 0.0)
    task = encode_task(Request("https://example.org/"), response)
    async with OffloadPool(executor=executor, options=options) as pool, pool.lane(work) as lane:
        ended: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        lane.submit(task, len(body), ended.set_result)
        return await ended


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_a_handler_that_yields_without_end_fails_by_its_number(executor: ExecutorName) -> None:
    """Long before its deadline."""
    result = await extract(executor, "endless_handler", b"", OffloadOptions(workers=1))
    failure, _ = decode_result(result.unwrap())
    assert isinstance(failure, Failure)
    assert failure.reason == "endless_handler"


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_a_handler_that_yields_slowly_without_end_fails_by_its_deadline(
    executor: ExecutorName, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    result = await extract(executor, "slow_endless_handler", str(release).encode())
    release.touch()
    assert result.failure is not None
    assert result.failure.reason == "parse_timeout"
    await until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("scraper-offload")])


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_a_handler_that_asks_for_too_much_memory_is_told_from_one_that_raises(executor: ExecutorName) -> None:
    result = await extract(executor, "greedy_handler", b"")
    assert result.failure is not None
    assert result.failure.reason == "out_of_memory"
