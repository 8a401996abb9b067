"""What the probe's child measures, and what is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from scraper.offload.costs import Kind, Shares, WorkCost
from scraper.offload.heartbeat import Sample
from scraper.options import ExecutorName


class Run(NamedTuple):
    """Time in a function: its wall time, its thread's CPU time, and its thread's time in the run queue."""

    wall_s: float
    cpu_s: float
    delay_s: float

    @property
    def own_wall_s(self) -> float:
        """The wall time without that in which the system let it wait for a CPU."""
        return max(self.wall_s - self.delay_s, self.cpu_s)


class Crossing(NamedTuple):
    """Means over payloads of what it takes them and their results to cross to another process and back.

    Args:
        payload_bytes, result_bytes: pickled.
        main_s: CPU to pickle the payload and to unpickle the result.
        worker_s: CPU to unpickle the payload and to pickle the result.
        error: why a result cannot cross; empty if all can.
    """

    payload_bytes: float
    result_bytes: float
    main_s: float
    worker_s: float
    error: str = ""


class Together(NamedTuple):
    """Two threads at once, each with a function of its own: sums over both."""

    payloads: int
    run: Run


@dataclass(frozen=True, slots=True)
class ProbeFailure:
    """A payload on which the function raised.

    Args:
        index: of the payload.
        detail: exception, message and line.
    """

    index: int
    detail: str


@dataclass(slots=True)
class Measured:
    """What the child told until it ended or was ended.

    Args:
        tried: payloads that the function was called with.
        failures: of these.
        alone: mean over the payloads, nothing else running in the process.
        warm: mean over the first calls, for want of further ones.
        sample: of a heartbeat beside the function.
        crossing: to another process and back.
        together: two threads.
        long_run, long_sample: a first call that did not come back soon, and what a heartbeat beside it saw.
        unfinished_index: the payload of a call that never returned; None if every call did.
        unfinished_s: how long it had run when it was given up.
        silent: where not even a heartbeat got to run: what the process did from the begin of the call on.
        threads_error: what two threads at once did to the process; empty if nothing.
        has_gil: whether the child's Python has one.
    """

    tried: int = 0
    failures: list[ProbeFailure] = field(default_factory=list)
    alone: Run | None = None
    warm: Run | None = None
    sample: Sample | None = None
    crossing: Crossing | None = None
    together: Together | None = None
    long_run: Run | None = None
    long_sample: Sample | None = None
    unfinished_index: int | None = None
    unfinished_s: float = 0.0
    silent: Run | None = None
    threads_error: str = ""
    has_gil: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """What a function does while it runs, and where it runs best.

    Args:
        title: the function's name.
        cost: of one page, a mean over pages.
        uncertainty: of `held_share`, two standard errors.
        pages: that it was measured on.
        failures: pages on which the function raised; they are left out of the cost.
        is_finished: False if a call did not return in the time there was; the cost is what it took until then.
        thread_speedup: pages a second of two threads over those of one, on a CPU each; None if not measured.
        recommended, recommended_workers: where it runs fastest, the cheaper of two that are about as good.
        predicted: pages a second at most, by executor and number of cores, with the best number of workers.
        prediction_error: how wrong a prediction for this machine may be, as a share of it.
        cores: that the recommendation is for.
        why: the recommendation in a sentence.
        notes: what else was seen, in sentences.
    """

    title: str
    cost: WorkCost
    uncertainty: float
    pages: int
    failures: tuple[ProbeFailure, ...] = ()
    is_finished: bool = True
    thread_speedup: float | None = None
    recommended: ExecutorName
    recommended_workers: int
    predicted: Mapping[ExecutorName, Mapping[int, float]]
    prediction_error: float
    cores: int
    why: str
    notes: tuple[str, ...] = ()

    @property
    def shares(self) -> Shares:
        """Of its wall time: waiting, Python, C without the GIL, C that keeps it."""
        return self.cost.shares

    @property
    def kind(self) -> Kind:
        """The largest of them."""
        return self.shares.kind

    @property
    def held_share(self) -> float:
        """The share of its CPU time in which it holds the GIL."""
        return self.cost.held_share

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        cost, shares = self.cost, self.shares
        return {
            "function": self.title,
            "kind": self.kind,
            "shares": {
                "waiting": shares.waiting,
                "python": shares.python,
                "native": shares.native,
                "native_held": shares.native_held,
            },
            "gil_held": self.held_share,
            "uncertainty": self.uncertainty,
            "wall_s_per_page": cost.wall_s,
            "cpu_s_per_page": cost.cpu_s,
            "serial_s_per_page": cost.serial_s,
            "gil_waits_per_page": cost.gil_waits,
            "pickle_s_per_page": cost.pickle_s + cost.worker_pickle_s,
            "payload_bytes_per_page": cost.payload_bytes,
            "result_bytes_per_page": cost.result_bytes,
            "thread_speedup": self.thread_speedup,
            "is_finished": self.is_finished,
            "pages": self.pages,
            "failures": [{"index": each.index, "detail": each.detail} for each in self.failures],
            "cores": self.cores,
            "recommended": self.recommended,
            "recommended_workers": self.recommended_workers,
            "predicted": {
                executor: {str(cores): rate for cores, rate in by_cores.items()}
                for executor, by_cores in self.predicted.items()
            },
            "prediction_error": self.prediction_error,
            "why": self.why,
            "notes": list(self.notes),
        }
