"""`scraper bench`: parsers and the places where they run, compared with statistics."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

from scraper import command_line, urls
from scraper.bench import (
    MODES,
    Bench,
    BenchOptions,
    BenchResult,
    Pages,
    cases_of,
    compare,
    fetched_pages,
    forecast_s,
    judge,
    read_cells,
    read_folder,
    saved_pages,
    synthetic_pages,
    to_json,
)
from scraper.cli import arguments
from scraper.cli.environment import describe_environment, load_at_start
from scraper.cli.running import Interrupts, run
from scraper.errors import InvalidOption, SinkError, UsageError
from scraper.options import EXECUTORS, PARSERS
from scraper.parse.extract import load_handler
from scraper.report import MeasuringDisplay, console_for, figures, print_bench, print_changes, render_bench

_OUTLINE = "scraper.parse.outline:outline"
_DEFAULTS = BenchOptions()

Value = TypeVar("Value")


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "bench",
        help="compare parsers and where they run, with statistics",
        description="Measures every combination of parser, executor and workers in interleaved rounds: parsing alone "
        "and end to end. Says the median with its 95 % interval, and whether a difference is real.",
    )
    pages = parser.add_argument_group("pages (default: a local synthetic site)").add_mutually_exclusive_group()
    pages.add_argument("--pages", metavar="DIR", help="saved pages: a folder of HTML files, or one with manifest.json")
    pages.add_argument("--url", metavar="URL", help="a site; the pages that are crawled again and again are few")
    pages.add_argument(
        "--compare", nargs=2, metavar=("A", "B"), help="measure nothing: set two files of --json side by side"
    )
    group = parser.add_argument_group("what is compared")
    group.add_argument(
        "--handler", metavar="MODULE:NAME|FILE.py:NAME", help="the function that pages go to (default: the outline)"
    )
    group.add_argument("--parsers", metavar="A,B", help=f"default: {','.join(PARSERS)}")
    group.add_argument(
        "--executors", metavar="A,B", help=f"of {', '.join(EXECUTORS)} (default: {','.join(_DEFAULTS.executors)})"
    )
    group.add_argument("--workers", metavar="1,2", help="default: 1 and the CPUs that this process may use")
    group.add_argument("--mode", default="both", metavar="NAME", help="parse | crawl | both (default: both)")
    group = parser.add_argument_group("how carefully")
    group.add_argument("--rounds", type=int, default=_DEFAULTS.rounds, metavar="N", help=f"default: {_DEFAULTS.rounds}")
    group.add_argument(
        "--seconds",
        type=float,
        default=_DEFAULTS.seconds,
        metavar="S",
        help=f"for each measurement (default: {_DEFAULTS.seconds})",
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of the order and the pages (default: 0)")
    group = parser.add_argument_group("outputs")
    group.add_argument("--json", metavar="FILE", help="all numbers")
    group.add_argument("--html", metavar="FILE", help="the comparison in pictures, as one HTML file")
    group.add_argument("--quiet", action="store_true", help="no progress, no table")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    for option in ("json", "html"):
        arguments.check_writable(f"--{option}", getattr(parsed, option))
    arguments.check_distinct({"--json": parsed.json, "--html": parsed.html})
    if parsed.compare:
        return _compare(parsed)
    options = BenchOptions(
        parsers=_names(parsed.parsers, _DEFAULTS.parsers),
        executors=_names(parsed.executors, _DEFAULTS.executors),
        workers=_numbers(parsed.workers),
        modes=MODES if parsed.mode == "both" else _names(parsed.mode, MODES),
        rounds=parsed.rounds,
        seconds=parsed.seconds,
        seed=parsed.seed,
    )
    handler = arguments.handler_name(parsed.handler) or _OUTLINE
    load_handler(handler)
    return run(_Command(parsed, options, handler, _pages(parsed, options)).run())


def _compare(parsed: argparse.Namespace) -> int:
    if parsed.html:
        raise UsageError("--compare has no report: leave out --html")
    before, after = (read_cells(path) for path in parsed.compare)
    comparison = compare(before[0], after[0], environments=(before[1], after[1]))
    if not parsed.quiet:
        print_changes(console_for(sys.stdout), comparison.to_dict(), names=tuple(parsed.compare))
    if parsed.json:
        _write("--json", parsed.json, json.dumps(comparison.to_dict(), indent=2) + "\n")
    return 0


class _Command:
    """One benchmark from the command line, from its forecast to its files."""

    def __init__(
        self,
        parsed: argparse.Namespace,
        options: BenchOptions,
        handler: str,
        pages: Callable[[], AbstractAsyncContextManager[Pages]],
    ) -> None:
        self._parsed = parsed
        self._options = options
        self._pages = pages
        self._environment = {**describe_environment(), **load_at_start()}
        self._display = MeasuringDisplay(console_for(sys.stderr, is_quiet=parsed.quiet))
        self._bench = Bench(
            options,
            handler,
            environment=self._environment,
            on_progress=lambda at: self._display.update(at.doing, at.done, at.of),
        )

    async def run(self) -> int:
        interrupts = Interrupts(lambda _: self._bench.stop())
        self._announce()
        try:
            with interrupts.installed(), self._display:
                async with self._pages() as pages:
                    result = await self._bench.run(pages)
        except asyncio.CancelledError:
            if interrupts.signal is None:
                raise
            return interrupts.status
        self._tell(result)
        return interrupts.status

    def _announce(self) -> None:
        cases, options = cases_of(self._options), self._options
        took = figures.seconds(round(forecast_s(cases, options), -1))
        each = f"{figures.plural(len(cases), 'strategy', 'strategies')}, {options.rounds} rounds"
        self._display.say(f"This takes about {took}: {each} of {options.seconds:g} s each. Ctrl-C ends it early.")

    def _tell(self, result: BenchResult) -> None:
        parsed = self._parsed
        found = to_json(result, judge(result.cells, result.noise))
        if parsed.json:
            _write("--json", parsed.json, json.dumps(found, indent=2) + "\n")
        if parsed.html:
            command = command_line.shown(["scraper", *sys.argv[1:]])
            _write("--html", parsed.html, render_bench(found, command=command))
        if not parsed.quiet:
            print_bench(console_for(sys.stdout), found)
            for path in filter(None, (parsed.json, parsed.html)):
                print(f"Written: {Path(path).resolve().as_uri()}")


def _pages(parsed: argparse.Namespace, options: BenchOptions) -> Callable[[], AbstractAsyncContextManager[Pages]]:
    """Where the pages come from; what is wrong with it shows here."""
    is_served = "crawl" in options.modes
    if parsed.url:
        url = urls.canonical(parsed.url)
        return lambda: fetched_pages(url)
    if parsed.pages:
        corpus = read_folder(parsed.pages)
        return lambda: saved_pages(corpus, options.seed, is_served=is_served)
    return lambda: synthetic_pages(options.seed, is_served=is_served)


def _names(text: str | None, default: tuple[Value, ...]) -> tuple[Value, ...]:
    """Names as they were typed; the options check them."""
    if text is None:
        return default
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))  # type: ignore[misc]


def _numbers(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(dict.fromkeys(int(number) for number in text.split(",")))
    except ValueError:
        raise InvalidOption(f"--workers {text!r}: write numbers with commas between them, such as 1,2") from None


def _write(option: str, path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{option} {path} failed: {(error.strerror or str(error)).lower()}") from error
