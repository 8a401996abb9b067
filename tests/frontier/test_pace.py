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

from scraper.fetch import failures
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


# Delay and rate.


def test_with_a_delay_one_request_at_a_time_and_the_delay_after_its_end() -> None:
    run = crawl(steadily(0.3), delay_s=1.0).until(20.0)
    ends = [at_s for at_s, _ in run.ends]
    assert [start - end for start, end in zip(run.starts[1:], ends, strict=False)] == pytest.approx([1.0] * 15)
    assert set(run.limits) == {1}


def test_the_longer_of_the_users_and_the_sites_delay_is_in_force() -> None:
    pacer = Pacer(PaceOptions(delay_s=1.0))
    for host, delay_s in (("longer", 5.0), ("shorter", 0.5)):
        pacer.set_delay(host, delay_s)
        pacer.started(host, 10.0)
        pacer.ended(host, 11.0, page(1.0))
    assert (pacer.ready_s("longer"), pacer.ready_s("shorter")) == (16.0, 12.0)
    pacer.set_delay("longer", 0.0)  # its robots.txt was read again
    assert pacer.ready_s("longer") == 12.0


def test_an_unknown_host_may_be_asked_at_once() -> None:
    pacer = Pacer(PaceOptions())
    assert pacer.ready_s(HOST) == -INF == pacer.next_start_s
    assert pacer.limit(HOST) == 2
    assert pacer.given_up(HOST) is None
    assert len(pacer) == 0
    assert Pacer(PaceOptions(per_host=1)).limit(HOST) == 1
    assert Pacer(PaceOptions(delay_s=1.0)).limit(HOST) == 1


def test_a_rate_spaces_starts_evenly_over_all_hosts() -> None:
    pacer = Pacer(PaceOptions(rate_per_s=4.0))
    starts = []
    now_s = 100.0
    for n in range(9):
        now_s = max(now_s, pacer.next_start_s)
        pacer.started(f"host{n}", now_s)
        starts.append(now_s)
    assert [later - earlier for earlier, later in pairwise(starts)] == pytest.approx([0.25] * 8, abs=0.101)
    assert starts[-1] - starts[0] == pytest.approx(2.0, abs=0.101)


def test_a_rate_makes_up_for_short_lateness_alone() -> None:
    pacer = Pacer(PaceOptions(rate_per_s=100.0))
    pacer.started(HOST, 0.0)
    late_s = 60.0  # a minute without any work permits no burst
    starts = 0
    while pacer.next_start_s <= late_s:
        pacer.started(HOST, late_s)
        starts += 1
    assert starts <= 11
    now_s, starts = late_s, 0
    while now_s < 70.0:  # each start 7 ms late
        now_s = max(now_s, pacer.next_start_s) + 0.007
        pacer.started(HOST, now_s)
        starts += 1
    assert starts == pytest.approx(1000, rel=0.02)


# Concurrency.

SPREADS: dict[str, Callable[[random.Random, float], float]] = {
    "constant": lambda _chance, mean_s: mean_s,
    "lognormal": lambda chance, mean_s: mean_s * chance.lognormvariate(-0.125, 0.5),
    "exponential": lambda chance, mean_s: chance.expovariate(1 / mean_s),
}


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("mean_s", [0.05, 0.5])
@pytest.mark.parametrize("capacity", [1, 3, 6])
def test_concurrency_settles_near_what_the_site_works_on_at_once(capacity: int, mean_s: float, spread: str) -> None:
    chance = random.Random(7)
    site = Queueing(capacity, lambda _now_s: SPREADS[spread](chance, mean_s))
    run = crawl(site, per_host=32)
    end_s = 2000 * mean_s / capacity
    run.until(end_s)
    settled_s = 0.4 * end_s
    served_per_s = run.pages(settled_s) / (end_s - settled_s)
    assert served_per_s >= 0.9 * capacity / mean_s
    assert run.mean_limit(settled_s) <= 2 * capacity + 4.5  # of the 32 that are permitted


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("mean_s", [0.002, 0.5])
@pytest.mark.parametrize("per_host", [1, 8, 32])
def test_a_site_without_a_queue_gets_all_that_is_permitted(per_host: int, mean_s: float, spread: str) -> None:
    chance = random.Random(5)
    site = Queueing(1000, lambda _now_s: SPREADS[spread](chance, mean_s))
    end_s = 500 * mean_s
    run = crawl(site, per_host=per_host).until(end_s)
    assert run.pages() >= (0.8 if spread == "exponential" else 0.93) * per_host * end_s / mean_s


