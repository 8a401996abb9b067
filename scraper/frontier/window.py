"""The part of a durable frontier that is in memory: of each host at work, the next requests in their order.

    file ──load──► host: the first requests, up to its horizon ──► schedule ──pop──► under way ──► at its end
                        what stands behind the horizon stays in the file

A host's horizon is the place in its queue up to which everything that waits is here; without one, all of it is. So a
new request either belongs in front of the horizon and comes in at once, or stays in the file until it is loaded. That
keeps the order exact, and memory bounded, however much waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from scraper import urls
from scraper.frontier.schedule import Entry, Schedule
from scraper.frontier.state.values import FIRST, Load, Order, Row, Want
from scraper.frontier.stored import request_of

# Requests in memory, in all: some 500 bytes each, so 32 MB; twice as many before hosts are trimmed.
_ENTRIES = 65_536
# Of one host: enough that it is loaded twice a second at most, at a thousand pages a second.
_MOST_OF_A_HOST = 1_024
# Of a host that is taken: enough for a start. It asks for more when it has been worked on.
_FIRST_OF_A_HOST = 64
# Rows that one commit loads. They become entries on the event loop, some 2 µs each.
_LOADED_AT_ONCE = 4_096
# Of one host when there are many: one that runs and one that follows it.
_LEAST_OF_A_HOST = 2


@dataclass(slots=True, eq=False)
class _Host:
    number: int
    name: str
    horizon: Order | None
    waiting: dict[int, Entry] = field(default_factory=dict)
    under_way: int = 0
    is_given_away: bool = False

    def has_place_for(self, order: Order) -> bool:
        return (self.horizon is None or order <= self.horizon) and not self.is_given_away


class Window:
    """Requests that may be leased without asking the file.

    Args:
        schedule: where what may be leased gets in line.
        most_hosts: hosts that are worked on at the same time; the others wait in the file for their turn.
        in_flight: requests under way in all. Twice as many of one host are kept here, so that a commit, which is when
            more is loaded, always comes in time.
    """

    def __init__(self, schedule: Schedule, most_hosts: int, in_flight: int) -> None:
        self._schedule = schedule
        self._most_hosts = most_hosts
        self._most_of_a_host = max(_MOST_OF_A_HOST, 2 * in_flight)
        self._hosts: dict[str, _Host] = {}
        self._names: dict[int, str] = {}
        self._under_way: dict[int, Entry] = {}
        self._waiting = 0
        self._thin: set[str] = set()
        self._idle: set[str] = set()
        self._makes_way = False

    def __repr__(self) -> str:
        return f"<Window {self._waiting} waiting, {len(self._under_way)} under way, {len(self._hosts)} hosts>"

    def __len__(self) -> int:
        """Hosts with requests that wait or are under way."""
        return len(self._hosts) - sum(self._hosts[name].horizon is None for name in self._idle)

    @property
    def share(self) -> int:
        """How many requests of one host are kept here."""
        return max(_LEAST_OF_A_HOST, min(self._most_of_a_host, _ENTRIES // max(len(self._hosts), 1)))

    @property
    def first_share(self) -> int:
        """How many requests are loaded of a host that is taken."""
        return min(self.share, _FIRST_OF_A_HOST)

    @property
    def room(self) -> int:
        """How many more hosts may be taken at once: what is loaded of them together is bounded too."""
        return min(self._most_hosts - len(self._hosts), _LOADED_AT_ONCE // self.first_share)

    @property
    def can_take_hosts(self) -> bool:
        """Whether the next commit takes further hosts, if some wait: into free room, or that of idle ones."""
        return self.room > 0 or bool(self._idle)

    def number_of(self, host: str) -> int | None:
        """The file's number of a host at work."""
        found = self._hosts.get(host)
        return None if found is None else found.number

    def pop(self, now_s: float) -> Entry | None:
        """Takes the next request whose host has a free slot, and takes that slot."""
        entry = self._schedule.pop(now_s)
        if entry is None:
            return None
        host = self._hosts[entry.host]
        del host.waiting[entry.number]
        self._waiting -= 1
        host.under_way += 1
        self._under_way[entry.number] = entry
        if host.horizon is not None and 2 * len(host.waiting) < self.share:
            self._thin.add(host.name)
        return entry

    def end(self, entry: Entry) -> None:
        """The entry is not under way any more, and does not wait here. Its slot went back before."""
        del self._under_way[entry.number]
        host = self._hosts[entry.host]
        host.under_way -= 1
        self._look_at(host)

    def put_back(self, entry: Entry) -> None:
        """The entry waits again, as if it had not been popped. Its slot went back before."""
        del self._under_way[entry.number]
        host = self._hosts[entry.host]
        host.under_way -= 1
        if host.is_given_away:
            self._look_at(host)  # in the file it waits anyway
        else:
            self._keep(host, entry)
            self._schedule.put_back(entry)

    def admit(self, rows: Iterable[Row]) -> None:
        """Takes requests that wait in the file and whose place is here; leaves the others, and those that are here."""
        for row in rows:
            name = self._names.get(row.host)
            if name is not None:
                host = self._hosts[name]
                if host.has_place_for(row.order):
                    self._take(host, row)
                    if len(host.waiting) > 2 * self.share:
                        self._trim(host)
        self._keep_bound()

    def move(self, rows: Iterable[Row]) -> None:
        """Requests are nearer to a seed than was known."""
        rows = list(rows)
        for row in rows:
            name = self._names.get(row.host)
            entry = self._under_way.get(row.number)
            if entry is not None:
                entry.depth = min(entry.depth, row.depth)
            elif name is not None and (entry := self._hosts[name].waiting.get(row.number)) is not None:
                entry.depth = row.depth
                self._schedule.push(entry)
        self.admit(rows)

    def load(self, loads: Iterable[Load]) -> None:
        """Takes what the file had of hosts that were thin, or new here."""
        for load in loads:
            name = self._names.get(load.host)
            if name is None:
                if not load.name:
                    continue
                name = self._names[load.host] = load.name
                self._hosts[name] = _Host(load.host, name, FIRST)
            host = self._hosts[name]
            for row in load.rows:
                self._take(host, row)
            if load.is_all:
                host.horizon = None
                self._thin.discard(name)
            elif load.rows:
                host.horizon = max(host.horizon or FIRST, load.rows[-1].order)
                if 2 * len(host.waiting) >= self.share:
                    self._thin.discard(name)
            self._look_at(host)
        self._makes_way = False  # until the next commit looks anew
        self._keep_bound()

    def wants(self) -> list[Want]:
        """Hosts of which more is to be loaded."""
        share, rows = self.share, _LOADED_AT_ONCE
        found = []
        for name in self._thin:
            host = self._hosts[name]
            if host.horizon is not None and not host.is_given_away and not self._makes_way:
                limit = min(max(share - len(host.waiting), 1), rows)
                found.append(Want(host.number, host.horizon, limit))
                rows -= limit
                if not rows:
                    break
        return found

    def take_idle(self, *, others_wait: bool) -> list[int]:
        """Hosts that are not worked on any more: nothing of them waits here or is under way.

        Args:
            others_wait: hosts in the file wait for their turn. Then, with no room left, a host that has used up what
                was loaded of it makes way, and waits for its own next turn: no host starves.
        """
        self._makes_way = others_wait and self.room <= 0  # the places of those that leave go to others too
        left = []
        for name in list(self._idle):
            host = self._hosts[name]
            if host.horizon is None or host.is_given_away or self._makes_way:
                left.append(host.number)
                del self._hosts[name], self._names[host.number]
                self._thin.discard(name)
                self._idle.discard(name)
        return left

    def give_away(self, count: int) -> None:
        """Leaves so many hosts to other crawlers, those first of which least is under way. What is under way is
        finished before they go; until then they count.
        """
        going = sum(host.is_given_away for host in self._hosts.values())
        can_go = [host for host in self._hosts.values() if host.waiting and not host.is_given_away]
        for host in sorted(can_go, key=lambda host: host.under_way)[: max(count - going, 0)]:
            host.is_given_away = True
            self._schedule.discard(host.name, host.waiting.values())
            self._waiting -= len(host.waiting)
            host.waiting = {}
            self._look_at(host)

    def _take(self, host: _Host, row: Row) -> None:
        if row.number in self._under_way or row.number in host.waiting:
            return
        entry = _entry(row, host.name)
        self._keep(host, entry)
        self._schedule.push(entry)

    def _keep(self, host: _Host, entry: Entry) -> None:
        host.waiting[entry.number] = entry
        self._waiting += 1
        self._idle.discard(host.name)

    def _look_at(self, host: _Host) -> None:
        if not host.waiting and not host.under_way:
            self._idle.add(host.name)

    def _keep_bound(self) -> None:
        """Each host keeps less when there are more of them."""
        if self._waiting > 2 * _ENTRIES:
            for host in self._hosts.values():
                if len(host.waiting) > self.share:
                    self._trim(host)

    def _trim(self, host: _Host) -> None:
        """Leaves to the file what is far behind."""
        in_order = sorted(host.waiting.values(), key=_order)
        keep, rest = in_order[: self.share], in_order[self.share :]
        self._schedule.discard(host.name, rest)
        self._waiting -= len(rest)
        host.waiting = {entry.number: entry for entry in keep}
        host.horizon = _order(keep[-1])


def _entry(row: Row, host: str) -> Entry:
    if row.more is None and row.urgency == 0:  # the URL says everything, and is its own key
        return Entry(row.url, row.url, host, row.depth, attempts=row.attempts, number=row.number)
    request = request_of(row.url, -row.urgency, row.more)
    return Entry(urls.fingerprint(request), request, host, row.depth, -row.urgency, row.attempts, number=row.number)


def _order(entry: Entry) -> Order:
    return -entry.priority, entry.depth, entry.number
