"""The lives of one crawler: started, killed, and started again with the same command."""

from __future__ import annotations

import array
import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from tests.kill.crawl import WORKING

ROOT = Path(__file__).parents[2]
# A life takes a second. One that has not come to its end by then hangs.
_LIFE_S = 90.0
# In which the processes of a killed crawler end by themselves: at once, where there is nothing else to do.
_ORPHANS_S = 20.0
# By which all processes of one life are known.
_NAME_VARIABLE = "SCRAPER_TEST_LIFE"


class Broken(Exception):
    """A promise was broken: what a crawl did that none may do."""


class How(StrEnum):
    """Ways to kill."""

    MOMENT = "crawler, at a moment"
    COMMIT = "crawler, in a commit"
    SINK = "crawler, in an output"
    TORN = "crawler, half a line written"
    FILE = "crawler, at a file"
    WORKER = "worker alone"
    BOTH = "crawler and a worker"


@dataclass(frozen=True, slots=True)
class Point:
    """A named step at which a crawler ends itself.

    Args:
        event: an audit event.
        step: its first value; empty for Python's own events, whose first value is a path.
        file: which files it is about, as a pattern of their names.
    """

    event: str
    step: str
    file: str

    def __str__(self) -> str:
        return f"{self.event.removeprefix('scraper.')} {self.step} {self.file}".replace("  ", " ")


def _of(event: str, step: str, *files: str) -> list[Point]:
    return [Point(event, step, file) for file in files]


_LINES, _TABLE, _ROWS = ("items*.jsonl", "items*.csv", "failures*.jsonl"), "items*.sqlite", "_rows-*.jsonl"
COMMIT_POINTS = [
    point
    for step in ("begun", "ended", "admitted", "whole", "committed")
    for point in _of("scraper.commit", step, "state.sqlite")
]
SINK_POINTS = [
    *_of("scraper.sink", "write", *_LINES, _TABLE, _ROWS),
    *_of("scraper.sink", "half", _TABLE, "_part-*.parquet"),
    *_of("scraper.sink", "written", *_LINES, _TABLE, _ROWS),
    *_of("scraper.sink", "part", "part-*.parquet"),
    *_of("scraper.sink", "cut", *_LINES, _TABLE, _ROWS, "part-*.parquet"),
]
TORN_POINTS = _of("scraper.sink", "write", *_LINES, _ROWS)
FILE_POINTS = [
    *_of("open", "", "state.sqlite-crawler-*", "items*.jsonl", _ROWS, "_part-*.parquet"),
    *_of("mmap.__new__", "", "state.sqlite-crawler-*"),
    *_of("sqlite3.connect", "", "state.sqlite", _TABLE),
    *_of("os.rename", "", "_part-*.parquet"),
    *_of("os.remove", "", "state.sqlite-crawler-*", _ROWS),
]


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to one life.

    Args:
        how: it is killed; None lets it come to its end.
        delay_s: after so long it is killed at the latest, whatever else was planned.
        is_from_start: the delay counts from the start of the process, and not from its first page.
        point: where it ends itself.
        nth: at which time that the step comes.
        worker_s: when a worker is killed, from outside; None leaves that to a page in it.
    """

    how: How | None = None
    delay_s: float = _LIFE_S
    is_from_start: bool = False
    point: Point | None = None
    nth: int = 1
    worker_s: float | None = None


@dataclass(frozen=True, slots=True)
class Life:
    """What became of one.

    Args:
        kills: ways in which it, and workers of it, were killed.
        point: where it ended itself.
        is_over: the crawl came to its end.
        under_way: numbers of the requests that it had in its hands when it was killed.
    """

    kills: tuple[How, ...]
    point: Point | None
    is_over: bool
    under_way: frozenset[int]


@dataclass(frozen=True, slots=True)
class Orders:
    """The command that every life of a crawl is started with.

    Args:
        folder: of the state file and the outputs.
        seeds: URLs.
        hosts: names and port that lead to the site.
        executor: where pages are parsed.
        join: several crawlers work on the file.
        batch_items: pages in one portion. Few, so that a killed crawl has not all that it knows in its hands.
    """

    folder: Path
    seeds: tuple[str, ...]
    hosts: tuple[tuple[str, int], ...]
    executor: str
    join: bool = False
    batch_items: int = 1


class Plans:
    """Draws what happens to lives. Every point comes once before one comes again.

    Args:
        rng: all chance there is.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._decks: dict[How, list[Point]] = {}
        self._lock = threading.Lock()

    def draw(self, executor: str) -> Plan:
        """The next life's; from any thread."""
        with self._lock:
            return self._draw(executor)

    def _draw(self, executor: str) -> Plan:
        rng = self._rng
        how = rng.choice(_WAYS_WITH_WORKERS if executor == "process" else _WAYS)
        if how is How.MOMENT:
            return Plan(how, delay_s=rng.uniform(0.0, 0.7), is_from_start=rng.random() < _SHARE_FROM_START)
        if how in (How.WORKER, How.BOTH):
            worker_s = rng.choice((None, rng.uniform(0.0, 0.2)))
            return Plan(how, delay_s=rng.uniform(0.2, 0.9), worker_s=worker_s)
        point = self._draw_point(how)
        if how is How.FILE or point.step == "cut":  # it comes before the first page, or seldom
            return Plan(how, delay_s=rng.uniform(0.0, 0.7), point=point)
        return Plan(how, delay_s=_POINT_S, point=point, nth=rng.choice((1, 1, 2, 3, 4, 6, 8)))

    def _draw_point(self, how: How) -> Point:
        deck = self._decks.setdefault(how, [])
        if not deck:
            deck += self._rng.sample(_POINTS[how], len(_POINTS[how]))
        return deck.pop()


