"""One crawl of a world of named hosts: was it a good guest, and what became of every URL?

    python -m benchmarks.world_crawl [--hosts 50] [--delay S] [--rate N] [-- further options of `scraper crawl`]

The hosts differ: Crawl-delay, rate limits with Retry-After, a bounded queue, one that is down at first, a dead one,
robots.txt in every form, traps, redirects to where a crawl must not go (see `fixtures_server.world`). All but one are
start URLs. The judge sees only what the server logged; what must become of each URL is known beforehand. Exits with 1
where the judge finds a violation or a URL ended otherwise than it should.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from fixtures_server import FixtureWorld, World, WorldOptions
from fixtures_server.access_log import read_log
from fixtures_server.judge import Findings, Rules, judge
from scraper.frontier.state.reading import STATES, StateReader
from scraper.options import DEFAULT_USER_AGENT, PaceOptions
from scraper.robots import product_token

ROOT = Path(__file__).resolve().parent.parent
# Deeper than any host but the maze, which a crawl must be told to leave.
MAX_DEPTH = 12
LONGEST_S = 600.0


class CrawlFailed(Exception):
    """The crawl ended with an error, or did not end."""


class End(NamedTuple):
    """What became of a URL: its state, and why if it is not done."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Account:
    """Every URL that the crawl knew beside every URL of the world.

    Args:
        ends: what became of each.
        unlike: URLs that ended in a state that is not right for them.
        missing: URLs of the world that the crawl never knew.
        unknown: URLs that are not of this world.
    """

    ends: Mapping[str, End]
    unlike: Mapping[str, frozenset[str]]
    missing: Sequence[str]
    unknown: Sequence[str]

    @property
    def is_balanced(self) -> bool:
        return not (self.unlike or self.missing or self.unknown)


def max_depth(world: World) -> int:
    """Saved pages link to the web, which is not to be crawled, and to pages of their own sites, which are not here."""
    return MAX_DEPTH if world.is_counted else 1


def crawl(world: World, folder: Path, options: Sequence[str]) -> None:
    """Runs `scraper crawl` over the world, with its files in a folder.

    Raises:
        CrawlFailed: it exited with another status than 0, or did not end.
    """
    seeds = folder / "seeds.txt"
    seeds.write_text("\n".join(world.seeds), encoding="utf-8")
    limits = [f"--scope={'any' if world.is_counted else 'host'}", f"--max-depth={max_depth(world)}", "--timeout=5"]
    files = [f"--{name}={folder / file}" for name, file in FILES.items()]
    command = [sys.executable, "-m", "scraper", "crawl", "--urls", str(seeds), *limits, *files, "--quiet"]
    command += [f"--resolve={entry}" for entry in world.resolve]
    try:
        subprocess.run([*command, *options], cwd=ROOT, check=True, timeout=LONGEST_S)
    except subprocess.SubprocessError as error:
        raise CrawlFailed(f"the crawl of {world}: {type(error).__name__}") from error


FILES = {"state": "state.db", "output": "items.jsonl", "stats": "stats.json", "failures": "failures.jsonl"}


def account(world: World, state: Path, *, with_sitemaps: bool) -> Account:
    with StateReader(state) as reader:
        ends = {found.url: End(found.state, found.reason or "") for found in reader.requests(STATES)}
    expected = world.expected(max_depth(world), with_sitemaps=with_sitemaps)
    if not world.is_counted:  # what is no seed is out of scope
        named = {urlsplit(seed).netloc for seed in world.seeds}
        expected = {url: right for url, right in expected.items() if urlsplit(url).netloc in named}
    return Account(
        ends=ends,
        unlike={url: right for url, right in expected.items() if url in ends and ends[url].state not in right},
        missing=[url for url in expected if url not in ends],
        unknown=[url for url in ends if url not in expected and world.is_counted],
    )


