"""Exceptions as text: workers send no exception objects, because not every one of them pickles."""

from __future__ import annotations

import os
import signal

from scraper.errors import HandlerNotImportable, ScraperError, WorkerStartFailed
from scraper.offload.refusal import refusal

# A message is read by a person; a page's text that ended up in one shall not travel with it.
_MESSAGE_CHARS = 1000


def describe_error(error: BaseException) -> str:
    """Type, message, and the last line of the function's own file that took part.

    Expects an exception that the caller caught where it called the function.
    """
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  # a user's __str__ may do anything
        message = "(its message cannot be shown)"
    if len(message) > _MESSAGE_CHARS:
        message = message[:_MESSAGE_CHARS] + "…"
    name = type(error).__name__
    return f"{name}: {message}{_line_of(error)}" if message else f"{name}{_line_of(error)}"


def failure_reason(error: BaseException, otherwise: str = "raised") -> str:
    """What a page's failure is called. A lack of memory has one name wherever it shows."""
    return "out_of_memory" if isinstance(error, MemoryError) else otherwise


def _line_of(error: BaseException) -> str:
    trace = error.__traceback__
    if trace is None or trace.tb_next is None:
        return ""
    trace = trace.tb_next  # the first one is the caller
    own_file, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == own_file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" ({os.path.basename(own_file)}:{line})"  # noqa: PTH119  # a worker need not load pathlib


def describe_exit(returncode: int) -> str:
    """How a process ended, from `Popen.returncode`."""
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"


def setup_error(title: str, error: BaseException) -> ScraperError:
    """What a failing factory means to whoever wanted its work."""
    refused = refusal(title, error)
    if refused is not None:
        return refused
    if isinstance(error, ScraperError):
        return error
    return WorkerStartFailed(f"{title!r} could not be set up in a worker: {describe_error(error)}")


def setup_reason(error: ScraperError) -> str:
    """The same as the reason of a page's failure."""
    return "handler_not_importable" if isinstance(error, HandlerNotImportable) else "worker_start_failed"