def test_eight_are_reached_after_six_answers() -> None:
    run = crawl(steadily(0.1), per_host=8).until(1.0)
    assert run.limits[:7] == [2, 4, 4, 4, 4, 8, 8]


def test_a_few_milliseconds_more_are_no_reason_to_slow_down() -> None:
    run = crawl(lambda now_s: (0.002, page(0.002)) if now_s < 1.0 else (0.010, page(0.010)), per_host=8).until(20.0)
    assert run.pages(1.0) >= 0.95 * 19.0 * 8 / 0.010


def test_a_busy_crawler_does_not_pass_for_a_slow_site() -> None:
    """Latency is net of the crawler's own lag, so answers that are taken up late change nothing."""
    run = crawl(steadily(0.02), lag_s=0.5, per_host=8).until(60.0)
    assert min(run.limits[10:]) == 8


def test_a_site_that_becomes_slower_for_good_gets_its_concurrency_back() -> None:
    site = Queueing(16, lambda now_s: 0.1 if now_s < 30.0 else 0.4)
    run = crawl(site, per_host=8).until(90.0)
    first = [limit for limit, (at_s, _) in zip(run.limits, run.ends, strict=True) if 30.0 < at_s < 40.0]
    assert min(first) < 4  # it looked like a queue
    assert run.mean_limit(60.0) > 7.5


def test_a_site_that_becomes_a_little_slower_for_good_is_sounded() -> None:
    site = Queueing(16, lambda now_s: 0.2 if now_s < 30.0 else 0.4)
    run = crawl(site, per_host=8).until(400.0)
    assert run.mean_limit(300.0) > 7.5
    assert run.pages(30.0) >= 0.9 * 370.0 * 8 / 0.4


def test_soundings_become_rare_where_they_have_no_news() -> None:
    run = crawl(Queueing(4, lambda _now_s: 0.2), per_host=16).until(1000.0)
    lows = sum(limit == 1 and at_s > 400.0 for limit, (at_s, _) in zip(run.limits, run.ends, strict=True))
    assert 0 < lows < 0.01 * run.pages(400.0)


def test_a_slow_first_answer_does_not_hide_a_queue() -> None:
    """It carries the name service, the connection and cold caches."""
    numbers = count()
    site = Queueing(2, lambda _now_s: 2.0 if next(numbers) < 2 else 0.2)
    run = crawl(site, per_host=32).until(60.0)
    assert run.mean_limit(30.0) < 9


def test_a_site_that_shares_itself_among_all_requests_is_not_swamped() -> None:
    """Not a queue: each request gets a share, so that none answers at its unhindered speed."""
    under_way: list[float] = []

    def site(now_s: float) -> tuple[float, Response]:
        while under_way and under_way[0] <= now_s:
            heapq.heappop(under_way)
        latency_s = 0.1 * max(1.0, (len(under_way) + 1) / 4)
        heapq.heappush(under_way, now_s + latency_s)
        return latency_s, page(latency_s)

    run = crawl(site, per_host=32).until(300.0)
    assert run.mean_limit(100.0) < 9
    assert run.pages(100.0) >= 0.9 * 200.0 * 4 / 0.1


def test_the_limit_does_not_grow_while_something_else_binds() -> None:
    pacer = Pacer(PaceOptions(per_host=8))
    for n in range(100):
        pacer.started(HOST, n * 1.0)
        pacer.ended(HOST, n + 0.1, page(0.1))
    assert pacer.limit(HOST) == 2


# Refusals.


def test_a_burst_of_refusals_is_one_signal() -> None:
    run = crawl(dead(10.05, 10.15, steadily(0.1), "http_429"), per_host=8).until(10.2)
    assert run.refusals() == 8
    pacer = run.pacer
    assert pacer.limit(HOST) == 4
    assert 10.1 < pacer.ready_s(HOST) <= 10.2 + 1.5  # the first rest, not the eighth
    run.until(60.0)
    assert pacer.limit(HOST) == 8


