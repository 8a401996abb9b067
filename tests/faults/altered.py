"""The command line with some of its surroundings changed: python -m tests.faults.altered CHANGE ... -- ARGUMENTS"""

from __future__ import annotations

import argparse
import itertools
import os
import sqlite3
import sys
import time
from typing import Any


def main(words: list[str]) -> int:
    at = words.index("--")
    parser = argparse.ArgumentParser()
    parser.add_argument("--clock-jump-s", type=float, help="what the system's clock is wrong by")
    parser.add_argument("--lock-wait-s", type=float, help="how long a database is waited for that another has locked")
    parser.add_argument("--grace-s", type=float, help="how long a crawl that stops waits for pages under way")
    parser.add_argument("--patience-s", type=float, help="how long a crawler that joined may stand still")
    parser.add_argument(
        "--signal", type=int, action="append", default=[], help="what this process gets from itself ..."
    )
    parser.add_argument("--at", nargs=3, metavar=("EVENT", "STEP", "N"), help="... at the n-th such step")
    changes = parser.parse_args(words[:at])
    if changes.clock_jump_s is not None:
        _move_clock(changes.clock_jump_s)
    if changes.lock_wait_s is not None:
        _shorten_lock_wait(changes.lock_wait_s)
    if changes.grace_s is not None:
        import scraper.crawl

        scraper.crawl._GRACE_S = changes.grace_s
    if changes.patience_s is not None:
        import scraper.frontier.durable

        scraper.frontier.durable._PATIENCE_S = changes.patience_s
    if changes.signal:
        _signal_at(changes.signal, *changes.at)
    from scraper.cli.main import main as scraper_main

    return scraper_main(words[at + 1 :])


def _move_clock(jump_s: float) -> None:
    real = time.time
    time.time = lambda: real() + jump_s


def _shorten_lock_wait(wait_s: float) -> None:
    real: Any = sqlite3.connect
    changed: Any = lambda *arguments, **options: real(*arguments, **{**options, "timeout": wait_s})  # noqa: E731
    sqlite3.connect = changed


def _signal_at(numbers: list[int], event: str, step: str, nth: str) -> None:
    calls = itertools.count(1)

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == event and arguments[0] == step and next(calls) == int(nth):
            for number in numbers:
                os.kill(os.getpid(), number)
                time.sleep(0.05)  # two that come together may be taken for one

    sys.addaudithook(hook)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
