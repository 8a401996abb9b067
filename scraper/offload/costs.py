"""What work costs, what a machine can do, and what a loop does beside it: the numbers that strategies are chosen by.

All are means over payloads, in seconds; docs/architecture.md has the letters that the formulas use for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from scraper.options import ExecutorName

Kind = Literal["waiting", "python", "native", "native-held"]


@dataclass(frozen=True, slots=True)
class Shares:
    """What a function's thread does, as shares of its wall time; they add up to 1.

    Args:
        waiting: not running: asleep, or blocked in a system call.
        python: running with the GIL, which it gives to another thread that asks within a millisecond.
        native: running in C that released the GIL.
        native_held: running in C that keeps the GIL for longer than a millisecond although another thread asks.
    """

    waiting: float
    python: float
    native: float
    native_held: float

    @property
    def kind(self) -> Kind:
        """The largest of them."""
        named: dict[Kind, float] = {
            "waiting": self.waiting,
            "python": self.python,
            "native": self.native,
            "native-held": self.native_held,
        }
        return max(named, key=named.__getitem__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkCost:
    """What one payload costs in a thread that nothing else disturbs.

    Args:
        wall_s: from call to return, time in which the system let it wait for a CPU left out.
        cpu_s: p, CPU of the thread.
        held_s: g·p, the part of `cpu_s` during which it holds the GIL.
        native_held_s: the part of `held_s` in C that keeps the GIL for more than a millisecond at a time.
        serial_s: l·p, time under a lock other than the GIL that threads share.
        gil_waits: how often a payload asks for the GIL again after it let go.
        payload_bytes, result_bytes: pickled.
        pickle_s: CPU in the main process to pickle the payload and to unpickle the result.
        worker_pickle_s: s, the same at the worker's end.
    """

    wall_s: float
    cpu_s: float
    held_s: float
    native_held_s: float = 0.0
    serial_s: float = 0.0
    gil_waits: float = 0.0
    payload_bytes: float = 0.0
    result_bytes: float = 0.0
    pickle_s: float = 0.0
    worker_pickle_s: float = 0.0

    @property
    def wait_s(self) -> float:
        """w, the function's own waiting."""
        return max(self.wall_s - self.cpu_s, 0.0)

    @property
    def held_share(self) -> float:
        """g, of its CPU time."""
        return min(self.held_s / self.cpu_s, 1.0) if self.cpu_s > 0 else 1.0

    @property
    def shares(self) -> Shares:
        wall_s = max(self.wall_s, self.cpu_s, 1e-12)
        native_held_s = min(self.native_held_s, self.held_s)
        return Shares(
            waiting=(wall_s - self.cpu_s) / wall_s,
            python=(self.held_s - native_held_s) / wall_s,
            native=(self.cpu_s - self.held_s) / wall_s,
            native_held=native_held_s / wall_s,
        )


@dataclass(frozen=True, slots=True)
class LoopCost:
    """What the event loop's thread does for each payload beside handing it over.

    Args:
        cpu_s: f, such as fetching and bookkeeping.
        held_s: f_G, the part of it with the GIL held.
        server_cpu_s: v, CPU of a server on the same machine; benchmarks only.
    """

    cpu_s: float = 0.0
    held_s: float = 0.0
    server_cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class HandoffCost:
    """What one executor costs a payload in full portions, the pickling of `WorkCost` left out.

    Args:
        main_cpu_s: h, CPU of the event loop's thread; the same for every payload.
        main_held_s: h_G, the part of it with the GIL held.
        main_byte_s: further CPU of that thread for each byte that crosses.
        worker_cpu_s: CPU of the worker; the same for every payload, and in a thread with the GIL held.
        worker_byte_s: further CPU of the worker for each byte that crosses.
    """

    main_cpu_s: float
    main_held_s: float
    main_byte_s: float = 0.0
    worker_cpu_s: float = 0.0
    worker_byte_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured of a machine.

    Args:
        cpus: that this process may use.
        capacity: C, how many times one busy process's work all CPUs do together when all are busy.
        handoffs: by executor; an executor that is not in it costs nothing to hand over to.
        mapping: what `OffloadPool.map` does for each payload beside handing it over.
        handover_s: what a release of the GIL costs while other threads want it, until one of them runs.
        reacquire_s: what letting go of the GIL for a moment costs beside a thread that runs Python.
        has_gil: False on a free-threaded build whose GIL is off.
    """

    cpus: int
    capacity: float
    handoffs: Mapping[ExecutorName, HandoffCost] = field(default_factory=dict)
    mapping: LoopCost = field(default_factory=LoopCost)
    handover_s: float = 15e-6
    reacquire_s: float = 0.005
    has_gil: bool = True

    def capacity_of(self, cpus: int) -> float:
        """C for another number of CPUs of the same kind: each one beyond the first adds what it adds here."""
        if cpus <= 1:
            return 1.0
        each = (self.capacity - 1.0) / (self.cpus - 1) if self.cpus > 1 else 1.0
        return 1.0 + (cpus - 1) * each
