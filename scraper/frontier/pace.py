"""When each host may be contacted, and by how many requests at a time. Pure arithmetic: the time is given.

*Concurrency.* A server that works on k requests at once answers no faster when it gets more; they queue. So the limit
follows latency, in rounds of some answers. Of a round, N under way at most, its mean latency is compared with the
baseline, the latency without a queue: `N · (1 - baseline / latency)` is how many of the N wait in the server (TCP
Vegas, Brakmo and Peterson 1995). Few: one more. Some: stay. More: one fewer. Latency doubled: times 0.7 (AIMD, Chiu and
Jain 1989). What 1.5 standard errors explain is chance. Means are of log(latency + 50 ms): one slow page among quick
ones weighs little, and a site that answers in 10 ms instead of 2 is not slow. Netflix's gradient limiter takes a long
mean for the baseline, and so comes to find any queue normal; here the baseline is what was measured without one. It
rises only slowly while there is no queue, and at once where one request is alone: that is where decreases end when a
site has become slower for good, and where a queue that stays leads now and then (a "sounding", like BBR's ProbeRTT and
Envoy's adaptive concurrency).

A host starts with 2 at a time, doubled each round (slow start, Jacobson 1988; ended on latency, like TCP HyStart). A
crawl of one site begins with one page anyway, 8 are reached after 6 answers, and the baseline is learnt before any
queue: starting at 8, a small site's queue would pass for its nature. Scrapy's AutoThrottle instead delays by the last
latencies: it keeps a given number under way, and does not find out which.

*Refusals* (429, 503). The limit is halved and the host rests: as long as it asks, at least 1 s doubled with each
refusal of a row. Refusals of what was under way when the host refused are the same signal. A limit that was refused is
tried again after 128 good answers, doubled each time, since a fixed patience would be refused for ever. At limit 1 an
interval after each request doubles too; it shrinks to two thirds of the rate that was refused, then slowly. A 503
without Retry-After may be one page's trouble: it counts when about a quarter of the last 16 answers are such. And when
requests 2 s apart (1 s for such 503) are still refused, but fewer than three in ten, the pace is not the reason, and
the interval ends.

*Circuit breaker* (Nygard 2007). Five requests in a row without an answer open it, those left out that were silent
before: the host rests 5 s, doubled each time, then one request tries. An answer closes it, and concurrency grows from
1. When a try fails `host_patience_s` or more after the first failure of the row, the host is given up; the last rest is
cut so that such a try comes in time.

*Retries* are bounded as in Finagle's RetryBudget: 100, and one for five exchanges. *Rate* over all hosts: evenly spaced
starts; at most 0.1 s of lateness is made up for (a token bucket of that size, in the form of GCRA).
"""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum, auto
from math import exp, inf, log, sqrt

from scraper.model import Failure, Response, Skip, Stage
from scraper.options import PaceOptions

_FIRST_LIMIT = 2
# Added waiting of this size is nobody's trouble, and differences far below it are noise.
_FLOOR_S = 0.05
_FEWEST_A_ROUND = 8
# Variance of log(latency) that is assumed at first, and the samples that outweigh it.
_FIRST_SPREAD = 0.25
_SPREAD_SAMPLES = 32
# A mean that is above the baseline by so many standard errors is not chance.
_ERRORS = 1.5
_DECREASE = 0.7
_WELL_ABOVE = log(2.0)
# Latencies between soundings, at first and at most. One takes eight; where no queue stays there is none.
_FIRST_SOUNDING = 64
_RAREST_SOUNDING = 1024
_NEWS = log(1.1)

_FIRST_REST_S = 1.0
_SHORTEST_INTERVAL_S = 0.25
_NEGLIGIBLE_INTERVAL_S = 0.01
# Good answers before a pace that was refused is tried again: at least, after the first that was about pace, at most.
_LEAST_WARINESS = 32
_FIRST_WARINESS = 128
_MOST_WARINESS = 4096
# An interval that was refused is shortened with each good answer, and so found again after some hundred.
_RELAXING = 0.998
# Refusals with fewer good answers between them are of one row.
_GOOD_ANSWERS_END_A_ROW = 3
# A host that still refuses some at such an interval, but fewer than this share, would do so at any pace. Where it
# does not say that it is the pace, the shorter interval is proof enough.
_VAIN_INTERVAL_S = 2.0
_VAIN_UNSAID_INTERVAL_S = 1.0
_DENSE_SHARE = 0.3
# A 503 that does not say for how long may be one page's trouble: it counts when so many of the last answers are such.
_FREQUENT_SHARE = 0.25
_SHARE_EXCHANGES = 16

