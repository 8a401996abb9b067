"""What it costs a crawl to survive its process: the heavy site of the benchmarks, with a state file and without.

    python -m benchmarks.durability_cost [--rounds N] [--ours PARSER/EXECUTOR] [--json FILE] [--where]

The same commands and the same 1,500 pages of documentation as in `benchmarks.compare`: title, first heading and links
of each page as a line of JSON, 32 requests at once. Each crawl is a process of its own and begins with no file; rounds
are interleaved, and their order alternates. `full` also waits for the disk at each commit, and has no target.

`--where` crawls once more inside this process, and tells what CPU the state's parts take for a page, by thread.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.compare import Contender, CrawlFailed, Run, crawl, output_of, read_output
from benchmarks.sites import Server, SiteUnavailable, prepare, serve
from scraper.bench.statistics import interval_of
from scraper.cli.environment import describe_environment, load_at_start
from scraper.cli.running import run
from scraper.crawler import Crawler
from scraper.frontier.durable import DurableFrontier
from scraper.frontier.state import store
from scraper.frontier.state.store import Store
from scraper.frontier.window import Window
from scraper.options import LimitOptions, OffloadOptions, PaceOptions
from scraper.sinks import JsonLinesSink

ROOT = Path(__file__).resolve().parent.parent
CONCURRENCY = 32
TARGET_COST = 0.15
BARE = "memory"


@dataclass(frozen=True, slots=True)
class Kept(Contender):
    """This crawler with further options."""

    def command(self, seed: str, output: Path, stats: Path, concurrency: int) -> list[str]:
        return [*Contender.command(self, seed, output, stats, concurrency), *self.flags]


def contenders(ours: tuple[str, str], folder: Path) -> list[Kept]:
    state = f"--state={state_of(folder)}"
    ways = {BARE: (), "state": (state,), "state, full": (state, "--synchronous=full")}
    return [Kept(name, flags=flags, ours=ours) for name, flags in ways.items()]


def state_of(folder: Path) -> Path:
    return folder / "state.db"


def begin_anew(contender: Contender, folder: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        state_of(folder).with_name(state_of(folder).name + suffix).unlink(missing_ok=True)
    output_of(contender, folder).unlink(missing_ok=True)


def measure(server: Server, seed: str, ways: Sequence[Kept], rounds: int, folder: Path) -> dict[str, list[Run]]:
    """All rounds, printed as they come."""
    runs: dict[str, list[Run]] = {way.name: [] for way in ways}
    for number in range(rounds):
        for way in ways[:: 1 if number % 2 else -1]:
            begin_anew(way, folder)
            found = crawl(way, seed, folder, server, CONCURRENCY)
            runs[way.name].append(found)
            print(f"  round {number + 1}: {way.name:12} {found.pages_per_s:8,.0f} pages/s", flush=True)
    return runs


def table(runs: dict[str, list[Run]]) -> str:
    columns = ("pages/s", "low", "high", "wall s", "CPU ms", "all CPU", "RSS MB")
    lines = [f"{'':14}" + "".join(f"{column:>9}" for column in columns)]
    for name, mine in runs.items():
        rates = [run.pages_per_s for run in mine]
        cells = [f"{rate:,.0f}" for rate in (statistics.median(rates), min(rates), max(rates))]
        cells.append(f"{statistics.median(run.wall_s for run in mine):.2f}")
        cells.append(f"{statistics.median(1000 * run.cpu_s / run.pages for run in mine):.3f}")
        cells.append(f"{statistics.median(1000 * run.all_cpu_s / run.pages for run in mine):.3f}")
        cells.append(f"{max(run.rss_mb for run in mine):.0f}")
        lines.append(f"{name:14}" + "".join(f"{cell:>9}" for cell in cells))
    return "\n".join([*lines, "CPU ms: of the main process, a page; all CPU: with its workers"])


@dataclass(frozen=True, slots=True)
class Cost:
    """How much slower a way is than the memory frontier, as a share of its pages a second.

    Args:
        share: by the medians.
        paired: by the median of the rounds' ratios, `low` to `high` being its 95 % interval.
    """

    share: float
    paired: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        said = f"costs {self.share:.1%} of the pages a second; rounds {self.paired:.1%}"
        return said if self.low is None else f"{said}, 95 % of {self.low:.1%} to {self.high:.1%}"


def cost_of(mine: Sequence[Run], bare: Sequence[Run]) -> Cost:
    medians = [statistics.median(run.pages_per_s for run in runs) for runs in (mine, bare)]
    ratios = interval_of([run.pages_per_s / other.pages_per_s for run, other in zip(mine, bare, strict=True)])
    low, high = (None if bound is None else 1 - bound for bound in (ratios.high, ratios.low))
    return Cost(1 - medians[0] / medians[1], 1 - ratios.median, low, high)


def same_output(ways: Sequence[Kept], folder: Path) -> str:
    """Whether all wrote the same records of the same pages."""
    outputs = {way.name: read_output(output_of(way, folder)) for way in ways}
    unlike = [name for name, found in outputs.items() if found != outputs[BARE]]
    pages = len(outputs[BARE])
    return f"output: {pages:,} pages, " + (f"unlike in {', '.join(unlike)}" if unlike else "the same in all")


# Where it goes


class Spent:
    """CPU and wall time inside functions, by name; what one calls of the others is counted in both."""

    def __init__(self) -> None:
        self.cpu_s: defaultdict[str, float] = defaultdict(float)
        self.wall_s: defaultdict[str, float] = defaultdict(float)
        self.calls: defaultdict[str, int] = defaultdict(int)

    def watching(self, owner: Any, name: str, told_as: str) -> Any:
        function: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(function)
        def watched(*values: Any, **named: Any) -> Any:
            started_s, cpu_s = time.perf_counter(), time.thread_time()
            try:
                return function(*values, **named)
            finally:
                self.cpu_s[told_as] += time.thread_time() - cpu_s
                self.wall_s[told_as] += time.perf_counter() - started_s
                self.calls[told_as] += 1

        return mock.patch.object(owner, name, watched)


PARTS: tuple[tuple[Any, str, str], ...] = (
    (DurableFrontier, "lease", "loop: lease"),
    (DurableFrontier, "_change", "loop: what changes"),
    (DurableFrontier, "_discover", "loop:   of that, links"),
    (DurableFrontier, "_let_go", "loop: let go"),
    (Window, "load", "loop: load"),
    (Window, "admit", "loop: admit"),
    (Store, "commit", "file: commit"),
    (store, "_end", "file:   pages that ended"),
    (store, "_admit", "file:   new links"),
    (store, "_digest", "file:     of that, digests"),
    (store, "_move", "file:     of that, shorter ways"),
    (store, "_add_counts", "file:   counts"),
    (Store, "_load", "file:   next requests"),
)


async def crawl_inside(seed: str, ours: tuple[str, str], folder: Path) -> int:
    parser, executor = ours
    spent = Spent()
    with ExitStack() as stack:
        for owner, name, told_as in PARTS:
            stack.enter_context(spent.watching(owner, name, told_as))
        async with Crawler(
            parser=parser,  # type: ignore[arg-type]  # checked there
            offload=OffloadOptions(executor=executor),  # type: ignore[arg-type]
            pace=PaceOptions(concurrency=CONCURRENCY, per_host=CONCURRENCY),
            limits=LimitOptions(scope="prefix"),
            state=state_of(folder),
        ) as crawler:
            loop_s, all_s = time.thread_time(), time.process_time()
            stats = await crawler.run(seed, sinks=[JsonLinesSink(folder / "inside.jsonl")])
            loop_s, all_s = time.thread_time() - loop_s, time.process_time() - all_s
    print(f"\nwhere, in µs a page ({stats.done:,} pages, {spent.calls['file: commit']:,} commits):")
    print(f"{'':32}{'CPU':>9}{'wall':>9}{'calls':>9}")
    for _, _, name in PARTS:
        cpu_us, wall_us = (each[name] / stats.done * 1e6 for each in (spent.cpu_s, spent.wall_s))
        print(f"{name:32}{cpu_us:9.1f}{wall_us:9.1f}{spent.calls[name]:9,}")
    print(f"{'the loop in all':32}{loop_s / stats.done * 1e6:9.1f}")
    print(f"{'the process in all':32}{all_s / stats.done * 1e6:9.1f}")
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description="What durability costs.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--ours", default="lexbor/auto", metavar="PARSER/EXECUTOR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--where", action="store_true", help="tell what the parts of it take")
    options = parser.parse_args()
    environment = {**describe_environment(), **load_at_start()}
    name, _, executor = options.ours.partition("/")
    try:
        site = prepare("heavy")
        (ROOT / "out").mkdir(exist_ok=True)
        with serve(site) as server, tempfile.TemporaryDirectory(dir=ROOT / "out", prefix="durability-") as place:
            folder, seed = Path(place), site.urls(server.base_url)[0]
            print(f"{site.describe()}\nserved by {server.name}; {options.ours}", flush=True)
            ways = contenders((name, executor), folder)
            runs = measure(server, seed, ways, options.rounds, folder)
            same = same_output(ways, folder)
            if options.where:
                begin_anew(ways[-1], folder)
                run(crawl_inside(seed, (name, executor), folder))
    except (SiteUnavailable, CrawlFailed) as error:
        sys.exit(str(error))
    costs = {way: cost_of(mine, runs[BARE]) for way, mine in runs.items() if way != BARE}
    print("", table(runs), "", same, sep="\n")
    for way, cost in costs.items():
        print(f"{way} {cost}")
    is_met = costs["state"].share <= TARGET_COST
    print(f"target: state costs at most {TARGET_COST:.0%}: {'met' if is_met else 'NOT MET'}")
    if site.is_synthetic or server.name != "nginx":
        print("Not the site or not the server of the target: these figures are not to be compared with it.")
    if options.json:
        found = {
            "environment": environment,
            "site": site.describe(),
            "server": server.name,
            "ours": options.ours,
            "runs": {way: [asdict(each) for each in mine] for way, mine in runs.items()},
            "costs": {way: asdict(cost) for way, cost in costs.items()},
        }
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
