"""What becomes of the durable frontier as it grows: one state file, from ten thousand known URLs to ten million.

    python -m benchmarks.frontier [--most N] [--json FILE] [--svg FILE] [--folder DIR]

At each size, all on copies of the file:

- dedup: commits of 64 pages with 150 links each, one in ten of them new, for 20 s and with all checkpoints. The known
  ones come evenly from everything that is known, which has no locality at all, or as sites have them: 20 links that
  are on every page of the site, the rest near the page. The time is that of settle and commit alone.
- opening: from the start of a process to its first lease, of a file that was closed, of one that the kernel has to read
  from the disk, and of one whose crawler was killed with requests under way; and from the start of `scraper crawl` to
  the first request that the site sees.
- crawl: 1,500 pages of a site that is new to the file, and in turn with it the same with the smallest file.

Each measurement is a process of its own (`benchmarks/frontier_process.py`). Of the table's columns, "loop µs" and
"file µs" are the CPU time a link, of the event loop's thread and of the file's; the last RSS is the most that any of
the processes had at that size. A dedup adds to what is known, so at the smallest sizes its figure is one of growing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.floor import fetch_all
from benchmarks.frontier_picture import picture
from benchmarks.frontier_process import KINDS
from fixtures_server import FixtureServer, SiteOptions
from scraper.bench.statistics import Interval, interval_of
from scraper.cli.environment import describe_environment, load_at_start

ROOT = Path(__file__).resolve().parent.parent
SIZES = (10_000, 100_000, 1_000_000, 3_000_000, 10_000_000)
# Many times what a slow machine takes for each.
LONGEST_CRAWL_S = 300
LONGEST_S = 3600
SITE = SiteOptions(pages=1500, page_bytes=20_000, links_per_page=50)

TARGET_URLS_PER_S = 50_000
TARGET_RSS_MB = 300
TARGET_OPEN_S = 1.0
TARGET_OPEN_AT = 1_000_000
TARGET_RATIO = 0.85


class BenchmarkFailed(Exception):
    """A process ended otherwise than it should."""


@dataclass(frozen=True, slots=True)
class Crawl:
    """One crawl of a site that is new to the file, by the command."""

    pages_per_s: float
    first_request_s: float
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One size. Seconds of `opened` are medians from the start of the process, by how the file had been left."""

    known: int
    file_mb: float
    grown: dict[str, float]
    dedup: dict[str, dict[str, float]]
    opened: dict[str, float]
    crawls: list[Crawl]
    smallest: list[Crawl]

    @property
    def rss_mb(self) -> float:
        """The most that any process had at this size."""
        return max([of["rss_mb"] for of in self.dedup.values()] + [crawl.rss_mb for crawl in self.crawls])

    @property
    def pages_per_s(self) -> float:
        return statistics.median(crawl.pages_per_s for crawl in self.crawls)

    @property
    def command_s(self) -> float:
        return statistics.median(crawl.first_request_s for crawl in self.crawls)

    @property
    def ratio(self) -> float:
        """Of the medians: how fast the crawl is beside the same with the smallest file."""
        if not self.smallest:
            return 1.0
        return self.pages_per_s / statistics.median(crawl.pages_per_s for crawl in self.smallest)

    @property
    def paired(self) -> Interval | None:
        """The same of each pair; None of the smallest file itself."""
        if not self.smallest:
            return None
        pairs = zip(self.crawls, self.smallest, strict=True)
        return interval_of([crawl.pages_per_s / other.pages_per_s for crawl, other in pairs])

    def to_dict(self) -> dict[str, Any]:
        derived = {"rss_mb": self.rss_mb, "pages_per_s": self.pages_per_s, "command_s": self.command_s}
        paired = self.paired
        return {
            **asdict(self),
            **derived,
            "ratio": self.ratio,
            "paired": None if paired is None else asdict(paired),
        }


def in_child(name: str, state: Path, *rest: object, expected: int = 0) -> tuple[dict[str, float], float]:
    """What a process of its own found, and when it was started."""
    command = [sys.executable, "-m", "benchmarks.frontier_process", name, str(state), *map(str, rest)]
    started_s = time.monotonic()
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False, timeout=LONGEST_S)
    if ended.returncode != expected:
        raise BenchmarkFailed(f"{name}: a process ended with {ended.returncode}, not {expected}")
    return json.loads(ended.stdout or "{}"), started_s


def copy(state: Path, name: str) -> Path:
    """A copy of a state file that nobody uses, safe on the disk so that writing it disturbs no measurement."""
    made = state.with_name(name)
    for suffix in ("-wal", "-shm"):
        made.with_name(name + suffix).unlink(missing_ok=True)
    copied = subprocess.run(["cp", "--reflink=auto", str(state), str(made)], capture_output=True, check=False)
    if copied.returncode:
        shutil.copyfile(state, made)
    sync(made)
    return made