def test_an_answer_that_was_under_way_before_the_refusal_is_part_of_it_even_when_late() -> None:
    pacer = Pacer(PaceOptions(per_host=8), random.Random(1))
    for _ in range(2):
        pacer.started(HOST, 0.0)
    pacer.ended(HOST, 1.0, failure("http_429", 1.0))
    assert pacer.limit(HOST) == 1
    rest_s = pacer.ready_s(HOST)
    pacer.ended(HOST, 30.0, failure("http_429", 30.0))
    assert pacer.ready_s(HOST) == rest_s


@pytest.mark.parametrize("latency_s", [0.01, None])
def test_an_answer_that_is_taken_up_during_the_rest_is_part_of_the_refusal(latency_s: float | None) -> None:
    """A busy crawler takes it up late, and its net latency then begins after the refusal."""
    pacer = Pacer(PaceOptions(per_host=8), random.Random(1))
    for _ in range(2):
        pacer.started(HOST, 0.0)
    pacer.ended(HOST, 0.01, Failure(Stage.FETCH, "http_429", latency_s=latency_s))
    rest_s = pacer.ready_s(HOST)
    pacer.ended(HOST, 0.4, Failure(Stage.FETCH, "http_429", latency_s=latency_s))
    assert pacer.ready_s(HOST) == rest_s


def test_a_row_of_refusals_is_forgotten_after_good_answers() -> None:
    pacer = Pacer(PaceOptions(), random.Random(1))
    rests = []
    now_s = 0.0
    for results in ([failure("http_429")] * 5, [page(0.1)] * 10, [failure("http_429")]):
        for result in results:
            now_s = max(now_s, pacer.ready_s(HOST))
            pacer.started(HOST, now_s)
            pacer.ended(HOST, now_s, result)
        rests.append(pacer.ready_s(HOST) - now_s)
    assert rests[0] >= 8.0  # 16 s, give or take half
    assert rests[2] < rests[0] / 2


def test_what_the_host_asks_for_is_kept_to_up_to_the_users_bound() -> None:
    pacer = Pacer(PaceOptions(max_retry_after_s=600.0))
    for host, asked_s in (("a", 30.0), ("b", 1e9)):
        pacer.started(host, 0.0)
        pacer.ended(host, 0.0, failure("http_429", 0.0, retry_after_s=asked_s))
    assert (pacer.ready_s("a"), pacer.ready_s("b")) == (30.0, 600.0)


def test_a_later_answer_of_the_burst_may_ask_for_more() -> None:
    pacer = Pacer(PaceOptions())
    for _ in range(2):
        pacer.started(HOST, 0.0)
    for asked_s in (10.0, 60.0):
        pacer.ended(HOST, 1.0, failure("http_503", 1.0, retry_after_s=asked_s))
    assert pacer.ready_s(HOST) == 61.0


def test_rests_grow_while_refusals_go_on() -> None:
    run = crawl(lambda _now_s: (0.01, failure("http_429", 0.01)), max_backoff_s=60.0).until(600.0)
    gaps = [later - earlier for earlier, later in pairwise(run.starts)]
    assert len(run.starts) <= 20
    assert max(gaps) <= 90.0
    assert sum(gaps[-5:]) > 8 * sum(gaps[1:6])


@pytest.mark.parametrize(("rate_per_s", "latency_s"), [(2, 0.02), (5, 0.1), (10, 0.02), (15, 0.1), (30, 0.1)])
@pytest.mark.parametrize("retry_after_s", [None, 1.0])
def test_a_site_with_a_rate_is_rarely_asked_in_vain(
    rate_per_s: int, latency_s: float, retry_after_s: float | None
) -> None:
    run = crawl(Limited(rate_per_s, latency_s, retry_after_s), per_host=8).until(600.0)
    assert run.refusals() <= 40
    assert run.refusals(300.0) <= 12
    assert run.pages(300.0) >= 0.5 * 300.0 * min(rate_per_s, 8 / latency_s)


def test_a_few_pages_that_are_always_refused_do_not_stop_a_host() -> None:
    """No pace would help, and a host must not be slowed down without end."""
    chance = random.Random(3)
    run = crawl(
        lambda _now_s: (0.1, failure("http_503", 0.1)) if chance.random() < 0.05 else (0.1, page(0.1)), per_host=8
    ).until(1200.0)
    assert run.pages() > 70_000
    run = crawl(
        lambda _now_s: (0.1, failure("http_503", 0.1)) if chance.random() < 0.002 else (0.1, page(0.1)), per_host=8
    ).until(100.0)
    assert run.pages() > 7_500