_FAILURES_OPEN = 5
_FIRST_OPEN_REST_S = 5.0
_SHORTEST_OPEN_REST_S = 1.0

_FREE_RETRIES = 100
_RETRIES_AN_EXCHANGE = 0.2
_LATENESS_MADE_UP_S = 0.1

# Shorter ones are over before another run has started.
_SHORTEST_NOTED_REST_S = 5.0
# What was learnt of a host outlives a pause between its pages.
_IDLE_KEPT_S = 60.0
_MOST_RECORDS = 100_000
_MOST_LOOKED_AT = 32


class _Meaning(Enum):
    """What the end of an exchange says about the host."""

    GOOD = auto()  # it answered in good order: also 404, a wrong type, a body that is garbage
    REFUSED = auto()  # it answered that this is too much
    TROUBLED = auto()  # it answered with an error of its own
    UNREACHED = auto()  # no HTTP answer
    NOTHING = auto()


_UNREACHED = {
    "timeout": "no complete answer in time",
    "connect_timeout": "no connection in time",
    "dns": "no address",
    "connection_refused": "nobody listens",
    "connection_reset": "torn down",
    "connection_error": "no connection",
    "unreachable": "no route",
    "disconnected": "closed without an answer",
    "tls": "no page of it can be had, and each try costs it a handshake",
    "proxy": "out of reach by the way there is",
}
"""Reasons for which a host counts as out of reach, and why."""

_MAY_BE_THE_PAGE = frozenset({"timeout", "connection_reset", "disconnected"})
"""Of these, the ones that come after a connection: where a page failed so before, they say nothing new."""

_NOTHING = {
    "private_address": "refused by this crawler's rules",
    "denied_address": "refused by this crawler's rules",
    "bad_url": "never sent",
    "bad_header": "never sent",
    "too_many_open_files": "the crawler's own fault",
    "closed": "the crawler's own doing",
    "not_cached": "never sent",
    "client_error": "of unknown cause",
}
"""Reasons that say nothing about the host, and why. All others came after some answer, so the host is there: bytes that
are no HTTP, too, because what is at fault then is one page or one connection, and each fails at once by itself.
"""

_REFUSED = frozenset({"http_429", "http_503"})


def _meaning_of(result: Response | Failure | Skip | None) -> _Meaning:
    if result is None:
        return _Meaning.NOTHING
    if not isinstance(result, Failure):
        return _Meaning.GOOD
    reason = result.reason
    if reason in _REFUSED:
        return _Meaning.REFUSED
    if reason in _UNREACHED:
        return _Meaning.UNREACHED
    if reason in _NOTHING or result.stage is not Stage.FETCH:
        return _Meaning.NOTHING
    return _Meaning.TROUBLED if reason.startswith("http_5") or reason in ("http_408", "http_425") else _Meaning.GOOD


