"""Facts about this Python's GIL: whether there is one, and what switched it back on.

On a free-threaded build the GIL is off until an extension module is imported that has not declared that it does
without; CPython then switches it on for the rest of the program, and warns once, naming the module.
"""

from __future__ import annotations

import logging
import re
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from scraper.handlers import resolve
from scraper.offload.isolation import why_unsupported

logger = logging.getLogger(__name__)

_SWITCHED_ON = re.compile(r"The global interpreter lock \(GIL\) has been enabled to load module '([^']+)'")


@dataclass(frozen=True, slots=True)
class GilFacts:
    """What is known of this Python's GIL.

    Args:
        is_free_threaded_build: whether it could do without.
        is_gil_enabled: whether there is one now.
        reenabled_by: the module whose import switched it back on, if that is known.
        has_interpreters: whether sub-interpreters with a GIL of their own can be had.
        switch_interval_s: how long a thread that asks for the GIL waits at most before it is given by Python code.
    """

    is_free_threaded_build: bool
    is_gil_enabled: bool
    reenabled_by: str | None
    has_interpreters: bool
    switch_interval_s: float

    def __str__(self) -> str:
        """A sentence for people."""
        if not self.is_free_threaded_build:
            beside = "; interpreters have their own" if self.has_interpreters else ""
            return f"Python with a GIL, which one thread holds at a time{beside}"
        if not self.is_gil_enabled:
            return "free-threaded Python, with its GIL off"
        if self.reenabled_by is None:
            return "free-threaded Python, but with its GIL on"
        return f"free-threaded Python, but importing {self.reenabled_by} switched the GIL back on"


def gil_facts(reenabled_by: str | None = None) -> GilFacts:
    """The facts as they are now: ask after what the crawl needs has been imported.

    Args:
        reenabled_by: as `GilWatch.reenabled_by` has it.
    """
    is_gil_enabled = getattr(sys, "_is_gil_enabled", lambda: True)()  # from Python 3.13 on
    return GilFacts(
        is_free_threaded_build=_is_free_threaded_build(),
        is_gil_enabled=is_gil_enabled,
        reenabled_by=reenabled_by if is_gil_enabled else None,
        has_interpreters=why_unsupported() is None,
        switch_interval_s=sys.getswitchinterval(),
    )


class GilWatch:
    """What `watching_gil` saw so far: `reenabled_by` is the module whose import switched the GIL on, or None."""

    __slots__ = ("reenabled_by",)

    def __init__(self) -> None:
        self.reenabled_by: str | None = None


@contextmanager
def watching_gil(*, is_free_threaded_build: bool | None = None) -> Iterator[GilWatch]:
    """Watches the imports in its block for one that switches the GIL back on, and keeps that one warning to itself.

        with watching_gil() as watch:
            function = resolve(handler)
        facts = gil_facts(watch.reenabled_by)

    Other warnings come as they would have, at the end of the block. For one thread at a time, as
    `warnings.catch_warnings` is.

    Args:
        is_free_threaded_build: by default, of this Python; others have nothing to watch for.
    """
    watch = GilWatch()
    if not (_is_free_threaded_build() if is_free_threaded_build is None else is_free_threaded_build):
        yield watch
        return
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            # Before whatever the program has set, such as turning warnings into errors.
            warnings.filterwarnings("always", _SWITCHED_ON.pattern, RuntimeWarning)
            yield watch
    finally:
        for each in caught:
            found = _SWITCHED_ON.match(str(each.message))
            if found is None:
                warnings.warn_explicit(each.message, each.category, each.filename, each.lineno, source=each.source)
            elif watch.reenabled_by is None:
                watch.reenabled_by = found[1]


def load(factory: str, args: tuple[str, ...]) -> Callable[[Any], Any]:
    """The function that a work's factory makes in this process; what that does to the GIL is said in the log.

    Raises:
        HandlerNotImportable: no such factory.
        Exception: whatever the factory raised.
    """
    with watching_gil() as watch:
        function: Callable[[Any], Any] = resolve(factory)(*args)
    if watch.reenabled_by is not None:
        logger.warning("%s: %s", args[-1] if args else factory, gil_facts(watch.reenabled_by))
    return function


def _is_free_threaded_build() -> bool:
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