def test_after_refusals_at_one_at_a_time_a_gap_grows_and_goes_again() -> None:
    pacer = Pacer(PaceOptions(per_host=1), random.Random(1))
    now_s = 0.0
    for _ in range(4):
        now_s = max(now_s, pacer.ready_s(HOST))
        pacer.started(HOST, now_s)
        pacer.ended(HOST, now_s, failure("http_429", 0.0))
    gaps = []
    for _ in range(2000):
        now_s = max(now_s, pacer.ready_s(HOST))
        pacer.started(HOST, now_s)
        pacer.ended(HOST, now_s, page(0.01))
        gaps.append(pacer.ready_s(HOST) - now_s)
    assert gaps[0] >= 1.0
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] <= 0


def test_when_the_gap_ends_concurrency_grows_from_one() -> None:
    pacer = Pacer(PaceOptions(per_host=8), random.Random(1))
    now_s = 0.0
    for result in [failure("connection_refused")] * 5 + [page(0.1)] + [failure("http_429")] * 2:
        now_s = max(now_s, pacer.ready_s(HOST))
        pacer.started(HOST, now_s)
        pacer.ended(HOST, now_s, result)
    run = Crawl(steadily(0.1), pacer, now_s=now_s).until(now_s + 200.0)
    assert run.limits[0] == 1
    assert run.limits[-1] == 8
    assert all(later <= earlier + 1 for earlier, later in pairwise(run.limits))


# The circuit breaker.


def test_a_host_that_dies_gets_few_tries_and_is_given_up() -> None:
    run = crawl(dead(10.0, INF, steadily(0.1)), per_host=8, host_patience_s=120.0).until(1000.0)
    after = [at_s for at_s in run.starts if at_s > 10.5]
    assert 3 <= len(after) <= 8
    first_s = next(at_s for at_s, result in run.ends if isinstance(result, Failure))
    assert first_s + 120.0 <= after[-1] <= first_s + 122.0  # a try decides, and it comes in time
    end = run.pacer.given_up(HOST)
    assert end is not None
    assert (end.stage, end.reason) == (Stage.FETCH, "host_down")
    assert "connection_refused" in end.detail


def test_a_host_that_comes_back_is_crawled_on_from_one_at_a_time() -> None:
    run = crawl(dead(10.0, 60.0, steadily(0.1)), per_host=8).until(200.0)
    pages = [at_s for at_s, result in run.ends if isinstance(result, Response) and at_s > 60.0]
    assert pages[0] <= 60.0 + 60.0  # the rests that doubled until then
    back = [limit for limit, (at_s, _) in zip(run.limits, run.ends, strict=True) if at_s >= pages[0]]
    assert back[0] == 1
    assert back[-1] == 8
    assert all(later <= earlier + 1 for earlier, later in pairwise(back))
    assert run.pacer.given_up(HOST) is None


def test_an_answer_lifts_the_giving_up() -> None:
    run = crawl(dead(0.0, INF, steadily(0.1)), host_patience_s=10.0).until(100.0)
    pacer = run.pacer
    assert pacer.given_up(HOST) is not None
    pacer.started(HOST, 500.0)
    pacer.ended(HOST, 500.1, failure("http_404", 0.1, retryable=False))
    assert pacer.given_up(HOST) is None
    assert pacer.ready_s(HOST) == -INF


def test_one_request_tries_at_a_time() -> None:
    pacer = Pacer(PaceOptions(per_host=8), random.Random(1))
    for n in range(5):
        pacer.started(HOST, n * 1.0)
        pacer.ended(HOST, n * 1.0, failure("connection_refused"))
    shut_until_s = pacer.ready_s(HOST)
    assert shut_until_s >= 4.0 + 2.5
    assert pacer.limit(HOST) == 1
    pacer.started(HOST, shut_until_s)
    pacer.ended(HOST, shut_until_s, None)  # not asked: the next one tries
    assert pacer.ready_s(HOST) == shut_until_s
    pacer.started(HOST, shut_until_s)
    pacer.ended(HOST, shut_until_s + 0.1, failure("connection_refused"))
    assert pacer.ready_s(HOST) >= shut_until_s + 5.0


