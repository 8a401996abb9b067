"""What functions print and log in a worker, on its way to the pool's program.

    worker: print ─► line ─┐                      ┌─► logger "scraper.worker", or the standard error
                           ├─► frame ─► relay ────┤
    worker: logging ─► record                     └─► the record's own logger

A line is sent before the function goes on, so what stood before a crash arrives. What C code writes by itself goes
to the inherited standard error.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Callable
from traceback import format_exception
from typing import Any

# No page has more to say that a person would read; a flood of prints shall cost neither time nor memory.
_LINES_A_PAGE = 200
_CHARS_A_LINE = 4000

_STDOUT, _STDERR = "stdout", "stderr"

# Where prints go: what is on the standard error is more likely a complaint.
_PRINTS = logging.getLogger("scraper.worker")
_PRINT_LEVELS = {_STDOUT: logging.INFO, _STDERR: logging.WARNING}

Levels = dict[str, int]


def levels() -> Levels:
    """What this program's loggers let through, by name; the root has none. Workers send nothing that nobody wants."""
    root = logging.getLogger()
    known = {"": max(root.level, root.manager.disable + 1)}
    for name, logger in list(root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and logger.level:
            known[name] = logger.level
    return known


class Output:
    """The worker's side. At most so many lines a page are sent, and then how many were left out.

    Args:
        send: sends a frame, from any thread.
    """

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send
        self._streams = (_Lines(_STDOUT, sys.stdout, self.say), _Lines(_STDERR, sys.stderr, self.say))
        self._handler = _Records(self.say)
        self._said = 0

    def install(self, levels: Levels) -> None:
        sys.stdout, sys.stderr = self._streams
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        logging.getLogger().addHandler(self._handler)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.uninstall)  # the socket is the parent's, not the child's

    def uninstall(self) -> None:
        """What is printed from now on goes to the inherited standard error."""
        if sys.stdout is self._streams[0]:
            sys.stdout = self._streams[0].inherited
        if sys.stderr is self._streams[1]:
            sys.stderr = self._streams[1].inherited
        logging.getLogger().removeHandler(self._handler)

    def say(self, what: tuple[Any, ...]) -> None:
        self._said += 1
        if self._said <= _LINES_A_PAGE:
            self._send(("output", *what))

    def end_page(self) -> None:
        """Sends what of a line there is, and what was left out. Cheap where nothing was printed."""
        for stream in self._streams:
            if stream.rest:
                stream.flush()
        if self._said:
            if self._said > _LINES_A_PAGE:
                self._send(("output", "left_out", self._said - _LINES_A_PAGE))
            self._said = 0


class _Lines(io.TextIOBase):
    """A standard stream that gives whole lines away."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, name: str, inherited: Any, say: Callable[[tuple[Any, ...]], None]) -> None:
        self._name = name
        self._say = say
        self._lock = threading.RLock()  # a destructor may print in the middle of a print
        self.inherited = inherited
        self.rest = ""

    @property
    def buffer(self) -> Any:
        """For those who write bytes: they do not become lines."""
        return self.inherited.buffer

    def fileno(self) -> int:
        number: int = self.inherited.fileno()
        return number

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        with self._lock:
            *lines, self.rest = (self.rest + text).split("\n")
            for line in lines:
                self._say((self._name, _cut(line)))
            self.rest = self.rest[: _CHARS_A_LINE + 1]  # of a line without end, what would be sent of it
        return len(text)

    def flush(self) -> None:
        with self._lock:
            line, self.rest = self.rest, ""
            if line:
                self._say((self._name, _cut(line)))


class _Records(logging.Handler):
    def __init__(self, say: Callable[[tuple[Any, ...]], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = _cut(record.getMessage())
            trace = record.exc_text
            if record.exc_info and not trace:
                trace = "".join(format_exception(*record.exc_info)).rstrip("\n")
        except Exception:  # noqa: BLE001  # arguments that do not fit their message, as every handler treats them
            self.handleError(record)
            return
        place = (record.pathname, record.lineno, record.funcName)
        self._say(("log", record.name, record.levelno, message, trace, record.stack_info, record.created, place))


def _cut(text: str) -> str:
    return text if len(text) <= _CHARS_A_LINE else f"{text[:_CHARS_A_LINE]}…"


def relay(worker: str, what: tuple[Any, ...]) -> None:
    """The pool's side: logs or prints what a worker sent.

    Args:
        worker: who it was.
        what: of an "output" frame.
    """
    match what:
        case ("log", name, level, message, trace, stack, created_s, (path, line, function)):
            record = logging.LogRecord(name, level, path, line, message, (), None, function, stack)
            record.exc_text = trace
            record.created = created_s
            record.msecs = int(created_s % 1 * 1000)
            _handle(worker, record)
        case ("left_out", lines):
            _relay_line(worker, logging.WARNING, f"{lines:,} further lines of one page were left out")
        case (stream, line):
            _relay_line(worker, _PRINT_LEVELS[stream], line)


def _relay_line(worker: str, level: int, line: str) -> None:
    """Nothing that is printed is lost because nobody has set logging up."""
    if _PRINTS.hasHandlers() and _PRINTS.isEnabledFor(level):
        _handle(worker, logging.LogRecord(_PRINTS.name, level, "", 0, f"{worker}: {line}", (), None))
    elif sys.stderr is not None:
        print(line, file=sys.stderr)  # noqa: T201  # it was printed


def _handle(worker: str, record: logging.LogRecord) -> None:
    record.processName = worker
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
