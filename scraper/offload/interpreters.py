"""Sub-interpreters: Python code runs side by side within one process, each under a GIL of its own.

What a handler imports has to load in one, which many extension modules refuse. That is tried in a process that is
thrown away, and not here: an import that is refused half-way runs its initialisation in the main interpreter, under
its GIL, and leaves behind what it did. A trial that crashes or hangs is a reason, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace

import scraper.errors
from scraper.errors import InterpretersUnsupported, ScraperError, UsageError, WorkerStartFailed
from scraper.handlers import main_place
from scraper.offload.describe import describe_exit
from scraper.offload.executor import not_ready
from scraper.offload.isolation import why_unsupported
from scraper.offload.kind import OnEnd, OnFrame, WorkerKind, greeting
from scraper.offload.portions import PortionExecutor
from scraper.offload.startup import in_same_place, interpreter_options
from scraper.offload.values import Work
from scraper.offload.worker_interpreter import WorkerInterpreter
from scraper.options import OffloadOptions

# A process and an interpreter come up in a tenth of a second; what a handler imports may take a few seconds more.
_TRIAL_S = 10.0


class InterpreterExecutor(PortionExecutor):
    """Interpreters with one backlog.

    They share the process with the event loop: a function that crashes or calls `os._exit` ends the program, as in a
    thread. One that runs past its deadline is left behind and, unless it is in C code, soon ends.

    Args:
        options: portions and limits; those for memory do not apply, because memory is the process's.
        workers: how many interpreters.

    Raises:
        InterpretersUnsupported: this Python has none that run side by side.
        UsageError: the system has no sockets that connect two threads.
    """

    def __init__(self, options: OffloadOptions, workers: int) -> None:
        why = why_unsupported()
        if why is not None:
            raise InterpretersUnsupported(why)
        if os.name != "posix":
            raise UsageError("executor interpreter needs a POSIX system such as Linux or macOS: use thread")
        # What workers return may be of a class of the main script, which they run under this name.
        sys.modules.setdefault("__mp_main__", sys.modules["__main__"])
        options = replace(options, recycle_bytes=None)
        self._start_timeout_s = options.start_timeout_s
        self._loading: set[Work] = set()

        def start(on_frame: OnFrame, on_end: OnEnd) -> WorkerInterpreter:
            return WorkerInterpreter(greeting(options, memory_bytes=None), on_frame, on_end)

        super().__init__(options, workers, WorkerKind("interpreter", "sub-interpreter", start, is_killable=False))

    async def prepare(self, work: Work) -> None:
        if work not in self._loading:
            error = await _try_out(work, self._start_timeout_s)
            if error is not None:
                raise error
            self._loading.add(work)
        await super().prepare(work)


async def loads_in_interpreter(work: Work, timeout_s: float = _TRIAL_S) -> str | None:
    """Whether a work can be set up in an interpreter: None if so, else the reason.

    It is tried in a process that is thrown away, which takes as long as the work's imports and a tenth of a second.
    Where this Python has no interpreters the answer comes at once.

    Args:
        work: what is to be set up.
        timeout_s: for the trial; what takes longer does not load.
    """
    why = why_unsupported()
    if why is None:
        error = await _try_out(work, timeout_s)
        why = None if error is None else str(error)
    return why


async def _try_out(work: Work, timeout_s: float) -> ScraperError | None:
    """Sets a work up in an interpreter of another process; None if it was set up."""
    call = f"try_out({work.factory!r}, {work.args!r}, {main_place()!r}, {sys.argv[0] if sys.argv else ''!r})"
    inside = in_same_place(f"from scraper.offload.inside import try_out; {call}")
    program = in_same_place(f"from scraper.offload.isolation import create; create().exec({inside!r})")
    try:
        trial = await asyncio.create_subprocess_exec(
            sys.executable or "",
            *interpreter_options(),
            "-c",
            program,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # the workers that follow say it again
            start_new_session=True,  # Ctrl-C is for this program to handle
        )
    except OSError as error:
        return WorkerStartFailed(f"whether an interpreter can have {work.title!r} could not be tried: {error}")
    try:
        told, _ = await asyncio.wait_for(trial.communicate(), timeout_s)
    except TimeoutError:
        return not_ready(work, timeout_s)
    finally:
        if trial.returncode is None:
            trial.kill()
            await trial.wait()
    return _trial_error(work, told, trial.returncode or 0)


def _trial_error(work: Work, told: bytes, returncode: int) -> ScraperError | None:
    """What a trial's answer and end mean. It may have answered and crash at its end, as the program would then."""
    if returncode or not told:
        how = describe_exit(returncode)
        return InterpretersUnsupported(
            f"{work.title!r} cannot run in an interpreter: a process that tried it ended ({how}): use executor process"
        )
    answer = json.loads(told.splitlines()[-1])
    if answer is None:
        return None
    name, message = answer
    error: ScraperError = getattr(scraper.errors, name, WorkerStartFailed)(message)
    return error
