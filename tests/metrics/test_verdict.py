"""Loads with one thing too little each, and what lies between them."""

from itertools import pairwise
from typing import Any

import pytest

from scraper.metrics import LiveVerdict, Load, Usage, Verdict, judge

# Ten seconds of a crawl that nothing limits much: 32 slots, 8 hosts, 2 worker processes on 4 CPUs.
QUIET = {
    "elapsed_s": 10.0,
    "pages": 1_000.0,
    "loop_cpu_s": 2.0,
    "process_cpu_s": 2.2,
    "machine_busy_s": 6.0,
    "fetches": 1_000.0,
    "fetch_wall_s": 100.0,
    "worker_wall_s": 4.0,
    "worker_cpu_s": 4.0,
    "parse_wall_s": 3.0,
    "handoff_cpu_s": 0.2,
    "commits": 100.0,
    "commit_wall_s": 1.0,
    "commit_cpu_s": 0.3,
    "sink_wall_s": 0.5,
    "sink_cpu_s": 0.1,
    "ticks": 2_000.0,
    "lateness_s": 2.0,
    "fetching": 20_000.0,
}
SETTING = {"concurrency": 32, "per_host": 8, "hosts": 8, "workers": 2, "cores": 4, "executor": "process"}


def load(setting: dict[str, Any] | None = None, /, **used: float) -> Load:
    return Load(used=Usage(**{**QUIET, **used}), **{**SETTING, "parser": "lxml", **(setting or {})})


ANSWERS = {"answers": 2_000.0, "fetching": 64_000.0, "fetch_wall_s": 320.0}
ROOM = {"room": 2_000.0}
THREADS = {"executor": "thread"}
INLINE = {"executor": "inline", "workers": 1}


@pytest.mark.parametrize(
    ("given", "bottleneck", "numbers"),
    [
        (load(**ANSWERS), "latency", ["32.0 of 32 slots", "318 ms", "20% busy"]),
        (load({"hosts": 1}, hosts=2_000.0, fetching=16_000.0), "politeness", ["1 host, 8 requests", "100%"]),
        (load(links=2_000.0, fetching=2_000.0), "latency", ["100% of the time every known page", "1.0 of 32"]),
        (load(**ANSWERS, loop_cpu_s=9.7, process_cpu_s=9.7), "fetch_cpu", ["97% of the time", "93% of the time"]),
        (load(**ROOM, worker_wall_s=19.6, worker_cpu_s=19.0, machine_busy_s=22.0), "parse_cpu", ["98%", "97%"]),
        (load(INLINE, **ROOM, worker_cpu_s=8.0, worker_wall_s=8.0, loop_cpu_s=9.9), "parse_cpu", ["99%", "80%"]),
        (
            load(THREADS, **ROOM, worker_wall_s=19.8, worker_cpu_s=9.0, process_cpu_s=10.0, barred=1_900.0),
            "gil",
            ["99%", "45%", "1.00 CPUs", "taken 76%"],
        ),
        (
            load(THREADS, **ROOM, worker_wall_s=19.0, worker_cpu_s=4.8, process_cpu_s=10.9, loop_cpu_s=6.2),
            "gil",
            ["95%", "25%", "1.09 CPUs"],
        ),
        (load(**ROOM, commit_wall_s=9.9, sink_wall_s=9.5), "sink", ["93%"]),
        (load(**ROOM, loop_cpu_s=9.8, process_cpu_s=9.8, sink_cpu_s=8.0, sink_wall_s=8.0), "sink", ["98%", "80%"]),
        (load(**ROOM, loop_cpu_s=9.8, process_cpu_s=9.8, commit_cpu_s=8.5), "commit", ["98%", "85%"]),
        (load(**ROOM, commit_wall_s=9.9, commit_cpu_s=0.3), "commit", ["97%"]),
        (
            load({"workers": 4}, **ROOM, worker_wall_s=39.0, worker_cpu_s=36.0, machine_busy_s=39.6),
            "cores",
            ["of 4 CPUs 3.96 were busy (99%)", "3.82 with this crawl", "0.14 with other programs"],
        ),
        (
            load(**ROOM, loop_cpu_s=4.0, process_cpu_s=4.2, loop_delay_s=5.5, machine_busy_s=39.9, worker_cpu_s=2.0),
            "cores",
            ["queue for a CPU 55%", "0.62 with this crawl", "3.37 with other programs"],
        ),
    ],
)
def test_the_resource_that_ran_out_is_named_with_its_numbers(given: Load, bottleneck: str, numbers: list[str]) -> None:
    verdict = judge(given)
    assert verdict.bottleneck == bottleneck, verdict
    assert verdict.is_certain
    assert verdict.advice
    assert verdict.phrase
    assert 1.0 <= verdict.predicted_gain <= 8.0
    for number in numbers:
        assert number in verdict.evidence


