"""What the roofline promises for each strategy, from what was measured of its parts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from scraper.bench.measure import Measurement, crawl
from scraper.bench.pages import Pages
from scraper.bench.plan import Case, Timing
from scraper.bench.results import Curve, CurvePoint
from scraper.errors import ScraperError
from scraper.metrics import Statistics
from scraper.offload.costs import LoopCost, Machine, WorkCost
from scraper.offload.roofline import expected_error, predict
from scraper.options import ExecutorName, ParserName
from scraper.probing import probe

_CORES = (1, 2, 4, 8, 16, 32, 64)
# Long enough for a thousand pages and for clocks of 10 ms.
_LOOP_TIMING = Timing(seconds=1.0, warm_up_s=0.3, limit_s=20.0)
# The first ones stand for all, see `evenly`.
_PROBED_PAGES = 200
PROBE_S = 2.0
# What a handler's own time is not part of.
_PARSING = frozenset({"parse", "extract"})


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that predictions are made of.

    Args:
        machine: what it can do.
        costs: of a page, by parser.
        loop: what the event loop does beside it in a crawl; None if that is not known.
    """

    machine: Machine
    costs: Mapping[ParserName, WorkCost]
    loop: LoopCost | None

    def pages_per_s(self, case: Case) -> float | None:
        """None where a part of it is not known, and for auto, which is no strategy of its own."""
        point = self._point(case.mode, case.parser, case.executor, case.workers, self.machine.cpus)
        return point.pages_per_s if point else None

    def curves(self, cases: Sequence[Case]) -> tuple[Curve, ...]:
        """For each strategy: by workers on this machine, and by cores on larger ones with a worker each."""
        found = []
        most = 2 * max([self.machine.cpus, *(case.workers for case in cases)])
        for mode, parser, executor in dict.fromkeys((case.mode, case.parser, case.executor) for case in cases):
            here = range(1, 2 if executor == "inline" else most + 1)
            scaling = [self._point(mode, parser, executor, workers, self.machine.cpus) for workers in here]
            beyond = [self._point(mode, parser, executor, cpus, cpus) for cpus in _CORES]
            if scaling[0] is not None:
                found.append(Curve(mode, parser, executor, _known(scaling), _known(beyond)))
        return tuple(found)

    def _point(
        self, mode: str, parser: ParserName, executor: ExecutorName, workers: int, cpus: int
    ) -> CurvePoint | None:
        cost = self.costs.get(parser)
        loop = self.loop if mode == "crawl" else self.machine.mapping
        if cost is None or loop is None or executor == "auto":
            return None
        bound = predict(executor, workers, cost, loop, self.machine, cpus=cpus)
        rate, error = bound.payloads_per_s, expected_error(self.machine, cpus=cpus)
        return CurvePoint(workers, cpus, rate, rate / (1 + error), rate * (1 + error), bound.limit)


def _known(points: Sequence[CurvePoint | None]) -> tuple[CurvePoint, ...]:
    return tuple(point for point in points if point is not None)


async def work_cost(pages: Pages, parser: ParserName, handler: str) -> WorkCost | str:
    """What a page costs with a parser, measured by the probe on the same pages; or why that is not known."""
    bodies = [(str(task[1]), bytes(task[-1])) for task in pages.tasks[:_PROBED_PAGES]]
    try:
        return (await probe(handler, bodies, parser=parser, budget_s=PROBE_S)).cost
    except ScraperError as error:
        return str(error)


async def loop_cost(pages: Pages, parser: ParserName, handler: str) -> LoopCost | None:
    """What the event loop does for a page of a crawl beside parsing it, and what the site's server does.

    Measured in a crawl in line, where nothing is handed over. Of that time the kernel's part, which is for the network,
    runs without the GIL. None where no such crawl comes about.
    """
    case = Case("crawl", parser, "inline", 1)
    before, served_before_s = os.times(), _server_cpu_s(pages.server_pid)
    try:
        found = await crawl(Measurement(case=case, pages=pages, handler=handler, timing=_LOOP_TIMING))
    except ScraperError:
        return None
    after, served_s = os.times(), _server_cpu_s(pages.server_pid) - served_before_s
    if found.opened is None or found.closed is None or not found.sample.pages or not found.sample.ended:
        return None
    cpu_s = (_loop_cpu_s(found.closed) - _loop_cpu_s(found.opened)) / found.sample.pages
    kernel_s = (after.system - before.system) / found.sample.ended
    return LoopCost(cpu_s, max(cpu_s - kernel_s, 0.0), served_s / found.sample.ended)


def _loop_cpu_s(statistics: Statistics) -> float:
    return sum(stage.cpu_s for name, stage in statistics.stages.items() if name not in _PARSING)


def _server_cpu_s(pid: int | None) -> float:
    if pid is None:
        return 0.0
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
