"""What the crawl asks of a frontier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from scraper.model import Lease, Outcome, Request


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


class Frontier(Protocol):
    """Owns order, pace and attempts: a lease is given only when its host may be contacted now.

    `lease` decides from memory and never waits. A page goes through `settle`, then its items go to the sinks,
    then it goes through `commit`; one caller at a time does these three.
    """

    async def add(self, requests: Iterable[Request]) -> None:
        """Admits seeds, which are in scope whatever the scope is. Adding one twice changes nothing.

        Raises:
            InvalidURL: a URL that cannot be fetched; nothing of this call was added.
        """

    def lease(self, now_s: float) -> Lease | None:
        """The next request whose host may be contacted now, or None."""

    def fetched(self, lease: Lease) -> None:
        """The site has nothing more to do with this lease: its host's slot is free for another."""

    def next_ready_s(self) -> float | None:
        """The time at which a request becomes ready by waiting alone; None if only a commit or add can help."""

    def settle(self, outcomes: Sequence[Outcome], now_s: float) -> list[Outcome]:
        """Decides how these leases end: who tries again, and which redirects led to a page known already."""

    async def commit(self, outcomes: Sequence[Outcome]) -> None:
        """Makes settled outcomes final, together with the requests that their pages gave."""

    def statistics(self) -> FrontierStatistics: ...

    async def aclose(self) -> None: ...
