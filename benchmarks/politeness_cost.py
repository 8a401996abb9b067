"""What it costs a crawl to be polite and safe: the heavy site of the benchmarks, with the defaults and without.

    python -m benchmarks.politeness_cost [--rounds N] [--ours PARSER/EXECUTOR] [--json FILE]

The same commands and the same 1,500 pages of documentation as in `benchmarks.compare`. The server answers at once,
so what is measured is the computing, not the waiting that a polite crawl is meant to do. `polite` is the crawler's
default: robots.txt is asked for and every URL checked against it, every address is checked, the pace adapts to the
host. `rude` has neither robots.txt nor the check of addresses; the bookkeeping of pace cannot be turned off. The site
has a robots.txt of 60 rules, a quarter of them with asterisks, as long as this runs; none of them forbids a page.

Each crawl is a process of its own; rounds are interleaved, and their order alternates.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks.compare import CrawlFailed, Run, crawl, output_of, read_output
from benchmarks.durability_cost import Kept, cost_of, table
from benchmarks.sites import WWW, Server, SiteUnavailable, prepare, serve
from scraper.bench.statistics import interval_of
from scraper.cli.environment import describe_environment, load_at_start

ROOT = Path(__file__).resolve().parent.parent
CONCURRENCY = 32
TARGET_COST = 0.05
RUDE, POLITE = "rude", "polite"


@contextmanager
def robots_txt() -> Iterator[None]:
    """A file of common size at the root of the sites, until the block ends."""
    folders = [f"Disallow: /{name}/{number}/" for number in range(15) for name in ("cart", "admin", "search")]
    patterns = [f"Disallow: /*?sort={number}&*page=" for number in range(15)]
    file = WWW / "robots.txt"
    WWW.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["User-agent: *", *folders, *patterns, "Allow: /cart/1/help", ""]), encoding="utf-8")
    try:
        yield
    finally:
        file.unlink()


def measure(server: Server, seed: str, ways: Sequence[Kept], rounds: int, folder: Path) -> dict[str, list[Run]]:
    """All rounds, printed as they come."""
    runs: dict[str, list[Run]] = {way.name: [] for way in ways}
    for number in range(rounds):
        for way in ways[:: 1 if number % 2 else -1]:
            found = crawl(way, seed, folder, server, CONCURRENCY)
            runs[way.name].append(found)
            print(f"  round {number + 1}: {way.name:12} {found.pages_per_s:8,.0f} pages/s", flush=True)
    return runs


def cpu_cost(polite: Sequence[Run], rude: Sequence[Run]) -> str:
    """How much more CPU the main process takes for a page: steadier than the rate where a machine has other work."""
    pairs = zip(polite, rude, strict=True)
    more = interval_of([mine.cpu_s / mine.pages / (other.cpu_s / other.pages) for mine, other in pairs])
    said = f"CPU of the main process, a page: {more.median - 1:+.1%}"
    if more.low is None or more.high is None:
        return said
    return f"{said}, 95 % of {more.low - 1:+.1%} to {more.high - 1:+.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description="What politeness and safety cost.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--ours", default="lexbor/auto", metavar="PARSER/EXECUTOR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    environment = {**describe_environment(), **load_at_start()}
    name, _, executor = options.ours.partition("/")
    ours = (name, executor)
    ways = [Kept(RUDE, flags=("--no-robots", "--allow-private"), ours=ours), Kept(POLITE, ours=ours)]
    try:
        site = prepare("heavy")
        (ROOT / "out").mkdir(exist_ok=True)
        place = tempfile.TemporaryDirectory(dir=ROOT / "out", prefix="politeness-")
        with robots_txt(), serve(site) as server, place as text:
            folder, seed = Path(text), site.urls(server.base_url)[0]
            print(f"{site.describe()}\nserved by {server.name}; {options.ours}", flush=True)
            runs = measure(server, seed, ways, options.rounds, folder)
            outputs = [read_output(output_of(way, folder)) for way in ways]
    except (SiteUnavailable, CrawlFailed) as error:
        sys.exit(str(error))
    cost = cost_of(runs[POLITE], runs[RUDE])
    same = "the same in both" if outputs[0] == outputs[1] else "UNLIKE"
    print("", table(runs), "", f"output: {len(outputs[0]):,} pages, {same}", f"politeness {cost}", sep="\n")
    print(cpu_cost(runs[POLITE], runs[RUDE]))
    print(f"target: politeness costs at most {TARGET_COST:.0%}: {'met' if cost.share <= TARGET_COST else 'NOT MET'}")
    if site.is_synthetic or server.name != "nginx":
        print("Not the site or not the server of the target: these figures are not to be compared with it.")
    if options.json:
        found = {
            "environment": environment,
            "site": site.describe(),
            "server": server.name,
            "ours": options.ours,
            "runs": {way: [asdict(each) for each in mine] for way, mine in runs.items()},
            "cost": asdict(cost),
        }
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