def table(world: World, found: Account, findings: Findings) -> str:
    """A line a host: its URLs by their end, and what it saw of the crawl."""
    columns = ("URLs", *STATES, "unlike", "asked", "at once", "gap s", "refused", "faults")
    lines = [f"{'host':24}" + "".join(f"{column:>9}" for column in columns)]
    by_host: dict[str, Counter[str]] = {netloc: Counter() for netloc in world.hosts}
    for url, end in found.ends.items():
        by_host.setdefault(urlsplit(url).netloc, Counter())[end.state] += 1
    unlike = Counter(urlsplit(url).netloc for url in (*found.unlike, *found.missing, *found.unknown))
    faults = Counter(violation.host for violation in findings.violations)
    for netloc, ends in by_host.items():
        cells = [str(count or "") for count in (ends.total(), *(ends[state] for state in STATES), unlike[netloc])]
        seen = findings.hosts.get(netloc)
        if seen is None:
            cells += ["", "", "", ""]
        else:
            gap = f"{seen.shortest_gap_s:.3f}" if seen.shortest_gap_s < LONGEST_S else ""
            cells += [str(seen.requests), str(seen.most_at_once), gap, str(seen.refused or "")]
        cells.append(str(faults[netloc] or ""))
        lines.append(f"{netloc.partition(':')[0]:24}" + "".join(f"{cell:>9}" for cell in cells))
    states = Counter(end.state for end in found.ends.values())
    total = [len(found.ends), *(states[state] for state in STATES), unlike.total(), findings.requests]
    refused = sum(host.refused for host in findings.hosts.values())
    cells = [f"{number:,}" for number in total] + ["", "", f"{refused:,}", f"{faults.total():,}"]
    return "\n".join([*lines, f"{'in all':24}" + "".join(f"{cell:>9}" for cell in cells)])


def told(found: Account, examples: int = 5) -> str:
    """Why URLs are not done, and which ended otherwise than they should."""
    reasons = Counter(end for end in found.ends.values() if end.state != "done")
    lines = [f"{count:6,} {end.state}: {end.reason or '(no reason)'}" for end, count in reasons.most_common()]
    for url, right in list(found.unlike.items())[:examples]:
        end = found.ends[url]
        lines.append(f"UNLIKE {url}: {end.state} ({end.reason}), not {' or '.join(sorted(right))}")
    lines += [f"MISSING {url}" for url in found.missing[:examples]]
    lines += [f"UNKNOWN {url}" for url in found.unknown[:examples]]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--pages", type=int, default=20, help="of each host")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="deal out the pages of this folder among the hosts")
    parser.add_argument("--delay", type=float, default=0.0, metavar="S", help="told to the crawl, and to the judge")
    parser.add_argument("--rate", type=float, metavar="N", help="likewise")
    parser.add_argument("--per-host", type=int, default=PaceOptions().per_host, metavar="N", help="likewise")
    parser.add_argument("--folder", type=Path, help="keep the crawl's files here; a new folder")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("crawl", nargs="*", metavar="OPTION", help="further options of the crawl, behind --")
    parsed = parser.parse_args()
    options = WorldOptions(hosts=parsed.hosts, pages=parsed.pages, seed=parsed.seed, directory=parsed.corpus)
    pace = [f"--delay={parsed.delay}", f"--per-host={parsed.per_host}"]
    pace += [] if parsed.rate is None else [f"--rate={parsed.rate}"]
    if parsed.folder is not None:
        parsed.folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as place:
        folder = parsed.folder or Path(place)
        log = folder / "access.jsonl"
        with FixtureWorld(options, log_file=log) as server:
            world = server.world
            started_s = time.monotonic()
            try:
                crawl(world, folder, [*pace, *parsed.crawl])
            except CrawlFailed as error:
                sys.exit(str(error))
            elapsed_s = time.monotonic() - started_s
        entries = read_log(log)
        found = account(world, folder / FILES["state"], with_sitemaps="--sitemap" in parsed.crawl)
    rules = Rules(
        hosts=world.rules,
        per_host=parsed.per_host,
        delay_s=parsed.delay,
        rate_per_s=parsed.rate,
        agent=product_token(DEFAULT_USER_AGENT),
    )
    findings = judge(entries, rules)
    print(table(world, found, findings), "", told(found), "", findings.text(), sep="\n")
    print(f"{len(found.ends):,} URLs of {len(world.hosts)} hosts in {elapsed_s:.1f} s", end=": ")
    print("every one accounted for" if found.is_balanced else "NOT ALL ENDED AS THEY SHOULD")
    if parsed.json is not None:
        figures = {
            "hosts": len(world.hosts),
            "seed": parsed.seed,
            "elapsed_s": elapsed_s,
            "requests": findings.requests,
            "violations": Counter(violation.kind.name.lower() for violation in findings.violations),
            "states": Counter(end.state for end in found.ends.values()),
            "unlike": len(found.unlike),
            "missing": len(found.missing),
            "unknown": len(found.unknown),
        }
        parsed.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return int(bool(findings.violations) or not found.is_balanced)


if __name__ == "__main__":
    sys.exit(main())
