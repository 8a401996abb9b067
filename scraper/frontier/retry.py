"""Whether a failed request is tried again, and when."""

from __future__ import annotations

import random

from scraper.model import Failure
from scraper.options import PaceOptions


class RetryPolicy:
    """Exponential back-off with jitter: the mean wait doubles with each attempt, and each wait is spread evenly
    over half to one and a half of it, so that requests which failed together do not come back together.

    Args:
        pace: how many retries, the first wait, the longest wait.
        chance: where the jitter comes from.
    """

    def __init__(self, pace: PaceOptions, chance: random.Random | None = None) -> None:
        self._pace = pace
        self._chance = chance or random.Random()  # noqa: S311 (jitter is no secret)

    def wait_s(self, failure: Failure, attempts: int) -> float | None:
        """Seconds until the next attempt; None when there is none.

        Args:
            failure: of the attempt that just ended.
            attempts: made so far, that one included.
        """
        if not failure.is_attempt:
            return min(failure.retry_after_s or 0.0, self._pace.max_retry_after_s) * self._chance.uniform(1.0, 1.5)
        if not failure.retryable or attempts > self._pace.retries:
            return None
        mean_s = min(self._pace.backoff_s * 2.0 ** (attempts - 1), self._pace.max_backoff_s)
        wait_s = mean_s * self._chance.uniform(0.5, 1.5)
        if failure.retry_after_s is not None:
            wait_s = max(wait_s, min(failure.retry_after_s, self._pace.max_retry_after_s))
        return wait_s
