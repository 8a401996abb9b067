"""Crawls that are killed at random moments and at every step of a commit, judged by the server's access log.

    python -m benchmarks.kill_loop --kills 1000

Real crawls of a local site with redirects, retries, duplicates, failing pages and worker processes; most in processes,
some in threads and in line, some by two crawlers on one file. Whoever is killed is started again with the same command.
When a crawl has come to its end, every address must be at its end, every item in each output once, and no page fetched
again that was not under way at a kill. Exits with 1 if anything else was found, and keeps the folder of that crawl.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import fields
from pathlib import Path

from tests.kill.harness import Loop, Tally
from tests.kill.lives import COMMIT_POINTS, FILE_POINTS, SINK_POINTS, TORN_POINTS

ENOUGH_FOR_ALL_STEPS = 300
"""Kills after which a step that was never hit is a fault of the loop."""


def steps(tally: Tally) -> dict[str, int]:
    """How often crawlers ended themselves at each step, over all files."""
    names = {f"{point.event} {point.step}" for point in (*COMMIT_POINTS, *SINK_POINTS) if point.step}
    found = Counter(dict.fromkeys(sorted(names), 0))
    for point in {*COMMIT_POINTS, *SINK_POINTS, *TORN_POINTS, *FILE_POINTS}:
        found[f"{point.event} {point.step}".strip()] += tally.points[str(point)]
    return dict(found)


def show(tally: Tally, seed: int, elapsed_s: float) -> None:
    kills = tally.kills.total()
    print(f"\n{tally.crawls} crawls, {kills} kills in {elapsed_s:,.0f} s, seed {seed}")
    rows: list[tuple[str, str]] = [(str(how), f"{times:,}") for how, times in tally.kills.most_common()]
    rows += [(f"  {step}", f"{times:,}") for step, times in steps(tally).items()]
    rows += [
        ("URLs at their end", f"{tally.urls:,}"),
        ("of them failed after crashes, by design", f"{tally.crashed:,}"),
        ("items in each output", f"{tally.items:,}"),
        ("pages fetched again", f"{tally.refetched:,}"),
        ("under way at the kills", f"{tally.in_flight:,}"),
        ("lost", f"{tally.lost:,}"),
        ("doubled", f"{tally.doubled:,}"),
        ("damaged files", f"{tally.unsound:,}"),
        ("broken promises in all", f"{len(tally.violations):,}"),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value:>9}")
    for sentence in tally.violations:
        print(sentence)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None, help="of everything random; a new one by default")
    parser.add_argument("--jobs", type=int, default=2, help="crawls at the same time")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parsed = parser.parse_args()
    seed: int = random.SystemRandom().randrange(1_000_000) if parsed.seed is None else parsed.seed
    folder = Path(tempfile.mkdtemp(prefix="kill-loop-"))
    started_s = time.monotonic()

    def on_crawl(tally: Tally) -> None:
        kills, so_far_s = tally.kills.total(), time.monotonic() - started_s
        found = f"{tally.refetched} of {tally.in_flight} fetched again, {len(tally.violations)} broken promises"
        print(f"{so_far_s:6.0f} s  {tally.crawls:4} crawls  {kills:5} kills  {found}", flush=True)

    print(f"seed {seed}", flush=True)
    tally = Loop(seed=seed, kills=parsed.kills, folder=folder, jobs=parsed.jobs, on_crawl=on_crawl).run()
    elapsed_s = time.monotonic() - started_s
    show(tally, seed, elapsed_s)
    if parsed.json is not None:
        parsed.json.parent.mkdir(parents=True, exist_ok=True)
        found = {field.name: getattr(tally, field.name) for field in fields(tally)}
        figures = {"seed": seed, "elapsed_s": elapsed_s, **found, "steps": steps(tally)}
        parsed.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    missed = [step for step, times in steps(tally).items() if not times]
    if tally.kills.total() >= ENOUGH_FOR_ALL_STEPS and missed:
        print(f"never hit: {', '.join(missed)}")
    elif not tally.violations:
        shutil.rmtree(folder)
        return 0
    print(f"seed {seed}; what is left of the crawls is in {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
