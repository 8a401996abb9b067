"""What measurements mean: a work's cost, and where it runs best. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scraper.offload.costs import LoopCost, Machine, WorkCost
from scraper.offload.heartbeat import GilUse, Sample, gil_use
from scraper.offload.probe.child import PATIENCE_S
from scraper.offload.probe.values import Crossing, Measured, ProbeReport, Run, Together
from scraper.offload.roofline import Bound, candidates, expected_error, predict, recommend
from scraper.options import ExecutorName

# Powers of two, as machines have them.
CORES = (1, 2, 4, 8, 16, 32, 64)

# In line, a page stops the event loop for as long as it runs; nobody notices so little.
_MOST_INLINE_S = 0.002

# Each time the heartbeat took the GIL the function waited for so long to have it back.
_RETURN_S = 5e-5

# Two threads wait for each other a little in any case: for memory, and where the GIL changes hands.
_LOCK_WAIT = 0.2

# A thread that is so much of its time in the run queue shares the machine with other work.
_BUSY_QUEUE = 0.2

# A process that had the CPU for so much of the time in which it told nothing was computing.
_BUSY = 0.5

_NO_USE = GilUse(1.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a judgement is for.

    Args:
        machine: what was measured of it.
        cores: that it shall run on.
        loop: what the event loop's thread does beside it for each page.
        executors: that can run the work.
    """

    machine: Machine
    cores: int
    loop: LoopCost
    executors: Sequence[ExecutorName]


def judge(title: str, measured: Measured, setting: Setting) -> ProbeReport:
    """The report on what was measured."""
    cost, use = work_cost(measured)
    executors = _executors(measured, setting.executors)
    bounds = _bounds(cost, setting, executors, setting.cores)
    best = recommend([bound for bound in bounds if bound.executor != "inline" or _suits_inline(cost)] or bounds)
    return ProbeReport(
        title=title,
        cost=cost,
        uncertainty=use.uncertainty,
        pages=measured.tried,
        failures=tuple(measured.failures),
        is_finished=measured.unfinished_index is None,
        thread_speedup=_thread_speedup(cost, measured.together),
        recommended=best.executor,
        recommended_workers=best.workers,
        predicted=_predicted(cost, setting, executors),
        prediction_error=expected_error(setting.machine, cpus=setting.cores),
        cores=setting.cores,
        why=_why(cost, best, bounds, setting, measured),
        notes=tuple(_notes(measured, cost)),
    )


def work_cost(measured: Measured) -> tuple[WorkCost, GilUse]:
    """What one page costs, and how sure that is."""
    run, use = _run(measured), _use(measured)
    crossing = measured.crossing or Crossing(0.0, 0.0, 0.0, 0.0)
    cost = WorkCost(
        wall_s=run.own_wall_s,
        cpu_s=run.cpu_s,
        held_s=use.held_share * run.cpu_s,
        native_held_s=use.native_held_share * run.cpu_s,
        gil_waits=use.releases_per_s * run.cpu_s,
        payload_bytes=crossing.payload_bytes,
        result_bytes=crossing.result_bytes,
        pickle_s=crossing.main_s,
        worker_pickle_s=crossing.worker_s,
    )
    return replace(cost, serial_s=_serial_s(cost, measured.together)), use


def _run(measured: Measured) -> Run:
    if measured.silent is not None:
        return measured.silent
    if measured.alone is not None:
        return measured.alone
    if measured.warm is not None:
        return _undisturbed(measured.warm, measured.long_sample)
    if measured.long_run is not None:
        return _undisturbed(measured.long_run, measured.long_sample)
    return Run(1e-6, 1e-6, 0.0)


def _undisturbed(run: Run, sample: Sample | None) -> Run:
    """Without the waiting for the GIL that the heartbeat caused."""
    waited_s = _RETURN_S * sample.held if sample is not None else 0.0
    return run._replace(wall_s=max(run.wall_s - waited_s, run.cpu_s + run.delay_s))


def _use(measured: Measured) -> GilUse:
    if measured.silent is not None:
        is_busy = measured.silent.cpu_s > _BUSY * measured.silent.own_wall_s
        return GilUse(1.0, 1.0, 0.0, 0.1 if is_busy else 1.0)
    if measured.sample is not None:
        return gil_use(measured.sample)
    if measured.long_sample is not None:
        return gil_use(measured.long_sample)
    if measured.warm is not None and measured.warm.cpu_s > 2 * PATIENCE_S:
        return GilUse(1.0, 1.0, 0.0, 0.3)  # a heartbeat would have begun, had it got to run
    return _NO_USE


def _serial_s(cost: WorkCost, together: Together | None) -> float:
    """The time of a page under a lock that threads share, from how long two of them wait for each other.

    Of two customers of a closed network, each a share x of its time at one server, each waits x² of its time (mean
    value analysis, Reiser and Lavenberg 1980). That explains the waiting for the GIL, with x its held share; what
    waiting is beyond that is for another lock.
    """
    if together is None or not together.payloads:
        return 0.0
    alone_s = _alone_s(cost, together)
    # While one of them is in the run queue, the other one may wait for what it has in its hands, be it the GIL.
    waited = (together.run.own_wall_s - together.run.delay_s) / alone_s - 1.0
    for_gil = (cost.held_s / max(cost.wall_s, 1e-9)) ** 2
    share = waited - for_gil
    return math.sqrt(min(share, 1.0)) * cost.wall_s if share > _LOCK_WAIT else 0.0


