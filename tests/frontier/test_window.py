"""The window against a file that is sorted anew for each question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scraper.frontier import window as window_module
from scraper.frontier.schedule import Entry, Schedule
from scraper.frontier.state.values import FIRST, Load, Order, Row, Want
from scraper.frontier.window import Window
from tests.frontier.model import Steady, small


def host_name(host: int) -> str:
    return f"h{host}.test:80"


def schedule(per_host: int) -> Schedule:
    return Schedule(Steady(per_host))


def free_slot(window: Window, entry: Entry) -> None:
    window._schedule.free_slot_of(entry, None, 0.0)


class File:
    """What a state file keeps of one crawler's requests, and the one crawler's window.

    Args:
        window: under test.
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        self.rows: dict[int, Row] = {}  # that wait, those under way among them
        self.turns: dict[int, int] = {}  # hosts that nobody works on: in which order they are taken
        self.taken: set[int] = set()
        self.under_way: dict[int, Entry] = {}
        self.last = 0
        self.numbers = count()

    def of_host(self, host: int) -> list[Row]:
        return sorted((row for row in self.rows.values() if row.host == host), key=lambda row: row.order)

    def commit(
        self, found: Sequence[tuple[int, int, int]] = (), moved: Sequence[Row] = (), ends: Sequence[Entry] = ()
    ) -> None:
        """One transaction, as the frontier makes it.

        Args:
            found: host, urgency and depth of new requests.
            moved: rows with a smaller depth than they had.
            ends: what comes to its end.
        """
        window = self.window
        for host in window.take_idle(others_wait=bool(self.turns)):
            self.taken.remove(host)
            self.line_up(host)
        wants, room, share = window.wants(), window.room, window.share
        for entry in ends:
            del self.rows[entry.number]
        admitted = []
        for host, urgency, depth in found:
            self.last += 1
            row = Row(self.last, f"http://h{host}.test/{self.last}", host, depth, urgency, 0, None)
            self.rows[row.number] = row
            admitted.append(row)
            if host not in self.taken:
                self.line_up(host)
        moved = [row for row in moved if row.number in self.rows]
        self.rows.update({row.number: row for row in moved})
        loads = [self.load(want, "") for want in wants]
        for host in sorted(self.turns, key=self.turns.__getitem__)[: max(room, 0)]:
            del self.turns[host]
            self.taken.add(host)
            loads.append(self.load(Want(host, FIRST, share), host_name(host)))
        window.load(loads)
        window.admit(admitted)
        window.move(moved)
        for entry in ends:
            del self.under_way[entry.number]
            free_slot(window, entry)
            window.end(entry)

    def line_up(self, host: int) -> None:
        if self.of_host(host):
            self.turns.setdefault(host, next(self.numbers))

    def load(self, want: Want, name: str) -> Load:
        rows = [row for row in self.of_host(want.host) if row.order > want.after][: want.limit]
        return Load(want.host, name, rows, len(rows) < want.limit)

    def pop(self) -> Entry | None:
        """The next request, which must be the first of its host."""
        entry = self.window.pop(0.0)
        if entry is not None:
            row = self.rows[entry.number]
            assert entry.number not in self.under_way
            assert (entry.depth, -entry.priority) == (row.depth, row.urgency)
            first = min(self.in_line(row.host))
            assert (row.urgency, row.depth) == first[:2]
            self.under_way[entry.number] = entry
        return entry

    def in_line(self, host: int) -> Iterator[Order]:
        return (row.order for row in self.of_host(host) if row.number not in self.under_way)

    def drain(self) -> list[Entry]:
        """Everything to its end, a few at a time."""
        ended = []
        for _ in range(10 * len(self.rows) + 10):
            batch = [entry for _ in range(3) if (entry := self.pop()) is not None]
            ended += batch
            self.commit(ends=list(self.under_way.values()))
        assert not self.rows
        assert len({entry.number for entry in ended}) == len(ended)
        return ended


new_requests = st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 1), st.integers(0, 4)), max_size=12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), new_requests),
        st.tuples(st.just("pop"), st.integers(1, 6)),
        st.tuples(st.just("end"), st.integers(1, 4)),
        st.tuples(st.just("back"), st.integers(0, 5)),
        st.tuples(st.just("slot"), st.integers(0, 5)),
        st.tuples(st.just("move"), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=4)),
        st.tuples(st.just("give"), st.integers(1, 2)),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(steps=steps, most_hosts=st.integers(1, 6))
