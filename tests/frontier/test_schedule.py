"""The order among hosts and within one."""

from math import inf

import pytest

from scraper.frontier.pace import Pacer
from scraper.frontier.schedule import Entry, Schedule
from scraper.model import Skip
from scraper.options import PaceOptions
from tests.frontier.model import Steady

ANSWERED = Skip("content_type")


def entry(key: str, *, host: str = "a", depth: int = 0, priority: int = 0) -> Entry:
    return Entry(key, f"http://{host}/{key}", host, depth, priority)


def drain(schedule: Schedule, now_s: float = 0.0) -> list[str]:
    """Pops everything, giving each slot back at once."""
    keys = []
    while (popped := schedule.pop(now_s)) is not None:
        keys.append(popped.key)
        schedule.free(popped.host, None, 0.0)
    return keys


def test_shallow_pages_come_before_deep_ones_and_old_before_new() -> None:
    schedule = Schedule(Steady(1))
    for key, depth in (("d2", 2), ("d1a", 1), ("d0", 0), ("d1b", 1)):
        schedule.push(entry(key, depth=depth))
    assert drain(schedule) == ["d0", "d1a", "d1b", "d2"]


def test_priority_goes_before_depth() -> None:
    schedule = Schedule(Steady(1))
    schedule.push(entry("shallow"))
    schedule.push(entry("urgent", depth=9, priority=1))
    schedule.push(entry("whenever", priority=-1))
    assert drain(schedule) == ["urgent", "shallow", "whenever"]


def test_hosts_of_one_depth_take_turns() -> None:
    schedule = Schedule(Steady(1))
    for n in range(3):
        for host in "abc":
            schedule.push(entry(f"{host}{n}", host=host))
    order = drain(schedule)
    assert [key[0] for key in order[:3]] in (list("abc"), list("acb"), list("bac"))
    assert sorted(key[0] for key in order[3:6]) == list("abc")
    assert sorted(key[0] for key in order[6:]) == list("abc")


def test_a_host_never_has_more_under_way_than_its_slots() -> None:
    schedule = Schedule(Steady(2))
    for n in range(5):
        schedule.push(entry(str(n)))
    first, second = schedule.pop(0.0), schedule.pop(0.0)
    assert first is not None
    assert second is not None
    assert schedule.pop(0.0) is None
    schedule.free("a", None, 0.0)
    assert schedule.pop(0.0) is not None
    assert schedule.pop(0.0) is None


def test_a_host_with_many_shallow_pages_does_not_starve_a_deep_one() -> None:
    """With strict breadth first over all hosts, a trap on one host would keep every other host waiting for ever."""
    schedule = Schedule(Steady(1))
    for n in range(1000):
        schedule.push(entry(f"shallow{n}", host="big", depth=1))
    schedule.push(entry("deep", host="small", depth=5))
    assert "deep" in drain(schedule)[:8]


def test_fairness_does_not_overrule_priority() -> None:
    schedule = Schedule(Steady(1))
    for n in range(20):
        schedule.push(entry(f"urgent{n}", host="big", priority=1))
    schedule.push(entry("patient", host="small"))
    assert drain(schedule)[-1] == "patient"


def test_an_entry_that_became_shallower_moves_forward_and_comes_once() -> None:
    schedule = Schedule(Steady(1))
    deep = entry("moved", depth=5)
    schedule.push(deep)
    schedule.push(entry("middle", depth=3))
    deep.depth = 1
    schedule.push(deep)
    assert drain(schedule) == ["moved", "middle"]


def test_a_later_entry_waits_for_its_time_and_says_when() -> None:
    schedule = Schedule(Steady(1))
    schedule.push_later(entry("later"), at_s=10.0)
    assert schedule.pop(9.9) is None
    assert schedule.next_ready_s() == 10.0
    popped = schedule.pop(10.0)
    assert popped is not None
    assert popped.key == "later"
    assert schedule.next_ready_s() is None


