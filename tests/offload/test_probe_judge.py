"""What the probe makes of measurements, on recorded ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from scraper.offload.costs import HandoffCost, LoopCost, Machine
from scraper.offload.heartbeat import Beat, Sample, summarise
from scraper.offload.probe.judge import Setting, judge
from scraper.offload.probe.values import Crossing, Measured, ProbeFailure, ProbeReport, Run, Together

MS = 1e-3
MACHINE = Machine(
    cpus=2,
    capacity=1.7,
    handoffs={
        "inline": HandoffCost(4e-6, 4e-6),
        "thread": HandoffCost(2e-6, 2e-6, worker_cpu_s=3e-6),
        "process": HandoffCost(5e-6, 5e-6, 4e-10, 6e-6, 2e-10),
    },
)
SETTING = Setting(MACHINE, 2, LoopCost(3e-6, 3e-6), ["inline", "thread", "process"])
CROSSING = Crossing(100_000, 5_000, 0.05 * MS, 0.05 * MS)

# Of 100 beats half a millisecond apart, as the heartbeat notes them.
FREE = Beat(0.5 * MS, 0.0, 0.5 * MS, 0.0)
PYTHON = Beat(0.5 * MS, 0.16 * MS, 0.65 * MS, 0.0)
KEPT = Beat(0.5 * MS, 10 * MS, 10.5 * MS, 0.0)


def sample(*beats: Beat) -> Sample:
    return summarise(beats * (100 // len(beats)))


def measured(run: Run, beats: Sample, **further: Any) -> Measured:
    return Measured(tried=10, alone=run, sample=beats, crossing=CROSSING, **further)


def judged(of: Measured, setting: Setting = SETTING) -> ProbeReport:
    return judge("module:function", of, setting)


def test_python_is_for_processes() -> None:
    report = judged(measured(Run(10 * MS, 10 * MS, 0.0), sample(PYTHON)))
    assert report.kind == "python"
    assert report.held_share == pytest.approx(1.0)
    assert (report.recommended, report.recommended_workers) == ("process", 2)
    assert "take turns" in report.why


def test_c_that_lets_the_gil_go_is_for_threads() -> None:
    report = judged(measured(Run(10 * MS, 10 * MS, 0.0), sample(FREE)))
    assert report.kind == "native"
    assert report.held_share == 0.0
    assert report.recommended == "thread"


def test_c_that_keeps_the_gil_is_for_processes() -> None:
    report = judged(measured(Run(20 * MS, 20 * MS, 0.0), sample(KEPT)))
    assert report.kind == "native-held"
    assert report.recommended == "process"


def test_waiting_is_for_many_threads() -> None:
    report = judged(measured(Run(100 * MS, 0.1 * MS, 0.0), sample(FREE, PYTHON)))
    assert report.kind == "waiting"
    assert report.recommended == "thread"
    assert report.recommended_workers > 2
    assert "waits" in report.why


def test_time_in_the_run_queue_is_no_waiting() -> None:
    """Other programs on the machine are none of the function's doing."""
    report = judged(measured(Run(25 * MS, 10 * MS, 15 * MS), sample(PYTHON)))
    assert report.shares.waiting == pytest.approx(0.0, abs=0.01)
    assert report.kind == "python"


def test_a_tiny_function_stays_in_line() -> None:
    report = judged(measured(Run(2e-6, 2e-6, 0.0), sample(PYTHON)))
    assert report.recommended == "inline"


def test_threads_that_wait_for_each_other_without_the_gil_share_a_lock() -> None:
    """lxml's default parser is such a case: it lets the GIL go, and takes a lock."""
    alone = Run(10 * MS, 10 * MS, 0.0)
    in_turn = judged(measured(alone, sample(FREE), together=Together(100, Run(2.0, 1.0, 0.0))))
    side_by_side = judged(measured(alone, sample(FREE), together=Together(200, Run(2.0, 2.0, 0.0))))
    assert in_turn.cost.serial_s == pytest.approx(10 * MS)
    assert in_turn.thread_speedup == pytest.approx(1.0)
    assert in_turn.recommended == "process"
    assert "lock" in in_turn.why
    assert side_by_side.cost.serial_s == 0.0
    assert side_by_side.thread_speedup == pytest.approx(2.0)
    assert side_by_side.recommended == "thread"


def test_threads_that_wait_for_the_gil_share_no_other_lock() -> None:
    report = judged(measured(Run(10 * MS, 10 * MS, 0.0), sample(PYTHON), together=Together(100, Run(2.0, 1.0, 0.0))))
    assert report.cost.serial_s == 0.0