def test_each_is_the_first_of_its_host_and_none_is_lost(steps: list[tuple[str, object]], most_hosts: int) -> None:
    with small(hosts=most_hosts):
        file = File(Window(schedule(2), most_hosts, 1))
        for kind, what in steps:
            under_way = list(file.under_way.values())
            if kind == "commit":
                assert isinstance(what, list)
                file.commit(found=what)
            elif kind == "move":
                assert isinstance(what, list)
                nearer = {n: min(depth, file.rows[n].depth) for n, depth in what if n in file.rows}
                file.commit(moved=[file.rows[n]._replace(depth=d) for n, d in nearer.items() if d < file.rows[n].depth])
            elif kind == "pop":
                assert isinstance(what, int)
                for _ in range(what):
                    file.pop()
            elif kind == "end":
                assert isinstance(what, int)
                file.commit(ends=under_way[:what])
            elif kind == "slot" and under_way:
                assert isinstance(what, int)
                free_slot(file.window, under_way[what % len(under_way)])
            elif kind == "back" and under_way:
                assert isinstance(what, int)
                entry = under_way[what % len(under_way)]
                del file.under_way[entry.number]
                free_slot(file.window, entry)
                file.window.put_back(entry)
            elif kind == "give":
                assert isinstance(what, int)
                file.window.give_away(what)
            assert waiting(file.window) <= 2 * 8 + 2 * 6  # the bound, and two of each host
            assert len(file.window._hosts) <= most_hosts
            assert len(file.window._under_way) == len(file.under_way)
        file.drain()


def waiting(window: Window) -> int:
    """Entries in memory, counted one by one."""
    return sum(len(host.waiting) for host in window._hosts.values())


def rows_of(host: int, many: int, *, depth: int = 0, first: int = 1) -> list[Row]:
    return [Row(n, f"http://h{host}.test/{n}", host, depth, 0, 0, None) for n in range(first, first + many)]


def numbers(window: Window) -> list[int]:
    """Pops all that is here, as if each were fetched at once."""
    found = []
    while (entry := window.pop(0.0)) is not None:
        found.append(entry.number)
        window._schedule.free_slot_of(entry, None, 0.0)
    return found


def test_what_stands_behind_the_horizon_stays_in_the_file() -> None:
    window = Window(schedule(8), 10, 1)
    window.load([Load(1, host_name(1), rows_of(1, 3, depth=2), is_all=False)])
    window.admit([Row(10, "http://h1.test/10", 1, 1, 0, 0, None), Row(11, "http://h1.test/11", 1, 3, 0, 0, None)])
    assert numbers(window) == [10, 1, 2, 3]
    (want,) = window.wants()
    assert (want.host, want.after) == (1, (0, 2, 3))


def test_without_a_horizon_everything_comes_in() -> None:
    window = Window(schedule(8), 10, 1)
    window.load([Load(1, host_name(1), rows_of(1, 2), is_all=True)])
    window.admit(rows_of(1, 1, depth=9, first=7))
    assert numbers(window) == [1, 2, 7]
    assert window.wants() == []


def test_a_row_that_is_here_already_is_not_taken_twice() -> None:
    window = Window(schedule(8), 10, 1)
    window.load([Load(1, host_name(1), rows_of(1, 2), is_all=True)])
    taken = window.pop(0.0)
    assert taken is not None
    window.admit(rows_of(1, 2))
    window.load([Load(1, "", rows_of(1, 2), is_all=True)])
    assert numbers(window) == [2]


def test_a_row_of_a_host_that_is_not_at_work_is_left() -> None:
    window = Window(schedule(8), 10, 1)
    window.admit(rows_of(3, 1))
    window.move(rows_of(3, 1))
    assert window.pop(0.0) is None
    assert len(window) == 0


def test_a_move_brings_in_what_was_behind_the_horizon() -> None:
    window = Window(schedule(8), 10, 1)
    window.load([Load(1, host_name(1), rows_of(1, 2, depth=2), is_all=False)])
    window.move([Row(9, "http://h1.test/9", 1, 1, 0, 0, None)])
    assert numbers(window) == [9, 1, 2]


def test_a_move_brings_forward_what_waits_here() -> None:
    window = Window(schedule(8), 10, 1)
    window.load([Load(1, host_name(1), rows_of(1, 3, depth=2), is_all=True)])
    window.move(rows_of(1, 1, depth=1, first=3))
    assert numbers(window) == [3, 1, 2]


def test_a_move_reaches_what_is_under_way() -> None:
    window = Window(schedule(8), 10, 1)
    window.load([Load(1, host_name(1), rows_of(1, 1, depth=5), is_all=True)])
    entry = window.pop(0.0)
    assert entry is not None
    window.move(rows_of(1, 1, depth=2))
    assert entry.depth == 2


def test_more_is_wanted_when_half_of_what_is_kept_is_gone() -> None:
    with small(hosts=10, entries=100, of_a_host=4):
        window = Window(schedule(8), 10, 1)
        window.load([Load(1, host_name(1), rows_of(1, 4), is_all=False)])
        for _ in range(2):
            window.pop(0.0)
        assert window.wants() == []
        window.pop(0.0)
        assert window.wants() == [Want(1, (0, 0, 4), 3)]


