"""The command line: `scraper COMMAND ...`, one module a command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

import scraper
from scraper.cli import bench, crawl, demo, probe, state
from scraper.errors import ScraperError, UsageError, WorkerStartFailed

REFUSED = 2  # nothing was fetched: change the command and try again
FAILED = 1  # something was fetched, and then it could not go on


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage in front of it."""

    def error(self, message: str) -> NoReturn:
        self.exit(REFUSED, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status.

    0 finished; 2 refused before the first request; 1 stopped later because it could not go on; 130 and 143
    interrupted by SIGINT and SIGTERM.
    """
    parser = _Parser(prog="scraper", description="An asyncio crawler that knows where its time goes.")
    parser.add_argument("--version", action="version", version=f"scraper {scraper.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    crawl.add_command(commands)
    state.add_command(commands)
    demo.add_command(commands)
    probe.add_command(commands)
    bench.add_command(commands)
    parsed = parser.parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except (UsageError, WorkerStartFailed) as error:
        return _say(parsed.command, error, REFUSED)
    except ScraperError as error:
        return _say(parsed.command, error, FAILED)
    except KeyboardInterrupt:
        return 130
    return status


def _say(command: str, error: Exception, status: int) -> int:
    print(f"scraper {command}: {' '.join(str(error).split())}", file=sys.stderr)
    return status
