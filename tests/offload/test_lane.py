"""Lanes that change their executor: what waits goes along, nothing ends twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from scraper.model import Failure, Stage
from scraper.offload.backlog import Backlog, Job, Queue, deliver
from scraper.offload.lane import Lane, Route
from scraper.offload.values import ExecutorStatistics, Result, Strategy, Work
from scraper.options import ExecutorName

WORK = Work("tests.offload.functions:identity")


class Place:
    """An executor whose jobs end when the test says so."""

    def __init__(self) -> None:
        self.backlog = Backlog()
        self.prepared: list[Work] = []

    async def prepare(self, work: Work) -> None:
        self.prepared.append(work)

    def submit(self, job: Job) -> None:
        self.backlog.put(job)

    def drop(self, queue: Queue) -> list[Job]:
        return self.backlog.drop(queue)

    def statistics(self) -> ExecutorStatistics:
        return ExecutorStatistics("thread", 1, 0, self.backlog.items, self.backlog.bytes, 0, 0)

    async def aclose(self) -> None:
        pass

    def start(self) -> Job:
        job = self.backlog.take()
        assert job is not None
        return job

    def route(self, executor: ExecutorName) -> Route:
        return Route(Strategy(executor, 1, "a test"), self, Queue(WORK))


def end(job: Job, failure: Failure | None = None) -> None:
    deliver(asyncio.get_running_loop(), [(job, Result(job.payload, failure, run_s=0.5))])


def lane_on(route: Route, refuge: Callable[[], Route] | None = None) -> Lane:
    return Lane(WORK, route, lambda _: None, lambda: route, refuge)


OVERDUE = Failure(Stage.EXTRACT, "parse_timeout", "it ran past its deadline")


async def test_what_waits_changes_over_in_order_and_what_runs_ends_where_it_is() -> None:
    threads, processes = Place(), Place()
    results: list[int] = []
    lane = lane_on(threads.route("thread"))
    for number in range(5):
        lane.submit(number, 1, lambda result: results.append(result.value))
    running = threads.start()
    lane.switch(processes.route("process"))
    assert lane.strategy.executor == "process"
    assert not threads.backlog
    assert processes.backlog.items == 4
    end(running)
    while processes.backlog:
        end(processes.start())
    assert results == [0, 1, 2, 3, 4]
    assert [(strategy.executor, items) for strategy, items in lane.used] == [("thread", 1), ("process", 4)]
    assert (lane.items, lane.run_s, lane.unended) == (5, 2.5, 0)


async def test_a_lane_that_comes_back_finds_its_queue_as_it_was() -> None:
    """A trial goes to and fro; each place counts on where it stopped."""
    threads, processes = Place(), Place()
    lane = lane_on(threads.route("thread"))
    for place, name in ((threads, "thread"), (processes, "process"), (threads, "thread")):
        lane.switch(place.route(name))  # type: ignore[arg-type]
        lane.submit(0, 1, lambda _: None)
        end(place.start())
    assert [(strategy.executor, items) for strategy, items in lane.used] == [("process", 1), ("thread", 2)]


async def test_what_ran_past_its_deadline_is_tried_again_where_it_can_be_stopped() -> None:
    """A thread cannot be stopped. The page is not blamed before a process has run it alone."""
    threads, refuge = Place(), Place()
    results: list[Result] = []
    lane = lane_on(threads.route("thread"), lambda: refuge.route("process"))
    lane.submit("page", 1, results.append)
    job = threads.start()
    end(job, OVERDUE)
    assert not results
    assert lane.overdue.is_set()
    again = refuge.start()
    assert (again.payload, again.is_suspect) == ("page", True)
    end(again, OVERDUE)
    assert [result.failure for result in results] == [OVERDUE]
    assert lane.unended == 0


async def test_without_a_choice_a_deadline_is_the_end() -> None:
    threads = Place()
    results: list[Result] = []
    lane = lane_on(threads.route("thread"))
    lane.submit("page", 1, results.append)
    end(threads.start(), OVERDUE)
    assert [result.failure for result in results] == [OVERDUE]


async def test_risky_payloads_go_to_the_refuge_unless_they_go_to_processes_anyway() -> None:
    threads, processes, refuge = Place(), Place(), Place()
    lane = lane_on(threads.route("thread"), lambda: refuge.route("process"))
    lane.submit("large", 1, lambda _: None, is_risky=True)
    lane.submit("small", 1, lambda _: None)
    assert refuge.start().payload == "large"
    assert threads.start().payload == "small"
    lane.switch(Route(Strategy("process", 2, "a test"), processes, Queue(WORK)))
    lane.submit("large", 1, lambda _: None, is_risky=True)
    assert processes.start().payload == "large"


async def test_a_forgotten_job_ends_without_a_word() -> None:
    threads = Place()
    results: list[Result] = []
    lane = lane_on(threads.route("thread"))
    lane.forget(lane.submit("page", 1, results.append))
    end(threads.start())
    assert not results


async def test_closing_drops_what_waits_everywhere() -> None:
    threads, processes = Place(), Place()
    results: list[Result] = []
    lane = lane_on(threads.route("thread"))
    lane.submit(0, 1, results.append)
    running = threads.start()
    lane.switch(processes.route("process"))
    lane.submit(1, 1, results.append)
    await lane.aclose()
    assert not processes.backlog
    end(running)
    assert not results
