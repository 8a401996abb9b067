"""A crawl of two real sites, killed ten times, beside one that nothing disturbs.

    python -m benchmarks.real_kills [--kills 10] [--executor auto] [--output .jsonl]

Both write the outline of every page. The killed one is ended with SIGKILL whenever another eleventh of its pages is
done, and its command is given again. Then the outputs are compared item by item, and the server's pages with them.
"""

from __future__ import annotations

import argparse
import csv
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.sites import prepare, serve

# Long enough for a crawl that hangs to be told from one that is slow.
_PATIENCE_S = 120.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--executor", default="auto")
    parser.add_argument("--output", default=".jsonl", choices=[".jsonl", ".csv", ".sqlite", ".parquet"])
    parsed = parser.parse_args()
    sites = [prepare("heavy"), prepare("light")]
    pages = sum(len(site.paths) for site in sites)
    with tempfile.TemporaryDirectory() as folder, serve(sites[0]) as server:
        seeds = [site.urls(server.base_url)[0] for site in sites]
        crawl = Crawl(Path(folder), seeds, parsed.executor, parsed.output)
        expected = crawl.undisturbed()
        found, kills, seconds = crawl.killed(parsed.kills, pages)
    missing, extra = expected - found, found - expected
    urls = {json.loads(item)["url"] for item in expected}
    print(f"{len(urls):,} of {pages:,} pages, {expected.total():,} items without a kill")
    print(f"{found.total():,} items with {kills} kills, in {seconds:.1f} s")
    print(f"missing {missing.total()}, extra {extra.total()}: {'equal' if not missing and not extra else 'NOT EQUAL'}")
    return int(bool(missing or extra or len(urls) < 2_000 or kills < parsed.kills))


class Crawl:
    """The same command, with and without kills.

    Args:
        folder: for outputs and the state.
        seeds: where it begins.
        executor: where it parses.
        suffix: of the output, which says its format.
    """

    def __init__(self, folder: Path, seeds: Sequence[str], executor: str, suffix: str) -> None:
        self._folder = folder
        self._seeds = seeds
        self._executor = executor
        self._suffix = suffix

    def _command(self, output: Path, *more: str) -> list[str]:
        crawl = [sys.executable, "-m", "scraper", "crawl", *self._seeds, "--quiet", "--executor", self._executor]
        return [*crawl, "--output", str(output), *more]

    def undisturbed(self) -> Counter[str]:
        output = self._folder / f"undisturbed{self._suffix}"
        subprocess.run(self._command(output), check=True, timeout=_PATIENCE_S)
        return items(output)

    def killed(self, kills: int, pages: int) -> tuple[Counter[str], int, float]:
        """The items of a crawl with so many kills, how many there were, and how long it took in all."""
        output, state = self._folder / f"killed{self._suffix}", self._folder / "state"
        command = self._command(output, "--state", str(state))
        started_s = time.monotonic()
        done = 0
        for number in range(kills + 1):
            with subprocess.Popen(command) as crawl:
                try:
                    if number == kills:
                        crawl.wait(_PATIENCE_S)
                        break
                    wait_for(crawl, state, pages * (number + 1) // (kills + 1))
                finally:
                    crawl.kill()
            done += 1
        return items(output), done, time.monotonic() - started_s


def wait_for(crawl: subprocess.Popen[bytes], state: Path, pages: int) -> None:
    """Until so many pages are done, seen from outside."""
    until_s = time.monotonic() + _PATIENCE_S
    while crawl.poll() is None and pages_done(state) < pages:
        if time.monotonic() > until_s:
            raise TimeoutError(f"fewer than {pages} pages are done after {_PATIENCE_S:g} s")
        time.sleep(0.01)


def pages_done(state: Path) -> int:
    if not state.exists():
        return 0
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as database:
        try:
            row = database.execute("SELECT value FROM counts WHERE kind = 'state' AND name = 'done'").fetchone()
        except sqlite3.OperationalError:  # its tables are not made yet
            return 0
    return 0 if row is None else int(row[0])


def items(output: Path) -> Counter[str]:
    """Each item as canonical JSON, and how often it is there."""
    return Counter(json.dumps(item, sort_keys=True) for item in rows(output))


def rows(output: Path) -> list[dict[str, object]]:
    if output.suffix == ".jsonl":
        return [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    if output.suffix == ".csv":
        with output.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    if output.suffix == ".sqlite":
        with closing(sqlite3.connect(output)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute("SELECT * FROM items")]
    import pyarrow.parquet  # noqa: PLC0415 (an optional part)

    table: list[dict[str, object]] = pyarrow.parquet.read_table(output).to_pylist()
    return table


if __name__ == "__main__":
    sys.exit(main())
