"""What limits a crawl at present."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from scraper.metrics.usage import Usage
from scraper.metrics.verdict import LEAST_PAGES, Load, Verdict, judge

# Long enough to hold some hundred pages of most crawls, short enough to follow a change while somebody looks. A slow
# crawl is looked back on for longer, until there are pages enough.
_WINDOW_S = 3.0
_MOST_S = 30.0
# Another bottleneck is shown when it was the answer for so long without a break: a display that changes its mind
# twice a second is not read.
_PATIENCE_S = 1.5


class LiveVerdict:
    """Judges the last seconds again and again, and does not change its mind at once."""

    def __init__(self) -> None:
        self._recent: deque[Usage] = deque([Usage()])
        self._shown: Verdict | None = None
        self._doubted_s: float | None = None
        self._rival: str | None = None

    def update(self, now: Usage, load_of: Callable[[Usage], Load]) -> Verdict | None:
        """The verdict on the last seconds; None while there is too little to judge by.

        Args:
            now: what was used since the start.
            load_of: makes a load of what was used in some part of the time.
        """
        recent = self._recent
        recent.append(now)
        while len(recent) > 2 and _is_enough(now.since(recent[1])):
            recent.popleft()
        verdict = judge(load_of(now.since(recent[0])))
        if not verdict.is_certain:  # nothing ends any more, or nothing has yet: what was true is the best guess
            return self._shown
        if self._shown is None or verdict.bottleneck == self._shown.bottleneck:
            self._show(verdict)
        elif verdict.bottleneck != self._rival:
            self._rival, self._doubted_s = verdict.bottleneck, now.elapsed_s
        elif self._doubted_s is not None and now.elapsed_s - self._doubted_s >= _PATIENCE_S:
            self._show(verdict)
        return self._shown

    def _show(self, verdict: Verdict) -> None:
        self._shown = verdict
        self._rival = self._doubted_s = None


def _is_enough(part: Usage) -> bool:
    return part.elapsed_s >= (_WINDOW_S if part.pages >= LEAST_PAGES else _MOST_S)
