"""What the frontier and its state file exchange. Everything crosses a thread, nothing is shared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from scraper.model import Delivery

Order = tuple[int, int, int]
"""Where a request stands in its host's queue: urgency (its priority, negated), depth, number."""

FIRST: Order = (-(2**63), -1, -1)
"""Stands before every request."""


class RobotsText(NamedTuple):
    """A robots.txt as it was fetched.

    Args:
        body: unpacked; empty where a site has none.
        fresh_s: for how long it still counts; not positive once it does not.
    """

    body: bytes
    fresh_s: float


class Found(NamedTuple):
    """A request that may be new.

    Args:
        key: its fingerprint.
        url: canonical.
        host: host and port.
        depth: links from a seed.
        urgency: its priority, negated.
        more: what the URL does not say, as JSON; None where it says everything.
    """

    key: str
    url: str
    host: str
    depth: int
    urgency: int = 0
    more: str | None = None


class Row(NamedTuple):
    """A request that waits, as the file has it."""

    number: int
    url: str
    host: int
    depth: int
    urgency: int
    attempts: int
    more: str | None

    @property
    def order(self) -> Order:
        return self.urgency, self.depth, self.number


class Want(NamedTuple):
    """A host of which more requests are wanted in memory, and behind which one of them they begin."""

    host: int
    after: Order
    limit: int


class Load(NamedTuple):
    """Waiting requests of a host, in their order.

    Args:
        host: its number.
        name: host and port.
        rows: the next of them.
        is_all: nothing waits behind them.
    """

    host: int
    name: str
    rows: list[Row]
    is_all: bool


@dataclass(slots=True)
class Change:
    """What a commit changes, and what it asks for in return.

    Args:
        ends: request, state and attempts of each that came to its end.
        reasons: request, stage, reason and detail of those that failed or were skipped.
        delays: request, host, attempts, and the time at which it may be tried again.
        claims: key of a final URL, and the request that was led to it.
        found: what may be new.
        counts: kind and name of a count, and by how much it grows.
        scope: places that are in scope from now on, and whether they are seeds.
        delivery: what the outputs made of it.
        hosts: numbers of hosts that found requests belong to, as far as they are known.
        left: hosts that are not worked on any more.
        wants: hosts of which more is wanted.
        room: how many hosts may be taken.
        share: how many requests of a host that is taken are wanted.
        rests: hosts that are to be left alone, and until when.
    """

    ends: list[tuple[int, int, int]] = field(default_factory=list)
    reasons: list[tuple[int, str | None, str, str]] = field(default_factory=list)
    delays: list[tuple[int, int, int, float]] = field(default_factory=list)
    claims: list[tuple[str, int]] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    scope: list[tuple[str, bool]] = field(default_factory=list)
    delivery: Delivery = field(default_factory=Delivery)
    hosts: dict[str, int] = field(default_factory=dict)
    left: list[int] = field(default_factory=list)
    wants: list[Want] = field(default_factory=list)
    room: int = 0
    share: int = 0
    rests: list[tuple[str, float]] = field(default_factory=list)


class Applied(NamedTuple):
    """What came of a change.

    Args:
        admitted: rows of new requests.
        moved: rows of requests that are nearer to a seed than was known.
        loads: what was wanted, and the hosts that were taken.
        counts: by how much counts grew; of a file that several crawlers share, all of them as they are now.
        others_wait: hosts wait for somebody to take them.
        due_s: when the first delayed request may be tried; None if there is none.
        scope: of a file that several crawlers share: places that came into scope, and whether they are seeds.
        rests: of such a file: which of the hosts that were taken are to be left alone, and until when.
    """

    admitted: list[Row]
    moved: list[Row]
    loads: list[Load]
    counts: Counter[tuple[str, str]]
    others_wait: bool
    due_s: float | None
    scope: list[tuple[str, bool]]
    rests: list[tuple[str, float]]


class Opened(NamedTuple):
    """What a file holds when a crawler comes to it.

    Args:
        counts: kind, name, value.
        scope: places in scope, and whether they are seeds.
        suspects: requests that crawlers died with, and how many did.
        clock_s: the latest time that the file knows of.
        rests: hosts that are to be left alone, and until when.
    """

    counts: Counter[tuple[str, str]]
    scope: list[tuple[str, bool]]
    suspects: dict[int, int]
    clock_s: float
    rests: list[tuple[str, float]]


class Met(NamedTuple):
    """What a crawler learns when it looks at what the others did.

    Args:
        rows: new requests of its own hosts.
        scope: places that came into scope, and whether they are seeds.
        counts: all of them, as they are now.
        suspects: as they are now.
        surplus: hosts that it should leave to others.
    """

    rows: list[Row]
    scope: list[tuple[str, bool]]
    counts: Counter[tuple[str, str]]
    suspects: dict[int, int]
    surplus: int


class OutputPart(NamedTuple):
    """Where an output goes on.

    Args:
        name: of the output.
        part: its number; 1 is the output itself.
        position: committed so far; None if nothing ever was.
    """

    name: str
    part: int
    position: str | None
