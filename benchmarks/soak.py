"""A crawl that goes on for minutes over faulty hosts: does it stay flat, on time, polite, and lose nothing?

    python -m benchmarks.soak [--minutes 10] [--hosts 50] [-- further options of `scraper crawl`]

`scraper crawl` with a state file runs as a process over a world of named hosts whose pages have no end: latency, rate
limits, resets, cut answers, server errors, a queue, traps (see `fixtures_server.world`). It is watched from outside and
stopped by its --max-time. Afterwards the server's log, the state file and the items have to agree on every page.
Exits with 1 where one of the targets is missed, and keeps the folder.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil

from fixtures_server import FixtureWorld, LogEntry, World, WorldOptions
from fixtures_server.access_log import read_log
from fixtures_server.judge import Rules, judge
from fixtures_server.world import CUT_ANSWER
from scraper.cli.environment import describe_environment, load_at_start
from scraper.frontier.state.reading import StateReader
from scraper.options import DEFAULT_USER_AGENT, PaceOptions
from scraper.robots import product_token

ROOT = Path(__file__).resolve().parent.parent
CONCURRENCY = 64
LATENCY_S = 0.1  # as sites on the Internet; the crawl is then bound by them, not by the machine
# Some 16 links of a page are new: so the crawl's bounded memory of requests is full within a fifth of ten minutes.
PAGE_BYTES, LINKS = 6_000, 32
SAMPLE_S = 0.5
# A crawl has 10 s for what is under way when it stops, then it writes its files.
STOPPING_S = 60.0

MOST_LAG_MS = 50.0
MOST_GROWTH = 0.10
MOST_MORE_FILES = CONCURRENCY // 2  # connections come and go; a leak is one for each fault, so hundreds a minute


class Sample(NamedTuple):
    """The crawl's processes at one moment; threads and files of the main process."""

    at_s: float
    main_mb: float
    workers_mb: float
    files: int
    threads: int
    processes: int


@dataclass(slots=True)
class Watched:
    """A crawl as it was seen from outside."""

    samples: list[Sample] = field(default_factory=list)
    children: set[psutil.Process] = field(default_factory=set)
    status: int | None = None

    def median(self, name: str, begin: float, end: float) -> float:
        """Of the samples from one share of the time to another."""
        last_s = self.samples[-1].at_s
        chosen = [sample for sample in self.samples if begin * last_s <= sample.at_s <= end * last_s]
        return statistics.median(float(getattr(sample, name)) for sample in chosen)


@dataclass(frozen=True, slots=True)
class Target:
    """What a number should be, and whether it is."""

    name: str
    value: str
    is_met: bool
    wanted: str


def watch(command: Sequence[str], most_s: float) -> Watched:
    """Runs a command to its end and samples it; it is killed if it takes longer."""
    seen = Watched()
    started_s = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT) as crawl:
        process = psutil.Process(crawl.pid)
        try:
            while crawl.poll() is None and time.monotonic() - started_s < most_s:
                with suppress(psutil.NoSuchProcess):
                    seen.samples.append(sample_of(process, time.monotonic() - started_s, seen.children))
                time.sleep(SAMPLE_S)
        finally:
            crawl.kill()  # does nothing to one that has ended
        seen.status = crawl.wait()
    return seen


def sample_of(process: psutil.Process, at_s: float, children: set[psutil.Process]) -> Sample:
    workers_mb = 0.0
    found = process.children(recursive=True)
    for child in found:
        children.add(child)
        with suppress(psutil.NoSuchProcess):  # ended since
            workers_mb += child.memory_info().rss / 1e6
    with process.oneshot():
        own_mb = process.memory_info().rss / 1e6
        return Sample(at_s, own_mb, workers_mb, process.num_fds(), process.num_threads(), 1 + len(found))


