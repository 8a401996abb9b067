"""robots.txt: how right and how fast the project's parser is, beside protego where that is installed.

    python -m benchmarks.robots --rounds 5

Right is what Google's own parser says: its published verdicts (google/robotstxt-spec-test), where they are at hand.
Speed is measured on real files, one a host, where those are at hand, and on two hostile ones that are made here.
"Ready" is parsing and one decision, since protego indexes its rules with the first. Times are the best of some rounds.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pickle
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scraper.robots import Robots, product_token

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "robots"
AGENT = product_token("scraper/0.1")
HOST = "https://example.org"

Allows = Callable[[str], bool]
Parse = Callable[[bytes, str], Allows]  # a robots.txt and a product token: what says whether a URL is allowed


def ours(body: bytes, agent: str) -> Allows:
    return Robots.parse(body, agent).allows


def theirs(protego: Any) -> Parse:
    def parse(body: bytes, agent: str) -> Allows:
        rules = protego.Protego.parse(body.decode("utf-8", "replace"))
        return lambda url: bool(rules.can_fetch(url, agent))

    return parse


def parsers() -> dict[str, Parse]:
    found: dict[str, Parse] = {"scraper": ours}
    try:
        found["protego"] = theirs(importlib.import_module("protego"))
    except ImportError:
        print("protego is not installed: only the project's own parser is measured.\n")
    return found


def verdicts(parse: Parse, cases: list[dict[str, Any]]) -> int:
    """How many of Google's verdicts a parser gives."""
    return sum(parse(case["robotstxt"].encode(), case["user_agent"])(case["url"]) == case["allowed"] for case in cases)


def best_s(work: Callable[[], object], rounds: int) -> float:
    """The shortest time of some rounds, in seconds."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def urls_of(body: bytes, count: int = 50) -> list[str]:
    """URLs such as a file's patterns are about, the same number from each file."""
    patterns = re.findall(rb"^\s*(?:dis)?allow\s*:\s*(/[!-~]*)", body, re.IGNORECASE | re.MULTILINE) or [b"/"]
    paths = [pattern.decode().replace("*", "x").removesuffix("$") for pattern in patterns]
    return [f"{HOST}{paths[index % len(paths)]}" for index in range(count)]


def measure_real(parse: Parse, files: dict[str, bytes], rounds: int) -> str:
    ready = {
        name: best_s(lambda body=body: parse(body, AGENT)(f"{HOST}/"), rounds)  # type: ignore[misc]
        for name, body in files.items()
    }
    decision = {}
    for name, body in files.items():
        allows, urls = parse(body, AGENT), urls_of(body)
        allows(urls[0])
        decision[name] = best_s(lambda allows=allows, urls=urls: [*map(allows, urls)], rounds) / len(urls)  # type: ignore[misc]
    return f"ready {summary(ready, 1e3, 'ms')}; a decision {summary(decision, 1e6, 'µs')}"


def summary(seconds: dict[str, float], scale: float, unit: str) -> str:
    slowest = max(seconds, key=seconds.__getitem__)
    median = statistics.median(seconds.values())
    return f"{median * scale:.2f} {unit} (median), {seconds[slowest] * scale:.2f} {unit} ({slowest})"


def hostile() -> dict[str, bytes]:
    many = "".join(f"Disallow: /*/{number:x}*?id=\n" for number in range(10_000))
    deep = "".join(f"Disallow: /*{'a*' * number}b\n" for number in range(1, 500))
    return {"10,000 patterns with two asterisks": head(many), "500 patterns /*a*a*a…*b": head(deep)}


def head(rules: str) -> bytes:
    return f"User-agent: *\n{rules}".encode()


def measure_hostile(parse: Parse, body: bytes, rounds: int) -> str:
    short, long = f"{HOST}/products/shoes/item?colour=red&size=44", f"{HOST}/{'a' * 8_000}"
    ready_s = best_s(lambda: parse(body, AGENT)(short), rounds)
    allows = parse(body, AGENT)
    allows(short)
    short_s, long_s = (best_s(lambda url=url: allows(url), rounds) for url in (short, long))  # type: ignore[misc]
    return (
        f"ready {ready_s * 1e3:.0f} ms; a decision {short_s * 1e3:.2f} ms for a short URL, "
        f"{long_s * 1e3:.1f} ms for one of 8,000 characters"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--data", type=Path, default=DATA, help="folder with the verdicts and the real files")
    options = arguments.parse_args()
    found = parsers()

    case_file = options.data / "google_spec_correctness.json"
    if case_file.exists():
        cases = json.loads(case_file.read_text(encoding="utf-8"))
        print(f"Google's verdicts, of {len(cases)}:")
        for name, parse in found.items():
            print(f"  {name:<8} {verdicts(parse, cases)}")
    if (options.data / "real").is_dir():
        files = {path.name: path.read_bytes() for path in sorted((options.data / "real").iterdir())}
        print(f"\n{len(files)} real files:")
        for name, parse in found.items():
            print(f"  {name:<8} {measure_real(parse, files, options.rounds)}")
        sizes = {name: len(pickle.dumps(Robots.parse(body, AGENT))) for name, body in files.items()}
        print(f"  pickled  {statistics.median(sizes.values()):,.0f} bytes (median), {max(sizes.values()):,} (largest)")
    for title, body in hostile().items():
        print(f"\n{title} ({len(body):,} bytes):")
        for name, parse in found.items():
            print(f"  {name:<8} {measure_hostile(parse, body, options.rounds)}")


if __name__ == "__main__":
    main()
