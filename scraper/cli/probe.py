"""`scraper probe`: what a function does while it runs, and where it runs best."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from scraper.cli import arguments
from scraper.options import PARSERS
from scraper.probing import probe_now, read_pages
from scraper.report import console_for
from scraper.report.probe_text import print_probe


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "probe",
        help="what a function does while it runs, and where it runs best",
        description="Measure whether a handler waits, computes in Python, in C that lets the GIL go or that keeps it.",
    )
    parser.add_argument("function", metavar="MODULE:NAME|FILE.py:NAME")
    parser.add_argument("--pages", required=True, metavar="DIR", help="HTML files to run it on; .gz is unpacked")
    parser.add_argument("--raw", action="store_true", help="the function takes bytes instead of a page")
    parser.add_argument("--parser", default="lxml", metavar="NAME", help=f"{' | '.join(PARSERS)} (default: lxml)")
    parser.add_argument("--cores", type=int, metavar="N", help="to recommend for (default: those of this process)")
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    report = probe_now(
        arguments.handler_name(parsed.function) or "",
        read_pages(Path(parsed.pages)),
        parser=parsed.parser,
        raw=parsed.raw,
        cpus=parsed.cores,
    ).to_dict()
    if parsed.json:
        print(json.dumps(report, indent=2))
    else:
        print_probe(console_for(sys.stdout), report)
    return 0