_POINTS = {How.COMMIT: COMMIT_POINTS, How.SINK: SINK_POINTS, How.TORN: TORN_POINTS, How.FILE: FILE_POINTS}
_WAYS = [How.MOMENT] * 5 + [How.COMMIT] * 6 + [How.SINK] * 7 + [How.TORN, How.FILE, How.FILE]
_WAYS_WITH_WORKERS = [*_WAYS, *[How.WORKER] * 4, *[How.BOTH] * 2]
_SHARE_FROM_START = 0.15
# A life that does not come to its point goes so far at most, so that some of the crawl is left for the next.
_POINT_S = 2.0


def live(
    orders: Orders,
    name: str,
    plan: Plan,
    *,
    on_working: Callable[[], object] = lambda: None,
    gate: int | None = None,
) -> Life:
    """One life, from its start until every process of it has ended.

    Args:
        orders: the command.
        name: of the life, for its files.
        plan: what happens to it.
        on_working: called when it fetches its first page, or has ended before that.
        gate: the reading end of a pipe. In the middle of its work the crawl waits until something is written there, and
            comes to no point before.

    Raises:
        Broken: it failed, hangs, or left a process behind.
    """
    return _Lived(orders, name, plan, gate).run(on_working)


class _Lived:
    def __init__(self, orders: Orders, name: str, plan: Plan, gate: int | None) -> None:
        self._plan = plan
        self._gate = gate
        notes = orders.folder.parent / "notes"
        notes.mkdir(exist_ok=True)
        self._presence = notes / f"presence-{name}"
        self._mark = notes / f"murder-{name}"
        self._errors = notes / f"stderr-{name}"
        by_page = plan.how in (How.WORKER, How.BOTH) and plan.worker_s is None
        point = plan.point
        order = {
            **asdict(orders),
            "folder": str(orders.folder),
            "presence": str(self._presence),
            "murder": {"mark": str(self._mark), "with_crawler": plan.how is How.BOTH} if by_page else None,
            "gate": gate,
            "point": point and {**asdict(point), "nth": plan.nth, "is_torn": plan.how is How.TORN},
        }
        self._command = [sys.executable, "-m", "tests.kill.crawl", json.dumps(order)]
        self._has_killed_crawler = False
        self._has_killed_worker = False

    def run(self, on_working: Callable[[], object]) -> Life:
        plan = self._plan
        # Each process of the crawl holds the other end of the errors' pipe: when it closes, none is left.
        with subprocess.Popen(
            self._command,
            cwd=ROOT,
            env={**os.environ, _NAME_VARIABLE: str(self._presence)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=() if self._gate is None else (self._gate,),
        ) as process:
            try:
                is_working = plan.is_from_start or self._is_working(process)
                on_working()
                if is_working:
                    if plan.worker_s is not None and not _is_over(process, plan.worker_s):
                        self._kill_worker(process)
                    if not _is_over(process, plan.delay_s):
                        self._kill_crawler(process)
                self._bury(process)
            finally:
                process.kill()
        return self._report(process.returncode)

    def _is_working(self, process: subprocess.Popen[bytes]) -> bool:
        """Waits until it fetches its first page, or has ended."""
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], _LIFE_S)[0]:
            raise Broken(f"a life has not begun to work within {_LIFE_S:g} s")
        return bool(os.read(process.stdout.fileno(), len(WORKING)))

    def _kill_worker(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(psutil.NoSuchProcess):
            for worker in psutil.Process(process.pid).children()[:1]:
                worker.kill()
                self._has_killed_worker = True
                if self._plan.how is How.BOTH:
                    self._kill_crawler(process)

    def _kill_crawler(self, process: subprocess.Popen[bytes]) -> None:
        if self._plan.delay_s >= _LIFE_S:
            raise Broken(f"a life hangs: it has come neither to its end nor to {self._plan.point} in {_LIFE_S:g} s")
        process.kill()
        self._has_killed_crawler = True

    def _bury(self, process: subprocess.Popen[bytes]) -> None:
        process.wait(_LIFE_S)
        try:
            _, errors = process.communicate(timeout=_ORPHANS_S)
        except subprocess.TimeoutExpired:
            left = _processes_of(str(self._presence))
            said = ", ".join(f"{one.pid} ({one.status()})" for one in left) or "psutil finds none"
            for one in left:
                one.kill()
            raise Broken(f"processes of a crawler that ended are left after {_ORPHANS_S:g} s: {said}") from None
        self._errors.write_bytes(errors)

    def _report(self, status: int) -> Life:
        plan, is_killed = self._plan, status == -signal.SIGKILL
        if not is_killed and status != 0:
            raise Broken(f"a life ended with status {status}: {self._errors.read_text()[-2000:]}")
        kills = []
        if self._mark.exists() or self._has_killed_worker:
            kills.append(How.BOTH if is_killed and plan.how is How.BOTH else How.WORKER)
        is_at_point = is_killed and plan.point is not None and not self._has_killed_crawler
        if is_at_point and plan.how is not None:
            kills.append(plan.how)
        elif is_killed and How.BOTH not in kills:
            kills.append(How.MOMENT)
        point = plan.point if is_at_point else None
        return Life(tuple(kills), point, not is_killed, self._under_way() if is_killed else frozenset())

    def _under_way(self) -> frozenset[int]:
        """What stands in the crawler's presence file: the requests that were leased and not committed yet."""
        if not self._presence.exists():
            return frozenset()
        return frozenset(array.array("q", self._presence.read_bytes())) - {0}


def _is_over(process: subprocess.Popen[bytes], within_s: float) -> bool:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _processes_of(name: str) -> list[psutil.Process]:
    """Those that have a life's name in their environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(_NAME_VARIABLE) == name:
                found.append(process)
    return found