def open_connections(server: int) -> int:
    """Connections that the server still has, a moment after the crawl's end."""
    until_s = time.monotonic() + 2.0
    while True:
        found = psutil.Process(server).net_connections(kind="tcp")
        count: int = sum(connection.status != psutil.CONN_LISTEN for connection in found)
        if not count or time.monotonic() > until_s:
            return count
        time.sleep(0.05)


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def pages_given(world: World, entries: Sequence[LogEntry]) -> set[str]:
    """URLs of pages that the server gave as a whole; of those that it cuts, the log has a 200 as well."""
    cutting = {netloc for netloc, host in world.hosts.items() if host.breaks == "cut"}
    return {
        f"http://{entry.host}{entry.path}"
        for entry in entries
        if entry.status == 200
        and not entry.path.endswith("robots.txt")
        and (entry.host not in cutting or entry.sent_bytes != len(CUT_ANSWER))
    }


def discrepancies(folder: Path, stats: Mapping[str, Any], given: set[str]) -> Iterator[str]:
    """Where the numbers, the state file, the items and the server's log do not agree."""
    counts = {state: stats[state] for state in ("seen", "done", "failed", "skipped", "waiting")}
    if counts["seen"] != sum(counts.values()) - counts["seen"]:
        yield f"seen is not the sum of the others: {counts}"
    with StateReader(folder / "state.db") as reader:
        summary = reader.summary()
        ended = {found.url: found.state for found in reader.requests(("done", "failed", "skipped"))}
    in_file = {state: getattr(summary, state) for state in counts}
    if in_file != counts:
        yield f"the state file has {in_file}, the statistics {counts}"
    by_state = Counter(ended.values())
    if any(by_state[state] != counts[state] for state in ("done", "failed", "skipped")):
        yield f"the state file lists {dict(by_state)}, the statistics have {counts}"
    with (folder / "items.jsonl").open(encoding="utf-8") as lines:
        items = Counter(json.loads(line)["url"] for line in lines)
    doubled = [url for url, times in items.items() if times > 1]
    if doubled:
        yield f"{len(doubled)} pages have several items, such as {doubled[0]}"
    if items.total() != counts["done"]:
        yield f"{items.total()} items of {counts['done']} pages that are done"
    invented = items.keys() - given
    if invented:
        yield f"{len(invented)} items of pages that the server never gave, such as {min(invented)}"
    # A page that was given is done, or failed all the same, or was under way when the crawl stopped.
    lost = {url for url in given - items.keys() if url not in ended}
    if len(lost) > CONCURRENCY:
        yield f"{len(lost)} pages that the server gave have not ended, such as {min(lost)}"


