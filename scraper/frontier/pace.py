"""Interim, replaced by the branch pacer."""

from __future__ import annotations

import random
from math import inf

from scraper.model import Failure, Response, Skip, Stage
from scraper.options import PaceOptions


class Pacer:
    def __init__(self, pace: PaceOptions, chance: random.Random | None = None) -> None:
        self._pace = pace
        self._delay: dict[str, float] = {}
        self._ready: dict[str, float] = {}
        self.next_start_s = -inf

    def limit(self, host: str) -> int:
        return 1 if self._delay.get(host, self._pace.delay_s) else self._pace.per_host

    def ready_s(self, host: str) -> float:
        return self._ready.get(host, -inf)

    def set_delay(self, host: str, delay_s: float) -> None:
        self._delay[host] = max(delay_s, self._pace.delay_s)

    def started(self, host: str, now_s: float) -> None:
        if self._pace.rate_per_s:
            self.next_start_s = now_s + 1 / self._pace.rate_per_s

    def ended(self, host: str, now_s: float, result: Response | Failure | Skip | None) -> None:
        delay_s = self._delay.get(host, self._pace.delay_s)
        if delay_s:
            self._ready[host] = now_s + delay_s

    def given_up(self, host: str) -> Failure | None:
        return None

    def may_retry(self, host: str) -> bool:
        return True

    def rest(self, host: str, until_s: float) -> None:
        self._ready[host] = until_s

    def take_rests(self) -> dict[str, float]:
        return {}
