"""Pace in virtual time: simulated sites, and a crawl that always has pages waiting."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scraper.frontier import pace as pace_module
from scraper.frontier.pace import Pacer
from scraper.model import Failure, Response, Skip, Stage
from scraper.options import PaceOptions

HOST = "site.example:80"
INF = math.inf


def page(latency_s: float) -> Response:
    return Response("http://site.example/", 200, (), b"", 0, latency_s)


def failure(
    reason: str, latency_s: float = 0.001, *, retry_after_s: float | None = None, retryable: bool = True
) -> Failure:
    return Failure(Stage.FETCH, reason, "", retryable, retry_after_s, latency_s)


class Site(Protocol):
    """Answers a request that arrives at a time: after how many seconds, and with what."""

    def __call__(self, now_s: float) -> tuple[float, Response | Failure]: ...


class Queueing:
    """Works on `capacity` requests at once, first come first served: beyond it latency grows with concurrency."""

    def __init__(self, capacity: int, service_s: Callable[[float], float]) -> None:
        self._free = [-INF] * capacity
        self._service_s = service_s

    def __call__(self, now_s: float) -> tuple[float, Response]:
        end_s = max(heapq.heappop(self._free), now_s) + self._service_s(now_s)
        heapq.heappush(self._free, end_s)
        return end_s - now_s, page(end_s - now_s)


class Limited:
    """Refuses more than so many requests in a sliding second, and at once."""

    def __init__(self, rate_per_s: int, latency_s: float, retry_after_s: float | None = None) -> None:
        self._rate = rate_per_s
        self._latency_s = latency_s
        self._retry_after_s = retry_after_s
        self._accepted: deque[float] = deque()

    def __call__(self, now_s: float) -> tuple[float, Response | Failure]:
        while self._accepted and self._accepted[0] <= now_s - 1.0:
            self._accepted.popleft()
        if len(self._accepted) >= self._rate:
            return 0.005, failure("http_429", 0.005, retry_after_s=self._retry_after_s)
        self._accepted.append(now_s)
        return self._latency_s, page(self._latency_s)


def steadily(latency_s: float) -> Site:
    return lambda _now_s: (latency_s, page(latency_s))


def dead(begin_s: float, end_s: float, alive: Site, reason: str = "connection_refused") -> Site:
    return lambda now_s: (0.001, failure(reason)) if begin_s <= now_s < end_s else alive(now_s)


@dataclass
class Crawl:
    """Takes every start that the pacer allows, of one host with pages without end."""

    site: Site
    pacer: Pacer
    lag_s: float = 0.0
    now_s: float = 0.0
    starts: list[float] = field(default_factory=list)
    ends: list[tuple[float, Response | Failure]] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    under_way: list[tuple[float, int, Response | Failure]] = field(default_factory=list)
    numbers: count[int] = field(default_factory=count)

    def until(self, end_s: float) -> Crawl:
        pacer = self.pacer
        while True:
            ready_s = max(pacer.ready_s(HOST), pacer.next_start_s, self.now_s)
            may_start = len(self.under_way) < pacer.limit(HOST) and pacer.given_up(HOST) is None
            end_next_s = self.under_way[0][0] if self.under_way else INF
            if may_start and ready_s <= end_next_s:
                if ready_s > end_s:
                    break
                self.now_s = ready_s
                pacer.started(HOST, ready_s)
                self.starts.append(ready_s)
                takes_s, result = self.site(ready_s)
                heapq.heappush(self.under_way, (ready_s + takes_s + self.lag_s, next(self.numbers), result))
            elif end_next_s <= end_s:
                self.now_s, _, result = heapq.heappop(self.under_way)
                pacer.ended(HOST, self.now_s, result)
                self.ends.append((self.now_s, result))
                self.limits.append(pacer.limit(HOST))
            else:
                break
        self.now_s = max(self.now_s, end_s)
        return self

    def pages(self, since_s: float = 0.0) -> int:
        return sum(isinstance(result, Response) and at_s >= since_s for at_s, result in self.ends)

    def refusals(self, since_s: float = 0.0) -> int:
        return sum(
            isinstance(result, Failure) and result.reason in ("http_429", "http_503") and at_s >= since_s
            for at_s, result in self.ends
        )

    def mean_limit(self, since_s: float) -> float:
        limits = [limit for limit, (at_s, _) in zip(self.limits, self.ends, strict=True) if at_s >= since_s]
        return sum(limits) / len(limits)


def crawl(site: Site, *, lag_s: float = 0.0, seed: int = 1, **options: float) -> Crawl:
    return Crawl(site, Pacer(PaceOptions(**options), random.Random(seed)), lag_s)  # type: ignore[arg-type]
