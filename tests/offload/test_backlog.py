from __future__ import annotations

from scraper.offload.backlog import Backlog, Job, Queue
from scraper.offload.values import Result, Work

WORK = Work("tests.offload.functions:misbehave")
OTHER = Work("tests.offload.functions:double")


def ignore(_: Result) -> None:
    pass


def jobs(queue: Queue, *names: str, size_bytes: int = 1) -> list[Job]:
    made = [Job(queue, name, size_bytes, ignore) for name in names]
    queue.unended.update(dict.fromkeys(made))
    return made


def filled(*queues: list[Job]) -> Backlog:
    backlog = Backlog()
    for queue in queues:
        for job in queue:
            backlog.put(job)
    return backlog


def names(portion: list[Job]) -> str:
    return "".join(job.payload for job in portion)


def test_a_lane_keeps_its_order() -> None:
    backlog = filled(jobs(Queue(WORK), *"abcd"))
    assert names(backlog.cut(3, 100)) == "abc"
    assert names(backlog.cut(3, 100)) == "d"
    assert not backlog


def test_lanes_take_turns() -> None:
    backlog = filled(jobs(Queue(WORK), *"abcd"), jobs(Queue(WORK), *"xy"))
    assert [names(backlog.cut(2, 100)) for _ in range(3)] == ["ab", "xy", "cd"]


def test_a_portion_is_filled_from_the_next_lane_of_the_same_work() -> None:
    backlog = filled(jobs(Queue(WORK), "a"), jobs(Queue(WORK), "b"), jobs(Queue(WORK), *"cd"))
    assert names(backlog.cut(3, 100)) == "abc"


def test_a_portion_has_one_work() -> None:
    backlog = filled(jobs(Queue(WORK), "a"), jobs(Queue(OTHER), "x"), jobs(Queue(WORK), "b"))
    assert [names(backlog.cut(3, 100)) for _ in range(3)] == ["a", "x", "b"]


def test_a_portion_closes_when_it_has_its_bytes_but_a_large_job_goes_through() -> None:
    backlog = filled(jobs(Queue(WORK), *"abcd", size_bytes=60))
    assert names(backlog.cut(10, 100)) == "ab"
    assert names(backlog.cut(10, 10)) == "c"


def test_counts_follow() -> None:
    queue = Queue(WORK)
    backlog = filled(jobs(queue, *"abc", size_bytes=10), jobs(Queue(WORK), "x", size_bytes=5))
    assert (backlog.items, backlog.bytes) == (4, 35)
    backlog.cut(2, 100)
    assert (backlog.items, backlog.bytes) == (2, 15)
    backlog.drop(queue)
    assert (backlog.items, backlog.bytes) == (1, 5)
    assert names(backlog.take_all()) == "x"
    assert (backlog.items, backlog.bytes) == (0, 0)


def test_what_comes_back_goes_to_the_front_in_its_order() -> None:
    backlog = filled(jobs(Queue(WORK), *"abcd"), jobs(Queue(WORK), *"xy"))
    portion = backlog.cut(3, 100)
    backlog.put_back(portion[1:])
    assert names(backlog.cut(3, 100)) == "xyb"
    assert names(backlog.cut(3, 100)) == "cd"


def test_what_comes_back_of_an_emptied_lane_is_next() -> None:
    backlog = filled(jobs(Queue(WORK), *"ab"), jobs(Queue(WORK), *"xy"))
    backlog.put_back(backlog.cut(2, 100))
    assert names(backlog.cut(2, 100)) == "ab"


def test_a_suspect_goes_first_and_alone() -> None:
    backlog = filled(jobs(Queue(WORK), *"ab"))
    [suspect] = jobs(Queue(OTHER), "!")
    backlog.put_suspect(suspect)
    assert backlog.next_is_suspect
    assert backlog.next_work == OTHER
    assert names(backlog.cut(10, 100)) == "!"
    assert names(backlog.cut(10, 100)) == "ab"


def test_dropping_a_lane_drops_its_suspects_too() -> None:
    queue = Queue(WORK)
    backlog = filled(jobs(queue, *"ab"), jobs(Queue(WORK), "x"))
    backlog.put_suspect(jobs(queue, "!")[0])
    backlog.drop(queue)
    assert names(backlog.cut(10, 100)) == "x"
    assert not backlog


def test_one_work_can_be_taken_out() -> None:
    backlog = filled(jobs(Queue(WORK), *"ab"), jobs(Queue(OTHER), "x"), jobs(Queue(WORK), "c"))
    assert sorted(names(backlog.take_work(WORK))) == ["a", "b", "c"]
    assert names(backlog.cut(10, 100)) == "x"


def test_a_job_ends_once() -> None:
    queue = Queue(WORK)
    [job] = jobs(queue, "a")
    assert queue.settle(job, Result())
    assert not queue.settle(job, Result())
