"""The formulas: what bounds each strategy, what is recommended, and how sure that is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scraper.offload.costs import HandoffCost, LoopCost, Machine, WorkCost
from scraper.offload.roofline import Bound, candidates, expected_error, predict, rank, recommend
from scraper.options import ExecutorName

MACHINE = Machine(
    cpus=4,
    capacity=3.4,
    handoffs={
        "inline": HandoffCost(4e-6, 4e-6),
        "thread": HandoffCost(2e-6, 2e-6, worker_cpu_s=3e-6),
        "process": HandoffCost(5e-6, 5e-6, 3e-10, 4e-6, 2e-10),
        "interpreter": HandoffCost(5e-6, 5e-6, 3e-10, 4e-6, 2e-10),
    },
)
PYTHON = WorkCost(wall_s=0.004, cpu_s=0.004, held_s=0.004, payload_bytes=50_000, pickle_s=5e-6, worker_pickle_s=5e-6)
NATIVE = replace(PYTHON, held_s=0.0, gil_waits=1.0)
WAITING = WorkCost(wall_s=0.020, cpu_s=0.0002, held_s=0.0002, gil_waits=1.0)
NO_LOOP = LoopCost()


def rate(executor: ExecutorName, workers: int, work: WorkCost, machine: Machine = MACHINE) -> float:
    return predict(executor, workers, work, NO_LOOP, machine).payloads_per_s


def test_in_line_one_payload_follows_the_other() -> None:
    bound = predict("inline", 8, WAITING, LoopCost(0.001, 0.001), MACHINE)
    assert bound.payloads_per_s == pytest.approx(1 / (0.020 + 0.001 + 4e-6), rel=1e-3)
    assert (bound.workers, bound.limit) == (1, "loop")


def test_threads_of_pure_python_take_turns() -> None:
    """However many there are, they do what one does, less the loop's own work."""
    bound = predict("thread", 4, PYTHON, NO_LOOP, MACHINE)
    assert bound.limit == "gil"
    assert bound.payloads_per_s == pytest.approx(250, rel=0.05)


def test_the_loop_takes_its_turn_among_threads_of_pure_python() -> None:
    busy = predict("thread", 4, PYTHON, LoopCost(0.001, 0.001), MACHINE)
    assert busy.payloads_per_s == pytest.approx(200, rel=0.05)


def test_processes_of_pure_python_run_side_by_side() -> None:
    bound = predict("process", 4, PYTHON, NO_LOOP, MACHINE)
    assert bound.limit in ("cores", "workers")
    assert 2.5 * 250 < bound.payloads_per_s < 3.4 * 250


def test_threads_of_c_without_the_gil_run_side_by_side() -> None:
    assert rate("thread", 4, NATIVE) > 2.5 * rate("inline", 1, NATIVE)


def test_without_a_gil_threads_of_pure_python_run_side_by_side() -> None:
    free = replace(MACHINE, has_gil=False)
    bound = predict("thread", 4, PYTHON, NO_LOOP, free)
    assert "gil" not in bound.occupied_s
    assert bound.payloads_per_s > 2.5 * 250


def test_each_release_of_the_gil_has_its_price() -> None:
    """C that is left and entered again every few microseconds gains nothing by threads."""
    fine = replace(PYTHON, held_s=0.002, gil_waits=200.0)
    coarse = replace(fine, gil_waits=1.0)
    assert rate("thread", 2, fine) < 0.8 * rate("thread", 2, coarse)
    assert rate("thread", 1, fine) == pytest.approx(rate("thread", 1, coarse), rel=0.01)


def test_a_lock_serialises_threads_and_not_processes() -> None:
    locked = replace(NATIVE, serial_s=0.003)
    bound = predict("thread", 4, locked, NO_LOOP, MACHINE)
    assert bound.limit == "lock"
    assert bound.payloads_per_s == pytest.approx(1 / 0.003, rel=0.1)
    assert rate("process", 4, locked) == rate("process", 4, NATIVE)


def test_more_threads_help_what_waits() -> None:
    assert rate("thread", 16, WAITING) == pytest.approx(16 / 0.020, rel=0.05)


def test_handing_over_bounds_processes_of_large_payloads() -> None:
    large = replace(NATIVE, cpu_s=1e-5, wall_s=1e-5, payload_bytes=5_000_000)
    bound = predict("process", 4, large, NO_LOOP, MACHINE)
    assert bound.limit == "loop"
    assert bound.payloads_per_s < 1 / (3e-10 * 5_000_000)


def test_interpreters_cost_as_processes_do() -> None:
    assert rate("interpreter", 4, PYTHON) == rate("process", 4, PYTHON)


