"""One life of a crawl, in a process of its own, that ends itself where it was told to: python -m tests.kill.crawl ORDER

The order is JSON; see `tests.kill.lives`. Prints a line when the first page may be fetched.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from scraper import Crawler, FetchOptions, JsonLinesSink, OffloadOptions, PaceOptions, ParquetSink, Resolve
from scraper.cli.running import run
from scraper.options import StateOptions
from tests.kill.handlers import MURDER_VARIABLE, visit
from tests.kill.site import RETRIES

WORKING = b"working\n"
# The transactions before the first page: the seeds, the first hosts, how the outputs stand.
_OPENING_COMMITS = 3
_COMMITS_BEFORE_GATE = 8
# Small, so that a crawl of few pages writes many parts.
_GROUP_ROWS = 12
_JUNK = b'{"key": "half a li'


def watch(order: dict[str, Any]) -> None:
    """Ends this process at the n-th time that a step comes, and tells when the crawl has opened its files.

    Everything that happens in a process with a name is an audit event: the steps of a commit and of a write, which
    `scraper` raises, and what Python does with files.
    """
    folder, presence = Path(order["folder"]), Path(order["presence"])
    commits = itertools.count(1)
    times = itertools.count(1)
    point, gate = order["point"], order["gate"]

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if event == "scraper.commit" and values[0] == "committed":
            count(next(commits))
        elif event == "mmap.__new__":
            keep(values[0])
        if point is None or event != point["event"] or gate is not None:
            return
        if matches(values) and next(times) == point["nth"]:
            if point["is_torn"]:
                with Path(values[1]).open("ab") as file:
                    file.write(_JUNK)
            os.kill(os.getpid(), signal.SIGKILL)

    def count(commits: int) -> None:
        nonlocal gate
        if commits == _OPENING_COMMITS:
            os.write(1, WORKING)
        elif commits == _COMMITS_BEFORE_GATE and gate is not None:
            os.read(gate, 1)
            gate = None

    def keep(descriptor: int) -> None:
        """A second name for the crawler's presence file: another crawler may tidy the first away."""
        path = _path_of(descriptor)
        if "-crawler-" in path and not presence.exists():
            os.link(path, presence)

    def matches(values: tuple[Any, ...]) -> bool:
        step, what = values[:2] if point["step"] else ("", values[0])
        path = Path(_path_of(what) if isinstance(what, int) else os.fsdecode(what)).resolve()
        return bool(step == point["step"]) and path.is_relative_to(folder) and fnmatch(path.name, point["file"])

    sys.addaudithook(hook)


def _path_of(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink()) if descriptor >= 0 else ""


def crawler_of(order: dict[str, Any]) -> Crawler:
    return Crawler(
        visit,
        parser="lexbor",
        offload=OffloadOptions(executor=order["executor"], workers=2, batch_items=order["batch_items"]),
        fetch=FetchOptions(
            resolve=tuple(Resolve(host=host, port=port, address="127.0.0.1") for host, port in order["hosts"])
        ),
        pace=PaceOptions(concurrency=6, per_host=4, retries=RETRIES, backoff_s=0.05),
        state=StateOptions(path=Path(order["folder"]) / "state.sqlite", join=order["join"]),
    )


async def crawl(order: dict[str, Any]) -> int:
    folder = Path(order["folder"])
    names: tuple[str, ...] = ("items.jsonl", "items.csv", "items.sqlite", "state.sqlite")
    async with crawler_of(order) as crawler:
        await crawler.run(
            order["seeds"],
            sinks=[*(folder / name for name in names), ParquetSink(folder / "items.parquet", group_rows=_GROUP_ROWS)],
            failures=JsonLinesSink(folder / "failures.jsonl"),
        )
    return 0


def main(text: str) -> int:
    order = json.loads(text)
    if order["murder"] is not None:
        victim = os.getpid() if order["murder"]["with_crawler"] else 0
        os.environ[MURDER_VARIABLE] = f"{order['murder']['mark']}:{victim}"
    watch(order)
    return run(crawl(order))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
