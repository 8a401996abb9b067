"""The failure matrix: what a page does × where it runs × alone or among others. Each failure stays with its page."""

from __future__ import annotations

from typing import Any

import pytest

from scraper.errors import FunctionFailed, WorkerCrashed
from scraper.model import Stage
from scraper.offload import OffloadPool, Result
from scraper.options import ExecutorName, OffloadOptions
from tests.offload import functions

ANYWHERE: dict[str, tuple[str, str]] = {
    "raises": ("raised", "ValueError: bad page"),
    "raises unpicklable": ("raised", "NeedsKeyword: code 7"),
    "raises without text": ("raised", "HasNoText: (its message cannot be shown)"),
    "raises SystemExit": ("raised", "SystemExit: 3"),
    "recurses": ("raised", "RecursionError: "),
}
# In line and in threads nothing is pickled, and what ends a process ends the program.
IN_PROCESSES: dict[str, tuple[str, str]] = {
    "exits": ("worker_crashed", "exit code 3"),
    "segfaults": ("worker_crashed", "killed by SIGSEGV"),
    "is killed": ("worker_crashed", "killed by SIGKILL"),
    "returns unpicklable": ("result_not_picklable", "a UnpicklableResult was returned: TypeError: this stays here"),
    "returns what does not load": ("result_not_picklable", "it does not unpickle: RuntimeError: this does not load"),
}
CELLS = [
    *[(executor, kind, *end) for executor in ("inline", "thread", "process") for kind, end in ANYWHERE.items()],
    *[("process", kind, *end) for kind, end in IN_PROCESSES.items()],
]


async def results_of(executor: ExecutorName, payloads: list[Any]) -> list[Result]:
    async with OffloadPool(functions.misbehave, executor=executor, workers=1) as pool:
        return [result async for result in pool.map(payloads)]


@pytest.mark.parametrize(("executor", "kind", "reason", "detail"), CELLS)
async def test_a_page_fails_alone(executor: ExecutorName, kind: str, reason: str, detail: str) -> None:
    [result] = await results_of(executor, [kind])
    assert result.failure is not None
    assert (result.failure.stage, result.failure.reason) == (Stage.EXTRACT, reason)
    assert detail in result.failure.detail
    with pytest.raises(WorkerCrashed if reason == "worker_crashed" else FunctionFailed, match=reason):
        result.unwrap()


@pytest.mark.parametrize(("executor", "kind", "reason", "detail"), CELLS)
async def test_a_page_fails_among_others(executor: ExecutorName, kind: str, reason: str, detail: str) -> None:
    """The pages before and behind it in its portion have their values, and so have those of the next portion."""
    payloads = [kind if number in (0, 5, 20) else f"page {number}" for number in range(40)]
    results = await results_of(executor, payloads)
    for payload, result in zip(payloads, results, strict=True):
        if payload == kind:
            assert result.failure is not None
            assert result.failure.reason == reason
            assert detail in result.failure.detail
        else:
            assert result.unwrap() == payload


@pytest.mark.parametrize("where", [0, 7])
async def test_a_huge_result_comes_through(executor: ExecutorName, where: int) -> None:
    payloads = ["huge result" if number == where else "small" for number in range(where + 3)]
    results = await results_of(executor, payloads)
    assert [len(result.unwrap()) for result in results] == [
        20_000_000 if payload == "huge result" else 5 for payload in payloads
    ]


@pytest.mark.parametrize("among", [0, 20])
async def test_a_payload_that_does_not_pickle_fails_alone(among: int) -> None:
    payloads = [*range(among), functions.UnpicklableResult(), functions.LoadsNowhere(), *range(among)]
    async with OffloadPool(functions.identity, executor="process", workers=1) as pool:
        results = [result async for result in pool.map(payloads)]
    failures = [result.failure for result in results if result.failure]
    assert [failure.reason for failure in failures] == ["payload_not_picklable"] * 2
    assert "a UnpicklableResult was submitted: TypeError: this stays here" in failures[0].detail
    assert "RuntimeError: this does not load" in failures[1].detail
    assert [result.value for result in results if not result.failure] == [*range(among)] * 2


async def test_every_page_that_kills_its_worker_fails() -> None:
    """Nothing is left to do for a pool under which every page dies, but it ends."""
    options = OffloadOptions(workers=2)
    async with OffloadPool(functions.misbehave, executor="process", options=options) as pool:
        results = [result async for result in pool.map(["exits"] * 12)]
    assert {result.failure.reason for result in results if result.failure} == {"worker_crashed"}
    assert len(results) == 12