@dataclass(slots=True, eq=False)
class _Concurrency:
    """How many requests at a time: the limit, and the round that is under way.

    Args:
        limit: between 1 and `most`.
        baseline: mean log(latency + floor) without a queue.
        spread: its variance within a round.
        ceiling: a limit that was refused; 0 is none.
        since_s: what was started before was under another limit, and says nothing about this one.
        clear_s: when there was last no queue, or a sounding.
        sounding_gap: latencies until the next sounding, doubled each time that one has no news.
        peak: most under way in the round.
    """

    limit: int
    most: int
    baseline: float | None = None
    spread: float = _FIRST_SPREAD
    ceiling: int = 0
    since_s: float = -inf
    clear_s: float = inf
    sounding_gap: int = _FIRST_SOUNDING
    is_starting: bool = True
    is_sounding: bool = False
    peak: int = 0
    answers: int = 0
    samples: int = 0
    total: float = 0.0
    squares: float = 0.0

    def answered(self, latency_s: float | None, now_s: float, *, may_pass_ceiling: bool) -> None:
        """Counts an answer; the last of a round decides.

        Args:
            latency_s: None if it is not typical, such as that of an error page.
            now_s: when it came.
            may_pass_ceiling: whether a limit that was refused may be tried again.
        """
        if latency_s is not None:
            if now_s - latency_s < self.since_s:
                return
            self.samples += 1
            value = log(max(latency_s, 0.0) + _FLOOR_S)
            self.total += value
            self.squares += value * value
        self.answers += 1
        if self.answers >= self._answers_a_round():
            self._end_round(now_s, may_pass_ceiling=may_pass_ceiling)

    def usual_latency_s(self) -> float:
        return 0.0 if self.baseline is None else max(exp(self.baseline) - _FLOOR_S, 0.0)

    def set_back(self, limit: int, now_s: float) -> None:
        """Lowers the limit for another reason than latency."""
        self.limit = max(limit, 1)
        self.is_starting = self.is_sounding = False
        self._begin_round(now_s)

    def _answers_a_round(self) -> int:
        if self.is_starting:
            return self.limit
        return _FEWEST_A_ROUND if self.is_sounding else max(_FEWEST_A_ROUND, 2 * self.limit)

    def _begin_round(self, since_s: float) -> None:
        self.since_s = since_s
        self.peak = self.answers = self.samples = 0
        self.total = self.squares = 0.0

    def _end_round(self, now_s: float, *, may_pass_ceiling: bool) -> None:
        peak = self.peak
        since_s = self.since_s
        mean, error = self._mean_and_error()
        known = inf if self.baseline is None else self.baseline
        excess = 0.0
        if mean is not None:
            excess = max(self._above_baseline(mean, is_alone=peak <= 1) - _ERRORS * error, 0.0)
        waiting = peak * (1.0 - exp(-excess))
        if self.is_sounding:
            self.is_sounding = False
            self.clear_s = now_s
            has_news = self.baseline is not None and self.baseline > known + _NEWS
            self.sounding_gap = _FIRST_SOUNDING if has_news else min(2 * self.sounding_gap, _RAREST_SOUNDING)
        elif excess > _WELL_ABOVE:
            self.limit = max(int(min(self.limit, peak) * _DECREASE), 1)
            self.is_starting = False
            since_s = now_s
        elif self.is_starting or waiting < max(1.0, peak / 8):
            self.clear_s = now_s
            if mean is not None and self.baseline is not None and not self.is_starting:
                self.baseline += max(mean - self.baseline, 0.0) * 0.1
            if peak >= self.limit:
                self._grow(may_pass_ceiling=may_pass_ceiling)
        elif waiting > max(2.0, peak / 4):
            self.limit = max(min(self.limit, peak) - 1, 1)
            since_s = now_s
        if mean is not None and now_s - self.clear_s > self.sounding_gap * exp(mean):
            self.is_sounding = True
            since_s = now_s
        self._begin_round(since_s)

    def _mean_and_error(self) -> tuple[float | None, float]:
        """The round's mean, and the standard error of a mean of so many."""
        samples = self.samples
        if not samples:
            return self.baseline, 0.0
        mean = self.total / samples
        if samples > 1:
            variance = max(self.squares - samples * mean * mean, 0.0) / (samples - 1)
            self.spread += (variance - self.spread) * min(samples / _SPREAD_SAMPLES, 1.0)
        return mean, sqrt(self.spread / samples)

    def _above_baseline(self, mean: float, *, is_alone: bool) -> float:
        """Learns from a round's mean, and tells by how much it is above the baseline (a logarithm, not negative)."""
        if self.baseline is None or (is_alone and mean > self.baseline):
            self.baseline = mean
        elif mean < self.baseline:
            # The first answer carries the name service, the connection and cold caches.
            self.baseline += (mean - self.baseline) * (1.0 if self.is_starting else 0.25)
        return max(mean - self.baseline, 0.0)

    def _grow(self, *, may_pass_ceiling: bool) -> None:
        limit = min(2 * self.limit if self.is_starting else self.limit + 1, self.most)
        if self.ceiling and limit >= self.ceiling:
            if not may_pass_ceiling:
                limit = max(self.ceiling - 1, self.limit)
            else:
                self.ceiling = 0
        self.limit = limit
        if limit == self.most:
            self.is_starting = False


