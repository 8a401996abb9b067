"""What measurements of known kinds lead to, decided without a pool."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scraper.offload.choice import choose_measured
from scraper.offload.costs import HandoffCost, LoopCost, Machine, WorkCost
from scraper.options import ExecutorName

MACHINE = Machine(
    cpus=2,
    capacity=1.7,
    handoffs={
        "thread": HandoffCost(1e-5, 1e-5),
        "process": HandoffCost(2e-5, 2e-5, 1e-10, 1e-5, 1e-10),
        "interpreter": HandoffCost(2e-5, 2e-5, 1e-10, 1e-5, 1e-10),
    },
)
ALL: tuple[ExecutorName, ...] = ("inline", "thread", "process")

PYTHON = WorkCost(wall_s=5e-3, cpu_s=5e-3, held_s=5e-3)
NATIVE = WorkCost(wall_s=5e-3, cpu_s=5e-3, held_s=1e-4, payload_bytes=50_000, pickle_s=1e-4, worker_pickle_s=1e-4)
TINY = WorkCost(wall_s=5e-6, cpu_s=5e-6, held_s=5e-6)
WAITING = WorkCost(wall_s=2e-2, cpu_s=1e-4, held_s=1e-4)


def chosen(cost: WorkCost, machine: Machine = MACHINE, *, workers: int | None = None) -> tuple[ExecutorName, int]:
    return choose_measured(cost, LoopCost(), machine, ALL, workers=workers, payloads=50).strategy.place


@pytest.mark.parametrize(
    ("cost", "place"),
    [(PYTHON, ("process", 2)), (NATIVE, ("thread", 2)), (TINY, ("inline", 1))],
    ids=["python", "native", "tiny"],
)
def test_each_kind_goes_where_nothing_stands_in_its_way(cost: WorkCost, place: tuple[ExecutorName, int]) -> None:
    assert chosen(cost) == place


def test_what_waits_gets_threads_in_numbers() -> None:
    executor, workers = chosen(WAITING)
    assert executor == "thread"
    assert workers > 8


def test_without_a_gil_python_runs_in_threads() -> None:
    """A free-threaded build: threads share its objects, and nothing has to be copied."""
    assert chosen(PYTHON, replace(MACHINE, has_gil=False)) == ("thread", 2)


def test_interpreters_are_taken_where_they_do_as_well_as_processes() -> None:
    choice = choose_measured(PYTHON, LoopCost(), MACHINE, (*ALL, "interpreter"), workers=None, payloads=50)
    assert choice.strategy.executor == "interpreter"
    assert choice.has("interpreter")


def test_workers_that_were_asked_for_are_kept() -> None:
    assert chosen(WAITING, workers=3) == ("thread", 3)


def test_a_page_that_takes_long_does_not_stop_the_loop() -> None:
    """On one CPU nothing is faster than in line, and everything else of the program would stand still for 5 ms."""
    alone = replace(MACHINE, cpus=1, capacity=1.0)
    assert chosen(NATIVE, alone)[0] != "inline"


def test_an_event_loop_on_time_is_worth_some_throughput() -> None:
    """Threads and processes do about the same where the loop has most of the work; Python in threads makes it late."""
    cost = replace(PYTHON, wall_s=2e-3, cpu_s=2e-3, held_s=1.2e-3)
    choice = choose_measured(cost, LoopCost(2e-3, 5e-4), MACHINE, ALL, workers=None, payloads=50)
    predicted = choice.predicted
    assert predicted["thread", 2] > 0.9 * predicted["process", 2]
    assert choice.strategy.executor == "process"
    assert "thread" not in [rival.executor for rival in choice.rivals]


def test_predictions_that_are_close_are_tried() -> None:
    choice = choose_measured(NATIVE, LoopCost(), MACHINE, ALL, workers=None, payloads=50)
    assert [rival.executor for rival in choice.rivals] == ["process"]


def test_the_reason_names_what_was_seen_and_what_is_predicted() -> None:
    why = choose_measured(PYTHON, LoopCost(), MACHINE, ALL, workers=None, payloads=50).strategy.why
    assert "measured on 50 of its pages: 5 ms each, 100% Python" in why
    assert "predicted pages/s: process × 2" in why
    assert "inline" not in why  # 5 ms are too long to be done on the loop
