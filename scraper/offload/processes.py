"""Worker processes: a page can crash, block or bloat its worker, and costs no other page anything."""

from __future__ import annotations

import os
import sys

from scraper.errors import UsageError
from scraper.offload.kind import OnEnd, OnFrame, WorkerKind, greeting
from scraper.offload.portions import PortionExecutor
from scraper.offload.worker_process import WorkerProcess
from scraper.options import OffloadOptions


class ProcessExecutor(PortionExecutor):
    """Worker processes with one backlog.

    A payload past its deadline has its worker killed, whatever that runs, and another takes its place. Memory is
    bounded where the system can do that for one process, which of the usual ones only Linux can.

    Args:
        options: portions and limits.
        workers: how many processes.

    Raises:
        UsageError: the system has no way to hand sockets to a new process.
    """

    def __init__(self, options: OffloadOptions, workers: int) -> None:
        if os.name != "posix":
            raise UsageError("executor process needs a POSIX system such as Linux or macOS: use thread")
        # What workers return may be of a class of the main script, which they run under this name.
        sys.modules.setdefault("__mp_main__", sys.modules["__main__"])

        def start(on_frame: OnFrame, on_end: OnEnd) -> WorkerProcess:
            return WorkerProcess(greeting(options, memory_bytes=options.memory_bytes), on_frame, on_end)

        super().__init__(options, workers, WorkerKind("process", "worker process", start, is_killable=True))
