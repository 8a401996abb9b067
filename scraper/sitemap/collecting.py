"""Where the entries of one file come together: checked, dated, counted."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from scraper.sitemap.lastmod import period
from scraper.sitemap.values import Entry, Form, SitemapLimits, Stopped


class Collector:
    """The entries of a file that were found and not yet taken.

    Args:
        limits: of which `file_entries` and `text_chars` count here.
        since: entries that have certainly not changed since then are left out.
    """

    def __init__(self, limits: SitemapLimits, since: datetime | None) -> None:
        self._limits = limits
        self._since = since
        self._entries: list[Entry] = []
        self.seen = 0
        self.left_out: Counter[str] = Counter()

    def add(self, form: Form, loc: str, lastmod: str) -> None:
        """Takes an entry as it stands in the file; an empty lastmod is none.

        Raises:
            Stopped: the file has had as many as it may.
        """
        self._count()
        loc = loc.strip()
        if not loc:
            self.left_out["no_loc"] += 1
        elif len(loc) > self._limits.text_chars:
            self.left_out["loc_too_long"] += 1
        elif "\ufffd" in loc:
            self.left_out["undecodable"] += 1
        else:
            self._add(form, loc, lastmod)

    def refuse(self, reason: str) -> None:
        """Leaves out an entry that has no address to be used."""
        self._count()
        self.left_out[reason] += 1

    def _count(self) -> None:
        if self.seen >= self._limits.file_entries:
            raise Stopped(
                "too_many_entries", f"it has more than the {self._limits.file_entries:,} entries that are read"
            )
        self.seen += 1

    def _add(self, form: Form, loc: str, lastmod: str) -> None:
        changed = None
        if lastmod and (changed := period(lastmod)) is None:
            self.left_out["bad_lastmod"] += 1
        # Nothing is lost by reading a page once more; so a day counts up to its end, and an unknown date always.
        if changed is not None and self._since is not None and changed.end < self._since:
            self.left_out["older"] += 1
            return
        self._entries.append(Entry(loc, None if changed is None else changed.start, form))

    def take(self) -> list[Entry]:
        """The entries since the last call."""
        taken, self._entries = self._entries, []
        return taken
