from __future__ import annotations

import pickle

import pytest

from scraper.errors import (
    FunctionFailed,
    HandlerNotImportable,
    ParseTimeout,
    WorkerCrashed,
    WorkerError,
    WorkerStartFailed,
)
from scraper.model import Failure, Stage
from scraper.offload import Result, Work
from scraper.offload.strategy import choose
from scraper.options import ExecutorName, OffloadOptions
from tests.offload import functions


def test_a_work_names_a_function() -> None:
    work = Work.of(functions.double, known="holds_gil")
    assert work == Work("scraper.handlers:resolve", ("tests.offload.functions:double",), "holds_gil")
    assert work.title == "tests.offload.functions:double"
    assert Work("module:factory").title == "module:factory"
    assert pickle.loads(pickle.dumps(work)) == work
    with pytest.raises(HandlerNotImportable):
        Work.of(lambda page: page)


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("raised", FunctionFailed),
        ("result_not_picklable", FunctionFailed),
        ("worker_crashed", WorkerCrashed),
        ("worker_start_failed", WorkerStartFailed),
        ("workers_lost", WorkerError),
        ("parse_timeout", ParseTimeout),
        ("out_of_memory", FunctionFailed),
    ],
)
def test_unwrapping_a_failure_raises_it(reason: str, error: type[Exception]) -> None:
    result = Result(failure=Failure(Stage.EXTRACT, reason, "the detail"))
    with pytest.raises(error, match=f"{reason}: the detail"):
        result.unwrap()


def test_unwrapping_a_value_gives_it() -> None:
    assert Result(value=None).unwrap() is None


@pytest.mark.parametrize(
    ("known", "executor"), [("releases_gil", "thread"), ("holds_gil", "process"), ("unknown", "process")]
)
def test_auto_goes_by_what_is_known(known: str, executor: str) -> None:
    work = Work("module:factory", (), known)  # type: ignore[arg-type]  # one of three
    strategy = choose(work, OffloadOptions(workers=3))
    assert (strategy.executor, strategy.workers) == (executor, 3)
    assert strategy.why


@pytest.mark.parametrize(("asked", "workers"), [("inline", 1), ("thread", 3), ("process", 3)])
def test_what_is_asked_for_is_taken(asked: ExecutorName, workers: int) -> None:
    strategy = choose(Work("module:factory", (), "holds_gil"), OffloadOptions(executor=asked, workers=3))
    assert (strategy.executor, strategy.workers, strategy.why) == (asked, workers, "asked for")
