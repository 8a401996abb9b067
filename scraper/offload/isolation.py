"""Sub-interpreters with a GIL of their own, by what this Python has for them.

Python 3.14 has `concurrent.interpreters`; 3.13 has the module below it; before that, nothing that can be used.
"""

from __future__ import annotations

# Not for use here. Its static types belong to the whole process, and interpreters that set them up or tear them down
# while the main one has not loaded them corrupt the heap (CPython issues 136421 and 136423; ten out of ten times on
# 3.13.0 with four interpreters). With them loaded here first: none.
import datetime  # noqa: F401, ICN001
import importlib
import sys
from importlib.util import find_spec
from typing import Any, Protocol


class Interpreter(Protocol):
    """One sub-interpreter. It is closed in the thread that made it."""

    def exec(self, code: str) -> None:
        """Runs a program in it, in this thread.

        Raises:
            Exception: the program raised.
        """

    def close(self) -> None:
        """Ends it, after the threads that were started in it."""


def why_unsupported() -> str | None:
    """Why this Python has no interpreters that run side by side; None if it has."""
    major, minor, micro, *_ = sys.version_info
    if (major, minor) < (3, 13):
        return f"executor interpreter needs Python 3.13 or later, this is {major}.{minor}.{micro}: use process"
    if not _has("concurrent.interpreters") and not _has("_interpreters"):
        return f"executor interpreter needs CPython, this is {sys.implementation.name}: use process"
    return None


def create() -> Interpreter:
    """A new interpreter, which takes some ten milliseconds."""
    if _has("concurrent.interpreters"):
        created: Interpreter = importlib.import_module("concurrent.interpreters").create()
        return created
    return _Interpreter(importlib.import_module("_interpreters"))


def _has(module: str) -> bool:
    return find_spec(module) is not None


class _Interpreter:
    """The same as 3.14's on the module of 3.13."""

    def __init__(self, interpreters: Any) -> None:
        self._interpreters = interpreters
        self._id = interpreters.create("isolated")

    def exec(self, code: str) -> None:
        failure = self._interpreters.exec(self._id, code)
        if failure is not None:
            raise RuntimeError(failure.formatted)

    def close(self) -> None:
        self._interpreters.destroy(self._id)