def _alone_s(cost: WorkCost, together: Together) -> float:
    """How long the same pages take one thread.

    By CPU time where there is enough of it: the pages of a short measurement may be larger or smaller than the mean,
    and two CPUs of one core are slower than one of them alone.
    """
    if cost.cpu_s > _BUSY * cost.wall_s:
        return max(together.run.cpu_s * cost.wall_s / cost.cpu_s, 1e-9)
    return max(together.payloads * cost.wall_s, 1e-9)


def _thread_speedup(cost: WorkCost, together: Together | None) -> float | None:
    if together is None or not together.payloads or together.run.delay_s > _BUSY_QUEUE * together.run.wall_s:
        return None
    return 2.0 * _alone_s(cost, together) / max(together.run.own_wall_s, 1e-9)


def _suits_inline(cost: WorkCost) -> bool:
    return cost.wall_s <= _MOST_INLINE_S


def _executors(measured: Measured, executors: Sequence[ExecutorName]) -> list[ExecutorName]:
    """Those that can be had for this work. Only a process can be ended, so nothing else is for what does not return."""
    if measured.unfinished_index is not None:
        return ["process"]
    unfit: set[ExecutorName] = set()
    if measured.crossing is not None and measured.crossing.error:
        unfit |= {"process", "interpreter"}
    if measured.threads_error:
        unfit.add("thread")
    return [executor for executor in executors if executor not in unfit]


def _bounds(cost: WorkCost, setting: Setting, executors: Sequence[ExecutorName], cores: int) -> list[Bound]:
    machine = replace(setting.machine, cpus=cores, capacity=setting.machine.capacity_of(cores))
    places = candidates(cost, machine, executors=executors)
    return [predict(executor, workers, cost, setting.loop, machine) for executor, workers in places]


def _predicted(
    cost: WorkCost, setting: Setting, executors: Sequence[ExecutorName]
) -> dict[ExecutorName, dict[int, float]]:
    predicted: dict[ExecutorName, dict[int, float]] = {executor: {} for executor in executors}
    for cores in sorted({*CORES, setting.cores}):
        for bound in _bounds(cost, setting, executors, cores):
            best = predicted[bound.executor]
            best[cores] = max(best.get(cores, 0.0), bound.payloads_per_s)
    return predicted


# in words


def _why(cost: WorkCost, best: Bound, bounds: Sequence[Bound], setting: Setting, measured: Measured) -> str:
    if measured.unfinished_index is not None:
        return "a call did not return, and only a process can be ended"
    rates = {bound.executor: 0.0 for bound in bounds}
    for bound in bounds:
        rates[bound.executor] = max(rates[bound.executor], bound.payloads_per_s)
    rates[best.executor] = best.payloads_per_s
    others = ", ".join(
        f"{rate:,.0f} {_PLACES[executor]}"
        for executor, rate in sorted(rates.items(), key=lambda pair: -pair[1])
        if executor != best.executor
    )
    predicted = f"predicted {best.payloads_per_s:,.0f} pages/s {_PLACES[best.executor]}"
    against = f" against {others}" if others else ""
    on = f"on {setting.cores} core{'' if setting.cores == 1 else 's'}"
    return f"{_reason(cost, best, rates, setting)}: {predicted}{against} {on}"


_PLACES: dict[ExecutorName, str] = {
    "inline": "in line",
    "thread": "in threads",
    "process": "in processes",
    "interpreter": "in interpreters",
}


def _reason(cost: WorkCost, best: Bound, rates: dict[ExecutorName, float], setting: Setting) -> str:
    held = f"{cost.held_share:.0%}"
    if best.executor == "inline":
        return "handing a page over would gain little or nothing"
    if best.executor == "thread":
        if cost.shares.kind == "waiting":
            return "it mostly waits, and threads wait side by side"
        if not setting.machine.has_gil:
            return "there is no GIL here, so threads run side by side"
        if setting.cores == 1:
            return "one core gains nothing by more processes, and a thread leaves the event loop free"
        return f"it holds the GIL for {held} of its CPU time only, so threads run side by side, and cost least"
    if cost.serial_s > cost.held_s and rates.get("thread", 0.0) < best.payloads_per_s:
        return f"threads wait for a lock that they share, {cost.serial_s / max(cost.wall_s, 1e-9):.0%} of each page"
    if "thread" not in rates:
        return "it cannot run in threads"
    return f"it holds the GIL for {held} of its CPU time, so threads would take turns"


def _notes(measured: Measured, cost: WorkCost) -> list[str]:
    notes = []
    if measured.unfinished_index is not None:
        notes.append(
            f"A call with page {measured.unfinished_index + 1} had not returned after {measured.unfinished_s:.1f} s."
        )
    elif measured.alone is None:
        notes.append("A page takes so long that the figures are from its first call, which may be slower than others.")
    if measured.failures:
        notes.append("It raised on some pages, which are left out.")
    if measured.crossing is not None and measured.crossing.error:
        notes.append(f"Its results cannot leave a process: {measured.crossing.error}.")
    if measured.threads_error:
        notes.append(f"Two threads at once, each with a function of its own: {measured.threads_error}.")
    if cost.serial_s:
        notes.append("Two threads wait for each other more than the GIL explains: they share a lock.")
    if measured.sample is not None and measured.sample.queue_share > _BUSY_QUEUE:
        notes.append(
            "The machine was busy with other things: measured again when it is not, it will be less uncertain."
        )
    if not measured.has_gil:
        notes.append("This Python runs without a GIL, so Python and C that releases it look the same.")
    return notes