def sync(path: Path, *, forget: bool = False) -> None:
    """Writes a file to the disk.

    Args:
        path: of the file.
        forget: the kernel shall not keep it in memory either.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        if forget:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def measure_opening(state: Path, repeats: int) -> dict[str, float]:
    found: dict[str, list[float]] = {}

    def note(way: str) -> None:
        told, started_s = in_child("reopen", state)
        found.setdefault(way, []).append(told["at_s"] - started_s)
        found.setdefault(f"{way}, open alone", []).append(told["open_s"])

    for _ in range(repeats):
        note("closed")
        sync(state, forget=True)
        note("cold")
        in_child("die", state, 2.0, expected=-signal.SIGKILL)
        note("killed")
    return {way: statistics.median(times) for way, times in found.items()}


def put_aside(state: Path) -> Path:
    """Marks everything in a file as done, so that a crawl of another site has that site alone to fetch; gives the
    file.
    """
    with closing(sqlite3.connect(state, isolation_level=None)) as database:
        for setting in ("journal_mode = DELETE", "journal_mode = OFF", "synchronous = OFF", "cache_size = -131072"):
            database.execute(f"PRAGMA {setting}").fetchone()
        index = database.execute("SELECT sql FROM sqlite_master WHERE name = 'requests_waiting'").fetchone()[0]
        database.execute("BEGIN")
        for statement in (
            "DROP INDEX requests_waiting",  # to make it anew is much quicker than to empty it
            "UPDATE requests SET state = 1 WHERE state = 0",
            index,
            "UPDATE hosts SET crawler = NULL, turn = NULL",
            "DELETE FROM suspects",
            "UPDATE counts SET value = (SELECT value FROM counts WHERE name = 'seen') WHERE name = 'done'",
        ):
            database.execute(statement)
        database.execute("COMMIT")
    sync(state)
    return state


def crawl(state: Path, folder: Path) -> Crawl:
    """Crawls the site at a port of its own, so that its URLs are new to the file."""
    with closing(sqlite3.connect(state)) as database, database:
        database.execute("DELETE FROM about")  # it is this crawl's file from now on
    stats, errors = folder / "stats.json", folder / "stderr.txt"
    with FixtureServer(SITE) as server:
        uvloop.run(fetch_all(sorted(server.urls()), 32))  # makes the server render its pages
        server.reset_blocking()
        outputs = [f"--state={state}", f"--stats={stats}", "--quiet"]
        limits = ["--concurrency=32", "--per-host=32", f"--max-time={LONGEST_CRAWL_S}"]
        strategy = ["--parser=lexbor", "--executor=thread"]  # nothing to be found out on the way
        command = [sys.executable, "-m", "scraper", "crawl", server.url, *strategy, *limits, *outputs]
        started_s = time.time()
        with errors.open("w") as file:
            process = subprocess.Popen(command, cwd=ROOT, stderr=file)
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise BenchmarkFailed(f"scraper crawl: {errors.read_text()[-2000:]}")
        asked = server.access_log_blocking()
    if len({entry.path for entry in asked}) != SITE.pages:
        raise BenchmarkFailed(
            f"the crawl fetched {len(asked)} pages of {SITE.pages}: was its port in the file already?"
        )
    rate: float = json.loads(stats.read_text())["pages_per_s"]
    return Crawl(rate, asked[0].time_s - started_s, usage.ru_maxrss * 1024 / 1e6)


def measure_crawls(state: Path, smallest: Path | None, pairs: int) -> tuple[list[Crawl], list[Crawl]]:
    """Crawls with a file, each beside one with the smallest file; which of the two comes first alternates."""
    found: dict[Path, list[Crawl]] = {state: []} if smallest is None else {state: [], smallest: []}
    for number in range(pairs):
        order = list(found)
        for file in order[:: 1 if number % 2 else -1]:
            found[file].append(crawl(file, state.parent))
    return found[state], [] if smallest is None else found[smallest]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: seconds of each dedup, openings of each kind, pairs of crawls."""

    dedup_s: float
    repeats: int
    pairs: int


COLUMNS = (
    "known", "file MB", "new/s", "even/s", "loop µs", "file µs", "local/s", "loop µs", "file µs",
    "closed s", "cold s", "killed s", "pages/s", "ratio", "command s", "RSS MB",
)  # fmt: skip


def cell(text: str, width: int = 10) -> None:
    print(f"{text:>{width}}", end="", flush=True)


