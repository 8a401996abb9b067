"""Which of the waiting requests is next: the order among hosts, and within one host.

    push ──► host queue (priority, depth, age) ──► ready hosts (by their first request) ──► pop
               ▲                        │ ▲           a host with all its slots taken is not among them, nor one
    later ─────┘ when its time has come ▼ │           that is held
                                  resting hosts (by when they may be contacted again)

Picking costs O(log n). A host with nothing waiting and nothing under way is forgotten.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from math import inf

from scraper.frontier.pace import Pacer
from scraper.model import Failure, Request, Response, Skip

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
        holds_slot: its host is being asked for it.
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


class Turn:
    """Somebody who waits for a slot of a host outside its queue.

    Attributes:
        woken: it may be this one's turn.
        start_s: when its exchange may start, once it has the slot.
    """

    def __init__(self, host: _Host) -> None:
        self.host = host
        self.woken = asyncio.Event()
        self.start_s = inf


@dataclass(slots=True, eq=False)
class _Host:
    name: str
    queue: list[tuple[int, int, int, Entry]] = field(default_factory=list)
    turns: deque[Turn] = field(default_factory=deque)
    under_way: int = 0
    is_held: bool = False
    served: int = 0
    ticket: int = 0  # of its valid place among ready or resting hosts

    @property
    def is_of_use(self) -> bool:
        return bool(self.under_way or self.turns or self.is_held or self.head())

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
        pacer: when each host may be contacted, and by how many requests at a time.
    """

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._hosts: dict[str, _Host] = {}
        self._ready: list[tuple[int, int, int, int, _Host]] = []
        self._ready_since: OrderedDict[str, _Host] = OrderedDict()
        self._resting: list[tuple[float, int, _Host]] = []
        self._later: list[tuple[float, int, Entry]] = []
        self._numbers = count(1)
        self._pops = 0
        self._now_s = -inf

    def __repr__(self) -> str:
        return f"<Schedule {len(self._hosts)} hosts, {len(self._ready_since)} ready, {len(self._later)} later>"

    def __len__(self) -> int:
        return len(self._hosts)

    def push(self, entry: Entry) -> None:
        """Queues an entry, or moves a queued one after its depth became smaller."""
        self._queue(entry, next(self._numbers))

    def put_back(self, entry: Entry) -> None:
        """Queues an entry as if it had not been popped: before others like it, and its host before other hosts."""
        self._host(entry.host).served = -1
        self._queue(entry, -next(self._numbers))

    def _queue(self, entry: Entry, age: int) -> None:
        entry.is_queued = True
        host = self._host(entry.host)
        item = (-entry.priority, entry.depth, age, entry)
        heapq.heappush(host.queue, item)
        if host.queue[0] is item:
            self._offer(host)

    def discard(self, name: str, entries: Iterable[Entry]) -> None:
        """Forgets queued entries of one host."""
        for entry in entries:
            entry.is_queued = False
        host = self._host(name)
        host.queue = [item for item in host.queue if item[3].is_queued]
        heapq.heapify(host.queue)
        self._offer(host)

    def push_later(self, entry: Entry, at_s: float) -> None:
        heapq.heappush(self._later, (at_s, next(self._numbers), entry))

    def next_ready_s(self) -> float | None:
        """The next time at which something becomes ready by waiting alone."""
        while self._resting and self._resting[0][1] != self._resting[0][2].ticket:
            heapq.heappop(self._resting)
        times = [waiting[0][0] for waiting in (self._later, self._resting) if waiting]
        if self._ready_since and self._pacer.next_start_s > self._now_s:
            times.append(self._pacer.next_start_s)
        return min(times, default=None)

    def pop(self, now_s: float) -> Entry | None:
        """Takes the next entry whose host may be contacted now, and a slot of that host."""
        self._now_s = now_s
        while self._later and self._later[0][0] <= now_s:
            self.push(heapq.heappop(self._later)[2])
        while self._resting and self._resting[0][0] <= now_s:
            _, ticket, rested = heapq.heappop(self._resting)
            if ticket == rested.ticket:
                self._offer(rested)
        if self._pacer.next_start_s > now_s:
            return None
        while (host := self._pick()) is not None and self._ready_s(host) > now_s:
            self._offer(host)  # the pacer was told something of it meanwhile
        if host is None:
            return None
        entry = heapq.heappop(host.queue)[3]
        entry.is_queued = False
        entry.holds_slot = True
        host.served = next(self._numbers)
        self._ready_since.pop(host.name, None)
        self._start(host, now_s)
        return entry

    def free_slot_of(self, entry: Entry, result: Response | Failure | Skip | None, now_s: float) -> None:
        """Gives back the slot that a popped entry holds, if it still does."""
        if entry.holds_slot:
            entry.holds_slot = False
            self.free(entry.host, result, now_s, is_retry=entry.attempts > 1)

    def free(
        self, name: str, result: Response | Failure | Skip | None, now_s: float, *, is_retry: bool = False
    ) -> None:
        """Gives back a slot of a host.

        Args:
            name: host and port.
            result: what its site answered; None if it was not asked.
            now_s: the time.
            is_retry: what it was asked for had failed before.
        """
        host = self._hosts[name]
        host.under_way -= 1
        self._pacer.ended(name, now_s, result, is_retry=is_retry)
        self._now_s = max(self._now_s, now_s)
        is_as_before = name in self._ready_since and self._ready_s(host) <= self._now_s
        if not is_as_before:  # else it had a slot to spare, and keeps its place
            self._offer(host)

    def hold(self, name: str) -> None:
        """Gives out nothing of a host's queue until `release`."""
        host = self._host(name)
        host.is_held = True
        self._offer(host)

    def release(self, name: str) -> None:
        host = self._host(name)
        host.is_held = False
        self._offer(host)

    # Turns go before what is queued: somebody is in the middle of something, or nothing may be fetched before it.

    def ask(self, name: str) -> Turn:
        """Gets in line for a slot of a host, also of one that is held."""
        host = self._host(name)
        turn = Turn(host)
        host.turns.append(turn)
        self._offer(host)
        return turn

    def take(self, turn: Turn, now_s: float) -> float | None:
        """Takes the slot if it is this one's turn, and with it the next start that the rate over all hosts permits: who
        came for that only when it is due would find it taken by the queues, again and again.

        Returns:
            None if it was taken, to be used from `turn.start_s` on. Otherwise for how long to wait before asking again,
            unless it is woken earlier; infinity if only that helps.
        """
        host = turn.host
        if host.turns[0] is not turn:
            return inf
        ready_s = self._ready_s(host)
        if ready_s > now_s:
            return ready_s - now_s
        host.turns.popleft()
        turn.start_s = max(self._pacer.next_start_s, now_s)
        self._start(host, now_s)
        return None

    def withdraw(self, turn: Turn) -> None:
        """Gives up waiting."""
        turn.host.turns.remove(turn)
        self._offer(turn.host)

    def _host(self, name: str) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host(name)
        return host

    def _start(self, host: _Host, now_s: float) -> None:
        host.under_way += 1
        self._pacer.started(host.name, now_s)
        self._offer(host)

    def _ready_s(self, host: _Host) -> float:
        """When a slot is to be had; infinity where that takes somebody who gives one back."""
        if host.under_way >= self._pacer.limit(host.name):
            return inf
        return self._pacer.ready_s(host.name)

    def _offer(self, host: _Host) -> None:
        """Puts a host in its place among the ready or the resting ones, or takes it out."""
        host.ticket = ticket = next(self._numbers)
        if host.turns:
            host.turns[0].woken.set()
        head = None if host.turns or host.is_held else host.head()
        ready_s = inf if head is None else self._ready_s(host)
        if head is None or ready_s > self._now_s:
            self._ready_since.pop(host.name, None)
            if ready_s < inf:
                heapq.heappush(self._resting, (ready_s, ticket, host))
                if len(self._resting) > 2 * len(self._hosts) + 64:
                    self._resting = [place for place in self._resting if place[1] == place[2].ticket]
                    heapq.heapify(self._resting)
            elif not host.is_of_use:
                self._hosts.pop(host.name, None)
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
