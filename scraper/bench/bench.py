"""The benchmark: prepares, measures round by round, and puts together what it found."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from scraper.bench.measure import Measurement, measure
from scraper.bench.pages import Pages
from scraper.bench.plan import BenchOptions, cases_of, rounds_of
from scraper.bench.prediction import Model, loop_cost, work_cost
from scraper.bench.results import BenchResult
from scraper.bench.statistics import Noise, judge_noise
from scraper.bench.summary import cell_of, with_speedups
from scraper.bench.usage import Machine, reference_s
from scraper.bench.window import Sample
from scraper.metrics.histogram import Histogram
from scraper.offload.machine import machine_async
from scraper.options import available_cpus

Value = TypeVar("Value")


@dataclass(slots=True)
class _Found:
    """The measurements of one strategy so far."""

    samples: list[Sample] = field(default_factory=list)
    lateness: Histogram = field(default_factory=Histogram)

    @property
    def is_hopeless(self) -> bool:
        """Whether the first measurement showed that there is nothing to measure."""
        first = self.samples[0] if self.samples else None
        return first is not None and (first.problem is not None or first.is_all_failed)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a benchmark is.

    Args:
        doing: in a few words.
        done, of: measurements.
    """

    doing: str
    done: int
    of: int


class Bench:
    """Compares strategies on the same pages.

    Each measurement has workers of its own, so that what one leaves behind is no part of the next; rounds take the
    strategies in an order of their own, so that what changes meanwhile meets all of them.

    Args:
        options: what to compare, and how carefully.
        handler: by name.
        environment: what the figures depend on, for the result.
        on_progress: called before each measurement.
    """

    def __init__(
        self,
        options: BenchOptions,
        handler: str,
        *,
        environment: Mapping[str, str] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._options = options
        self._handler = handler
        self._environment = dict(environment or {})
        self._on_progress = on_progress or (lambda _: None)
        self._cases = cases_of(options)
        self._found = {case: _Found() for case in self._cases}
        self._references_s: list[float] = []
        self._current: asyncio.Task[Any] | None = None
        self._is_stopped = False

    def __repr__(self) -> str:
        measured = sum(len(found.samples) for found in self._found.values())
        return f"<Bench of {len(self._cases)} strategies, {measured} measurements>"

    def stop(self) -> None:
        """Ends what is being measured; the result has what was measured until then."""
        self._is_stopped = True
        if self._current is not None:
            self._current.cancel()

    async def run(self, pages: Pages) -> BenchResult:
        """Measures, which takes as long as `forecast_s` says."""
        started_s = time.perf_counter()
        model, notes = await self._prepare(pages)
        machine = Machine()
        await self._measure_all(pages)
        others_cpus, stolen_cpus = machine.used_cpus()
        noise = judge_noise(self._references_s, others_cpus=others_cpus, stolen_cpus=stolen_cpus, cpus=available_cpus())
        return self._result(pages, model, noise, notes, time.perf_counter() - started_s)

    async def _prepare(self, pages: Pages) -> tuple[Model | None, list[str]]:
        """What predictions are made of. A benchmark without them is one, too."""
        notes: list[str] = []
        self._say("measuring the machine", 0)
        machine = await self._unless_stopped(machine_async())
        costs = {}
        for parser in self._options.parsers:
            self._say(f"probing {parser}", 0)
            cost = await self._unless_stopped(work_cost(pages, parser, self._handler))
            if isinstance(cost, str):
                notes.append(f"No prediction for {parser}: {cost}.")
            elif cost is not None:
                costs[parser] = cost
        if machine is None or not costs:
            return None, notes
        loop = None
        if "crawl" in self._options.modes:
            self._say("measuring what fetching costs", 0)
            loop = await self._unless_stopped(loop_cost(pages, next(iter(costs)), self._handler))
            if loop is None:
                notes.append("No prediction end to end: what fetching costs could not be measured.")
        return Model(machine, costs, loop), notes

    async def _measure_all(self, pages: Pages) -> None:
        options = self._options
        rounds = rounds_of(self._cases, options.rounds, options.seed)
        for number, order in enumerate(rounds):
            start = number * len(pages.tasks) // options.rounds
            self._references_s.append(reference_s())
            for at, case in enumerate(order):
                found = self._found[case]
                if self._is_stopped:
                    return
                if found.is_hopeless:
                    continue
                self._say(f"round {number + 1}: {case.mode} {case.parser} {case.executor}", number * len(order) + at)
                gc.collect()  # what the measurement before left behind is not to be cleared away in this one's time
                wanted = Measurement(
                    case=case,
                    pages=pages,
                    handler=self._handler,
                    timing=options.timing(case),
                    start=start,
                    lateness=found.lateness,
                )
                sample = await self._unless_stopped(measure(wanted))
                if sample is not None:
                    found.samples.append(sample)

    async def _unless_stopped(self, work: Coroutine[Any, Any, Value]) -> Value | None:
        """What it gives, or None where the benchmark is stopped meanwhile."""
        if self._is_stopped:
            work.close()
            return None
        task = self._current = asyncio.create_task(work)
        try:
            await asyncio.wait([task])
        finally:
            self._current = None
            task.cancel()
        return None if task.cancelled() else task.result()

    def _say(self, doing: str, done: int) -> None:
        self._on_progress(Progress(doing, done, len(self._cases) * self._options.rounds))

    def _result(
        self, pages: Pages, model: Model | None, noise: Noise, notes: list[str], elapsed_s: float
    ) -> BenchResult:
        options = self._options
        cells = [
            cell_of(case, found.samples, found.lateness, model.pages_per_s(case) if model is not None else None)
            for case, found in self._found.items()
        ]
        measured = [case for case, cell in zip(self._cases, cells, strict=True) if cell.pages_per_s is not None]
        return BenchResult(
            pages={"title": pages.title, "number": len(pages.tasks), "mean_bytes": pages.mean_bytes},
            settings={
                "handler": self._handler,
                "rounds": options.rounds,
                "seconds": options.seconds,
                "seed": options.seed,
            },
            environment=self._environment,
            cells=with_speedups(cells),
            curves=model.curves(measured) if model is not None else (),
            noise=noise,
            notes=tuple(notes),
            status="interrupted" if self._is_stopped else "complete",
            elapsed_s=elapsed_s,
        )
