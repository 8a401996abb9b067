"""Who works on a state file: coming, going, dying, and taking the place of the dead."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

from scraper import command_line
from scraper.errors import StateRefused
from scraper.frontier.state import presence
from scraper.frontier.state.presence import Presence
from scraper.frontier.state.schema import DELAYED, WAITING

# Free hosts that are counted when they are dealt out: more than a few crawlers can take at once.
_FREE_HOSTS_COUNTED = 4_096
# What lies between two meetings of a process that runs, at most, with room to spare.
_LONGEST_GAP_S = 2.0


class Crew:
    """The crawlers of a state file, seen from one of them. All calls are made inside transactions.

    Args:
        path: of the state file.
        name: of the state file, as messages begin.
        is_joined: this crawler works together with others that joined.
    """

    def __init__(self, path: Path, name: str, *, is_joined: bool) -> None:
        self._path = str(path)
        self._name = name
        self._is_joined = is_joined
        self._beats: dict[int, tuple[int, float]] = {}
        self._met_s = 0.0
        self._awake_s = 0.0
        self._dead: list[int] = []
        self.number = 0
        self.presence: Presence | None = None

    def join(self, database: sqlite3.Connection) -> None:
        """Takes a place on the file.

        Raises:
            StateRefused: others that live leave none.
        """
        rows = database.execute("SELECT number, process, command, is_joined FROM crawlers").fetchall()
        for number, process, command, is_joined in rows:
            if not presence.is_alive(self._path, number):
                self._bury(database, number)
            elif not self._is_joined:
                what = "wait for its end, or start both with --join"
                raise StateRefused(f"{self._name} is in use by process {process} ({command}): {what}")
            elif not is_joined:
                what = "it did not join: wait for its end, or start it with --join, too"
                raise StateRefused(f"{self._name} is in use by process {process} ({command}): {what}")
        place = database.execute(
            "INSERT INTO crawlers (process, command, started, is_joined) VALUES (?, ?, ?, ?)",
            (os.getpid(), _command(), datetime.now(UTC).isoformat(timespec="seconds"), self._is_joined),
        )
        assert place.lastrowid is not None
        self.number = place.lastrowid
        self.presence = Presence(self._path, self.number)
        # A crawler that was killed between its commit and `clear_away` left the files of those that it had buried.
        known = {self.number, *(number for number, *_ in rows)}
        self._dead += [
            number for number in presence.numbers(self._path) - known if not presence.is_alive(self._path, number)
        ]

    def meet(self, database: sqlite3.Connection, now_s: float, patience_s: float) -> None:
        """Shows that this crawler lives, and takes away the places of those that do not, or do not show it.

        Args:
            database: in a transaction.
            now_s: on this process's own clock, which never jumps: no clock is compared with another's.
            patience_s: how long a crawler may live without showing it.
        """
        # A clock that stands still when this process does: it cannot tell how long others did meanwhile.
        self._awake_s += min(now_s - self._met_s, _LONGEST_GAP_S)
        self._met_s = now_s
        database.execute("UPDATE crawlers SET beats = beats + 1 WHERE number = ?", (self.number,))
        others = database.execute("SELECT number, beats FROM crawlers WHERE number <> ?", (self.number,)).fetchall()
        for number, beats in others:
            if not presence.is_alive(self._path, number):
                self._bury(database, number)
            elif self._is_silent(number, beats, patience_s):
                dismiss(database, number, is_dead=False)
        self._beats = {number: self._beats[number] for number, _ in others if number in self._beats}

    def _is_silent(self, crawler: int, beats: int, patience_s: float) -> bool:
        if beats == 0:  # it is still looking at its outputs, and its lock says that it lives
            return False
        last_beats, since_s = self._beats.get(crawler, (-1, 0.0))
        if beats != last_beats:
            self._beats[crawler] = (beats, self._awake_s)
            return False
        return self._awake_s - since_s > patience_s

    def _bury(self, database: sqlite3.Connection, crawler: int) -> None:
        """Hands out again what a dead crawler had, and notes the requests that it died with."""
        lost = presence.under_way(self._path, crawler)
        database.execute(
            "INSERT INTO suspects SELECT value, 1 FROM json_each(?) "
            f"WHERE EXISTS (SELECT 1 FROM requests WHERE number = value AND state IN ({WAITING}, {DELAYED})) "
            "ON CONFLICT (request) DO UPDATE SET crashes = crashes + 1",
            (json.dumps(sorted(set(lost))),),
        )
        dismiss(database, crawler)
        self._dead.append(crawler)

    def clear_away(self) -> None:
        """Removes the files of the dead, once it is durable that they are."""
        for crawler in self._dead:
            presence.forget(self._path, crawler)
        self._dead.clear()

    def is_alone(self, database: sqlite3.Connection) -> bool:
        return _crawlers(database) == 1

    def is_deserted(self, database: sqlite3.Connection) -> bool:
        return _crawlers(database) == 0

    def has_living(self, database: sqlite3.Connection, crawler: int | None) -> bool:
        """Whether a crawler may still write to what was its own: also one that lost its place, if it lives."""
        if crawler is None:
            return False
        has_place = database.execute("SELECT 1 FROM crawlers WHERE number = ?", (crawler,)).fetchone() is not None
        return has_place or presence.is_alive(self._path, crawler)

    def has_place(self, database: sqlite3.Connection) -> bool:
        """Whether this crawler's place is still its own."""
        return database.execute("SELECT 1 FROM crawlers WHERE number = ?", (self.number,)).fetchone() is not None

    def room(self, database: sqlite3.Connection) -> int:
        """How many more hosts this crawler may take, so that the others get as many."""
        own: int
        taken: int
        free: int
        own, taken, free = database.execute(
            "SELECT (SELECT count(*) FROM hosts WHERE crawler = ?), "
            "(SELECT count(*) FROM hosts WHERE crawler IS NOT NULL), "
            "(SELECT count(*) FROM (SELECT 1 FROM hosts WHERE turn IS NOT NULL LIMIT ?))",
            (self.number, _FREE_HOSTS_COUNTED),
        ).fetchone()
        share = -(-(taken + free) // _crawlers(database))
        return max(share - own, 0)

    def surplus(self, database: sqlite3.Connection) -> int:
        """How many hosts this crawler should leave to the one that has the fewest."""
        hosts: dict[int, int] = dict(
            database.execute("SELECT c.number, (SELECT count(*) FROM hosts WHERE crawler = c.number) FROM crawlers c")
        )
        return max(hosts[self.number] - min(hosts.values()), 0) // 2

    def close(self) -> None:
        """Gives up the sign of life: what this crawler still had is nobody's fault."""
        if self.presence is not None:
            self.presence.close()
            self.presence = None


def dismiss(database: sqlite3.Connection, crawler: int, *, is_dead: bool = True) -> None:
    """A crawler has no place on the file any more: its hosts are free, and if it is dead, its outputs are, too."""
    database.execute(
        "UPDATE hosts SET crawler = NULL, turn = CASE WHEN EXISTS "
        f"(SELECT 1 FROM requests WHERE host = hosts.number AND state = {WAITING}) THEN 0 END WHERE crawler = ?",
        (crawler,),
    )
    if is_dead:  # one that wakes up may still write to its parts
        database.execute("UPDATE outputs SET crawler = NULL WHERE crawler = ?", (crawler,))
    database.execute("DELETE FROM crawlers WHERE number = ?", (crawler,))


def _crawlers(database: sqlite3.Connection) -> int:
    count: int = database.execute("SELECT count(*) FROM crawlers").fetchone()[0]
    return count


def _command() -> str:
    """What this process was started as, for the message that another one gets."""
    return command_line.shown([Path(sys.argv[0] or sys.executable).name, *sys.argv[1:]])[:1_000]
