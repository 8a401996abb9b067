"""The state file in use: each method is one transaction.

Every step of a statement gives up the GIL and must win it back, from an event loop that may be busy with pure Python
for five milliseconds at a time. So a batch goes in as one JSON array and comes out as one row: a commit takes some ten
steps, however many links its pages have.

The values of `known` are the 128 bits of a BLAKE2b digest: with ten million URLs the chance that any two of them are
taken for one is 10⁻²⁵.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import struct
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from scraper.errors import StateError, StateRefused
from scraper.frontier.state import presence, schema
from scraper.frontier.state.faults import cause_of
from scraper.frontier.state.presence import Presence
from scraper.frontier.state.schema import DELAYED, WAITING
from scraper.frontier.state.values import FIRST, Applied, Change, Found, Load, Met, Opened, OutputPart, Row, Want
from scraper.options import StateOptions

# Another program that reads the file, or another crawler that commits, holds its lock for milliseconds.
_LOCK_TIMEOUT_S = 10.0
# Pages of the file in this process's memory; the rest is the kernel's.
_CACHE_KIB = 65_536
# A checkpoint copies each page that was changed once, however often it was: the rarer, the less there is to write.
# 32 MB of log are read back in some 50 ms after a crash.
_CHECKPOINT_PAGES = 8_192

_two_integers = struct.Struct("<qq").unpack


class Store:
    """A state file that one crawler works on. All calls come from one thread.

    Args:
        options: which file, and how it is shared.
        about: what crawl this is: name and value. A file with other values is refused.
        seeds: canonical URLs that the crawl was started with.
        outputs: names of the outputs that can be cut back.
    """

    def __init__(
        self, options: StateOptions, about: Mapping[str, str | None], seeds: Sequence[str], outputs: Sequence[str]
    ) -> None:
        self.path = os.path.realpath(os.fspath(options.path))
        self._name = f"state {os.fspath(options.path)}"
        self._options = options
        self._about = about
        self._seeds = seeds
        self._outputs = sorted(outputs)
        self._database: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self.presence: Presence | None = None
        self.crawler = 0
        self._is_new = False
        self._existed = True
        self._reclaimed: list[int] = []
        self._seen_beats: dict[int, tuple[int, float]] = {}
        self._news_after = 0
        self._scope_after = 0
        self._part: int | None = None

    # Opening and closing

    def open(self) -> Opened:
        """Comes to the file: makes it, or goes on with it.

        Raises:
            StateRefused: in use, another crawl's, damaged, or no state file; nothing was changed.
        """
        try:
            self._connect()
            with self._transaction() as database:
                self._prepare(database)
                self._begin(database)
                opened = self._opened(database)
            self._file = _identity(self.path)
        except (sqlite3.Error, OSError) as error:
            raise StateRefused(f"{self._name} cannot be used: {cause_of(error)}") from error
        finally:
            if self._file is None:
                self._abandon()
        for number in self._reclaimed:
            presence.forget(self.path, number)
        return opened

    def _connect(self) -> None:
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            raise StateRefused(f"{self._name} cannot be used: its folder does not exist")
        if os.path.isdir(self.path):
            raise StateRefused(f"{self._name} cannot be used: it is a directory")
        self._existed = os.path.exists(self.path)
        self._database = database = sqlite3.connect(
            self.path, timeout=_LOCK_TIMEOUT_S, isolation_level=None, cached_statements=64
        )
        if self._existed:
            self._check_kind(database)
        if database.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise StateRefused(f"{self._name} cannot be used: SQLite has no write-ahead log on this file system")
        database.execute(f"PRAGMA synchronous = {self._options.synchronous}")
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        database.execute("PRAGMA temp_store = MEMORY")

    def _check_kind(self, database: sqlite3.Connection) -> None:
        kind = database.execute("PRAGMA application_id").fetchone()[0]
        is_empty = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if kind != schema.APPLICATION_ID and not is_empty:
            raise StateRefused(f"{self._name} is a database of another program: name another file")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if kind == schema.APPLICATION_ID and version > len(schema.MIGRATIONS):
            raise StateRefused(
                f"{self._name} was written by a newer version of scraper: it has format {version}, and this version "
                f"knows those up to {len(schema.MIGRATIONS)}"
            )

    def _prepare(self, database: sqlite3.Connection) -> None:
        self._check_kind(database)  # once more, inside the transaction: another process may have been quicker
        schema.bring_up_to_date(database)

    def _begin(self, database: sqlite3.Connection) -> None:
        """Takes the place of dead crawlers, checks that the living leave room, and that the crawl is this one."""
        self._reclaimed = []
        for number, process, command, is_joined in database.execute(
            "SELECT number, process, command, is_joined FROM crawlers"
        ).fetchall():
            if not presence.is_alive(self.path, number):
                self._reclaim(database, number)
            elif not (self._options.join and is_joined):
                with_join = ": wait for its end, or start both with --join" if not self._options.join else ""
                without = ", which did not join: start both with --join" if self._options.join else ""
                raise StateRefused(f"{self._name} is in use by process {process} ({command}){with_join}{without}")
        self._check_crawl(database)
        self.crawler = (
            database.execute(
                "INSERT INTO crawlers (process, command, started, is_joined) VALUES (?, ?, ?, ?)",
                (os.getpid(), _command(), datetime.now(UTC).isoformat(timespec="seconds"), self._options.join),
            ).lastrowid
            or 0
        )
        self.presence = Presence(self.path, self.crawler)
        if self._options.retry_failed:
            self._retry_failed(database)

    def _reclaim(self, database: sqlite3.Connection, crawler: int) -> None:
        """Hands out again what a dead crawler had, and notes the requests that it died with."""
        lost = presence.under_way(self.path, crawler)
        database.execute(
            "INSERT INTO suspects SELECT value, 1 FROM json_each(?) "
            "WHERE EXISTS (SELECT 1 FROM requests WHERE number = value) "
            "ON CONFLICT (request) DO UPDATE SET crashes = crashes + 1",
            (json.dumps(sorted(set(lost))),),
        )
        self._dismiss(database, crawler)

    def _dismiss(self, database: sqlite3.Connection, crawler: int) -> None:
        database.execute(
            "UPDATE hosts SET crawler = NULL, turn = CASE WHEN EXISTS "
            f"(SELECT 1 FROM requests WHERE host = hosts.number AND state = {WAITING}) THEN 0 END WHERE crawler = ?",
            (crawler,),
        )
        database.execute("UPDATE outputs SET crawler = NULL WHERE crawler = ?", (crawler,))
        database.execute("DELETE FROM crawlers WHERE number = ?", (crawler,))
        self._reclaimed.append(crawler)

    def _check_crawl(self, database: sqlite3.Connection) -> None:
        about: dict[str, str | None] = dict(database.execute("SELECT name, value FROM about"))
        self._is_new = not about
        outputs = json.dumps(self._outputs)
        if self._is_new:
            rows = [*self._about.items(), ("outputs", outputs)]
            database.executemany("INSERT INTO about VALUES (?, ?)", rows)
            return
        for name, value in self._about.items():
            if name in about and about[name] != value:
                raise StateRefused(
                    f"{self._name} belongs to a crawl with {name} {about[name] or 'unset'}, and this one has "
                    f"{value or 'none'}: give the same {name}, or name another file"
                )
        if about.get("outputs") != outputs:
            before = ", ".join(json.loads(about.get("outputs") or "[]")) or "no file"
            now = ", ".join(self._outputs) or "no file"
            raise StateRefused(
                f"{self._name} belongs to a crawl that writes to {before}, and this one writes to {now}: "
                "give the same outputs, or name another file"
            )
        if self._seeds:
            known = database.execute(
                "SELECT count(*) FROM scope WHERE url IN (SELECT value FROM json_each(?))", (json.dumps(self._seeds),)
            ).fetchone()[0]
            seeds = database.execute("SELECT url FROM scope LIMIT 3").fetchall()
            if seeds and not known:
                raise StateRefused(
                    f"{self._name} belongs to a crawl of {', '.join(url for (url,) in seeds)}: "
                    "begin with the same URLs, or name another file"
                )

    def _retry_failed(self, database: sqlite3.Connection) -> None:
        failed = "(SELECT request FROM ends WHERE stage IS NOT NULL)"
        database.execute(
            "UPDATE hosts SET turn = 0 WHERE crawler IS NULL AND number IN "
            f"(SELECT host FROM requests WHERE number IN {failed})"
        )
        database.execute(f"UPDATE requests SET state = {WAITING}, attempts = 0 WHERE number IN {failed}")
        database.execute(f"DELETE FROM suspects WHERE request IN {failed}")
        database.execute("DELETE FROM ends WHERE stage IS NOT NULL")
        database.execute("DELETE FROM counts WHERE kind = 'failure' OR (kind = 'state' AND name = 'failed')")

    def _opened(self, database: sqlite3.Connection) -> Opened:
        scope = self._read_scope(database)
        suspects = dict(database.execute("SELECT request, crashes FROM suspects"))
        clock_s = database.execute("SELECT max(since_s) FROM delayed").fetchone()[0] or 0.0
        self._news_after = _last_request(database)
        return Opened(self._is_new, _counts(database), scope, suspects, clock_s)

    def _read_scope(self, database: sqlite3.Connection) -> list[str]:
        rows = database.execute("SELECT rowid, url FROM scope WHERE rowid > ? ORDER BY rowid", (self._scope_after,))
        found = rows.fetchall()
        if found:
            self._scope_after = found[-1][0]
        return [url for _, url in found]

    def close(self, *, is_sound: bool) -> None:
        """Leaves the file. What is still in this crawler's hands waits again, and is not to blame for anything.

        Args:
            is_sound: the file has not failed; one that has is left as it is, and the next crawler tidies up.

        Raises:
            StateError: it fails now.
        """
        database = self._database
        if database is None:
            return
        is_empty = False
        try:
            if is_sound and self._is_there():
                with self._transaction():
                    self._dismiss(database, self.crawler)
                    is_empty = self._is_new and _last_request(database) == 0
        except sqlite3.Error as error:
            raise StateError(f"{self._name} could not be finished: {cause_of(error)}") from error
        finally:
            self._abandon()
        if is_empty and not self._existed:  # nothing was admitted: the command was refused before the first request
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.unlink(f"{self.path}{suffix}")

    def _abandon(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        if self.presence is not None:
            self.presence.close()
            self.presence = None

    # The work

    def claims_of_others(self, keys: Sequence[tuple[str, int]]) -> set[str]:
        """Of final URLs and the requests that were led to them: those that another request has already."""
        rows = [(*_digest(key), request) for key, request in keys]
        with self._guarded() as database:
            taken = _one(
                database,
                "SELECT json_group_array(j.key) FROM json_each(?) j JOIN known k "
                "ON k.high = j.value->>0 AND k.low = j.value->>1 WHERE k.request <> j.value->>2",
                json.dumps(rows),
            )
        return {keys[index][0] for index in taken}

    def commit(self, change: Change, now_s: float) -> Applied | None:
        """Makes a change durable, all of it or nothing.

        Returns:
            What came of it; None if another crawler has a page meanwhile that this change claims: nothing was done.

        Raises:
            StateError: the file failed, is gone, or others took over this crawler's work.
        """
        counts = Counter(change.counts)
        with self._guarded() as database, self._transaction():
            sys.audit("scraper.commit", "begun", self.path)
            self._check_place(database)
            if change.claims and not self._claim(database, change.claims):
                database.execute("ROLLBACK")
                return None
            if change.left:
                self._leave(database, change.left)
            if change.ends:
                self._end(database, change)
            if change.delays:
                self._delay(database, change.delays, now_s)
            sys.audit("scraper.commit", "ended", self.path)
            admitted, moved = self._admit(database, change, counts) if change.found else ([], [])
            if change.scope:
                _run(database, "INSERT OR IGNORE INTO scope SELECT value FROM json_each(?)", json.dumps(change.scope))
            sys.audit("scraper.commit", "admitted", self.path)
            for insert in change.delivery.inserts:
                insert(database)
            if change.delivery.positions:
                rows = [(name, self._part, self.crawler, position) for name, position in change.delivery.positions]
                database.executemany("INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?)", rows)
            _add_counts(database, counts)
            loads, has_free = self._load(database, change)
            due_s = self._next_due_s(database)
            sys.audit("scraper.commit", "whole", self.path)
        sys.audit("scraper.commit", "committed", self.path)
        return Applied(admitted, moved, loads, counts, has_free, due_s)

    def _check_place(self, database: sqlite3.Connection) -> None:
        """A crawler that was stopped for long may have been replaced: what it has is not its own any more."""
        if database.execute("SELECT 1 FROM crawlers WHERE number = ?", (self.crawler,)).fetchone() is None:
            raise StateError(
                f"{self._name}: this process did not run for so long that another crawler took over its hosts; "
                "start it again to work on"
            )

    def _claim(self, database: sqlite3.Connection, claims: Sequence[tuple[str, int]]) -> bool:
        rows = json.dumps([(*_digest(key), request) for key, request in claims])
        taken = _one(
            database,
            "SELECT count(*) FROM json_each(?) j JOIN known k "
            "ON k.high = j.value->>0 AND k.low = j.value->>1 WHERE k.request <> j.value->>2",
            rows,
        )
        if taken:
            return False
        _run(
            database,
            "INSERT OR IGNORE INTO known SELECT value->>0, value->>1, value->>2 FROM json_each(?)",
            rows,
        )
        return True

    def _leave(self, database: sqlite3.Connection, hosts: Sequence[int]) -> None:
        _run(
            database,
            "UPDATE hosts SET crawler = NULL, turn = CASE WHEN EXISTS "
            f"(SELECT 1 FROM requests WHERE host = hosts.number AND state = {WAITING}) "
            "THEN (SELECT max(number) FROM requests) END WHERE number IN (SELECT value FROM json_each(?))",
            json.dumps(hosts),
        )

    def _end(self, database: sqlite3.Connection, change: Change) -> None:
        _run(
            database,
            "UPDATE requests SET state = j.value->>1, attempts = j.value->>2 FROM json_each(?) j "
            "WHERE requests.number = j.value->>0",
            json.dumps(change.ends),
        )
        if change.reasons:
            _run(
                database,
                "INSERT OR REPLACE INTO ends SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each(?)",
                json.dumps(change.reasons),
            )
        numbers = json.dumps([request for request, _, _ in change.ends])
        _run(database, "DELETE FROM suspects WHERE request IN (SELECT value FROM json_each(?))", numbers)

    def _delay(self, database: sqlite3.Connection, delays: Sequence[tuple[int, int, int, float]], now_s: float) -> None:
        rows = json.dumps(delays)
        _run(
            database,
            f"UPDATE requests SET state = {DELAYED}, attempts = j.value->>2 FROM json_each(?) j "
            "WHERE requests.number = j.value->>0",
            rows,
        )
        database.execute(
            "INSERT OR REPLACE INTO delayed SELECT value->>0, value->>1, ?2, value->>3 FROM json_each(?1)",
            (rows, now_s),
        )

    def _admit(
        self, database: sqlite3.Connection, change: Change, counts: Counter[tuple[str, str]]
    ) -> tuple[list[Row], list[Row]]:
        """Adds what is new; tells which requests were found nearer to a seed than they were."""
        found = change.found
        digests = [_digest(each.key) for each in found]
        new: list[int] = _one(
            database,
            "SELECT json_group_array(j.key) FROM json_each(?) j WHERE NOT EXISTS "
            "(SELECT 1 FROM known k WHERE k.high = j.value->>0 AND k.low = j.value->>1)",
            json.dumps(digests),
        )
        moved = self._move(database, change, digests, set(new)) if len(new) < len(found) else []
        counts["dropped", "duplicate"] += len(found) - len(new)
        if not new:
            return [], moved
        first = _last_request(database) + 1
        hosts = self._host_numbers(database, {found[index].host for index in new}, change.hosts, first, counts)
        rows = [
            Row(number, each.url, hosts[each.host], each.depth, each.urgency, 0, each.more)
            for number, each in enumerate((found[index] for index in new), first)
        ]
        _run(
            database,
            "INSERT INTO requests (number, url, host, depth, urgency, attempts, more) SELECT value->>0, value->>1, "
            "value->>2, value->>3, value->>4, value->>5, value->>6 FROM json_each(?)",
            json.dumps(rows),
        )
        _run(
            database,
            "INSERT INTO known SELECT value->>0, value->>1, value->>2 FROM json_each(?)",
            json.dumps([(*digests[index], first + at) for at, index in enumerate(new)]),
        )
        counts["state", "seen"] += len(rows)
        return rows, moved

    def _host_numbers(
        self,
        database: sqlite3.Connection,
        names: set[str],
        known: Mapping[str, int],
        turn: int,
        counts: Counter[tuple[str, str]],
    ) -> dict[str, int]:
        """Numbers of hosts, new ones among them. Those that nobody works on get in line to be taken."""
        others = [name for name in names if name not in known]
        if not others:
            return dict(known)
        wanted = json.dumps(others)
        new = database.execute("INSERT OR IGNORE INTO hosts (name) SELECT value FROM json_each(?)", (wanted,)).rowcount
        counts["hosts", "met"] += new
        database.execute(
            "UPDATE hosts SET turn = ? WHERE crawler IS NULL AND turn IS NULL "
            "AND name IN (SELECT value FROM json_each(?))",
            (turn, wanted),
        )
        rows = _one(
            database,
            "SELECT json_group_array(json_array(name, number)) FROM hosts "
            "WHERE name IN (SELECT value FROM json_each(?))",
            wanted,
        )
        return {**known, **dict(rows)}

    def _move(
        self,
        database: sqlite3.Connection,
        change: Change,
        digests: Sequence[tuple[int, int]],
        new: set[int],
    ) -> list[Row]:
        deepest = change.deepest
        nearer = [
            (*digests[index], each.depth)
            for index, each in enumerate(change.found)
            if index not in new and each.depth < deepest
        ]
        if not nearer:
            return []
        rows = _one(
            database,
            "SELECT json_group_array(json_array(r.number, r.url, r.host, j.value->>2, r.urgency, r.attempts, r.more)) "
            "FROM json_each(?) j JOIN known k ON k.high = j.value->>0 AND k.low = j.value->>1 "
            f"JOIN requests r ON r.number = k.request WHERE r.state = {WAITING} AND r.depth > j.value->>2",
            json.dumps(nearer),
        )
        if rows:
            _run(
                database,
                "UPDATE requests SET depth = j.value->>3 FROM json_each(?) j WHERE requests.number = j.value->>0",
                json.dumps(rows),
            )
        return [Row(*row) for row in rows]

    def _load(self, database: sqlite3.Connection, change: Change) -> tuple[list[Load], bool]:
        """What is wanted of hosts at work, and the first of hosts that are free to be taken."""
        loads = [self._rows(database, want, "") for want in change.wants]
        if change.room <= 0:
            return loads, self._has_free(database)
        free = _one(
            database,
            "SELECT json_group_array(json_array(number, name)) FROM "
            "(SELECT number, name FROM hosts WHERE turn IS NOT NULL ORDER BY turn LIMIT ?)",
            change.room,
        )
        if free:
            database.execute(
                "UPDATE hosts SET crawler = ?, turn = NULL WHERE number IN (SELECT value FROM json_each(?))",
                (self.crawler, json.dumps([number for number, _ in free])),
            )
            loads += [self._rows(database, Want(number, FIRST, change.share), name) for number, name in free]
        return loads, len(free) == change.room and self._has_free(database)

    def _has_free(self, database: sqlite3.Connection) -> bool:
        return database.execute("SELECT 1 FROM hosts WHERE turn IS NOT NULL LIMIT 1").fetchone() is not None

    def _rows(self, database: sqlite3.Connection, want: Want, name: str) -> Load:
        rows = _one(
            database,
            "SELECT json_group_array(json_array(number, url, ?1, depth, urgency, attempts, more)) FROM "
            f"(SELECT * FROM requests WHERE host = ?1 AND state = {WAITING} AND (urgency, depth, number) > (?2, ?3, ?4) "
            "ORDER BY urgency, depth, number LIMIT ?5)",
            want.host,
            *want.after,
            want.limit,
        )
        return Load(want.host, name, [Row(*row) for row in rows], len(rows) < want.limit)

    # Beside the work

    def wake(self, now_s: float) -> tuple[list[Row], float | None]:
        """Lets requests wait no longer whose time has come.

        Returns:
            Those whose hosts this crawler has, and when the next one's time comes.
        """
        with self._guarded() as database, self._transaction():
            due = _one(
                database,
                "SELECT json_group_array(request) FROM delayed d JOIN hosts h ON h.number = d.host "
                "WHERE d.due_s <= ? AND (h.crawler IS NULL OR h.crawler = ?)",
                now_s,
                self.crawler,
            )
            rows = []
            if due:
                numbers = json.dumps(due)
                _run(
                    database,
                    f"UPDATE requests SET state = {WAITING} WHERE number IN (SELECT value FROM json_each(?))",
                    numbers,
                )
                _run(database, "DELETE FROM delayed WHERE request IN (SELECT value FROM json_each(?))", numbers)
                rows = _one(
                    database,
                    "SELECT json_group_array(json_array(number, url, host, depth, urgency, attempts, more)) "
                    "FROM requests WHERE number IN (SELECT value FROM json_each(?))",
                    numbers,
                )
                database.execute(
                    "UPDATE hosts SET turn = ? WHERE crawler IS NULL AND turn IS NULL AND number IN "
                    "(SELECT value FROM json_each(?))",
                    (_last_request(database), json.dumps(sorted({row[2] for row in rows}))),
                )
            due_s = self._next_due_s(database)
        return [Row(*row) for row in rows], due_s

    def _next_due_s(self, database: sqlite3.Connection) -> float | None:
        row: tuple[float] | None = database.execute(
            "SELECT d.due_s FROM delayed d JOIN hosts h ON h.number = d.host "
            "WHERE h.crawler IS NULL OR h.crawler = ? ORDER BY d.due_s LIMIT 1",
            (self.crawler,),
        ).fetchone()
        return None if row is None else row[0]

    def meet(self, now_s: float, patience_s: float) -> Met:
        """Looks after a file that several crawlers share: shows that this one lives, takes the place of those that do
        not, and learns what the others found.

        Args:
            now_s: on this process's own clock, which never jumps.
            patience_s: a process that lives and has not shown it for so long has lost its place.
        """
        self._reclaimed = []
        with self._guarded() as database, self._transaction():
            self._check_place(database)
            database.execute("UPDATE crawlers SET beats = beats + 1 WHERE number = ?", (self.crawler,))
            others = database.execute(
                "SELECT number, beats FROM crawlers WHERE number <> ?", (self.crawler,)
            ).fetchall()
            for number, beats in others:
                if not presence.is_alive(self.path, number):
                    self._reclaim(database, number)
                elif self._is_silent(number, beats, now_s, patience_s):
                    self._dismiss(database, number)
            self._seen_beats = {number: self._seen_beats[number] for number, _ in others if number in self._seen_beats}
            rows = _one(
                database,
                "SELECT json_group_array(json_array(r.number, r.url, r.host, r.depth, r.urgency, r.attempts, r.more)) "
                "FROM requests r JOIN hosts h ON h.number = r.host "
                f"WHERE r.number > ? AND r.state = {WAITING} AND h.crawler = ?",
                self._news_after,
                self.crawler,
            )
            self._news_after = _last_request(database)
            scope = self._read_scope(database)
            counts = _counts(database)
            suspects = dict(database.execute("SELECT request, crashes FROM suspects"))
            surplus = self._surplus(database)
        for number in self._reclaimed:
            presence.forget(self.path, number)
        return Met([Row(*row) for row in rows], scope, counts, suspects, surplus)

    def _surplus(self, database: sqlite3.Connection) -> int:
        """By how many hosts this crawler has more than its share, while another has less."""
        if self._has_free(database):
            return 0
        hosts: dict[int, int] = dict(
            database.execute("SELECT c.number, (SELECT count(*) FROM hosts WHERE crawler = c.number) FROM crawlers c")
        )
        return max(hosts[self.crawler] - min(hosts.values()), 0) // 2

    def _is_silent(self, crawler: int, beats: int, now_s: float, patience_s: float) -> bool:
        """Whether a crawler's counter has not moved for too long, by this process's own clock."""
        last_beats, since_s = self._seen_beats.get(crawler, (-1, now_s))
        if beats != last_beats:
            self._seen_beats[crawler] = (beats, now_s)
            return False
        return now_s - since_s > patience_s

    def take_outputs(self) -> tuple[list[OutputPart], list[OutputPart]]:
        """Where each output goes on.

        Returns:
            This crawler's part of each output, and the parts that nobody writes to any more.
        """
        with self._guarded() as database, self._transaction():
            rows = database.execute("SELECT name, part, crawler, position FROM outputs").fetchall()
            busy = {part for _, part, crawler, _ in rows if crawler is not None}
            self._part = next(part for part in range(1, len(rows) + 2) if part not in busy)
            positions = {(name, part): position for name, part, crawler, position in rows if crawler is None}
            mine = [OutputPart(name, self._part, positions.pop((name, self._part), None)) for name in self._outputs]
            database.executemany(
                "INSERT INTO outputs VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET crawler = ?3",
                [(each.name, each.part, self.crawler, each.position) for each in mine],
            )
        return mine, [OutputPart(name, part, position) for (name, part), position in positions.items()]

    # The ground

    @contextmanager
    def _guarded(self) -> Iterator[sqlite3.Connection]:
        """Says in our own words what the file's failure is."""
        if self._database is None:
            raise StateError(f"{self._name} is closed")
        if not self._is_there():
            raise StateError(f"{self._name} was deleted or replaced while the crawl worked on it")
        try:
            yield self._database
        except (sqlite3.Error, OSError) as error:
            raise StateError(f"{self._name} failed: {cause_of(error)}") from error

    def _is_there(self) -> bool:
        """SQLite writes on into a file that has no name any more, and tells nobody."""
        return _identity(self.path) == self._file

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        database = self._database
        assert database is not None
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
            if database.in_transaction:
                database.execute("COMMIT")
        finally:
            if database.in_transaction:
                with suppress(sqlite3.Error):  # the failure that led here is the one to tell
                    database.execute("ROLLBACK")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _command() -> str:
    """What this process was started as, for the message that another one gets."""
    words = [os.path.basename(sys.argv[0] or sys.executable), *sys.argv[1:]]
    return re.sub(r"//[^/@\s]*@", "//", " ".join(words))[:200]  # a password must not be stored