def test_a_server_on_the_same_machine_takes_its_share() -> None:
    alone = predict("inline", 1, PYTHON, LoopCost(0.001, 0.001), replace(MACHINE, capacity=1.0))
    beside = predict("inline", 1, PYTHON, LoopCost(0.001, 0.001, 0.005), replace(MACHINE, capacity=1.0))
    assert beside.limit == "cores"
    assert beside.payloads_per_s == pytest.approx(alone.payloads_per_s / 2, rel=0.02)


def test_a_roof_is_lower_where_two_meet() -> None:
    apart = predict("thread", 16, WAITING, NO_LOOP, MACHINE)
    assert apart.payloads_per_s == pytest.approx(1 / max(apart.occupied_s.values()), rel=0.01)
    corner = replace(PYTHON, held_s=0.002)
    meeting = predict("thread", 2, corner, NO_LOOP, MACHINE)
    assert 0.85 < meeting.payloads_per_s * max(meeting.occupied_s.values()) < 0.95


def test_more_cpus_raise_the_roof_of_the_cores() -> None:
    rates = [predict("process", cpus, PYTHON, NO_LOOP, MACHINE, cpus=cpus).payloads_per_s for cpus in (1, 2, 4, 8, 16)]
    assert rates == sorted(rates)
    assert predict("process", 4, PYTHON, NO_LOOP, MACHINE, cpus=4).payloads_per_s == pytest.approx(rates[2])


@pytest.mark.parametrize("work", [WorkCost(wall_s=0.0, cpu_s=0.0, held_s=0.0), PYTHON, NATIVE, WAITING])
@pytest.mark.parametrize("executor", ["inline", "thread", "process", "interpreter"])
def test_a_machine_of_which_nothing_was_measured_gives_a_finite_bound(executor: ExecutorName, work: WorkCost) -> None:
    bound = predict(executor, 2, work, NO_LOOP, Machine(cpus=1, capacity=1.0))
    assert 0 < bound.payloads_per_s < float("inf")


def test_the_best_is_ranked_first() -> None:
    bounds = rank([("inline", 1), ("process", 4), ("thread", 4)], PYTHON, NO_LOOP, MACHINE)
    assert bounds[0].executor == "process"
    assert [bound.payloads_per_s for bound in bounds] == sorted(
        (bound.payloads_per_s for bound in bounds), reverse=True
    )


def test_candidates_of_work_that_computes_have_one_worker_a_cpu() -> None:
    assert candidates(PYTHON, MACHINE) == [("inline", 1), ("thread", 4), ("process", 4)]


def test_candidates_of_work_that_waits_have_more_workers_than_cpus() -> None:
    found = candidates(WAITING, MACHINE)
    assert [workers for executor, workers in found if executor == "thread"] == [4, 8, 16, 32]
    assert [workers for executor, workers in found if executor == "process"] == [4, 8, 16]


def test_candidates_keep_to_what_was_asked_for() -> None:
    assert candidates(WAITING, MACHINE, workers=3, executors=("thread", "interpreter")) == [
        ("thread", 3),
        ("interpreter", 3),
    ]


def test_a_machine_with_more_cpus_than_the_most_threads_has_candidates() -> None:
    assert ("thread", 96) in candidates(WAITING, replace(MACHINE, cpus=96))


def bound(executor: ExecutorName, workers: int, payloads_per_s: float) -> Bound:
    return Bound(executor, workers, payloads_per_s, "cores", {})


def test_the_best_is_recommended() -> None:
    assert recommend([bound("inline", 1, 100.0), bound("process", 2, 180.0)]).executor == "process"


def test_of_nearly_equal_ones_the_cheaper_is_recommended() -> None:
    """A difference smaller than the model's own error is no reason to start processes."""
    found = recommend([bound("process", 2, 100.0), bound("thread", 4, 98.0), bound("thread", 2, 97.0)])
    assert (found.executor, found.workers) == ("thread", 2)
    assert recommend([bound("process", 2, 100.0), bound("thread", 2, 97.0)], alike=0.01).executor == "process"


def test_in_line_is_recommended_for_work_that_is_smaller_than_its_hand_off() -> None:
    tiny = WorkCost(wall_s=1e-6, cpu_s=1e-6, held_s=1e-6, payload_bytes=5_000, pickle_s=1e-6)
    machine = replace(MACHINE, handoffs={**MACHINE.handoffs, "thread": HandoffCost(5e-6, 5e-6, worker_cpu_s=5e-6)})
    bounds = rank(candidates(tiny, machine), tiny, NO_LOOP, machine)
    assert recommend(bounds).executor == "inline"


def test_predictions_for_other_machines_are_less_sure() -> None:
    errors = [expected_error(MACHINE, cpus=cpus) for cpus in (4, 8, 16)]
    assert errors[0] == expected_error(MACHINE)
    assert errors == sorted(errors)
    assert len(set(errors)) == 3
    assert expected_error(MACHINE, cpus=2) == pytest.approx(errors[1])
