"""What the crawl asks of a frontier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from scraper.frontier.state.values import OutputPart, RobotsText
from scraper.model import Delivery, Failure, Lease, Outcome, Request, Response, Skip

# After so many crashes a request is suspected, and let in only when no other suspect is under way: if the crawler dies
# again, it is known why.
SUSPECTED_AFTER = 2


Answer = Response | Failure | Skip
"""What a site answered to one request."""


@dataclass(frozen=True, slots=True)
class FrontierStatistics:
    """Distinct admitted requests by state: seen = done + failed + skipped + waiting.

    Args:
        waiting: not at an end yet, the leased ones among them.
        leased: handed out and not committed.
        hosts: with requests that wait or are under way.
        hosts_met: all that ever had one.
        failures, skips: reason and count.
        dropped: reason and count of links that never became requests.
        items, bytes: of pages that were committed: records, and body bytes as they came over the network.
    """

    seen: int
    done: int
    failed: int
    skipped: int
    waiting: int
    leased: int
    hosts: int
    hosts_met: int
    failures: Mapping[str, int]
    skips: Mapping[str, int]
    dropped: Mapping[str, int]
    items: int
    bytes: int


class Frontier(Protocol):
    """Owns order, pace and attempts: a lease is given only when its host may be contacted now.

    `lease` decides from memory and never waits. A page goes through `settle`, then its items go to the sinks,
    then it goes through `commit`; one caller at a time does these three.
    """

    async def open(self, seeds: Sequence[Request]) -> None:
        """Begins the crawl, or goes on with one that was begun before, and adds the seeds.

        Raises:
            InvalidURL: a seed that cannot be fetched.
            StateRefused: a state file that this crawl cannot go on with.
        """

    async def take_outputs(self) -> list[OutputPart]:
        """Where each output goes on."""

    async def adopt_outputs(self) -> list[OutputPart]:
        """Parts of outputs that dead crawlers left: nobody else takes them before they are released."""

    async def release_outputs(self, parts: Sequence[OutputPart]) -> None:
        """Any crawler may go on with these parts."""

    async def add(self, requests: Iterable[Request], *, are_seeds: bool = True) -> None:
        """Admits requests. Adding one twice changes nothing.

        Args:
            requests: whatever their order.
            are_seeds: they are in scope whatever the scope is, and widen it; others are admitted if they are in scope.

        Raises:
            InvalidURL: a URL that cannot be fetched; nothing of this call was added.
        """

    def widen(self, url: str) -> None:
        """Takes a place into scope: a seed moved there."""

    def lease(self, now_s: float) -> Lease | None:
        """The next request whose host may be contacted now, or None."""

    def fetched(self, lease: Lease, answer: Answer | None, now_s: float) -> None:
        """The lease's host has nothing more to do with it: its slot is free for another. It comes before the commit; a
        second call changes nothing.

        Args:
            lease: whose slot.
            answer: what the host answered; None if it was not asked.
            now_s: the time.
        """

    def hand_back(self, lease: Lease, now_s: float) -> None:
        """The lease was not used: its request waits as if it had never been leased."""

    def hold(self, host: str) -> None:
        """Leases nothing of a host until `release`: something has to be known first."""

    def release(self, host: str) -> None:
        """What had to be known of a host is known."""

    async def turn(self, host: str) -> None:
        """Waits for a slot of a host, which may be held, and takes it: for what is fetched without a lease, or on a
        lease's way to another host.
        """

    def left(self, host: str, answer: Answer | None, now_s: float) -> None:
        """Gives a slot back that `turn` took."""

    async def pages_by_host(self) -> Mapping[str, int]:
        """Requests that earlier runs brought to an end, done or failed, by host and port."""

    async def recall_robots(self, origin: str) -> RobotsText | None:
        """The robots.txt of an origin that was kept last, if one was; it may not count any more."""

    async def keep_robots(self, origin: str, text: RobotsText) -> None:
        """Keeps the robots.txt of an origin."""

    def next_ready_s(self) -> float | None:
        """The time at which a request becomes ready by waiting alone; None if it takes a commit, `add` or `attend`."""

    async def attend(self, changed: Callable[[], None]) -> None:
        """Runs beside the crawl until it is cancelled; calls `changed` when there may be more to lease."""

    async def settle(self, outcomes: Sequence[Outcome], now_s: float) -> list[Outcome]:
        """Decides how these leases end: who tries again, and which redirects led to a page known already.

        Raises:
            StateError: the state file failed.
        """

    async def commit(self, outcomes: Sequence[Outcome], delivery: Delivery) -> bool:
        """Makes settled outcomes final, together with the requests that their pages gave and with what the outputs
        made of them.

        Returns:
            False if another crawler has committed a page meanwhile that one of these led to: nothing was done, and
            they are to be settled anew.

        Raises:
            StateError: the state file failed; nothing of this was done.
        """

    def statistics(self) -> FrontierStatistics: ...

    def disown(self) -> None:
        """The crawl was refused before its first request: if nothing was known before, nothing is to stay."""

    async def aclose(self) -> None:
        """Leaves the crawl. What was leased and not committed waits again.

        Raises:
            StateError: the state file failed.
        """
