"""Commands in processes of their own that need not import the program first: a copy each of one process that has.

Importing takes longer than a small crawl. Nothing else is shared: a command has its session, its environment, its
standard error and its end to itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]


class Nursery:
    """The process that is copied; it ends with `close`.

    Args:
        environment: of that process, beside what this one has.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        search = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": search, **environment},
        )

    def start(self, words: Sequence[str], stderr: Path, changes: Sequence[str], environment: Mapping[str, str]) -> int:
        """Starts a command, and gives its process id.

        Args:
            words: of the command.
            stderr: where it says what it has to say.
            changes: of its surroundings; see `tests.faults.altered`.
            environment: variables beside those that it has.
        """
        order = {"words": words, "stderr": str(stderr), "changes": changes, "environment": environment}
        number: int = self._ask(order)
        return number

    def status(self, process: int) -> int | None:
        """How a command ended, as `subprocess` tells it; None as long as it runs."""
        status: int | None = self._ask({"process": process})
        return status

    def _ask(self, order: Mapping[str, object]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def serve() -> None:
    """Copies itself once for each order; returns in the copies, and at the end."""
    while line := sys.stdin.readline():
        order = json.loads(line)
        if "process" in order:
            number, status = os.waitpid(order["process"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if number else None
        elif (answer := os.fork()) == 0:
            _become(order)
            return
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def _become(order: Mapping[str, Any]) -> None:
    os.setsid()
    os.environ.update(order["environment"])
    for stream, path in ((0, os.devnull), (1, os.devnull), (2, order["stderr"])):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, stream)
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["scraper", *order["words"]]
    from tests.faults import altered

    sys.exit(altered.main([*order["changes"], "--", *order["words"]]))


if __name__ == "__main__":
    serve()