@dataclass(slots=True, eq=False)
class _Refusals:
    """A host's 429 and 503.

    Args:
        rest_until_s: when the host may be asked again.
        signal_s: when the last signal came; what had been started before belongs to it.
        row: signals with hardly a good answer between them.
        good: answers since the last signal.
        is_in_vain: a far lower pace did not help, so that refusals have other causes.
        share: of signals among the answers of late.
        wariness: good answers before a pace that was refused is tried again.
        interval_s: after each request, at limit 1.
        shortest_interval_s: at two thirds of the rate that was refused.
    """

    rest_until_s: float = -inf
    signal_s: float = -inf
    row: int = 0
    good: int = 0
    is_in_vain: bool = False
    share: float = 0.0
    wariness: int = _LEAST_WARINESS
    interval_s: float = 0.0
    shortest_interval_s: float = 0.0

    @property
    def may_pass(self) -> bool:
        return self.good >= self.wariness

    def note(self) -> bool:
        """Counts a refusal, and tells whether there were many of late."""
        self.share += (1.0 - self.share) / _SHARE_EXCHANGES
        return self.share >= _FREQUENT_SHARE

    def signalled(self, now_s: float, *, is_said: bool) -> bool:
        """Notes a signal, and tells whether it is about the pace, rather than one page's trouble.

        Args:
            now_s: when.
            is_said: whether the host says so.
        """
        is_of_row = self.row > 0 and self.good < _GOOD_ANSWERS_END_A_ROW
        self.row = self.row + 1 if is_of_row else 1
        if self.good >= 4 * self.wariness:
            self.wariness = _LEAST_WARINESS
        self.signal_s = now_s
        self.good = 0
        is_dense = self.share >= _DENSE_SHARE
        vain_s = _VAIN_INTERVAL_S if is_said else _VAIN_UNSAID_INTERVAL_S
        self.is_in_vain = not is_dense and (self.is_in_vain or self.shortest_interval_s >= vain_s)
        if self.is_in_vain:
            self.interval_s = self.shortest_interval_s = 0.0
            self.wariness = _LEAST_WARINESS
            return False
        if is_said or is_of_row:
            self.wariness = min(max(2 * self.wariness, _FIRST_WARINESS), _MOST_WARINESS)
            return True
        return False

    def lengthen(self, delay_s: float, latency_s: float, most_s: float) -> None:
        """After a refusal at limit 1, where a request comes every interval, or longer delay, and latency."""
        refused_s = max(self.interval_s, delay_s)
        self.shortest_interval_s = min(1.5 * refused_s + 0.5 * latency_s, most_s)
        self.interval_s = min(max(2 * refused_s, latency_s, _SHORTEST_INTERVAL_S), most_s)

    def answered(self) -> None:
        self.good += 1
        self.share -= self.share / _SHARE_EXCHANGES
        if self.interval_s:
            shorter_s = 0.8 * self.interval_s
            self.shortest_interval_s *= _RELAXING
            if self.may_pass:
                self.interval_s = shorter_s if shorter_s > _NEGLIGIBLE_INTERVAL_S else 0.0
            else:
                self.interval_s = max(shorter_s, self.shortest_interval_s)


@dataclass(slots=True, eq=False)
class _Circuit:
    """A row of requests without an answer.

    Args:
        first_s: when the first of them failed.
        failures: how many.
        openings: how often it was opened in this row; 0 is closed.
        opened_s, shut_until_s: of the last opening. From then on one request tries.
        given_up: what the host's pages end with.
    """

    first_s: float
    failures: int = 0
    openings: int = 0
    opened_s: float = -inf
    shut_until_s: float = -inf
    given_up: Failure | None = None


