"""How parsers behave beside each other and beside an event loop: the tables of docs/gil.md.

    make gil-table
    python -m benchmarks.gil_table [--pages DIR] [--only lxml --only "event loop"] [--write docs/gil.md]

Each operation is measured in processes of its own, where one and two threads, and two processes, take turns; the
table has medians over the rounds. Results are kept in a file, so that a part can be measured anew with --only.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import platform
import statistics
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.echo_beside import INTERVALS_S, LOADS, Beside, beside
from benchmarks.gil_operations import OPERATIONS, Operation
from benchmarks.gil_rig import NotInstalled, Rig
from fixtures_server import SiteOptions, SyntheticSite
from scraper.options import available_cpus

EVENT_LOOP = "event loop"

# What a typical page of a large site weighs; few enough that all trees of them fit in memory twice.
_PAGES = 20
_PAGE_BYTES = 90_000
_LINKS = 150
_SAVED_BYTES = range(20_000, 150_000)


def synthetic_pages() -> list[bytes]:
    site = SyntheticSite(SiteOptions(pages=1000, page_bytes=_PAGE_BYTES, links_per_page=_LINKS))
    return [site.render(number) for number in range(100, 100 + _PAGES)]


def saved_pages(folder: Path) -> list[bytes]:
    """Those of a usual size, spread over the folder's names."""
    files = sorted([*folder.rglob("*.html"), *folder.rglob("*.html.gz")])
    bodies = (gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes() for file in files)
    pages = [body for body in bodies if len(body) in _SAVED_BYTES]
    if not pages:
        raise SystemExit(f"{folder} has no .html or .html.gz of {_SAVED_BYTES.start} to {_SAVED_BYTES.stop} bytes")
    return pages[:: max(1, len(pages) // (2 * _PAGES))][: 2 * _PAGES]


def measure(operation: Operation, pages: list[bytes], rounds: int, window_s: float) -> dict[str, Any]:
    """One row."""
    try:
        with Rig(operation, pages) as first, Rig(operation, pages) as second:
            window_s = max(window_s, first.suggested_window_s)
            turns = []
            for _ in range(rounds):
                one = first.rate(threads=1, window_s=window_s)
                two = first.rate(threads=2, window_s=window_s)
                first.start(threads=1, window_s=window_s)
                both = second.rate(threads=1, window_s=window_s) + first.result()
                turns.append((one, two / one, both / one, first.held_share(window_s)))
    except NotInstalled as error:
        return {"status": str(error)}
    except EOFError:
        return {"status": "its process crashed"}
    rate, threads, processes, held = (statistics.median(column) for column in zip(*turns, strict=True))
    return {
        "status": "measured",
        "bytes_per_s": rate,
        "two_threads": threads,
        "two_processes": processes,
        "held_share": held,
    }


def measure_loop(pages: list[bytes], rounds: int, window_s: float) -> dict[str, dict[str, Any]]:
    """Round trips beside each load, by load and switch interval; an empty entry where a load's parser is missing."""
    found: dict[tuple[str, float], list[Beside]] = {}
    missing = set()
    for _ in range(rounds):
        for load in LOADS:
            for interval_s in INTERVALS_S:
                try:
                    found.setdefault((load, interval_s), []).append(beside(load, interval_s, pages, window_s))
                except NotInstalled:
                    missing.add(load)
    rows: dict[str, dict[str, Any]] = {}
    for load in LOADS:
        rows[load] = {}
        for interval_s in INTERVALS_S:
            if load not in missing:
                each = found[load, interval_s]
                rows[load][f"{interval_s:g}"] = {
                    "round_trips_per_s": statistics.median(one.round_trips_per_s for one in each),
                    "p99_s": statistics.median(one.p99_s for one in each),
                }
    return rows


def environment() -> str:
    libraries = sorted({operation.library for operation in OPERATIONS if operation.library})
    versions = []
    for library in libraries:
        try:
            versions.append(f"{library} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            continue
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {platform.system()}, {available_cpus()} CPUs; {', '.join(versions)}"


def describe(pages: list[bytes], kind: str) -> str:
    return f"{len(pages)} {kind} pages of {sum(map(len, pages)) / len(pages) / 1000:.0f} KB"


def parser_table(results: dict[str, Any]) -> list[str]:
    lines = [
        f"{results['environment']}; {results['pages']}.",
        "",
        "| parser | operation | MB/s, one thread | two threads | two processes | CPU time with the GIL |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for operation in OPERATIONS:
        row = results["rows"].get(key_of(operation))
        if row is None:
            continue
        start = f"| {operation.title} | {operation.name} |"
        if row["status"] != "measured":
            lines.append(f"{start} {row['status']} | | | |")
            continue
        rate = row["bytes_per_s"] / 1e6
        lines.append(
            f"{start} {rate:.{1 if rate < 10 else 0}f} | {row['two_threads']:.2f} | {row['two_processes']:.2f} "
            f"| {row['held_share']:.0%} |"
        )
    return lines


def loop_table(rows: dict[str, dict[str, Any]]) -> list[str]:
    heads = [f"{interval_s * 1000:g} ms" for interval_s in INTERVALS_S]
    lines = [
        "| busy beside the loop | " + " | ".join(f"round trips/s at {h} | p99 at {h}" for h in heads) + " |",
        "|---|" + "---:|" * (2 * len(heads)),
    ]
    for load, row in rows.items():
        if not row:
            lines.append(f"| {load} | not installed |" + " |" * (2 * len(heads) - 1))
            continue
        cells = [
            f"{row[f'{each:g}']['round_trips_per_s']:,.0f} | {milliseconds(row[f'{each:g}']['p99_s'])}"
            for each in INTERVALS_S
        ]
        lines.append(f"| {load} | " + " | ".join(cells) + " |")
    return lines


def milliseconds(time_s: float) -> str:
    return f"{time_s * 1000:.{2 if time_s < 0.001 else 1 if time_s < 0.01 else 0}f} ms"


def key_of(operation: Operation) -> str:
    return f"{operation.title}: {operation.name}"


def rewrite(document: Path, name: str, lines: list[str]) -> None:
    """Replaces what stands between `<!-- name -->` and `<!-- /name -->`."""
    text = document.read_text(encoding="utf-8")
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    head, found, rest = text.partition(start)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{document} has no {start.strip()} with its {end}")
    document.write_text(head + start + "\n".join(lines) + "\n" + end + tail, encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How parsers behave beside each other and beside an event loop.")
    parser.add_argument("--pages", type=Path, help="a folder of saved .html or .html.gz instead of synthetic pages")
    parser.add_argument("--only", action="append", help=f'a parser of the table, or "{EVENT_LOOP}"; may be repeated')
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window-s", type=float, default=0.3, help="how long each measurement runs at least")
    parser.add_argument("--json", type=Path, help="where results are kept; out/gil-KIND.json")
    parser.add_argument("--write", type=Path, help="a document whose tables are replaced")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    kind = "saved" if options.pages else "synthetic"
    pages = saved_pages(options.pages) if options.pages else synthetic_pages()
    path = options.json or Path("out") / f"gil-{kind}.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"rows": {}, "loop": {}}
    results["environment"] = environment()
    results["pages"] = describe(pages, kind)
    for operation in OPERATIONS:
        if not options.only or operation.title in options.only:
            print(f"{key_of(operation)} ...", file=sys.stderr, flush=True)
            results["rows"][key_of(operation)] = measure(operation, pages, options.rounds, options.window_s)
    if not options.only or EVENT_LOOP in options.only:
        print(f"{EVENT_LOOP} ...", file=sys.stderr, flush=True)
        results["loop"] = measure_loop(pages, options.rounds, 2 * options.window_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1))
    tables = {kind: parser_table(results)}
    if kind == "synthetic" and results["loop"]:
        tables[EVENT_LOOP] = loop_table(results["loop"])
    for name, lines in tables.items():
        print("\n".join([*lines, ""]))
        if options.write:
            rewrite(options.write, name, lines)


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    main()
