"""Crawls the same two sites with this project and with others, in one run, and prints the machine's bound beside it.

    python -m benchmarks.compare --rounds 5

The others run in an environment of their own (benchmarks/peers/requirements.txt in `.venv-peers`). Every crawler is a
process of its own, 32 requests at once, breadth first, and writes the outline of each page as a line of JSON. Rounds
are interleaved in random order; figures are medians, ratios are medians of the rounds' ratios. Pages a second count
from a crawl's first request; the others' time ends with their last page, ours with the end of the crawl, so that
nobody pays for starting Python and what remains of a doubt is theirs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks import floor as floors
from benchmarks.sites import CACHE, RECIPES, Server, Site, SiteUnavailable, prepare, serve

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benchmarks" / "peers"
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
FIELDS = ("status", "title", "h1", "description", "canonical", "lang", "links")
LONGEST_S = 600.0  # ten times what the slowest takes on a slow machine
REFERENCE = "handwritten"  # whose output the others' is compared with


@dataclass(frozen=True, slots=True)
class Contender:
    """A crawler: `ours` is ("parser", "executor"), otherwise `script` is started with `flags`."""

    name: str
    script: str = ""
    flags: tuple[str, ...] = ()
    ours: tuple[str, str] | None = None

    def command(self, seed: str, output: Path, stats: Path, concurrency: int) -> list[str]:
        if self.ours is None:
            script = str(PEERS / self.script)
            return [str(PEERS_PYTHON), script, seed, str(output), f"--concurrency={concurrency}", *self.flags]
        parser, executor = self.ours
        limits = [f"--concurrency={concurrency}", f"--per-host={concurrency}", "--scope=prefix"]
        strategy = [f"--parser={parser}", f"--executor={executor}"]
        files = [f"--output={output}", f"--stats={stats}", "--quiet"]
        return [sys.executable, "-m", "scraper", "crawl", seed, *strategy, *limits, *files]


OTHERS = (
    Contender(REFERENCE, "handwritten.py"),
    Contender("scrapy", "scrapy_outline.py"),
    Contender("crawlee", "crawlee_outline.py"),
    Contender("crawlee own links", "crawlee_outline.py", ("--own-links",)),
    Contender("silkworm", "silkworm_outline.py"),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One crawl. Times in seconds; `cpu_s` of the main process and `all_cpu_s` of it and its children."""

    pages: int
    elapsed_s: float
    wall_s: float
    cpu_s: float
    all_cpu_s: float
    server_cpu_s: float
    rss_mb: float
    all_rss_mb: float

    @property
    def pages_per_s(self) -> float:
        return self.pages / self.elapsed_s


class CrawlFailed(Exception):
    """A crawler ended with an error."""


def crawl(contender: Contender, seed: str, folder: Path, server: Server, concurrency: int) -> Run:
    """Runs a crawler as a process and measures it.

    Raises:
        CrawlFailed: it exited with another status than 0, or did not end.
    """
    output, stats = output_of(contender, folder), folder / "stats.json"
    output.unlink(missing_ok=True)
    server_process = psutil.Process(server.pid)
    served_before_s = floors.cpu_s(server_process)
    started = time.perf_counter()
    with (folder / "stderr.txt").open("w") as errors:
        command = contender.command(seed, output, stats, concurrency)
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        rss_mb, all_rss_mb = watch_memory(process.pid, contender.name)
        wall_s = time.perf_counter() - started
        main_cpu_s = zombie_cpu_s(process.pid)
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        process.kill()  # does nothing to one that has ended
    printed = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise CrawlFailed(f"{contender.name}: {(folder / 'stderr.txt').read_text()[-2000:]}")
    result = json.loads(stats.read_text()) if contender.ours else json.loads(printed.splitlines()[-1])
    return Run(
        pages=result["done" if contender.ours else "pages"],
        elapsed_s=result["elapsed_s"],
        wall_s=wall_s,
        cpu_s=main_cpu_s,
        all_cpu_s=usage.ru_utime + usage.ru_stime,
        server_cpu_s=floors.cpu_s(server_process) - served_before_s,
        rss_mb=rss_mb,
        all_rss_mb=all_rss_mb,
    )


