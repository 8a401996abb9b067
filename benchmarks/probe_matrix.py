"""The probe on functions of known nature, again and again: how often it names them right, and how far off it is.

    python -m benchmarks.probe_matrix --runs 20
    python -m benchmarks.probe_matrix --reference

A function is named right if the largest share is what it is known to do. For what libraries do, the share of CPU time
with the GIL is known from a measurement over half a minute, by `--reference`.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import pickle
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.known import KNOWN, Known
from fixtures_server import SiteOptions
from fixtures_server.site import SyntheticSite
from scraper.errors import ScraperError
from scraper.offload.probe.judge import work_cost
from scraper.offload.probe.process import Probing
from scraper.offload.values import Work

PAGE_BYTES = (10_000, 20_000, 30_000, 40_000, 60_000, 80_000, 120_000, 200_000)
PAGES_EACH = 3

# What a held share may be off. The probe says its own uncertainty, which is smaller for most functions.
TOLERANCE = 0.10

REFERENCE_S = 30.0

LOCKED_S = 75.0


def pages() -> list[bytes]:
    """Pages of many sizes, mixed."""
    sites = [SyntheticSite(SiteOptions(pages=50, page_bytes=size, links_per_page=40)) for size in PAGE_BYTES]
    return [site.render(number) for number in range(1, PAGES_EACH + 1) for site in sites]


def measure(known: Known, blobs: Sequence[bytes], budget_s: float) -> dict[str, Any]:
    started_s = time.perf_counter()
    work = Work.of(f"benchmarks.known:{known.name}")
    try:
        measured = Probing(work, blobs, budget_s=budget_s, memory_bytes=None).run()
    except ScraperError as error:
        return {"function": known.name, "error": str(error)}
    cost, use = work_cost(measured)
    return {
        "function": known.name,
        "kind": cost.shares.kind,
        "held_share": cost.held_share,
        "uncertainty": use.uncertainty,
        "shares": asdict(cost.shares),
        "wall_s": cost.wall_s,
        "serial_share": cost.serial_s / cost.wall_s,
        "gil_waits": cost.gil_waits,
        "took_s": time.perf_counter() - started_s,
    }


class Turn:
    """Other benchmarks on this machine that lock the same file do not measure meanwhile.

    Args:
        lock: the file; None is without.
    """

    def __init__(self, lock: Path | None) -> None:
        self._file = None if lock is None else lock.open("a")
        self._until_s = 0.0

    def take(self) -> None:
        """Gives the others a chance after a while."""
        if self._file is not None and time.monotonic() >= self._until_s:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._until_s = time.monotonic() + LOCKED_S


def verdict(known: Known, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How often it was named right, and the worst deviation of the held share."""
    right = sum(run.get("kind") in known.kinds for run in runs)
    shares = [run["held_share"] for run in runs if "held_share" in run]
    off = [abs(share - known.held_share) for share in shares] if known.held_share is not None else []
    locks = sum(run.get("serial_share", 0.0) > 0 for run in runs)
    return {
        "function": known.name,
        "kinds": known.kinds,
        "runs": len(runs),
        "right": right,
        "held_share": statistics.median(shares) if shares else None,
        "known": known.held_share,
        "worst_deviation": max(off, default=None),
        "locks_right": locks if known.has_lock else len(runs) - locks,
        "is_good": right == len(runs) and max(off, default=0.0) <= TOLERANCE,
    }


def print_verdicts(verdicts: Sequence[dict[str, Any]]) -> None:
    heads = ("right", 8), ("lock right", 11), ("held", 6), ("known", 6), ("worst off", 9)
    print(f"{'function':20} {'is known to be':18}", *(f"{head:>{width}}" for head, width in heads))
    for each in verdicts:
        held, known, off = (
            "" if each[name] is None else f"{each[name]:.2f}" for name in ("held_share", "known", "worst_deviation")
        )
        counts = f"{each['right']}/{each['runs']}", f"{each['locks_right']}/{each['runs']}"
        kinds = " or ".join(each["kinds"])
        flag = "" if each["is_good"] else "   missed"
        print(f"{each['function']:20} {kinds:18} {counts[0]:>8} {counts[1]:>11} {held:>6} {known:>6} {off:>9}{flag}")
    total, right = (sum(each[name] for each in verdicts) for name in ("runs", "right"))
    worst = max((each["worst_deviation"] or 0.0 for each in verdicts), default=0.0)
    print(f"{right} of {total} named right; the held share at most {worst:.2f} off")


def main() -> int:
    arguments = argparse.ArgumentParser(description="The probe on functions of known nature.")
    arguments.add_argument("--runs", type=int, default=20)
    arguments.add_argument("--functions", help="only these, with commas between")
    arguments.add_argument("--budget", type=float, default=4.0, help="seconds a probe may measure")
    arguments.add_argument("--json", type=Path, help="file of results; those that it has are kept, and not done again")
    arguments.add_argument("--lock", type=Path, help="file that other benchmarks lock as well")
    arguments.add_argument("--reference", action="store_true", help="one long measurement of each")
    given = arguments.parse_args()
    chosen = [known for known in KNOWN if not given.functions or known.name in given.functions.split(",")]
    blobs = [pickle.dumps(page) for page in pages()]
    turn = Turn(given.lock)
    if given.reference:
        for known in chosen:
            turn.take()
            print(json.dumps(measure(known, blobs, REFERENCE_S)), flush=True)
        return 0
    results: list[dict[str, Any]] = []
    if given.json is not None:
        with suppress(FileNotFoundError):
            results = json.loads(given.json.read_text())
    for run in range(given.runs):
        for known in chosen:
            if sum(each["function"] == known.name for each in results) > run:
                continue
            turn.take()
            results.append(measure(known, blobs, given.budget))
            if given.json is not None:
                given.json.write_text(json.dumps(results, indent=1))
            print(f"run {run + 1}: {known.name}", file=sys.stderr)
    verdicts = [
        verdict(known, [each for each in results if each["function"] == known.name][: given.runs]) for known in chosen
    ]
    print_verdicts(verdicts)
    return 0 if all(each["is_good"] for each in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