def test_threads_that_wait_for_a_cpu_share_no_lock() -> None:
    report = judged(measured(Run(10 * MS, 10 * MS, 0.0), sample(FREE), together=Together(100, Run(2.0, 1.0, 1.0))))
    assert report.cost.serial_s == 0.0


def test_a_call_that_does_not_return_is_judged_by_what_was_seen_of_it() -> None:
    report = judged(Measured(tried=3, unfinished_index=2, long_run=Run(4.0, 3.9, 0.0), long_sample=sample(PYTHON)))
    assert not report.is_finished
    assert report.kind == "python"
    assert report.recommended == "process"
    assert any("page 3 had not returned" in note for note in report.notes)


def test_a_process_that_computes_in_silence_keeps_the_gil() -> None:
    """Not even the heartbeat got to run."""
    report = judged(Measured(tried=1, unfinished_index=0, silent=Run(5.0, 4.9, 0.0)))
    assert report.kind == "native-held"
    assert report.held_share == 1.0


def test_a_process_that_sleeps_in_silence_waits() -> None:
    report = judged(Measured(tried=1, unfinished_index=0, silent=Run(5.0, 0.0, 0.0)))
    assert report.kind == "waiting"


def test_a_single_long_call_is_judged_by_its_own_heartbeat() -> None:
    """What the heartbeat made it wait for the GIL is not its own waiting."""
    beats = sample(PYTHON)
    report = judged(Measured(tried=1, warm=Run(3.0, 2.996, 0.0), long_run=Run(3.0, 2.996, 0.0), long_sample=beats))
    assert report.is_finished
    assert report.shares.waiting == 0.0
    assert report.kind == "python"
    assert any("first call" in note for note in report.notes)


def test_a_long_first_call_beside_which_no_heartbeat_could_begin_keeps_the_gil() -> None:
    report = judged(Measured(tried=1, warm=Run(3.0, 3.0, 0.0)))
    assert report.kind == "native-held"
    assert report.uncertainty > 0.1


def test_results_that_do_not_pickle_rule_processes_out() -> None:
    report = judged(
        replace(
            measured(Run(10 * MS, 10 * MS, 0.0), sample(PYTHON)), crossing=CROSSING._replace(error="it is a lambda")
        )
    )
    assert "process" not in report.predicted
    assert report.recommended in ("inline", "thread")
    assert any("it is a lambda" in note for note in report.notes)


def test_threads_that_end_the_process_are_ruled_out() -> None:
    report = judged(measured(Run(10 * MS, 10 * MS, 0.0), sample(FREE), threads_error="killed by SIGSEGV"))
    assert "thread" not in report.predicted
    assert report.recommended == "process"
    assert any("SIGSEGV" in note for note in report.notes)


def test_a_function_with_nowhere_else_to_run_runs_in_line() -> None:
    of = measured(Run(10 * MS, 10 * MS, 0.0), sample(FREE), threads_error="exit code 4")
    report = judged(replace(of, crossing=CROSSING._replace(error="no")))
    assert report.recommended == "inline"


def test_predictions_are_made_for_one_to_sixty_four_cores() -> None:
    report = judged(measured(Run(10 * MS, 10 * MS, 0.0), sample(PYTHON)))
    assert set(report.predicted) == {"inline", "thread", "process"}
    assert set(report.predicted["process"]) == {1, 2, 4, 8, 16, 32, 64}
    assert report.predicted["process"][64] > 10 * report.predicted["process"][1]
    assert report.predicted["thread"][64] < 1.2 * report.predicted["thread"][1]


def test_the_recommendation_is_for_the_cores_that_are_asked_for() -> None:
    of = measured(Run(10 * MS, 10 * MS, 0.0), sample(PYTHON))
    report = judged(of, replace(SETTING, cores=6))
    assert (report.recommended, report.recommended_workers) == ("process", 6)
    assert 6 in report.predicted["process"]
    assert "6 cores" in report.why


def test_the_report_as_json_keeps_its_contract() -> None:
    failures = [ProbeFailure(3, "ValueError: bad")]
    told = judged(measured(Run(12 * MS, 10 * MS, 0.0), sample(PYTHON, FREE), failures=failures)).to_dict()
    assert json.loads(json.dumps(told)) == told
    assert set(told) >= {
        "kind",
        "shares",
        "gil_held",
        "wall_s_per_page",
        "cpu_s_per_page",
        "pickle_s_per_page",
        "recommended",
        "recommended_workers",
        "predicted",
        "uncertainty",
        "why",
    }
    assert set(told["shares"]) == {"waiting", "python", "native", "native_held"}
    assert sum(told["shares"].values()) == pytest.approx(1.0)
    assert told["failures"] == [{"index": 3, "detail": "ValueError: bad"}]
