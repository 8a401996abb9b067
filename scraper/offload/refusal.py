"""Modules that do not load in a sub-interpreter, told by what their import raised."""

from __future__ import annotations

import os
import re
from importlib.machinery import PathFinder

from scraper.errors import InterpretersUnsupported

# What every CPython since 3.12 says of an extension module that has not declared itself fit.
_REFUSAL = re.compile(r"module (\S+) does not support loading in subinterpreters")


def refusal(title: str, error: BaseException) -> InterpretersUnsupported | None:
    """What an error of a set-up means where a module refused; None if it was another error.

    Args:
        title: of the work that was set up.
        error: what the set-up raised, for whatever reason it was raised.
    """
    module = refused_module(error)
    if module is None:
        return None
    return InterpretersUnsupported(
        f"{title!r} cannot run in an interpreter, because the module {module} does not load in one: "
        "use executor process, or a parser that loads there (html.parser, bs4)"
    )


def refused_module(error: BaseException | None) -> str | None:
    """The module that refused to load in a sub-interpreter, if that is why the error was raised."""
    while error is not None:
        if isinstance(error, ImportError) and (found := _REFUSAL.search(str(error))) is not None:
            return _full_name(found[1], error)
        error = error.__cause__ or error.__context__
    return None


def _full_name(name: str, error: ImportError) -> str:
    """CPython may say `_core` of a `msgspec._core`: whether it belongs to the importing package is to be looked up."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or "." in name:
        return name
    package = trace.tb_frame.f_globals.get("__package__")
    folder = os.path.dirname(trace.tb_frame.f_code.co_filename)  # noqa: PTH120  # a worker need not load pathlib
    is_beside = bool(package) and PathFinder.find_spec(name, [folder]) is not None
    return f"{package}.{name}" if is_beside else name