def table(seen: Watched) -> str:
    """The crawl's course in ten lines."""
    lines = [f"{'s':>6}{'RSS MB':>9}{'workers':>9}{'files':>7}{'threads':>9}{'processes':>11}"]
    step = max(1, len(seen.samples) // 10)
    lines += [
        f"{at_s:6.0f}{main_mb:9.0f}{workers_mb:9.0f}{files:7}{threads:9}{processes:11}"
        for at_s, main_mb, workers_mb, files, threads, processes in seen.samples[::step]
    ]
    return "\n".join(lines)


def growth(seen: Watched, name: str) -> tuple[float, float]:
    """The level of a fifth of the time, and that of the end: medians, so that no single moment decides."""
    return seen.median(name, 0.15, 0.25), seen.median(name, 0.90, 0.97)


def targets(seen: Watched, stats: Mapping[str, Any], violations: int, leaks: int, wrong: int) -> list[Target]:
    lag_ms = stats["loop_lag_ms"]["p99"]
    found = [Target("loop lag, p99", f"{lag_ms:.1f} ms", lag_ms <= MOST_LAG_MS, f"at most {MOST_LAG_MS:g} ms")]
    for title, name in (("memory of the main process", "main_mb"), ("memory of its workers", "workers_mb")):
        early, late = growth(seen, name)
        value = f"{early:.0f} MB at 20 %, {late:.0f} MB at the end"
        found.append(Target(title, value, late <= early * (1 + MOST_GROWTH), f"at most {MOST_GROWTH:.0%} more"))
    for title, name in (("open files", "files"), ("threads", "threads")):
        early, late = growth(seen, name)
        value = f"{early:.0f} at 20 %, {late:.0f} at the end"
        found.append(Target(title, value, late - early <= MOST_MORE_FILES, f"at most {MOST_MORE_FILES} more"))
    found += [
        Target("connections and processes left behind", str(leaks), leaks == 0, "none"),
        Target("violations that the judge found", f"{violations:,}", violations == 0, "none"),
        Target("disagreements about pages", str(wrong), wrong == 0, "none"),
    ]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("crawl", nargs="*", metavar="OPTION", help="further options of the crawl, behind --")
    parsed = parser.parse_args()
    environment = {**describe_environment(), **load_at_start()}
    (ROOT / "out").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=ROOT / "out", prefix="soak-"))
    options = WorldOptions(
        hosts=parsed.hosts,
        pages=1_000_000,
        page_bytes=PAGE_BYTES,
        links_per_page=LINKS,
        latency_s=LATENCY_S,
        seed=parsed.seed,
    )
    with FixtureWorld(options, log_file=folder / "access.jsonl") as server:
        world = server.world
        (folder / "seeds.txt").write_text("\n".join(world.seeds), encoding="utf-8")
        files = [f"--state={folder / 'state.db'}", f"--output={folder / 'items.jsonl'}", f"--stats={folder / 'stats'}"]
        limits = [f"--max-time={60 * parsed.minutes}", f"--concurrency={CONCURRENCY}", "--timeout=5", "--scope=any"]
        command = [sys.executable, "-m", "scraper", "crawl", f"--urls={folder / 'seeds.txt'}", "--quiet", *limits]
        command += [*files, *(f"--resolve={entry}" for entry in world.resolve), *parsed.crawl]
        print(f"{world}, {parsed.minutes:g} minutes; {folder}", flush=True)
        seen = watch(command, 60 * parsed.minutes + STOPPING_S)
        connections = open_connections(server.pid)
        rules = Rules(hosts=world.rules, per_host=PaceOptions().per_host, agent=product_token(DEFAULT_USER_AGENT))
    if seen.status != 0:
        sys.exit(f"the crawl ended with status {seen.status}; its files are in {folder}")
    left = alive(seen.children)
    stats = json.loads((folder / "stats").read_text(encoding="utf-8"))
    entries = read_log(folder / "access.jsonl")
    findings = judge(entries, rules)
    wrong = list(discrepancies(folder, stats, pages_given(world, entries)))
    found = targets(seen, stats, len(findings.violations), connections + len(left), len(wrong))

    print(table(seen), "", findings.text(), sep="\n")
    asked = {urlsplit(f"http://{host}").hostname for host in findings.hosts}
    print(
        f"{stats['done']:,} done, {stats['failed']:,} failed, {stats['skipped']:,} skipped, {stats['waiting']:,} "
        f"waiting; {stats['pages_per_s']:.0f} pages/s, {stats['retries']:,} retries, {len(asked)} hosts"
    )
    print(*wrong, sep="\n", end="\n" if wrong else "")
    for target in found:
        verdict = "met" if target.is_met else "NOT MET"
        print(f"{target.name:40}{target.value:36}{target.wanted}: {verdict}")
    if parsed.json is not None:
        figures = {
            "environment": environment,
            "minutes": parsed.minutes,
            "stats": {name: value for name, value in stats.items() if name != "series"},
            "targets": [asdict(target) for target in found],
            "samples": [sample._asdict() for sample in seen.samples],
        }
        parsed.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if all(target.is_met for target in found):
        shutil.rmtree(folder)
        return 0
    print(f"what the crawl left is in {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
