"""Which executor a work goes to before anything is measured."""

from __future__ import annotations

from scraper.offload.values import Strategy, Work
from scraper.options import OffloadOptions

ASIDE = Strategy("process", 1, "a worker process beside the others, for measuring and for what may not return")


def choose(work: Work, options: OffloadOptions, *, has_gil: bool = True) -> Strategy:
    """Decides by what was asked for, and otherwise by what is known of the work before anything is measured."""
    if options.executor == "inline":
        return Strategy("inline", 1, "asked for")
    if options.executor != "auto":
        return Strategy(options.executor, options.worker_count, "asked for")
    if not has_gil:
        return Strategy("thread", options.worker_count, "this Python runs without a GIL, so threads run side by side")
    if work.known == "releases_gil":
        why = "it releases the GIL, so threads run beside the event loop, and handing over to them costs least"
        return Strategy("thread", options.worker_count, why)
    if work.known == "holds_gil":
        why = "it holds the GIL, so threads would take turns with the event loop; processes do not"
    else:
        why = "nothing is known of it, and processes are right whether or not it holds the GIL"
    return Strategy("process", options.worker_count, why)