def measure(base: Path, known: int, smallest: Path | None, effort: Effort) -> Measured:
    """Grows the file to a size, and measures there; prints a line of the table as it comes."""
    cell(f"{known:,}", 12)
    grown, _ = in_child("grow", base, known)
    file_mb = base.stat().st_size / 1e6
    cell(f"{file_mb:,.0f}")
    cell(f"{grown['new_per_s']:,.0f}")
    found = {}
    for kind in KINDS:
        found[kind], _ = in_child("dedup", copy(base, "work.db"), kind, effort.dedup_s)
        cell(f"{found[kind]['urls_per_s']:,.0f}")
        cell(f"{found[kind]['loop_cpu_us']:.1f}")
        cell(f"{found[kind]['thread_cpu_us']:.1f}")
    work = copy(base, "work.db")
    opened = measure_opening(work, effort.repeats)
    for way in ("closed", "cold", "killed"):
        cell(f"{opened[way]:.2f}")
    crawls, beside = measure_crawls(put_aside(work), smallest, effort.pairs)
    work.unlink()
    measured = Measured(known, file_mb, grown, found, opened, crawls, beside)
    cell(f"{measured.pages_per_s:,.0f}")
    cell(f"{measured.ratio:.2f}")
    cell(f"{measured.command_s:.2f}")
    cell(f"{measured.rss_mb:.0f}")
    print(flush=True)
    return measured


def targets(sizes: Sequence[Measured]) -> list[str]:
    """What was to be reached, and whether it was; of what was not measured, nothing."""
    largest = sizes[-1]
    lines = []
    for kind, said in (("even", "without locality"), ("local", "as sites link")):
        rate = largest.dedup[kind]["urls_per_s"]
        target = f"at least {TARGET_URLS_PER_S:,}"
        lines.append(judged(f"dedup {said} {rate:,.0f} URLs/s", target, rate >= TARGET_URLS_PER_S))
    lines.append(judged(f"RSS {largest.rss_mb:.0f} MB", f"at most {TARGET_RSS_MB}", largest.rss_mb <= TARGET_RSS_MB))
    if (paired := largest.paired) is not None:
        said = f"crawl {largest.ratio:.2f} times as fast as with {sizes[0].known:,} known URLs"
        if paired.low is not None:
            said += f" (pairs {paired.median:.2f}, 95 % interval {paired.low:.2f} to {paired.high:.2f})"
        lines.append(judged(said, f"at least {TARGET_RATIO}", largest.ratio >= TARGET_RATIO))
    lines = [f"at {largest.known:,}: {line}" for line in lines]
    for size in sizes:
        if size.known == TARGET_OPEN_AT:
            waits = {f"to the first lease, {way}": size.opened[way] for way in ("closed", "cold", "killed")}
            waits["to the command's first request"] = size.command_s
            for way, waited_s in waits.items():
                said = judged(f"{waited_s:.2f} s {way}", f"at most {TARGET_OPEN_S} s", waited_s <= TARGET_OPEN_S)
                lines.append(f"at {size.known:,}: {said}")
    return lines


def judged(what: str, target: str, is_met: bool) -> str:
    return f"{what}; target {target}: {'met' if is_met else 'NOT MET'}"


def measure_all(folder: Path, most: int, effort: Effort) -> list[Measured]:
    print(f"{COLUMNS[0]:>12}" + "".join(f"{column:>10}" for column in COLUMNS[1:]))
    base, smallest = folder / "state.db", folder / "smallest.db"
    sizes: list[Measured] = []
    for known in [size for size in SIZES if size < most] + [most]:
        beside = put_aside(copy(smallest, "beside.db")) if sizes else None
        sizes.append(measure(base, known, beside, effort))
        if not smallest.exists():
            copy(base, smallest.name)
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description="The durable frontier as it grows.")
    parser.add_argument("--most", type=int, default=SIZES[-1], metavar="N", help="known URLs to stop at")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each dedup")
    parser.add_argument("--repeats", type=int, default=3, help="openings of each kind")
    parser.add_argument("--pairs", type=int, default=5, help="of crawls")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--svg", type=Path, metavar="FILE")
    parser.add_argument("--folder", type=Path, metavar="DIR", default=ROOT / "out", help="on a disk with 4 GB to spare")
    options = parser.parse_args()
    if options.most <= SIZES[0]:
        parser.error(f"--most must be more than {SIZES[0]:,}, the size that the others are compared with")
    options.folder.mkdir(parents=True, exist_ok=True)
    environment = {**describe_environment(), **load_at_start()}
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="frontier-") as folder:
        try:
            sizes = measure_all(Path(folder), options.most, Effort(options.seconds, options.repeats, options.pairs))
        except BenchmarkFailed as error:
            sys.exit(str(error))
    print("", *targets(sizes), f"took {(time.monotonic() - started_s) / 60:.1f} minutes", sep="\n")
    found = [size.to_dict() for size in sizes]
    if options.json:
        options.json.write_text(json.dumps({"environment": environment, "sizes": found}, indent=1))
    if options.svg:
        options.svg.write_text(picture(found), encoding="utf-8")


if __name__ == "__main__":
    main()