@pytest.mark.parametrize("far", [[], [Row(100, "http://h1.test/100", 1, 100, 0, 0, None)]])
def test_a_host_that_grows_far_beyond_its_share_is_trimmed_to_the_first(far: list[Row]) -> None:
    with small(hosts=10, entries=100, of_a_host=4):
        window = Window(schedule(8), 10, 1)
        window.load([Load(1, host_name(1), far, is_all=not far)])
        for number in range(20, 0, -1):  # each in front of those before
            window.admit([Row(number, f"http://h1.test/{number}", 1, number, 0, 0, None)])
            assert waiting(window) <= 8
        found = numbers(window)
        assert len(found) >= 4
        assert found == list(range(1, len(found) + 1))
        (want,) = window.wants()
        assert want.after == (0, found[-1], found[-1])


def test_hosts_that_came_early_keep_less_when_many_come() -> None:
    with small(hosts=1_000, entries=100, of_a_host=50):
        file = File(Window(schedule(8), 1_000, 1))
        for host in range(60):
            file.commit(found=[(host, 0, 0)] * 50)
            assert waiting(file.window) <= 2 * 100 + 2 * 60
        assert len(file.window) > 20
        assert len(file.drain()) == 60 * 50


def test_a_file_of_many_hosts_is_not_loaded_at_once() -> None:
    with small(hosts=1_000, entries=100, of_a_host=50):
        window = Window(schedule(8), 1_000, 1)
        hosts = 0
        while window.room > 0:
            room, share = window.room, window.first_share
            assert room * share <= 100
            window.load(
                [
                    Load(host, host_name(host), rows_of(host, share, first=1_000 * host + 1), is_all=False)
                    for host in range(hosts, hosts + room)
                ]
            )
            hosts += room
            assert waiting(window) <= 2 * 100 + 2 * hosts
        assert hosts == 1_000


def test_hosts_beyond_the_room_take_turns() -> None:
    """Two hosts may be at work and six have plenty: none waits until another is through."""
    with small(hosts=2, entries=8, of_a_host=4):
        file = File(Window(schedule(1), 2, 1))
        file.commit(found=[(host, 0, 0) for host in range(6) for _ in range(20)])
        served: Counter[str] = Counter()
        for _ in range(60):
            entry = file.pop()
            if entry is not None:
                served[entry.host] += 1
            file.commit(ends=list(file.under_way.values()))
        assert len(served) == 6
        assert max(served.values()) <= 3 * min(served.values())


def test_what_is_given_away_is_not_leased_and_goes_when_nothing_is_under_way() -> None:
    window = Window(schedule(8), 10, 1)
    window.load([Load(host, host_name(host), rows_of(host, 3, first=10 * host), is_all=True) for host in (1, 2)])
    entry = window.pop(0.0)
    assert entry is not None
    busy, free = (1, 2) if entry.host == host_name(1) else (2, 1)
    window.give_away(1)
    assert window.take_idle(others_wait=False) == [free]
    window.give_away(1)
    window.give_away(1)
    assert window.pop(0.0) is None
    assert window.take_idle(others_wait=False) == []
    window.admit(rows_of(busy, 1, first=99))
    assert window.pop(0.0) is None
    window.end(entry)
    assert window.take_idle(others_wait=False) == [busy]
    assert len(window) == 0


def test_no_more_hosts_are_given_away_than_asked() -> None:
    window = Window(schedule(8), 10, 1)
    window.load([Load(host, host_name(host), rows_of(host, 1, first=host), is_all=True) for host in range(1, 6)])
    window.give_away(2)
    assert len(window.take_idle(others_wait=False)) == 2
    assert len(numbers(window)) == 3


def test_a_host_that_is_going_counts_as_given() -> None:
    window = Window(schedule(8), 10, 1)
    window.load([Load(host, host_name(host), rows_of(host, 2, first=10 * host), is_all=True) for host in range(1, 5)])
    under_way = [entry for _ in range(4) if (entry := window.pop(0.0)) is not None]
    for entry in under_way:
        window._schedule.free_slot_of(entry, None, 0.0)
    for _ in range(3):  # the same surplus is seen until those hosts have gone
        window.give_away(2)
    assert len(numbers(window)) == 2


def test_hosts_without_anything_to_give_do_not_count_as_given() -> None:
    window = Window(schedule(8), 10, 1)
    window.load([Load(1, host_name(1), [], is_all=True)])
    window.load([Load(host, host_name(host), rows_of(host, 1, first=host), is_all=True) for host in (2, 3)])
    window.give_away(1)
    assert len(numbers(window)) == 1


@pytest.mark.parametrize("in_flight", [1, 5_000])
def test_a_host_holds_enough_for_all_that_may_be_under_way(in_flight: int) -> None:
    assert Window(schedule(8), 10, in_flight).share >= 2 * in_flight
    assert Window(schedule(8), 10, in_flight).share >= window_module._MOST_OF_A_HOST


def test_hosts_are_counted_that_have_something_to_do() -> None:
    window = Window(schedule(8), 10, 1)
    window.load([Load(1, host_name(1), rows_of(1, 1), is_all=True)])
    window.load([Load(2, host_name(2), rows_of(2, 1, first=2), is_all=False)])
    under_way = [entry for _ in range(2) if (entry := window.pop(0.0)) is not None]
    assert len(window) == 2
    for entry in under_way:
        window.end(entry)
    assert len(window) == 1  # more of the other waits in the file