def _digest(key: str) -> tuple[int, int]:
    """A fingerprint as two integers of 64 bits, which is what a JSON array can carry to SQLite."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return _two_integers(digest)


def _one(database: sqlite3.Connection, query: str, *values: object) -> Any:
    """The one value of a query's one row, which is JSON or a number."""
    value = database.execute(query, values).fetchone()[0]
    return json.loads(value) if isinstance(value, str) else value


def _run(database: sqlite3.Connection, statement: str, rows: str) -> None:
    database.execute(statement, (rows,))


def _last_request(database: sqlite3.Connection) -> int:
    number: int = database.execute("SELECT coalesce(max(number), 0) FROM requests").fetchone()[0]
    return number


def _counts(database: sqlite3.Connection) -> Counter[tuple[str, str]]:
    return Counter({(kind, name): value for kind, name, value in database.execute("SELECT * FROM counts")})


def _add_counts(database: sqlite3.Connection, counts: Counter[tuple[str, str]]) -> None:
    rows = [(kind, name, value) for (kind, name), value in counts.items() if value]
    database.execute(
        "INSERT INTO counts SELECT value->>0, value->>1, value->>2 FROM json_each(?) WHERE true "
        "ON CONFLICT DO UPDATE SET value = value + excluded.value",
        (json.dumps(rows),),
    )