def test_time_outs_of_requests_from_before_are_no_tries() -> None:
    pacer = Pacer(PaceOptions(per_host=8), random.Random(1))
    for _ in range(6):
        pacer.started(HOST, 0.0)
    for _ in range(5):
        pacer.ended(HOST, 1.0, failure("connection_reset", 1.0))
    shut_until_s = pacer.ready_s(HOST)
    pacer.ended(HOST, 30.0, failure("timeout", 30.0))
    assert pacer.ready_s(HOST) == shut_until_s


def test_an_answer_to_an_older_request_closes_the_circuit() -> None:
    pacer = Pacer(PaceOptions(per_host=8), random.Random(1))
    for _ in range(6):
        pacer.started(HOST, 0.0)
    for _ in range(5):
        pacer.ended(HOST, 1.0, failure("connection_reset", 1.0))
    pacer.take_rests()
    pacer.ended(HOST, 2.0, page(2.0))
    assert pacer.ready_s(HOST) == -INF
    assert pacer.take_rests() == {HOST: 2.0}  # a state file need not keep the rest


def test_two_bad_pages_among_many_good_ones_never_open_it() -> None:
    numbers = count()
    run = crawl(
        lambda _now_s: (0.1, failure("timeout", 0.1)) if next(numbers) % 40 in (0, 1) else (0.1, page(0.1))
    ).until(100.0)
    assert run.pages() > 0.5 * 100 * 8 / 0.1
    assert max(later - earlier for earlier, later in pairwise(run.starts)) < 1.0


def test_a_host_that_takes_only_so_many_connections_gets_no_more() -> None:
    under_way: list[float] = []

    def site(now_s: float) -> tuple[float, Response | Failure]:
        while under_way and under_way[0] <= now_s:
            heapq.heappop(under_way)
        if len(under_way) >= 3:
            return 0.001, failure("connection_reset", 0.001)
        heapq.heappush(under_way, now_s + 0.1)
        return 0.1, page(0.1)

    run = crawl(site, per_host=8).until(100.0)
    refused = sum(isinstance(result, Failure) for _, result in run.ends)
    assert refused < 0.2 * len(run.ends)
    assert run.pages() > 0.7 * 100 * 3 / 0.1


def test_a_name_that_does_not_exist_is_given_up_at_once() -> None:
    pacer = Pacer(PaceOptions())
    pacer.started(HOST, 0.0)
    pacer.ended(HOST, 0.1, failure("dns", retryable=False))
    end = pacer.given_up(HOST)
    assert end is not None
    assert end.reason == "host_down"


@pytest.mark.parametrize("was_reached", [True, False])
def test_a_name_service_in_trouble_does_not_give_a_host_up(was_reached: bool) -> None:
    pacer = Pacer(PaceOptions())
    if was_reached:
        pacer.started(HOST, 0.0)
        pacer.ended(HOST, 0.1, page(0.1))
    pacer.started(HOST, 1.0)
    pacer.ended(HOST, 1.1, failure("dns", retryable=not was_reached))
    assert pacer.given_up(HOST) is None


OUT_OF_REACH = {
    "timeout",
    "connect_timeout",
    "dns",
    "connection_refused",
    "connection_reset",
    "connection_error",
    "unreachable",
    "disconnected",
    "tls",
    "proxy",
}
SAYS_NOTHING = {
    "private_address",
    "denied_address",
    "bad_url",
    "bad_header",
    "too_many_open_files",
    "closed",
    "not_cached",
    "client_error",
}
ANSWERED = {
    "bad_framing",
    "header_too_large",
    "truncated_body",
    "truncated_encoding",
    "bad_encoding",
    "unknown_encoding",
    "body_too_large",
    "bad_redirect",
    "redirect_scheme",
    "redirect_loop",
    "too_many_redirects",
    "http_404",
    "http_500",
}


def test_every_reason_has_been_thought_of() -> None:
    table = [line.split() for line in str(failures.__doc__).splitlines()]
    reasons = {words[0] for words in table if len(words) > 2 and words[1] in ("yes", "no", "if")} - {"http_NNN"}
    assert len(reasons) > 20
    assert reasons <= OUT_OF_REACH | SAYS_NOTHING | ANSWERED


