"""The place of one worker among its pool's: set up, given portions, and set up again when it dies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import scraper.errors
from scraper.errors import ScraperError, WorkerStartFailed
from scraper.offload.backlog import Job
from scraper.offload.executor import Reply, not_ready, settle_reply
from scraper.offload.frames import Blob
from scraper.offload.kind import Exit, WorkerHandle, WorkerKind
from scraper.offload.output import relay
from scraper.offload.progress import BUILDING, RUNNING, Doing
from scraper.offload.values import Work
from scraper.options import OffloadOptions

# A worker that ends so often in a row without a page to blame (at its start, or idle) is not started again. Where
# none has ever come up, the sentence that says so shall not be long in coming.
_FRUITLESS_STARTS = 6
_FRUITLESS_FIRST_STARTS = 3

# Doubles with each fruitless start: what kills workers, such as a lack of memory, may pass within some seconds.
_PAUSE_S = 0.1

# A worker that was asked to end has run its last page; what it does at its exit shall not take for ever.
_LEAVING_S = 5.0

# A worker is not replaced for its size when less than this part of it came with its pages: the next one would be as
# large at once.
_GROWN_PART = 0.5


class Portion:
    """Jobs that one worker has, by their index; a job is taken out when it has ended or come back.

    Args:
        work: theirs.
        is_alone: it is one job, which shall have its worker to itself.
        has_heartbeat: whether the worker measures them beside a heartbeat, or without one; None: not at all.
    """

    __slots__ = ("cpu_s", "cut_s", "has_heartbeat", "is_alone", "items", "jobs", "received_s", "work")

    def __init__(self, work: Work, *, is_alone: bool, has_heartbeat: bool | None = None) -> None:
        self.work = work
        self.is_alone = is_alone
        self.has_heartbeat = has_heartbeat
        self.jobs: dict[int, Job] = {}
        self.items = 0
        self.cut_s = self.received_s = time.monotonic()
        self.cpu_s = 0.0

    def add(self, job: Job) -> None:
        self.jobs[self.items] = job
        self.items += 1


class Pool(Protocol):
    """What a slot tells the executor that it belongs to."""

    def on_ended(self, slot: Slot, report: Sequence[Any], blobs: list[memoryview], read_cpu_s: float) -> None:
        """Results have come, or payloads have come back."""

    def on_observed(self, number: int, fields: Sequence[Any]) -> None:
        """A portion that was to be measured has been."""

    def on_room(self) -> None:
        """The slot can take a portion."""

    def on_built(self, work: Work) -> None:
        """The worker has set this work up."""

    def on_fatal_build(self, work: Work, error: ScraperError) -> bool:
        """Setting this work up has ended or blocked the worker. Whether workers shall not try it again."""

    def on_death(self, slot: Slot, doing: Doing, ending: Exit, *, is_overdue: bool) -> None:
        """Its worker has ended, or was ended because of its deadline; the slot still has its portions, and is
        started again if it may be.
        """

    def on_lost(self) -> str | None:
        """A worker runs past its deadline and cannot be ended. Why no other shall take its place, if so."""

    def on_recovered(self) -> None:
        """Such a worker has come to its end after all."""


class Slot:
    """One worker's place.

    Args:
        index: its number in the pool.
        options: of the pool.
        kind: of its workers.
        works: what every worker is to be able to do, by the number that goes over the wire; shared with the pool.
        pool: is told what happens.
    """

    def __init__(
        self, index: int, options: OffloadOptions, kind: WorkerKind, works: Mapping[Work, int], pool: Pool
    ) -> None:
        self.index = index
        self._options = options
        self._kind = kind
        self._works = works
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._builds: dict[Work, Reply] = {}
        self._deadline: asyncio.TimerHandle | None = None
        self._asked: dict[int, Work] = {}
        self._fruitless = 0
        self._was_ready = False
        self._restart: asyncio.TimerHandle | None = None
        self._late_build: WorkerStartFailed | None = None
        self._generation = 0  # the number of the worker
        self._leaving: dict[int, WorkerHandle] = {}  # were let go, and are not heard any more
        self._lost: set[int] = set()  # of them, those that cannot be ended
        self._waits_for_lost = False
        self._overdue: Doing | None = None
        self._is_ended_as_overdue = False
        self._ended_items = self._built_bytes = 0
        self._is_retiring = False
        self.worker: WorkerHandle | None = None
        self.portions: dict[int, Portion] = {}
        self.starts = self.recycled = 0
        self.is_starting = False
        self.late_portion: int | None = None  # it gave its rest back, and runs a page that takes long
        self.why_given_up: str | None = None

    @property
    def is_ready(self) -> bool:
        return self.worker is not None and not self.is_starting and not self._is_retiring

    @property
    def is_idle(self) -> bool:
        return not self.portions

    @property
    def outstanding(self) -> int:
        return sum(len(portion.jobs) for portion in self.portions.values())

    def start(self) -> None:
        """Starts a worker and has it set up all works, if there are any and it was not in vain too often."""
        while self._works and self.why_given_up is None:
            generation = self._generation = self._generation + 1
            try:
                self.worker = self._kind.start(partial(self._on_frame, generation), partial(self._on_end, generation))
            except WorkerStartFailed as error:
                self._count_fruitless(str(error))
                continue
            self.starts += 1
            self.is_starting = True
            self._is_retiring = False
            self._ended_items = 0
            for work in self._works:
                self._ask(work)
            break

    def _start_again(self) -> None:
        self._restart = None
        self.start()
        if self.why_given_up is not None:
            self._pool.on_room()  # there will be none: it may have been the last slot

    def build(self, work: Work) -> None:
        """Has the worker set up a work, which stands among the works already."""
        if self.worker is not None:
            self._ask(work)
        elif self._restart is None:
            self.start()

    def pending_build(self, work: Work) -> Reply | None:
        """Will be None when the worker has set the work up, or why it cannot; no reply if it has answered."""
        return self._builds.get(work)

    def run(self, number: int, portion: Portion, blobs: Sequence[Blob]) -> None:
        assert self.worker is not None
        self.portions[number] = portion
        self.worker.send(("run", number, self._works[portion.work], portion.has_heartbeat), blobs)

    def reported(self, items: int, resident_bytes: int) -> None:
        """Takes note of what the worker ended, and replaces it when it has done its part."""
        self._fruitless = 0 if items else self._fruitless
        self._ended_items += items
        if self._has_done_its_part(resident_bytes):
            self._is_retiring = True
        if self._is_retiring and not self.portions:
            self.recycled += 1
            assert self.worker is not None
            self.worker.send(("close",))
            self._loop.call_later(_LEAVING_S, self.worker.kill)
            self._let_go()
            self.start()

    def _has_done_its_part(self, resident_bytes: int) -> bool:
        most_items, most_bytes = self._options.recycle_items, self._options.recycle_bytes
        if most_items is not None and self._ended_items >= most_items:
            return True
        grown_bytes = resident_bytes - self._built_bytes
        return most_bytes is not None and resident_bytes >= most_bytes and grown_bytes >= _GROWN_PART * resident_bytes

    def overdue_in_s(self, deadline_s: float, now_s: float) -> float:
        """How long the running page has until its deadline, or one that begins now."""
        doing = None if self.worker is None else self.worker.doing
        return deadline_s if doing is None or doing.state != RUNNING else doing.since_s + deadline_s - now_s

    def end_overdue(self) -> bool:
        """Ends the worker if it still runs the page that it ran at the last call; whether it was ended.

        Once is not enough: this process may have been busy itself, with the page's end among what it has not read.
        """
        assert self.worker is not None
        doing, self._overdue = self._overdue, self.worker.doing
        if doing != self._overdue:
            return False
        self._is_ended_as_overdue = True
        self._end_worker()
        return True

    def _end_worker(self) -> None:
        """Ends it whatever it runs; where that cannot be, goes on without it."""
        assert self.worker is not None
        self.worker.kill()
        if self._kind.is_killable:
            return
        doing = self.worker.doing
        self._lost.add(self._generation)
        self._let_go()
        why = self._pool.on_lost()
        if why is not None and self.why_given_up is None:
            self._give_up(why)
            self._waits_for_lost = True
        self._gone(doing, Exit("it cannot be stopped, and runs on"))

    def revive(self) -> None:
        """Starts a worker again where there were too many lost ones."""
        if self._waits_for_lost:
            self._waits_for_lost = False
            self.why_given_up = None
            self.start()

    def stop(self) -> list[WorkerHandle]:
        """Lets go of all workers for good; the caller ends them."""
        self._waits_for_lost = False
        self._give_up("the pool was closed")
        self._let_go()
        return list(self._leaving.values())

    def _let_go(self) -> None:
        if self.worker is not None:
            self._leaving[self._generation] = self.worker
            self.worker = None

    def _ask(self, work: Work) -> None:
        assert self.worker is not None
        number = self._works[work]
        self._asked[number] = work
        self._builds.setdefault(work, self._loop.create_future())
        self.worker.send(("build", number, work.factory, work.args))
        if self._deadline is None:
            self._set_deadline()

    def _set_deadline(self) -> None:
        self._cancel_deadline()
        self._deadline = self._loop.call_later(self._options.start_timeout_s, self._on_deadline)

    def _on_frame(self, generation: int, what: Any, blobs: list[memoryview], read_cpu_s: float) -> None:
        if what[0] == "output":
            self._relay(what[1:])
            return
        if generation in self._leaving:  # it is read from only so that it can end
            return
        match what:
            case ("ended", *report):
                self._pool.on_ended(self, report, blobs, read_cpu_s)
            case ("observed", number, observation):
                self._pool.on_observed(number, observation)
            case ("built", number, refusal, resident_bytes):
                self._built_bytes = resident_bytes
                self._on_built(self._asked[number], refusal)

    def _relay(self, output: tuple[Any, ...]) -> None:
        try:
            relay(f"{self._kind.title} {self.index}", output)
        except Exception as error:  # noqa: BLE001  # the boundary to the program's own handlers and filters of logging
            message = f"what a {self._kind.title} said could not be logged"
            self._loop.call_exception_handler({"message": message, "exception": error})

    def _on_built(self, work: Work, refusal: tuple[str, str] | None) -> None:
        error = None
        if refusal is not None:
            name, message = refusal
            error = getattr(scraper.errors, name, WorkerStartFailed)(message)
        else:
            self._pool.on_built(work)
        self._answer(work, error)
        if self._builds:
            self._set_deadline()
        else:
            self._cancel_deadline()
            self.is_starting = False
            self._was_ready = True
            self._pool.on_room()

    def _on_deadline(self) -> None:
        """It has not set up a work in time: a factory does not come to its end, or the interpreter to its start."""
        self._deadline = None
        if self.worker is None:
            return
        doing = self.worker.doing
        timeout_s = self._options.start_timeout_s
        if doing.state == BUILDING:
            self._late_build = not_ready(self._asked[doing.number], timeout_s)
            self._end_worker()
        elif self.is_starting:
            self._give_up(f"a {self._kind.title} did not come up within {timeout_s:g} s")
            self._end_worker()
        else:  # a page runs, and the set-up waits behind it
            self._set_deadline()

    def _on_end(self, generation: int, ending: Exit) -> None:
        if self._leaving.pop(generation, None) is None:
            assert self.worker is not None
            doing, self.worker = self.worker.doing, None
            self._gone(doing, ending)
        elif generation in self._lost:
            self._lost.discard(generation)
            self._pool.on_recovered()

    def _gone(self, doing: Doing, ending: Exit) -> None:
        is_overdue, self._is_ended_as_overdue = self._is_ended_as_overdue and doing == self._overdue, False
        self.is_starting = False
        self._cancel_deadline()
        if doing.state == BUILDING:
            work = self._asked[doing.number]
            error = self._late_build or WorkerStartFailed(
                f"a {self._kind.title} ended ({ending.how}) while it set up {work.title!r}"
            )
            self._late_build = None
            if self._pool.on_fatal_build(work, error):
                self._answer(work, error)
        elif not (doing.state == RUNNING and self.portions):
            self._count_fruitless(f"a {self._kind.title} ended ({ending.how}) without a page")
        if self._was_ready and self._fruitless:
            self._restart = self._loop.call_later(_PAUSE_S * 2**self._fruitless, self._start_again)
        else:
            self.start()
        self._pool.on_death(self, doing, ending, is_overdue=is_overdue)

    def _count_fruitless(self, why: str) -> None:
        self._fruitless += 1
        if self._fruitless >= (_FRUITLESS_STARTS if self._was_ready else _FRUITLESS_FIRST_STARTS):
            self._give_up(f"{why}, {self._fruitless} times in a row")

    def _give_up(self, why: str) -> None:
        self.why_given_up = self.why_given_up or why
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        self._cancel_deadline()
        for work in list(self._builds):
            self._answer(work, WorkerStartFailed(why))

    def _answer(self, work: Work, error: ScraperError | None) -> None:
        reply = self._builds.pop(work, None)
        if reply is not None:
            settle_reply(reply, error)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
