"""What memory a worker process takes, and may take."""

from __future__ import annotations

import resource
import sys

_PAGE_BYTES = resource.getpagesize()


def limit_memory(limit_bytes: int) -> None:
    """Has allocations fail, instead of the machine, when this process's data would grow beyond a size.

    Only Linux (from 4.7 on) counts what is mapped for this limit; elsewhere nothing is limited.
    """
    if sys.platform != "linux":
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def resident_bytes() -> int:
    """What of this process is in memory; where there is no /proc, the most that ever was."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123  # a worker need not load pathlib
            return int(file.read(100).split()[1]) * _PAGE_BYTES
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