@pytest.mark.parametrize(
    ("reason", "is_out_of_reach"),
    [(reason, reason in OUT_OF_REACH) for reason in sorted(OUT_OF_REACH | SAYS_NOTHING | ANSWERED)],
)
def test_only_failures_without_an_answer_open_the_circuit(reason: str, is_out_of_reach: bool) -> None:
    pacer = Pacer(PaceOptions())
    for n in range(5):
        pacer.started(HOST, n * 1.0)
        pacer.ended(HOST, n * 1.0, failure(reason))
    assert (pacer.ready_s(HOST) > 4.0) == is_out_of_reach


@pytest.mark.parametrize(
    ("result", "is_an_answer"),
    [
        (page(0.1), True),
        (Skip("content_type"), True),
        (None, False),
        *((failure(reason), reason in ANSWERED) for reason in sorted(SAYS_NOTHING | ANSWERED)),
    ],
)
def test_an_answer_ends_a_row_of_failures(result: Response | Failure | Skip | None, is_an_answer: bool) -> None:
    pacer = Pacer(PaceOptions())
    for n, each in enumerate((*[failure("unreachable")] * 4, result, failure("unreachable"))):
        pacer.started(HOST, n * 1.0)
        pacer.ended(HOST, n * 1.0, each)
    assert (pacer.ready_s(HOST) == -INF) == is_an_answer


# Retries, rests, memory.


def test_retries_of_a_host_are_bounded() -> None:
    pacer = Pacer(PaceOptions())
    pacer.started(HOST, 0.0)
    assert sum(pacer.may_retry(HOST) for _ in range(1000)) == 100
    for n in range(100):
        pacer.started(HOST, 1.0 + n)
        pacer.ended(HOST, 1.5 + n, page(0.1))
    assert sum(pacer.may_retry(HOST) for _ in range(1000)) == 20
    assert pacer.may_retry("another.example:80")


def test_rests_worth_knowing_are_told_once() -> None:
    pacer = Pacer(PaceOptions(), random.Random(1))
    for host, asked_s in (("long", 100.0), ("short", 4.0)):
        pacer.started(host, 10.0)
        pacer.ended(host, 11.0, failure("http_503", 1.0, retry_after_s=asked_s))
    assert pacer.take_rests() == {"long": 111.0}
    assert pacer.take_rests() == {}
    for n in range(7):
        pacer.started("dead", 20.0 + 10 * n)
        pacer.ended("dead", 20.0 + 10 * n, failure("connection_refused"))
    assert pacer.take_rests() == {"dead": pacer.ready_s("dead")}


def test_a_rest_from_an_earlier_run_is_kept_and_not_told_again() -> None:
    pacer = Pacer(PaceOptions())
    pacer.rest(HOST, 50.0)
    assert pacer.ready_s(HOST) == 50.0
    assert pacer.take_rests() == {}
    pacer.started(HOST, 50.0)
    pacer.ended(HOST, 50.1, page(0.1))
    assert pacer.ready_s(HOST) <= 50.1


def test_hosts_of_which_nothing_need_be_known_are_forgotten() -> None:
    pacer = Pacer(PaceOptions())
    pacer.set_delay("slow", 5.0)
    pacer.rest("resting", 1e6)
    for n in range(5000):
        pacer.started(f"host{n}", n * 1.0)
        pacer.ended(f"host{n}", n + 0.5, page(0.5))
    assert len(pacer) < 100
    assert pacer.limit("slow") == 1
    assert pacer.ready_s("resting") == 1e6


def test_what_was_learnt_outlives_a_pause() -> None:
    run = crawl(steadily(0.1), per_host=8).until(5.0)
    while run.under_way:
        _, _, result = heapq.heappop(run.under_way)
        run.pacer.ended(HOST, 5.1, result)
    pacer = run.pacer
    pacer.started("another.example:80", 40.0)
    pacer.ended("another.example:80", 40.1, page(0.1))
    assert pacer.limit(HOST) == 8
    pacer.started(HOST, 50.0)  # is not forgotten while something is under way
    pacer.started("another.example:80", 200.0)
    pacer.ended("another.example:80", 200.1, page(0.1))
    assert pacer.limit(HOST) == 8


