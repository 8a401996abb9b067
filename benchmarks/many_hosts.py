"""What a frontier pays for many hosts: time to pick the next request, and memory, at 100 to 100,000 hosts.

    python -m benchmarks.many_hosts

Every host has ten requests and a delay of a second, so that it rests between two of them; the time is virtual. Picking
is O(log n): the time must hardly grow.
"""

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc

from scraper.frontier.pace import Pacer
from scraper.frontier.schedule import Entry, Schedule
from scraper.model import Response
from scraper.options import PaceOptions

REQUESTS_A_HOST = 10
ANSWER = Response("http://a.test/", 200, (), b"", 0, 0.05)


def filled(hosts: int, pacer: Pacer) -> Schedule:
    schedule = Schedule(pacer)
    for host in range(hosts):
        for number in range(REQUESTS_A_HOST):
            url = f"http://h{host}.test/{number}"
            schedule.push(Entry(url, url, f"h{host}.test:80", number))
    return schedule


def drain(schedule: Schedule) -> tuple[float, int, float]:
    """Pops and ends everything; real seconds, requests, and virtual seconds."""
    now_s, count = 0.0, 0
    started_s = time.perf_counter()
    while len(schedule):
        entry = schedule.pop(now_s)
        if entry is None:
            ready_s = schedule.next_ready_s()
            assert ready_s is not None, "everything rests, so there is a time to wait for"
            now_s = ready_s
            continue
        schedule.free_slot_of(entry, ANSWER, now_s)
        count += 1
    return time.perf_counter() - started_s, count, now_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    print(f"{'hosts':>8} {'requests':>9} {'µs a request':>13} {'KB a host':>10} {'s, virtual':>11}")
    for hosts in parser.parse_args().hosts:
        tracemalloc.start()
        schedule = filled(hosts, Pacer(PaceOptions(delay_s=1.0)))
        held_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        gc.collect()
        seconds, count, virtual_s = drain(schedule)
        print(f"{hosts:8,} {count:9,} {seconds / count * 1e6:13.1f} {held_bytes / hosts / 1e3:10.1f} {virtual_s:11.1f}")


if __name__ == "__main__":
    main()
