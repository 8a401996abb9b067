"""The command line: `scraper COMMAND ...`, one module a command."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

import scraper
from scraper.errors import ScraperError, UsageError, WorkerStartFailed

REFUSED = 2  # nothing was fetched: change the command and try again
FAILED = 1  # something was fetched, and then it could not go on

# Each a module of this package, which is loaded when it is asked for: a crawl that goes on need not wait for the bench.
_COMMANDS = ("crawl", "state", "demo", "probe", "bench")


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
    words = sys.argv[1:] if arguments is None else arguments
    wanted = [name for name in _COMMANDS if name in words[:1]] or _COMMANDS
    for name in wanted:
        importlib.import_module(f"scraper.cli.{name}").add_command(commands)
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
