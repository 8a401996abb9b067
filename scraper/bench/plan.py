"""What is measured, in which order, and how long that will take."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from scraper.errors import InvalidOption, UsageError
from scraper.options import (
    EXECUTORS,
    PARSERS,
    ExecutorName,
    ParserName,
    available_cpus,
    check_choice,
    check_positive,
)

Mode = Literal["parse", "crawl"]
MODES: tuple[Mode, ...] = get_args(Mode)

# The least from which a median has an interval without assumptions; see `interval_of`.
_ROUNDS = 6
# Some hundred pages of the fast parsers, and a dozen of the slowest.
_SECONDS = 0.35

# What starting and ending takes beside warm-up and measurement. It is for the forecast alone.
_START_S = {"inline": 0.05, "thread": 0.06, "process": 0.2, "interpreter": 0.3, "auto": 0.2}
_CRAWL_START_S = 0.1
_PREPARATION_S = 5.0
_PROBE_S = 2.5


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """One strategy in one mode: what a measurement is a measurement of.

    Args:
        mode: `parse`, saved pages through a pool; `crawl`, from the network to the sinks.
        parser, executor: by name.
        workers: threads, processes or interpreters; 1 in line.
    """

    mode: Mode
    parser: ParserName
    executor: ExecutorName
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long one measurement lasts.

    Args:
        seconds: from the first delivery that counts to the last, at least.
        warm_up_s: before it, from when the workers are up.
        least_pages: a measurement goes on until it has so many, and at most for three times its time: the
            fewer pages, the more the last one's end weighs.
        limit_s: without a single page by then it has failed.
    """

    seconds: float
    warm_up_s: float
    least_pages: int = 16
    limit_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """What to compare, and how carefully.

    Args:
        parsers, executors: by name.
        workers: how many; each with each executor but in line.
        modes: parse, crawl or both.
        rounds: how often each strategy is measured; at least 2.
        seconds: for each measurement.
        seed: of the order and of the pages.
    """

    parsers: tuple[ParserName, ...] = PARSERS
    executors: tuple[ExecutorName, ...] = ("inline", "thread", "process")
    workers: tuple[int, ...] = ()
    modes: tuple[Mode, ...] = MODES
    rounds: int = _ROUNDS
    seconds: float = _SECONDS
    seed: int = 0

    def __post_init__(self) -> None:
        for parser in self.parsers:
            check_choice("parser", parser, PARSERS)
        for executor in self.executors:
            check_choice("executor", executor, EXECUTORS)
        for mode in self.modes:
            check_choice("mode", mode, MODES)
        if not (self.parsers and self.executors and self.modes):
            raise UsageError("nothing to compare: name at least one parser, one executor and one mode")
        for workers in self.workers:
            check_positive("workers", workers)
        check_positive("seconds", self.seconds)
        if self.rounds < 2:
            raise InvalidOption(f"rounds must be at least 2, not {self.rounds}: one measurement has no interval")
        if not self.workers:
            object.__setattr__(self, "workers", tuple(sorted({1, available_cpus()})))

    def timing(self, case: Case) -> Timing:
        """How long to measure a case, and what to leave out before.

        A crawl takes longer to be in full swing: its pages have to be fetched before they can be parsed. `auto` has
        to see some pages before it knows where they belong.
        """
        warm_up_s = 2.0 if case.executor == "auto" else 0.2 if case.mode == "crawl" else 0.08
        return Timing(seconds=self.seconds, warm_up_s=warm_up_s)


def cases_of(options: BenchOptions) -> list[Case]:
    """Every combination once, in the order in which they are shown."""
    cases = [
        Case(mode, parser, executor, workers)
        for mode in options.modes
        for parser in options.parsers
        for executor in options.executors
        for workers in ((1,) if executor == "inline" else options.workers)
    ]
    return list(dict.fromkeys(cases))


def rounds_of(cases: Sequence[Case], rounds: int, seed: int) -> list[list[Case]]:
    """The cases of each round, every one of them once, in an order of its own.

    What changes slowly, such as a clock rate or another program, then meets all strategies alike instead of
    those that happen to come last (randomised blocks, as in Montgomery, Design and Analysis of Experiments).
    """
    chance = random.Random(seed)  # noqa: S311  # an order that can be repeated, not a secret
    return [chance.sample(list(cases), len(cases)) for _ in range(rounds)]


def forecast_s(cases: Sequence[Case], options: BenchOptions) -> float:
    """About how long the benchmark will take, in seconds."""
    each_s = [
        options.timing(case).warm_up_s
        + options.seconds
        + _START_S[case.executor]
        + (_CRAWL_START_S if case.mode == "crawl" else 0.0)
        for case in cases
    ]
    return _PREPARATION_S + _PROBE_S * len(options.parsers) + options.rounds * sum(each_s)