def test_records_are_bounded_and_rests_go_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "_MOST_RECORDS", 100)
    pacer = Pacer(PaceOptions())
    for n in range(50):
        pacer.rest(f"resting{n}", 1e6)
        pacer.set_delay(f"slow{n}", 5.0)
    for n in range(500):
        pacer.started(f"host{n}", 10.0)
        pacer.ended(f"host{n}", 10.0, page(0.1))
        assert len(pacer) <= 101
    assert all(pacer.ready_s(f"resting{n}") == 1e6 for n in range(50))
    for n in range(30):
        pacer.rest(f"more{n}", 1e6)
    assert len(pacer) <= 100
    assert all(pacer.ready_s(f"resting{n}") == 1e6 for n in range(50))
    assert all(pacer.ready_s(f"more{n}") == 1e6 for n in range(30))
    for n in range(200):
        pacer.rest(f"too-many{n}", 1e6)
    assert len(pacer) <= 100


# Whatever happens.

_RESULTS = st.sampled_from(
    [
        page(0.0),
        page(0.1),
        page(5.0),
        failure("http_429"),
        failure("http_503", retry_after_s=30.0),
        failure("http_500"),
        failure("timeout", 30.0),
        failure("dns", retryable=False),
        failure("connection_refused", 0.0),
        Skip("content_type"),
        None,
    ]
)
_STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.booleans(), st.sampled_from([0.0, 0.0, 0.01, 0.5, 7.0, 100.0]), _RESULTS),
    max_size=120,
)


@settings(max_examples=150, deadline=None)
@given(steps=_STEPS, per_host=st.integers(1, 9), delay_s=st.sampled_from([0.0, 0.0, 2.0]), seed=st.integers(0, 9))
def test_whatever_happens(
    steps: list[tuple[str, bool, float, Response | Failure | Skip | None]], per_host: int, delay_s: float, seed: int
) -> None:
    """With a schedule that obeys: limits hold, times are finite, and a host has its delay between two exchanges."""
    pacer = Pacer(PaceOptions(per_host=per_host, delay_s=delay_s), random.Random(seed))
    pacer.set_delay("b", 3.0)
    under_way = dict.fromkeys("abc", 0)
    ended_s: dict[str, float] = {}
    now_s = 0.0
    for host, is_start, pause_s, result in steps:
        now_s += pause_s
        if is_start and under_way[host] < pacer.limit(host) and pacer.ready_s(host) <= now_s:
            delay_of_host_s = max(delay_s, 3.0 if host == "b" else 0.0)
            if delay_of_host_s:
                assert under_way[host] == 0
                assert now_s >= ended_s.get(host, -INF) + delay_of_host_s
            under_way[host] += 1
            pacer.started(host, now_s)
        elif under_way[host]:
            under_way[host] -= 1
            pacer.ended(host, now_s, result)
            if result is not None:
                ended_s[host] = now_s
        for each in "abc":
            assert 1 <= pacer.limit(each) <= per_host
            ready_s = pacer.ready_s(each)
            assert ready_s == -INF or math.isfinite(ready_s)
            assert ready_s <= now_s + 600.0
        assert len(pacer) <= 3


@given(
    starts=st.lists(st.sampled_from([0.0, 0.001, 0.05, 1.0, 60.0]), max_size=200),
    rate=st.sampled_from([0.5, 7.0, 300.0]),
)
def test_a_rate_holds_over_any_stretch(starts: list[float], rate: float) -> None:
    pacer = Pacer(PaceOptions(rate_per_s=rate))
    now_s = 0.0
    times: list[float] = []
    for pause_s in starts:
        now_s = max(now_s + pause_s, pacer.next_start_s)
        pacer.started(HOST, now_s)
        times.append(now_s)
    for first, begin_s in enumerate(times):
        for last in range(first, len(times), 7):
            assert last - first <= rate * (times[last] - begin_s + 0.1) + 1e-6


def test_pages_that_stay_silent_when_they_are_tried_again_do_not_make_a_host_unreachable() -> None:
    pacer = Pacer(PaceOptions())
    for n in range(20):
        pacer.started(HOST, n * 2.0)
        pacer.ended(HOST, n * 2.0 + 1.0, failure("timeout", 1.0), is_retry=True)
    assert pacer.ready_s(HOST) <= 40.0
    for n in range(20):
        pacer.started(HOST, 40.0 + n)
        pacer.ended(HOST, 40.0 + n, failure("connection_refused", 0.0), is_retry=True)
        if pacer.ready_s(HOST) > 41.0 + n:
            break
    assert n == 4
