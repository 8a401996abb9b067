"""What another interpreter needs so that whatever imports here imports there, in this process or in another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def in_same_place(program: str) -> str:
    """A program that has this one's search path."""
    here = str(Path.cwd())
    path = [str(entry) or here for entry in sys.path]
    return f"import sys; sys.path[:] = {path!a}; {program}"


def interpreter_options() -> list[str]:
    """The command line that gives another interpreter this one's flags and -X options."""
    options: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined] # noqa: SLF001  # as multiprocessing does
    for name, value in sys._xoptions.items():  # noqa: SLF001  # the one place that has them
        option = name if value is True else f"{name}={value}"
        if option not in options and name != "dev":
            options += ["-X", option]
    return options
