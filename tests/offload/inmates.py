"""Functions that the tests run in interpreters, which import them by name; what they import has to load there."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.offload.functions import identity


def interpreter_of(_: object) -> tuple[int, str]:
    """The process, and what it thinks of threads that do not keep it alive."""
    try:
        threading.Thread(target=print, daemon=True)
    except RuntimeError as error:
        return os.getpid(), str(error)
    return os.getpid(), ""


def run_away(task: tuple[str, str]) -> str:
    """Never returns by itself, as its kind says; otherwise returns it."""
    kind, path = task
    if path:
        Path(path).touch()
    while kind == "loops":
        pass
    while kind == "catches all but the third":
        for _ in range(2):
            try:
                _spin()
            except BaseException:  # noqa: BLE001
                Path(path).touch()
        _spin()
    if kind == "sleeps":
        time.sleep(3)
    if kind == "sleeps for ever":
        time.sleep(600)
    return kind


def _spin() -> None:
    while True:
        pass


def read_and_say(_: object) -> str:
    print("to the standard output")  # noqa: T201
    logging.getLogger("a.page").warning("through logging")
    return sys.stdin.read()


def environment_while_importing() -> Any:
    """A factory that says what a process started now would inherit."""
    names = subprocess.run(
        [sys.executable, "-c", "import os; print(*os.environ)"], capture_output=True, text=True, check=True
    )
    return lambda _: names.stdout.split()


def hanging() -> Any:
    time.sleep(600)


def crashing() -> Any:
    os._exit(5)


def refusing_at_first(flag: str) -> Any:
    """Sets up in the trial only."""
    if Path(flag).exists():
        raise LookupError("not a second time")
    Path(flag).touch()
    return identity