def test_a_host_is_forgotten_when_nothing_waits_or_runs() -> None:
    """A crawl of a hundred thousand hosts must not keep them all."""
    schedule = Schedule(Steady(1))
    for n in range(100):
        schedule.push(entry(str(n), host=f"h{n}"))
    assert len(schedule) == 100
    drain(schedule)
    assert len(schedule) == 0


def test_outdated_places_of_a_waiting_host_do_not_pile_up() -> None:
    """A host that is freed again and again while another is always first leaves stale places in the heap."""
    schedule = Schedule(Steady(2))
    schedule.push(entry("shallow", host="first", depth=0))
    schedule.push(entry("deep", host="second", depth=9))
    for n in range(1000):
        moving = entry(f"m{n}", host="second", depth=9, priority=0)
        schedule.push(moving)
        moving.depth = 8
        schedule.push(moving)
        popped = schedule.pop(0.0)
        assert popped is not None
        schedule.free(popped.host, None, 0.0)
    assert len(schedule._ready) < 200


def delayed(delay_s: float = 1.0) -> Schedule:
    return Schedule(Pacer(PaceOptions(delay_s=delay_s)))


def test_a_host_that_is_held_gives_out_nothing_and_others_do() -> None:
    schedule = Schedule(Steady(8))
    for host in "ab":
        schedule.push(entry(host, host=host))
    schedule.hold("a")
    schedule.push(entry("a2", host="a"))
    assert drain(schedule) == ["b"]
    schedule.release("a")
    assert drain(schedule) == ["a", "a2"]
    assert len(schedule) == 0


def test_a_host_can_be_held_before_anything_of_it_waits() -> None:
    schedule = Schedule(Steady(8))
    schedule.hold("a")
    schedule.push(entry("a"))
    assert drain(schedule) == []
    schedule.release("a")
    assert drain(schedule) == ["a"]


def test_a_host_with_a_delay_rests_between_two_requests_and_its_time_is_told() -> None:
    schedule = delayed()
    for key in ("a1", "a2"):
        schedule.push(entry(key))
    schedule.push(entry("b1", host="b"))
    assert schedule.pop(10.0) is not None
    schedule.free("a", ANSWERED, 10.5)
    popped = schedule.pop(10.5)
    assert popped is not None
    assert popped.host == "b"
    assert schedule.pop(11.0) is None
    assert schedule.next_ready_s() == 11.5
    popped = schedule.pop(11.5)
    assert popped is not None
    assert popped.key == "a2"


def test_outdated_rests_are_not_told() -> None:
    schedule = delayed()
    schedule.push(entry("a1"))
    schedule.push(entry("a2"))
    assert schedule.pop(0.0) is not None
    schedule.free("a", ANSWERED, 0.0)
    assert schedule.next_ready_s() == 1.0
    schedule.hold("a")
    assert schedule.next_ready_s() is None


def test_idle_hosts_and_those_that_rest_cost_no_look() -> None:
    """A hundred thousand hosts: each is looked at only when its time has come."""
    schedule = delayed(1_000.0)
    for number in range(1_000):
        for key in ("first", "second"):
            schedule.push(entry(f"{key}{number}", host=str(number)))
    for now_s in range(1_000):
        popped = schedule.pop(float(now_s))
        assert popped is not None
        assert popped.key.startswith("first")
        schedule.free(popped.host, ANSWERED, float(now_s))
    assert schedule.next_ready_s() == 1_000.0
    for now_s in range(1_000, 2_000):
        popped = schedule.pop(float(now_s))
        assert popped is not None
        assert popped.key == f"second{popped.host}"
        assert schedule.pop(float(now_s)) is None
        schedule.free(popped.host, ANSWERED, float(now_s))
    assert len(schedule) == 0