def test_slots_that_wait_for_a_late_loop_are_not_blamed_on_the_sites() -> None:
    """An answer that came in time and lay in the socket until the loop had time for it is no slow answer."""
    convoy = {**ANSWERS, "fetch_wall_s": 320.0, "fetches": 10_000.0, "lateness_s": 30.0, "pages": 10_000.0}
    busy = {"worker_wall_s": 12.0, "worker_cpu_s": 7.0, "process_cpu_s": 9.5, "barred": 1_400.0}
    assert judge(load(THREADS, **convoy, **busy)).bottleneck == "gil"


def test_the_latency_in_the_evidence_is_without_the_loops_own_lateness() -> None:
    verdict = judge(load(**{**ANSWERS, "lateness_s": 60.0}))
    assert verdict.bottleneck == "latency"
    assert "260 ms an answer, the loop's own 60 ms left out" in verdict.evidence


@pytest.mark.parametrize(("parse_cpu_s", "bottleneck"), [(0.5, "gil"), (4.0, "parse_cpu")])
def test_threads_that_wait_while_c_code_parses_do_not_wait_for_the_gil_alone(
    parse_cpu_s: float, bottleneck: str
) -> None:
    """What lxml computes without the GIL is not what keeps others from it."""
    given = {"worker_wall_s": 19.0, "worker_cpu_s": 6.0, "process_cpu_s": 10.0, "loop_cpu_s": 4.0}
    assert judge(load(THREADS, **ROOM, **given, parse_cpu_s=parse_cpu_s)).bottleneck == bottleneck


def test_a_handler_that_sleeps_in_threads_is_not_taken_for_the_gil() -> None:
    """Its threads compute as little of their time as threads that wait for each other's lock."""
    verdict = judge(load(THREADS, **ROOM, worker_wall_s=19.9, worker_cpu_s=0.5, process_cpu_s=2.7))
    assert verdict.bottleneck == "parse_cpu"
    assert verdict.advice == "4 workers instead of 2: they wait 97% of their time"
    assert verdict.predicted_gain == 2.0


def test_full_cpus_do_not_limit_a_crawl_that_needs_none() -> None:
    assert judge(load(**ANSWERS, machine_busy_s=40.0)).bottleneck == "latency"


@pytest.mark.parametrize(("delay_s", "bottleneck"), [(0.5, "fetch_cpu"), (5.0, "cores")])
def test_a_busy_loop_lacks_cpus_only_where_it_queues_for_one(delay_s: float, bottleneck: str) -> None:
    full = {"machine_busy_s": 40.0, "loop_cpu_s": 9.4 - delay_s, "process_cpu_s": 9.4 - delay_s}
    assert judge(load(**ANSWERS, **full, loop_delay_s=delay_s)).bottleneck == bottleneck


def test_two_threads_with_one_gil_lack_cpus_only_where_they_get_less_than_one() -> None:
    fight = {"worker_wall_s": 19.5, "barred": 1_900.0, "machine_busy_s": 39.0, "loop_cpu_s": 0.5}
    for cpu_s, bottleneck in ((9.5, "gil"), (4.0, "cores")):
        given = load(THREADS, **ROOM, **fight, worker_cpu_s=cpu_s - 0.5, process_cpu_s=cpu_s)
        assert judge(given).bottleneck == bottleneck


@pytest.mark.parametrize(
    ("change", "is_certain"),
    [
        ({"elapsed_s": 0.39, "pages": 500.0}, False),
        ({"elapsed_s": 2.0, "pages": 15.0}, False),
        ({"elapsed_s": 2.0, "pages": 16.0}, True),
        ({"elapsed_s": 20.0, "pages": 4.0}, True),
        ({"elapsed_s": 20.0, "pages": 3.0}, False),
    ],
)
def test_too_little_is_said_to_be_too_little(change: dict[str, float], is_certain: bool) -> None:
    verdict = judge(load(**change))
    assert verdict.is_certain == is_certain
    assert ("too short to tell" in verdict.evidence) == (not is_certain)
    assert is_certain or (verdict.predicted_gain == 1.0 and not verdict.phrase)


