"""The order among hosts and within one."""

from scraper.frontier.schedule import Entry, Schedule
from tests.frontier.model import Steady


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
