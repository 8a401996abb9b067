"""Which of the waiting requests is next: the order among hosts, and within one host.

    push ──► host queue (priority, depth, age) ──► ready hosts (by their first request) ──► pop
               ▲                                      a host with all its slots taken is not among them
    later ─────┘ when its time has come

Picking costs O(log n). A host with nothing waiting and nothing under way is forgotten.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from scraper.model import Request

# One pop in eight goes to the host that has been ready longest, whatever the depth of its requests. So a host
# with a million shallow pages cannot starve another, and seven in eight pops still go to the shallowest.
_FAIR_TURN = 8


@dataclass(slots=True, eq=False)
class Entry:
    """A request that is not at its end.

    Args:
        request: the whole request, or only its URL where that says everything.
        number: of the frontier that keeps requests in a file.
        is_queued: waits in its host's queue; the copy there with another depth is stale.
        holds_slot: is being fetched.
    """

    key: str
    request: Request | str
    host: str
    depth: int
    priority: int = 0
    attempts: int = 0
    number: int = 0
    is_queued: bool = False
    holds_slot: bool = False


@dataclass(slots=True, eq=False)
class _Host:
    name: str
    queue: list[tuple[int, int, int, Entry]] = field(default_factory=list)
    under_way: int = 0
    served: int = 0
    ticket: int = 0  # of its valid place in the heap of ready hosts

    def head(self) -> tuple[int, int, int, Entry] | None:
        queue = self.queue
        while queue:
            first = queue[0]
            entry = first[3]
            if entry.is_queued and entry.depth == first[1]:
                return first
            heapq.heappop(queue)
        return None


class Schedule:
    """Orders entries: priority first, then the smallest depth, hosts of one depth in turn.

    Args:
        per_host: requests under way to one host and port.
    """

    def __init__(self, per_host: int) -> None:
        self._per_host = per_host
        self._hosts: dict[str, _Host] = {}
        self._ready: list[tuple[int, int, int, int, _Host]] = []
        self._ready_since: OrderedDict[str, _Host] = OrderedDict()
        self._later: list[tuple[float, int, Entry]] = []
        self._numbers = count(1)
        self._pops = 0

    def __repr__(self) -> str:
        return f"<Schedule {len(self._hosts)} hosts, {len(self._ready_since)} ready, {len(self._later)} later>"

    def __len__(self) -> int:
        return len(self._hosts)

    def push(self, entry: Entry) -> None:
        """Queues an entry, or moves a queued one after its depth became smaller."""
        entry.is_queued = True
        host = self._hosts.get(entry.host)
        if host is None:
            host = self._hosts[entry.host] = _Host(entry.host)
        item = (-entry.priority, entry.depth, next(self._numbers), entry)
        heapq.heappush(host.queue, item)
        if host.queue[0] is item:
            self._offer(host)

    def discard(self, name: str, entries: Iterable[Entry]) -> None:
        """Forgets queued entries of one host."""
        for entry in entries:
            entry.is_queued = False
        host = self._hosts[name]
        host.queue = [item for item in host.queue if item[3].is_queued]
        heapq.heapify(host.queue)
        self._offer(host)

    def push_later(self, entry: Entry, at_s: float) -> None:
        heapq.heappush(self._later, (at_s, next(self._numbers), entry))

    def next_ready_s(self) -> float | None:
        return self._later[0][0] if self._later else None

    def pop(self, now_s: float) -> Entry | None:
        """Takes the next entry whose host has a free slot, and takes that slot."""
        while self._later and self._later[0][0] <= now_s:
            self.push(heapq.heappop(self._later)[2])
        host = self._pick()
        if host is None:
            return None
        entry = heapq.heappop(host.queue)[3]
        entry.is_queued = False
        host.under_way += 1
        host.served = next(self._numbers)
        self._ready_since.pop(host.name, None)
        self._offer(host)
        return entry

    def free(self, name: str) -> None:
        """Gives back the slot that a popped entry held."""
        host = self._hosts[name]
        host.under_way -= 1
        if name not in self._ready_since:  # else it had a slot to spare, and keeps its place
            self._offer(host)

    def _offer(self, host: _Host) -> None:
        """Puts a host in its place among the ready ones, or takes it out."""
        host.ticket = ticket = next(self._numbers)
        head = host.head()
        if head is None or host.under_way >= self._per_host:
            self._ready_since.pop(host.name, None)
            if head is None and not host.under_way:
                del self._hosts[host.name]
            return
        heapq.heappush(self._ready, (head[0], head[1], host.served, ticket, host))
        self._ready_since.setdefault(host.name, host)
        if len(self._ready) > 2 * len(self._ready_since) + 64:  # outdated places below the top pile up
            self._ready = [place for place in self._ready if place[3] == place[4].ticket]
            heapq.heapify(self._ready)

    def _pick(self) -> _Host | None:
        if not self._ready_since:
            self._ready.clear()
            return None
        self._pops += 1
        if self._pops % _FAIR_TURN == 0:
            longest = next(iter(self._ready_since.values()))
            first = self._peek()
            # Priority is the user's word, so fairness works among hosts whose first requests are equally urgent.
            if longest.queue[0][0] <= first.queue[0][0]:
                return longest
        return self._peek()

    def _peek(self) -> _Host:
        while self._ready[0][3] != self._ready[0][4].ticket:
            heapq.heappop(self._ready)
        return self._ready[0][4]
