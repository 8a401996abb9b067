"""What a crawl has used so far, and the part of its course that says what limits it."""

from __future__ import annotations

from collections.abc import Sequence
from operator import add, sub
from typing import Literal, NamedTuple, Self

WaitsFor = Literal["answers", "hosts", "links", "room", "nothing"]
"""Why the crawl fetches no further page at this moment.

answers: all slots are taken, each waits for its site. hosts: pages wait, and every host of theirs has its share of
slots, or its next turn has not come. links: every known page is under way. room: enough pages are fetched and not
parsed or committed. nothing: it comes to its end.
"""


class Usage(NamedTuple):
    """Sums since the start, in seconds unless said otherwise. The difference of two tells of the time between.

    Args:
        elapsed_s: wall time.
        pages: that came to an end, done or failed.
        loop_cpu_s, loop_delay_s: of the event loop's thread: on a CPU, and ready to run without one.
        process_cpu_s, process_delay_s: the same of all threads of this process together.
        machine_busy_s: of all CPUs that may be used, whoever used them.
        fetches, fetch_wall_s: attempts, and their wall time added up.
        worker_wall_s, worker_cpu_s: parsing and extraction.
        parse_wall_s, parse_cpu_s: the parser's part of it.
        handoff_cpu_s: of the loop's thread, to the workers and back.
        commits, commit_wall_s, commit_cpu_s: number; sinks included; the frontier's CPU alone.
        sink_wall_s, sink_cpu_s: until the sinks had taken what was committed; of it CPU of the loop's thread.
        bytes: of bodies, as they came over the network.
        ticks: of the lag meter, missed ones included. Those below are numbers of ticks, each a look at the loop.
        lateness_s: of all ticks added up: by it everything that waits for the loop is late in the mean.
        barred: ticks that came late though the loop's thread neither computed nor stood in the queue for a CPU.
        fetching: requests that were being fetched, added up over the ticks.
        answers, hosts, links, room, nothing: what the crawl waited for; see `WaitsFor`.
    """

    elapsed_s: float = 0.0
    pages: float = 0.0
    loop_cpu_s: float = 0.0
    loop_delay_s: float = 0.0
    process_cpu_s: float = 0.0
    process_delay_s: float = 0.0
    machine_busy_s: float = 0.0
    fetches: float = 0.0
    fetch_wall_s: float = 0.0
    worker_wall_s: float = 0.0
    worker_cpu_s: float = 0.0
    parse_wall_s: float = 0.0
    parse_cpu_s: float = 0.0
    handoff_cpu_s: float = 0.0
    commits: float = 0.0
    commit_wall_s: float = 0.0
    commit_cpu_s: float = 0.0
    sink_wall_s: float = 0.0
    sink_cpu_s: float = 0.0
    bytes: float = 0.0
    ticks: float = 0.0
    lateness_s: float = 0.0
    barred: float = 0.0
    fetching: float = 0.0
    answers: float = 0.0
    hosts: float = 0.0
    links: float = 0.0
    room: float = 0.0
    nothing: float = 0.0

    def since(self, earlier: Usage) -> Self:
        return type(self)(*map(sub, self, earlier))

    def plus(self, other: Usage) -> Self:
        return type(self)(*map(add, self, other))


def steady(course: Sequence[Usage]) -> Usage:
    """The part between the ramp-up and the tail of a crawl.

    The ramp-up ends when a page has come to its end, or with a third of the time. The tail is the end in which no page
    waits that is not under way. Where that is more than half of the time it is no tail: such is the site, whose links
    come one after another.

    Args:
        course: from the start to the end, in order.
    """
    if len(course) < 2:
        return Usage()
    whole_s = course[-1].elapsed_s
    first = next(index for index, now in enumerate(course) if now.pages or now.elapsed_s >= whole_s / 3)
    end = last = len(course) - 1
    first = min(first, end - 1)
    while last - 1 > first and _is_dry(course[last], course[last - 1]):
        last -= 1
    if course[last].elapsed_s < whole_s / 2:
        last = end
    return course[last].since(course[first])


def _is_dry(now: Usage, before: Usage) -> bool:
    part = now.since(before)
    return 2 * (part.links + part.nothing) > part.ticks