def test_nothing_at_all_is_too_little() -> None:
    assert not judge(Load(used=Usage(), **SETTING)).is_certain  # type: ignore[arg-type]


def test_the_next_limit_bounds_the_gain() -> None:
    free = load(**{**ANSWERS, "loop_cpu_s": 1.0, "machine_busy_s": 4.0})
    loop = load(**{**ANSWERS, "loop_cpu_s": 7.0, "process_cpu_s": 7.0, "machine_busy_s": 12.0})
    cpus = load(**{**ANSWERS, "machine_busy_s": 37.0})
    assert judge(free).predicted_gain == 2.0  # 8 hosts with 8 slots each are twice the 32
    assert judge(loop).predicted_gain == pytest.approx(1 / 0.7, abs=0.01)
    assert judge(cpus).predicted_gain == pytest.approx((0.62 + 0.3) / 0.62, abs=0.01)


def test_the_advice_follows_the_alternatives_that_were_predicted() -> None:
    known = {"thread": 100.0, "process": 230.0, "inline": 90.0}
    fight = {"worker_wall_s": 19.8, "worker_cpu_s": 9.0, "process_cpu_s": 10.0, "barred": 1_900.0}
    verdict = judge(load({**THREADS, "alternatives": known}, **ROOM, **fight))
    assert verdict.predicted_gain == 2.3
    assert "executor process: 230 pages/s" in verdict.advice
    worse = {"thread": 100.0, "process": 105.0}
    assert "executor" not in judge(load({**THREADS, "alternatives": worse}, **ROOM, **fight)).advice


def test_workers_that_are_all_busy_want_more_of_them_and_then_a_faster_parser() -> None:
    full = {"worker_wall_s": 19.6, "worker_cpu_s": 19.0, "parse_wall_s": 15.0, "machine_busy_s": 22.0}
    assert judge(load(**ROOM, **full)).advice == "4 workers instead of 2"
    assert judge(load({"cores": 2}, **ROOM, **{**full, "machine_busy_s": 15.0})).advice.startswith("parser lexbor")
    handler = {**full, "parse_wall_s": 2.0, "machine_busy_s": 15.0}
    assert "the handler is 90% of it" in judge(load({"cores": 2}, **ROOM, **handler)).advice


LATENCY = Usage(elapsed_s=0.25, pages=25.0, loop_cpu_s=0.01, ticks=50.0, answers=50.0, fetching=1_600.0)
PARSING = Usage(elapsed_s=0.25, pages=25.0, worker_wall_s=0.5, worker_cpu_s=0.5, ticks=50.0, room=50.0)


def watched(*quarters: Usage) -> list[Verdict | None]:
    """What is shown in the course of a crawl."""
    live, now, shown = LiveVerdict(), Usage(), []
    for quarter in quarters:
        now = now.plus(quarter)
        shown.append(live.update(now, lambda used: Load(used=used, **SETTING)))  # type: ignore[arg-type]
    return shown


def test_the_live_verdict_waits_until_there_is_something_to_tell() -> None:
    shown = watched(*[LATENCY] * 8)
    assert shown[0] is None
    assert {verdict.bottleneck for verdict in shown[1:] if verdict} == {"latency"}
    assert None not in shown[1:]


def test_the_live_verdict_follows_a_change_within_some_seconds() -> None:
    shown = watched(*[LATENCY] * 20, *[PARSING] * 24)
    names = [verdict.bottleneck for verdict in shown if verdict]
    assert names[-1] == "parse_cpu"
    assert names.count("latency") < 20 + 20
    assert sum(one != other for one, other in pairwise(names)) == 1


def test_the_live_verdict_does_not_flicker() -> None:
    """Two limits of the same size take turns from sample to sample."""
    shown = watched(*([LATENCY] * 6 + [PARSING] * 6) * 10)
    names = [verdict.bottleneck for verdict in shown if verdict]
    assert sum(one != other for one, other in pairwise(names)) <= 1


def test_a_pause_leaves_the_last_live_verdict() -> None:
    still = Usage(elapsed_s=0.25, ticks=50.0, links=50.0)
    shown = watched(*[LATENCY] * 8, *[still] * 10)
    assert shown[-1] is not None
    assert shown[-1].bottleneck == "latency"
