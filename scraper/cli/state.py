"""`scraper state`: what a state file knows of its crawl, also while the crawl runs."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from typing import Any

from scraper.frontier.state.reading import STATES, ListedRequest, StateReader
from scraper.options import check_choice
from scraper.report import console_for
from scraper.report.clean import one_line
from scraper.report.state_text import print_state
from scraper.sinks.output_file import part_path

# Longer than any URL that a crawl takes, and than any reason that it gives.
_MOST_CHARACTERS = 20_000


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "state",
        help="what a state file knows of its crawl",
        description="Show how far a crawl with --state is, who works on it, and how to go on. It is only read, and may "
        "be in use.",
    )
    parser.add_argument("file", metavar="FILE", help="as it was given to --state")
    parser.add_argument("--json", action="store_true", help="the same as one JSON object; with --export, JSON lines")
    parser.add_argument(
        "--export",
        nargs="?",
        const="all",
        metavar="STATE",
        help=f"list the URLs that are {', '.join(STATES)}, or all, on stdout: state, URL, and why, between tabs",
    )
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    if parsed.export is not None:
        check_choice("--export", parsed.export, (*STATES, "all"))
    with StateReader(parsed.file) as state:
        try:
            if parsed.export is not None:
                states = STATES if parsed.export == "all" else (parsed.export,)
                _export(state.requests(states), is_json=parsed.json)
            elif parsed.json:
                print(json.dumps(state.summary().to_dict(), indent=2))
            else:
                print_state(console_for(sys.stdout), state.summary().to_dict(), part_path=part_path)
            sys.stdout.flush()
        except BrokenPipeError:  # whoever reads has enough, as `head` has; the rest of the buffer goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _export(requests: Iterable[ListedRequest], *, is_json: bool) -> None:
    console_for(sys.stdout)  # so that a character which the terminal lacks ends no listing
    line_of = _json_line if is_json else _line
    for request in requests:
        sys.stdout.write(line_of(request))


def _line(request: ListedRequest) -> str:
    words = [request.state, request.url]
    if request.reason is not None:
        words += [request.stage or "", request.reason, request.detail or ""]
    return "\t".join(one_line(word, at_most=_MOST_CHARACTERS) for word in words) + "\n"


def _json_line(request: ListedRequest) -> str:
    told = {name: value for name, value in request._asdict().items() if value is not None}
    return f"{json.dumps(told)}\n"