@dataclass(slots=True, eq=False)
class _Host:
    concurrency: _Concurrency
    delay_s: float
    has_own_delay: bool = False
    was_reached: bool = False
    under_way: int = 0
    used_s: float = -inf
    ended_s: float = -inf
    exchanges: int = 0
    retries: int = 0
    refusals: _Refusals | None = None
    circuit: _Circuit | None = None

    def limit(self) -> int:
        if self.delay_s > 0 or self.concurrency.is_sounding:
            return 1
        if self.circuit is not None and self.circuit.openings:
            return 1
        if self.refusals is not None and self.refusals.interval_s > 0:
            return 1
        return self.concurrency.limit

    def ready_s(self) -> float:
        delay_s = self.delay_s
        if self.refusals is None and self.circuit is None and not delay_s:  # as most are
            return -inf
        until_s = -inf
        if self.refusals is not None:
            delay_s = max(delay_s, self.refusals.interval_s)
            until_s = self.refusals.rest_until_s
        if self.circuit is not None and self.circuit.given_up is None:  # then its pages end without being asked for
            until_s = max(until_s, self.circuit.shut_until_s)
        return max(until_s, self.ended_s + delay_s) if delay_s > 0 else until_s

    def holds_something(self, now_s: float) -> bool:
        """Whether to forget it would do harm: the host would be asked sooner than it wants, or in vain."""
        return (
            self.has_own_delay
            or self.ready_s() > now_s
            or (self.refusals is not None and (self.refusals.interval_s > 0 or not self.refusals.may_pass))
            or (self.circuit is not None and self.circuit.openings > 0)
        )


@dataclass(slots=True, eq=False)
class _Records:
    """The hosts of which something is known, in two lines of those with nothing under way: `idle` ones are forgotten
    after a while, those that `hold` something only when there are too many. Each use looks at one or two, so that no
    call costs more than a few steps.
    """

    hosts: dict[str, _Host] = field(default_factory=dict)
    idle: OrderedDict[str, None] = field(default_factory=OrderedDict)
    holding: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def busy(self, name: str) -> None:
        self.idle.pop(name, None)
        self.holding.pop(name, None)

    def rested(self, name: str, now_s: float) -> None:
        """Puts a host with nothing under way into its line, and makes room."""
        self.busy(name)
        line = self.holding if self.hosts[name].holds_something(now_s) else self.idle
        line[name] = None
        self._tidy(now_s)

    def _tidy(self, now_s: float) -> None:
        for _ in range(2):
            if not self.idle:
                break
            oldest = next(iter(self.idle))
            if self.hosts[oldest].used_s + _IDLE_KEPT_S > now_s:
                break
            self._forget(oldest)
        if self.holding:
            oldest = next(iter(self.holding))
            if self.hosts[oldest].holds_something(now_s):
                self.holding.move_to_end(oldest)
            else:
                del self.holding[oldest]
                self.idle[oldest] = None
        while len(self.hosts) > _MOST_RECORDS and (self.idle or self.holding):
            self._forget(next(iter(self.idle)) if self.idle else self._least_harmful(now_s))

    def _least_harmful(self, now_s: float) -> str:
        some = [name for name, _ in zip(self.holding, range(_MOST_LOOKED_AT), strict=False)]
        return min(some, key=lambda name: (self.hosts[name].ready_s() > now_s, self.hosts[name].has_own_delay))

    def _forget(self, name: str) -> None:
        self.busy(name)
        del self.hosts[name]