def test_turns_go_before_the_queue_in_their_order_also_where_the_host_is_held() -> None:
    schedule = Schedule(Steady(1))
    schedule.push(entry("a1"))
    schedule.push(entry("a2"))
    assert schedule.pop(0.0) is not None
    schedule.hold("a")
    first, second = schedule.ask("a"), schedule.ask("a")
    assert schedule.take(first, 0.0) == inf
    schedule.free("a", None, 0.0)
    assert first.woken.is_set()
    assert schedule.take(second, 0.0) == inf
    assert schedule.take(first, 0.0) is None
    schedule.free("a", None, 0.0)
    assert schedule.take(second, 0.0) is None
    schedule.release("a")
    assert schedule.pop(0.0) is None
    schedule.free("a", None, 0.0)
    assert schedule.pop(0.0) is not None


def test_a_turn_waits_for_the_delay_too_and_may_be_given_up() -> None:
    schedule = delayed()
    schedule.push(entry("a1"))
    assert schedule.pop(5.0) is not None
    schedule.push(entry("a2"))
    turn = schedule.ask("a")
    schedule.free("a", ANSWERED, 5.0)
    assert schedule.take(turn, 5.25) == 0.75
    assert schedule.pop(6.0) is None
    schedule.withdraw(turn)
    assert schedule.pop(6.0) is not None


def test_requests_of_all_hosts_are_spaced_by_the_rate() -> None:
    schedule = Schedule(Pacer(PaceOptions(rate_per_s=1.0)))
    for host in "abc":
        schedule.push(entry(host, host=host))
    now_s, starts = 100.0, []
    while len(schedule):
        popped = schedule.pop(now_s)
        if popped is None:
            ready_s = schedule.next_ready_s()
            assert ready_s is not None
            assert ready_s > now_s
            now_s = ready_s
        else:
            starts.append(now_s)
            schedule.free(popped.host, ANSWERED, now_s)
    assert starts == pytest.approx([100.0, 100.9, 101.9])


def test_a_turn_takes_the_next_start_that_the_rate_permits_before_the_queues() -> None:
    schedule = Schedule(Pacer(PaceOptions(rate_per_s=1.0)))
    schedule.push(entry("a1"))
    schedule.push(entry("a2"))
    assert schedule.pop(100.0) is not None
    turn = schedule.ask("b")
    assert schedule.take(turn, 100.0) is None
    assert turn.start_s == pytest.approx(100.9)
    assert schedule.pop(100.95) is None
    assert schedule.next_ready_s() == pytest.approx(101.9)
    assert schedule.pop(101.95) is not None


def test_what_the_pacer_is_told_counts_at_once() -> None:
    """A redirect may lead to a host that has its place in the order, and learn there that it wants a delay."""
    pacer = Pacer(PaceOptions())
    schedule = Schedule(pacer)
    schedule.push(entry("a1"))
    schedule.push(entry("b1", host="b", depth=1))
    pacer.rest("a", 20.0)
    popped = schedule.pop(10.0)
    assert popped is not None
    assert popped.key == "b1"
    assert schedule.pop(10.0) is None
    assert schedule.next_ready_s() == 20.0
    assert schedule.pop(20.0) is not None


def test_what_is_put_back_keeps_its_place() -> None:
    schedule = Schedule(Steady(1))
    for key in ("first", "second"):
        schedule.push(entry(key))
    popped = schedule.pop(0.0)
    assert popped is not None
    schedule.put_back(popped)
    schedule.free_slot_of(popped, None, 0.0)
    assert drain(schedule) == ["first", "second"]


def test_a_host_keeps_its_place_when_its_entry_is_put_back() -> None:
    """Otherwise what was found out of a host would be forgotten before its turn came again, among very many."""
    schedule = Schedule(Steady(1))
    for host in "abc":
        schedule.push(entry(host, host=host))
    popped = schedule.pop(0.0)
    assert popped is not None
    schedule.hold(popped.host)
    schedule.put_back(popped)
    schedule.free_slot_of(popped, None, 0.0)
    following = schedule.pop(0.0)
    assert following is not None
    schedule.release(popped.host)
    assert schedule.pop(0.0) is popped