def output_of(contender: Contender, folder: Path) -> Path:
    return folder / f"{contender.name.replace('/', '-').replace(' ', '-')}.jsonl"


def watch_memory(pid: int, name: str) -> tuple[float, float]:
    """Waits for a process to end, without reaping it; gives its peak RSS and the peak of it and its children, in MB.

    Raises:
        CrawlFailed: it has not ended after `LONGEST_S`.
    """
    peak = all_peak = 0.0
    process = psutil.Process(pid)
    deadline = time.monotonic() + LONGEST_S
    # Five looks a second cost less than a thousandth of a processor.
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > deadline:
            raise CrawlFailed(f"{name} has not ended after {LONGEST_S:.0f} seconds")
        with suppress(psutil.NoSuchProcess):  # ended since, or became a zombie
            own = process.memory_info().rss / 1e6
            children = sum(child.memory_info().rss for child in process.children(recursive=True)) / 1e6
            peak, all_peak = max(peak, own), max(all_peak, own + children)
        time.sleep(0.2)
    return peak, all_peak


def zombie_cpu_s(pid: int) -> float:
    """CPU seconds of a process that ended and was not reaped yet: without its children's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_output(path: Path) -> dict[str, dict[str, object]]:
    with path.open(encoding="utf-8") as lines:
        items = [json.loads(line) for line in lines]
    return {item["url"]: item for item in items}


def differences(contenders: list[Contender], site: Site, base_url: str, folder: Path) -> list[str]:
    """How each crawler's output differs from the reference's, field by field; none is a line "the same"."""
    expected = set(site.urls(base_url))
    reference = read_output(output_of(OTHERS[0], folder))
    lines = []
    for contender in contenders:
        found = read_output(output_of(contender, folder))
        missing, more = len(expected - found.keys()), len(found.keys() - expected)
        said = [f"{missing} pages missing"] * bool(missing) + [f"{more} pages too many"] * bool(more)
        both = found.keys() & reference.keys()
        unlike = {field: [url for url in both if found[url][field] != reference[url][field]] for field in FIELDS}
        for field, urls in unlike.items():
            if urls:
                url = min(urls)
                example = f"{url.removeprefix(base_url)}: {found[url][field]!r}, not {reference[url][field]!r}"
                said.append(f"{field} on {len(urls)} pages (such as {example})")
        lines.append(f"{contender.name}: {len(found):,} pages, {'; '.join(said) or 'the same'}")
    return lines


def compare(
    site: Site, contenders: list[Contender], rounds: int, concurrency: int, order: random.Random
) -> dict[str, object]:
    """All rounds on one site, printed as they come; gives what was measured."""
    folder = CACHE.parent / "bench-peers" / site.name
    folder.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[Run]] = {contender.name: [] for contender in contenders}
    measured: list[floors.Floor] = []
    with serve(site) as server:
        seed = site.urls(server.base_url)[0]
        for number in range(1, rounds + 1):
            measured.append(floors.measure(site, server, concurrency))
            for contender in order.sample(contenders, len(contenders)):
                run = crawl(contender, seed, folder, server, concurrency)
                runs[contender.name].append(run)
                print(f"  round {number}: {contender.name:20} {run.pages_per_s:8,.0f} pages/s", flush=True)
        unlike = differences(contenders, site, server.base_url, folder)
    floor = floors.median(measured)
    print("", table(contenders, runs, floor), "", ratios(contenders, runs), "", floors.describe(floor), sep="\n")
    print(f"\nOutput, beside {REFERENCE}:")
    print(*(f"  {line}" for line in unlike), sep="\n", flush=True)
    return {
        "site": {**asdict(site), "paths": len(site.paths)},
        "floor": asdict(floor),
        "floors": [asdict(each) for each in measured],
        "runs": {name: [asdict(run) for run in all_runs] for name, all_runs in runs.items()},
        "differences": unlike,
    }


def table(contenders: list[Contender], runs: dict[str, list[Run]], floor: floors.Floor) -> str:
    """What each crawler did."""
    columns = ("pages/s", "low", "high", "of bound", "wall s", "CPU ms", "all CPU", "RSS MB", "all RSS")
    lines = [f"{'':20}" + "".join(f"{column:>9}" for column in columns)]
    for contender in contenders:
        mine = runs[contender.name]
        rates = [run.pages_per_s for run in mine]
        middle = statistics.median(rates)
        share = f"{middle / floor.bound_pages_per_s(contender.ours[0]):.0%}" if contender.ours else ""
        cells = [f"{rate:,.0f}" for rate in (middle, min(rates), max(rates))] + [share]
        cells.append(f"{statistics.median(run.wall_s for run in mine):.1f}")
        cells.append(f"{statistics.median(1000 * run.cpu_s / run.pages for run in mine):.2f}")
        cells.append(f"{statistics.median(1000 * run.all_cpu_s / run.pages for run in mine):.2f}")
        cells += [f"{max(run.rss_mb for run in mine):.0f}", f"{max(run.all_rss_mb for run in mine):.0f}"]
        lines.append(f"{contender.name:20}" + "".join(f"{cell:>9}" for cell in cells))
    return "\n".join(lines)


def ratios(contenders: list[Contender], runs: dict[str, list[Run]]) -> str:
    """How many times as fast each is as each of the others."""
    others = [contender.name for contender in contenders if contender.ours is None]
    lines = [f"{'times as fast as':20}" + "".join(f"{name:>19}" for name in others)]
    for name, mine in runs.items():
        lines.append(f"{name:20}" + "".join(f"{paired_ratio(mine, runs[other]):19.2f}" for other in others))
    return "\n".join(lines)


def paired_ratio(ours: list[Run], theirs: list[Run]) -> float:
    return statistics.median(a.pages_per_s / b.pages_per_s for a, b in zip(ours, theirs, strict=True))


def environment() -> dict[str, object]:
    """What the figures depend on."""
    listed = [
        str(PEERS_PYTHON),
        "-c",
        "import importlib.metadata as m; print(*sorted(f'{d.name}=={d.version}' for d in m.distributions()))",
    ]
    peers = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    cpu = Counter(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": [f"{count} of {model}" for model, count in cpu.items()],
        "processors": len(os.sched_getaffinity(0)),
        "load_1m": os.getloadavg()[0],
        "ours": {name: version(name) for name in ("aiohttp", "lxml", "selectolax", "can-ada", "uvloop")},
        "peers": peers,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="This project beside other crawlers.")
    parser.add_argument("--site", action="append", choices=RECIPES, help="default: both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1, help="of the order within the rounds")
    parser.add_argument(
        "--ours", nargs="*", metavar="PARSER/EXECUTOR", default=["lexbor/auto", "lexbor/process", "lxml/auto"]
    )
    parser.add_argument("--others", nargs="*", metavar="NAME", default=[contender.name for contender in OTHERS])
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if not PEERS_PYTHON.exists():
        sys.exit("The others are not installed: make bench-peers installs them into .venv-peers")
    order = random.Random(options.seed)  # noqa: S311 - an order to be repeated, no secret
    contenders = [contender for contender in OTHERS if contender.name in {REFERENCE, *options.others}]
    for name in options.ours:
        parser_name, _, executor = name.partition("/")
        contenders.append(Contender(name, ours=(parser_name, executor)))
    found = {"environment": environment(), "sites": {}}
    try:
        for site in [prepare(name) for name in options.site or RECIPES]:
            print(f"\n{site.describe()}", flush=True)
            found["sites"][site.name] = compare(site, contenders, options.rounds, options.concurrency, order)
    except (SiteUnavailable, CrawlFailed) as error:
        sys.exit(str(error))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