class Pacer:
    """Decides when each host may be contacted and by how many requests at a time; the module's text tells how.

    A host is "host:port". Times are of any clock that never runs backwards. Every method takes O(1).

    Args:
        pace: what the user permits.
        chance: where the jitter of rests comes from.
    """

    def __init__(self, pace: PaceOptions, chance: random.Random | None = None) -> None:
        self._pace = pace
        self._chance = chance or random.Random()  # noqa: S311 (jitter is no secret)
        self._records = _Records()
        self._rests: dict[str, float] = {}
        self._now_s = -inf
        self._next_start_s = -inf

    def __repr__(self) -> str:
        return f"<Pacer {len(self)} hosts>"

    def __len__(self) -> int:
        """Hosts of which something is known."""
        return len(self._records.hosts)

    @property
    def next_start_s(self) -> float:
        """Before then no request may start, to any host; minus infinity without a rate."""
        return self._next_start_s

    def limit(self, host: str) -> int:
        """Requests that may be under way to the host, at least 1."""
        record = self._records.hosts.get(host)
        if record is not None:
            return record.limit()
        return 1 if self._pace.delay_s > 0 else min(_FIRST_LIMIT, self._pace.per_host)

    def ready_s(self, host: str) -> float:
        """Before then the host may not get another request; minus infinity if it may at any time."""
        record = self._records.hosts.get(host)
        return -inf if record is None else record.ready_s()

    def set_delay(self, host: str, delay_s: float) -> None:
        """What the host's robots.txt asks for, in seconds; a longer delay of the user's stays in force."""
        if delay_s <= self._pace.delay_s and host not in self._records.hosts:
            return
        record = self._record(host)
        record.delay_s = max(delay_s, self._pace.delay_s)
        record.has_own_delay = delay_s > self._pace.delay_s
        self._rest_if_idle(host, record)

    def started(self, host: str, now_s: float) -> None:
        """An exchange begins: a page, a redirect's hop, robots.txt."""
        self._now_s = now_s
        record = self._record(host)
        self._records.busy(host)
        record.under_way += 1
        record.exchanges += 1
        record.concurrency.peak = max(record.concurrency.peak, record.under_way)
        if self._pace.rate_per_s is not None:
            earliest_s = max(self._next_start_s, now_s - _LATENESS_MADE_UP_S)
            self._next_start_s = earliest_s + 1.0 / self._pace.rate_per_s

    def ended(
        self, host: str, now_s: float, result: Response | Failure | Skip | None, *, is_retry: bool = False
    ) -> None:
        """An exchange is over.

        Args:
            host: "host:port".
            now_s: when.
            result: what came of it; None if the host was not asked after all, and may be asked in its place.
            is_retry: the same had failed before.
        """
        self._now_s = now_s
        record = self._record(host)
        record.under_way = max(record.under_way - 1, 0)
        record.used_s = now_s
        if result is None:
            record.exchanges -= 1
            if self._pace.rate_per_s is not None:
                self._next_start_s -= 1.0 / self._pace.rate_per_s
        else:
            record.ended_s = now_s
        meaning = _meaning_of(result)
        if meaning is _Meaning.UNREACHED:
            assert isinstance(result, Failure)
            is_open = record.circuit is not None and record.circuit.openings > 0
            if is_open or not (is_retry and result.reason in _MAY_BE_THE_PAGE):
                self._failed(host, record, now_s, result)
        elif meaning is not _Meaning.NOTHING:
            record.was_reached = True
            if record.circuit is not None:
                self._close(host, record, now_s)
            if meaning is _Meaning.REFUSED:
                assert isinstance(result, Failure)
                self._refused(host, record, now_s, result)
            elif meaning is _Meaning.GOOD:
                latency_s = result.latency_s if isinstance(result, Response) else None
                if record.refusals is not None:
                    record.refusals.answered()
                self._learn(record, latency_s, now_s)
        self._rest_if_idle(host, record)

    def given_up(self, host: str) -> Failure | None:
        """What the host's waiting pages end with, once it was out of reach for too long."""
        record = self._records.hosts.get(host)
        return None if record is None or record.circuit is None else record.circuit.given_up

    def may_retry(self, host: str) -> bool:
        """Whether the host's budget has a retry left; it is spent thereby."""
        record = self._record(host)
        if record.retries + 1 > _FREE_RETRIES + _RETRIES_AN_EXCHANGE * record.exchanges:
            return False
        record.retries += 1
        self._rest_if_idle(host, record)
        return True

    def rest(self, host: str, until_s: float) -> None:
        """Takes over a rest from an earlier run."""
        record = self._record(host)
        refusals = record.refusals = record.refusals or _Refusals()
        refusals.rest_until_s = max(refusals.rest_until_s, until_s)
        self._rest_if_idle(host, record)

    def resume(self, now_s: float) -> None:
        """An earlier run may have asked any host a moment ago: nothing starts before the user's delay is over."""
        if self._pace.delay_s > 0:
            self._next_start_s = max(self._next_start_s, now_s + self._pace.delay_s)

    def take_rests(self) -> dict[str, float]:
        """Hosts whose longer rests changed since the last call, with the time they end."""
        rests, self._rests = self._rests, {}
        return rests

    def _record(self, host: str) -> _Host:
        record = self._records.hosts.get(host)
        if record is None:
            most = self._pace.per_host
            concurrency = _Concurrency(min(_FIRST_LIMIT, most), most)
            record = self._records.hosts[host] = _Host(concurrency, self._pace.delay_s, used_s=self._now_s)
        return record

    def _rest_if_idle(self, host: str, record: _Host) -> None:
        if not record.under_way:
            self._records.rested(host, self._now_s)

    def _learn(self, record: _Host, latency_s: float | None, now_s: float) -> None:
        refusals = record.refusals
        record.concurrency.answered(latency_s, now_s, may_pass_ceiling=refusals is None or refusals.may_pass)

    def _refused(self, host: str, record: _Host, now_s: float, failure: Failure) -> None:
        refusals = record.refusals = record.refusals or _Refusals()
        concurrency = record.concurrency
        latency_s = failure.latency_s or 0.0
        asked_s = min(failure.retry_after_s or 0.0, self._pace.max_retry_after_s)
        # Nothing starts during a rest, so whatever ends in it was under way before.
        if now_s < refusals.rest_until_s or now_s - latency_s < refusals.signal_s:
            if asked_s > 0:
                self._rest_refused(host, refusals, now_s, asked_s)
            return
        is_said = failure.reason == "http_429" or failure.retry_after_s is not None
        is_frequent = refusals.note()
        if not (is_said or is_frequent):
            return
        is_about_pace = refusals.signalled(now_s, is_said=is_said)
        concurrency.ceiling = max(concurrency.limit, 2)
        if is_about_pace and (concurrency.limit == 1 or record.delay_s > 0):
            refusals.lengthen(record.delay_s, concurrency.usual_latency_s(), self._pace.max_backoff_s)
        concurrency.set_back(concurrency.limit // 2, now_s)
        self._rest_refused(host, refusals, now_s, max(asked_s, self._rest_s(_FIRST_REST_S, refusals.row)))

    def _rest_refused(self, host: str, refusals: _Refusals, now_s: float, wait_s: float) -> None:
        if now_s + wait_s > refusals.rest_until_s:
            refusals.rest_until_s = now_s + wait_s
            self._note(host, refusals.rest_until_s, now_s)

    def _failed(self, host: str, record: _Host, now_s: float, failure: Failure) -> None:
        latency_s = failure.latency_s or 0.0
        circuit = record.circuit = record.circuit or _Circuit(first_s=now_s)
        circuit.failures += 1
        if failure.reason == "dns" and not failure.retryable and not record.was_reached:
            circuit.openings = circuit.openings or 1
            circuit.given_up = _host_down("its name has no address")
            return
        if circuit.openings:
            is_try = now_s >= circuit.shut_until_s and now_s - latency_s >= circuit.opened_s
            if not is_try:
                return
            if now_s >= circuit.first_s + self._pace.host_patience_s:
                circuit.given_up = _host_down(
                    f"no answer for {now_s - circuit.first_s:.0f} s, to {circuit.failures} requests; "
                    f"the last: {failure.reason}",
                )
        elif circuit.failures < _FAILURES_OPEN:
            # One alone happens; a second may be for want of connections.
            if circuit.failures > 1 and now_s - latency_s >= record.concurrency.since_s:
                record.concurrency.set_back(record.concurrency.limit // 2, now_s)
            return
        self._open(host, circuit, now_s)

    def _open(self, host: str, circuit: _Circuit, now_s: float) -> None:
        circuit.openings += 1
        circuit.opened_s = now_s
        until_s = now_s + self._rest_s(_FIRST_OPEN_REST_S, circuit.openings)
        if circuit.given_up is None:  # the try that decides comes in time
            decisive_s = max(circuit.first_s + self._pace.host_patience_s, now_s + _SHORTEST_OPEN_REST_S)
            until_s = min(until_s, decisive_s)
        circuit.shut_until_s = until_s
        self._note(host, until_s, now_s)

    def _close(self, host: str, record: _Host, now_s: float) -> None:
        circuit = record.circuit
        assert circuit is not None
        if circuit.openings:
            record.concurrency.set_back(1, now_s)
            if circuit.shut_until_s > now_s:  # by an answer to an older request
                circuit.shut_until_s = now_s
                self._rests[host] = max(record.ready_s(), now_s)
        record.circuit = None

    def _rest_s(self, first_s: float, times: int) -> float:
        """Doubles each time up to a mean of `max_backoff_s`, spread over half to one and a half of it."""
        mean_s = min(first_s * 2.0 ** min(times - 1, 60), self._pace.max_backoff_s)
        return mean_s * self._chance.uniform(0.5, 1.5)

    def _note(self, host: str, until_s: float, now_s: float) -> None:
        if until_s - now_s > _SHORTEST_NOTED_REST_S:
            self._rests[host] = self._records.hosts[host].ready_s()


def _host_down(detail: str) -> Failure:
    return Failure(Stage.FETCH, "host_down", detail)
