"""The state file in use: each method is one transaction.

Every step of a statement gives up the GIL and must win it back, from an event loop that may be busy with pure Python
for five milliseconds at a time. So a batch goes in as one JSON array and comes out as one row: a commit takes some ten
steps, however many links its pages have.

What makes requests the same is kept as the 128 bits of a BLAKE2b digest. With ten million URLs, the chance that any two
of them are taken for one is about 10⁻²⁵.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from scraper.errors import StateError, StateInDoubt, StateRefused
from scraper.frontier.state.crew import Crew, dismiss
from scraper.frontier.state.faults import cause_of
from scraper.frontier.state.file import StateFile, value_of
from scraper.frontier.state.identity import CrawlIdentity, check_crawl, retry_failed
from scraper.frontier.state.presence import Presence
from scraper.frontier.state.schema import DELAYED, DONE, FAILED, WAITING
from scraper.frontier.state.values import (
    FIRST,
    Applied,
    Change,
    Found,
    Load,
    Met,
    Opened,
    OutputPart,
    RobotsText,
    Row,
    Want,
)
from scraper.options import StateOptions

_two_integers = struct.Struct("<qq").unpack

# Requests whose time has come, in one transaction; after a long stop there may be any number.
_WOKEN_AT_ONCE = 4_096
# Links that are looked up by one statement: a page may have 100,000 of 8,000 characters, and a text 1 GB at most.
_ADMITTED_AT_ONCE = 10_000

_ROW = "number, url, host, depth, urgency, attempts, more"


class Store:
    """A state file that one crawler works on. All calls come from one thread.

    Args:
        options: which file, and how it is shared.
        crawl: what the file is checked against.
    """

    def __init__(self, options: StateOptions, crawl: CrawlIdentity) -> None:
        self._options = options
        self._crawl = crawl
        self._file = StateFile(options.path, options.synchronous)
        self._crew = Crew(self._file.path, self._file.name, is_joined=options.join)
        self._is_open = False
        self._news_after = 0
        self._scope_after = 0
        self._part = 1

    def __repr__(self) -> str:
        return f"<Store {self._file.path}: {'open' if self._is_open else 'closed'}>"

    @property
    def presence(self) -> Presence | None:
        """Where it is noted which requests are under way; None unless open."""
        return self._crew.presence

    def open(self) -> Opened:
        """Comes to the file: makes it, or goes on with it.

        Raises:
            StateRefused: in use, another crawl's, damaged, or no state file; nothing was changed.
        """
        name = self._file.name
        try:
            self._file.open()
            with self._file.transaction() as database:
                self._file.prepare(database)
                self._crew.join(database)
                check_crawl(database, name, self._crawl)
                if self._options.retry_failed:
                    if not self._crew.is_alone(database):
                        raise StateRefused(f"{name} is in use by others: retry what failed when they have ended")
                    retry_failed(database)
                scope = self._read_scope(database)
                suspects = _suspects(database)
                clock_s = database.execute("SELECT max(since_s) FROM delayed").fetchone()[0] or 0.0
                self._news_after = _last_request(database)
                rests = database.execute("SELECT host, until_s FROM rests").fetchall()
                opened = Opened(_counts(database), scope, suspects, clock_s, rests)
            self._crew.clear_away()
            self._is_open = True
        except (sqlite3.Error, OSError) as error:
            raise StateRefused(f"{name} cannot be used: {cause_of(error)}") from error
        finally:
            if not self._is_open:
                self._crew.close()
                self._file.close(is_of_no_use=self._file.is_empty)
        return opened

    def close(self, *, is_sound: bool, is_refused: bool) -> None:
        """Leaves the file. What is still in this crawler's hands waits again, and is not to blame for anything.

        Args:
            is_sound: the file has not failed; one that has is left as it is, and the next crawler tidies up.
            is_refused: the command was refused before the first request: a file that was made for it goes again, so
                that the corrected command does not find another crawl's.

        Raises:
            StateError: it fails now.
        """
        if not self._is_open:
            return
        self._is_open = False
        is_empty = False
        try:
            if is_sound and self._file.is_there:
                with self._file.in_use() as database:
                    dismiss(database, self._crew.number)
                    is_empty = is_refused or _last_request(database) == 0
                    is_empty = is_empty and self._crew.is_deserted(database)
        finally:
            self._crew.close()
            self._file.close(is_of_no_use=is_empty)

    # One commit

    def taken_by_others(self, claims: Sequence[tuple[str, int]]) -> set[str]:
        """Of final URLs and the requests that were led to them: those that another request has already."""
        with self._file.in_use() as database:
            return {claims[index][0] for index in _taken_by_others(database, claims)}

    def commit(self, change: Change, now_s: float) -> Applied | None:
        """Makes a change durable, all of it or nothing.

        Returns:
            What came of it; None if another crawler has a page meanwhile that this change claims: nothing was done.

        Raises:
            StateError: the file failed, is gone, or others took over this crawler's work.
        """
        counts = Counter(change.counts)
        with self._file.in_use() as database:
            self._tell("begun")
            self._check_place(database)
            if change.claims:
                if _taken_by_others(database, change.claims):
                    database.execute("ROLLBACK")
                    return None
                _claim(database, change.claims)
            if change.left:
                _leave(database, change.left)
            if change.ends:
                _end(database, change)
            if change.delays:
                _delay(database, change.delays, now_s)
            self._tell("ended")
            admitted: list[Row] = []
            moved: list[Row] = []
            for start in range(0, len(change.found), _ADMITTED_AT_ONCE):
                part = change.found[start : start + _ADMITTED_AT_ONCE]
                new, nearer = _admit(database, part, change.hosts, counts)
                admitted += new
                moved += nearer
            if change.scope:
                database.execute(
                    "INSERT INTO scope SELECT value->>0, value->>1 FROM json_each(?) WHERE true "
                    "ON CONFLICT DO UPDATE SET is_seed = max(is_seed, excluded.is_seed)",
                    (json.dumps([(url, int(is_seed)) for url, is_seed in change.scope]),),
                )
            self._tell("admitted")
            for insert in change.delivery.inserts:
                insert(database)
            if change.delivery.positions:
                rows = [(name, self._part, self._crew.number, at) for name, at in change.delivery.positions]
                database.executemany("INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?)", rows)
            if change.rests:
                database.executemany("INSERT OR REPLACE INTO rests VALUES (?, ?)", change.rests)
            _add_counts(database, counts)
            # Hosts are taken here whose pages must not be judged by what was in scope a moment ago.
            scope = self._read_scope(database) if self._options.join else []
            if self._options.join:
                counts = _counts(database)
            loads, others_wait = self._load(database, change)
            taken = [load.name for load in loads if load.name]
            rests = _rests_of(database, taken) if self._options.join and taken else []
            due_s = self._next_due_s(database)
            self._tell("whole")
        self._tell("committed")
        return Applied(admitted, moved, loads, counts, others_wait, due_s, scope, rests)

    def _tell(self, step: str) -> None:
        """Lets a test that kills a crawl do it here; without an audit hook it costs nothing."""
        sys.audit("scraper.commit", step, str(self._file.path))

    def _check_place(self, database: sqlite3.Connection) -> None:
        if not self._crew.has_place(database):
            # Nobody else writes to outputs that are still this crawler's: they can be cut.
            is_owner = database.execute("SELECT 1 FROM outputs WHERE crawler = ?", (self._crew.number,)).fetchone()
            kind = StateInDoubt if is_owner is None else StateError
            raise kind(
                f"{self._file.name}: this process stood still for so long that another crawler took over its hosts; "
                "start it again to work on"
            )

    def _load(self, database: sqlite3.Connection, change: Change) -> tuple[list[Load], bool]:
        """What is wanted of hosts at work, and the first of the hosts that are free to be taken."""
        loads = [_rows(database, want, "") for want in change.wants]
        allowed = self._crew.room(database) if self._options.join else None
        room = change.room if allowed is None else min(change.room, allowed)
        if room > 0:
            free = value_of(
                database,
                "SELECT json_group_array(json_array(number, name)) FROM "
                "(SELECT number, name FROM hosts WHERE turn IS NOT NULL ORDER BY turn LIMIT ?)",
                room,
            )
            if free:
                database.execute(
                    "UPDATE hosts SET crawler = ?, turn = NULL WHERE number IN (SELECT value FROM json_each(?))",
                    (self._crew.number, json.dumps([number for number, _ in free])),
                )
            loads += [_rows(database, Want(number, FIRST, change.share), name) for number, name in free]
        is_mine_to_take = allowed is None or allowed > room
        return loads, is_mine_to_take and _others_wait(database)

    def _next_due_s(self, database: sqlite3.Connection) -> float | None:
        row: tuple[float] | None = database.execute(
            "SELECT d.due_s FROM delayed d JOIN hosts h ON h.number = d.host "
            "WHERE h.crawler IS NULL OR h.crawler = ? ORDER BY d.due_s LIMIT 1",
            (self._crew.number,),
        ).fetchone()
        return None if row is None else row[0]

    # Beside the commits

    def pages_by_host(self) -> dict[str, int]:
        """Requests that are done or failed, by host and port. It reads the whole file: some 0.3 s a million URLs."""
        with self._file.in_use() as database:
            return dict(
                database.execute(
                    "SELECT h.name, count(*) FROM requests r JOIN hosts h ON h.number = r.host "
                    f"WHERE r.state IN ({DONE}, {FAILED}) GROUP BY h.number"
                ).fetchall()
            )

    def recall_robots(self, origin: str, now_s: float) -> RobotsText | None:
        """The robots.txt of an origin, if one was kept."""
        with self._file.in_use() as database:
            row = database.execute("SELECT packed, until_s FROM robots WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else RobotsText(zlib.decompress(row[0]), row[1] - now_s)

    def keep_robots(self, origin: str, body: bytes, until_s: float) -> None:
        """Keeps the robots.txt of an origin, packed, until a time."""
        with self._file.in_use() as database:
            row = (origin, zlib.compress(body), until_s)
            database.execute("INSERT OR REPLACE INTO robots VALUES (?, ?, ?)", row)

    def wake(self, now_s: float) -> tuple[list[Row], float | None]:
        """Lets requests wait no longer whose time has come, a bounded number of them.

        Returns:
            Those, and when the next one's time comes, or came.
        """
        with self._file.in_use() as database:
            numbers = json.dumps(
                value_of(
                    database,
                    "SELECT json_group_array(request) FROM (SELECT request FROM delayed d "
                    "JOIN hosts h ON h.number = d.host WHERE d.due_s <= ? AND (h.crawler IS NULL OR h.crawler = ?) "
                    "ORDER BY d.due_s LIMIT ?)",
                    now_s,
                    self._crew.number,
                    _WOKEN_AT_ONCE,
                )
            )
            database.execute(
                f"UPDATE requests SET state = {WAITING} WHERE number IN (SELECT value FROM json_each(?))", (numbers,)
            )
            database.execute("DELETE FROM delayed WHERE request IN (SELECT value FROM json_each(?))", (numbers,))
            rows = value_of(
                database,
                f"SELECT json_group_array(json_array({_ROW})) FROM requests "
                "WHERE number IN (SELECT value FROM json_each(?))",
                numbers,
            )
            database.execute(
                "UPDATE hosts SET turn = ? WHERE crawler IS NULL AND turn IS NULL AND number IN "
                "(SELECT value FROM json_each(?))",
                (_last_request(database), json.dumps(sorted({row[2] for row in rows}))),
            )
            return [Row(*row) for row in rows], self._next_due_s(database)

    def meet(self, now_s: float, patience_s: float) -> Met:
        """Looks after a file that several crawlers share: shows that this one lives, takes the places of those that do
        not, and learns what the others found.

        Args:
            now_s: on this process's own clock, which never jumps.
            patience_s: how long a crawler may live without showing it.

        Raises:
            StateError: as `commit`.
        """
        with self._file.in_use() as database:
            self._check_place(database)
            self._crew.meet(database, now_s, patience_s)
            rows = value_of(
                database,
                f"SELECT json_group_array(json_array({_ROW})) FROM "
                "(SELECT r.* FROM requests r JOIN hosts h ON h.number = r.host "
                f"WHERE r.number > ? AND r.state = {WAITING} AND h.crawler = ?)",
                self._news_after,
                self._crew.number,
            )
            self._news_after = _last_request(database)
            surplus = 0 if _others_wait(database) else self._crew.surplus(database)
            met = Met(
                [Row(*row) for row in rows],
                self._read_scope(database),
                _counts(database),
                _suspects(database),
                surplus,
            )
        self._crew.clear_away()
        return met

    def _read_scope(self, database: sqlite3.Connection) -> list[tuple[str, bool]]:
        """Places that came into scope since the last call."""
        rows = database.execute(
            "SELECT rowid, url, is_seed FROM scope WHERE rowid > ? ORDER BY rowid", (self._scope_after,)
        ).fetchall()
        if rows:
            self._scope_after = rows[-1][0]
        return [(url, bool(is_seed)) for _, url, is_seed in rows]

    def take_outputs(self) -> list[OutputPart]:
        """Where each output goes on: the first part that no crawler writes to."""
        names = self._crawl.outputs
        with self._file.in_use() as database:
            rows = database.execute("SELECT name, part, crawler, position FROM outputs").fetchall()
            busy = {part for _, part, crawler, _ in rows if self._crew.has_living(database, crawler)}
            self._part = next(part for part in range(1, len(rows) + 2) if part not in busy)
            positions = {name: position for name, part, _, position in rows if part == self._part}
            database.executemany(
                "INSERT INTO outputs VALUES (?1, ?2, ?3, NULL) ON CONFLICT DO UPDATE SET crawler = ?3",
                [(name, self._part, self._crew.number) for name in names],
            )
        return [OutputPart(name, self._part, positions.get(name)) for name in names]

    def adopt_outputs(self) -> list[OutputPart]:
        """Parts that dead crawlers left. They are this crawler's until it releases them."""
        with self._file.in_use() as database:
            rows = database.execute("SELECT name, part, crawler, position FROM outputs").fetchall()
            left = [
                OutputPart(name, part, position)
                for name, part, crawler, position in rows
                if not self._crew.has_living(database, crawler)
            ]
            database.executemany(
                "UPDATE outputs SET crawler = ? WHERE name = ? AND part = ?",
                [(self._crew.number, each.name, each.part) for each in left],
            )
        return left

    def release_outputs(self, parts: Sequence[OutputPart]) -> None:
        """Any crawler may go on with these, from the positions that they have now."""
        with self._file.in_use() as database:
            database.executemany(
                "UPDATE outputs SET crawler = NULL, position = ? WHERE name = ? AND part = ?",
                [(part.position, part.name, part.part) for part in parts],
            )


# Steps of a commit


def _taken_by_others(database: sqlite3.Connection, claims: Sequence[tuple[str, int]]) -> list[int]:
    """Which of these claims come too late, by their index."""
    taken: list[int] = value_of(
        database,
        "SELECT json_group_array(j.key) FROM json_each(?) j JOIN known k "
        "ON k.high = j.value->>0 AND k.low = j.value->>1 WHERE k.request <> j.value->>2",
        _claims(claims),
    )
    return taken


def _claim(database: sqlite3.Connection, claims: Sequence[tuple[str, int]]) -> None:
    database.execute(
        "INSERT OR IGNORE INTO known SELECT value->>0, value->>1, value->>2, 0 FROM json_each(?)", (_claims(claims),)
    )


def _claims(claims: Sequence[tuple[str, int]]) -> str:
    return json.dumps([(*_digest(key), request) for key, request in claims])


def _leave(database: sqlite3.Connection, hosts: Sequence[int]) -> None:
    """Hosts of which something waits get in line again."""
    database.execute(
        "UPDATE hosts SET crawler = NULL, turn = CASE WHEN EXISTS "
        f"(SELECT 1 FROM requests WHERE host = hosts.number AND state = {WAITING}) "
        "THEN (SELECT max((SELECT max(number) FROM requests), coalesce(max(turn), 0) + 1) FROM hosts "
        "WHERE turn IS NOT NULL) END WHERE number IN (SELECT value FROM json_each(?))",
        (json.dumps(hosts),),
    )


def _end(database: sqlite3.Connection, change: Change) -> None:
    database.execute(
        "UPDATE requests SET state = j.value->>1, attempts = j.value->>2 FROM json_each(?) j "
        "WHERE requests.number = j.value->>0",
        (json.dumps(change.ends),),
    )
    if change.reasons:
        database.execute(
            "INSERT OR REPLACE INTO ends SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each(?)",
            (json.dumps(change.reasons),),
        )
    database.execute(
        "DELETE FROM suspects WHERE request IN (SELECT value->>0 FROM json_each(?))", (json.dumps(change.ends),)
    )


def _rests_of(database: sqlite3.Connection, hosts: Sequence[str]) -> list[tuple[str, float]]:
    """Until when hosts are to be left alone, which another crawler may have been told."""
    return database.execute(
        "SELECT host, until_s FROM rests WHERE host IN (SELECT value FROM json_each(?))", (json.dumps(hosts),)
    ).fetchall()


def _delay(database: sqlite3.Connection, delays: Sequence[tuple[int, int, int, float]], now_s: float) -> None:
    rows = json.dumps(delays)
    database.execute(
        f"UPDATE requests SET state = {DELAYED}, attempts = j.value->>2 FROM json_each(?) j "
        "WHERE requests.number = j.value->>0",
        (rows,),
    )
    database.execute(
        "INSERT OR REPLACE INTO delayed SELECT value->>0, value->>1, ?2, value->>3 FROM json_each(?1)", (rows, now_s)
    )


def _admit(
    database: sqlite3.Connection,
    found: Sequence[Found],
    known_hosts: Mapping[str, int],
    counts: Counter[tuple[str, str]],
) -> tuple[list[Row], list[Row]]:
    """Adds what is new; tells which requests were found nearer to a seed than they were."""
    digests = [_digest(each.key) for each in found]
    rows = value_of(  # by half of the digest, which a flat array can carry; the other half is compared here
        database,
        "SELECT json_group_array(json_array(j.key, k.low, k.request, k.depth)) FROM json_each(?) j "
        "CROSS JOIN known k ON k.high = j.value",
        json.dumps([high for high, _ in digests]),
    )
    known = {index: (request, depth) for index, low, request, depth in rows if digests[index][1] == low}
    nearer = [
        (request, found[index].depth, *digests[index])
        for index, (request, depth) in known.items()
        if found[index].depth < depth
    ]
    moved = _move(database, nearer) if nearer else []
    new = [index for index in range(len(found)) if index not in known]
    counts["dropped", "duplicate"] += len(found) - len(new)
    if not new:
        return [], moved
    first = _last_request(database) + 1
    names = dict.fromkeys(found[index].host for index in new)
    hosts = _host_numbers(database, names, known_hosts, first, counts)
    admitted = [
        Row(number, each.url, hosts[each.host], each.depth, each.urgency, 0, each.more)
        for number, each in enumerate((found[index] for index in new), first)
    ]
    database.execute(
        f"INSERT INTO requests ({_ROW}) SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, "
        "value->>6 FROM json_each(?)",
        (json.dumps(admitted),),
    )
    database.execute(
        "INSERT INTO known SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each(?)",
        (json.dumps([(*digests[index], first + at, found[index].depth) for at, index in enumerate(new)]),),
    )
    counts["state", "seen"] += len(admitted)
    return admitted, moved


def _move(database: sqlite3.Connection, nearer: Sequence[tuple[int, int, int, int]]) -> list[Row]:
    """Requests, each with its smaller depth and its digest: those that wait change their place."""
    text = json.dumps(nearer)
    rows = value_of(
        database,
        "SELECT json_group_array(json_array(r.number, r.url, r.host, j.value->>1, r.urgency, r.attempts, r.more)) "
        f"FROM json_each(?) j CROSS JOIN requests r ON r.number = j.value->>0 WHERE r.state = {WAITING}",
        text,
    )
    database.execute(
        "UPDATE requests SET depth = j.value->>1 FROM json_each(?) j WHERE requests.number = j.value->>0", (text,)
    )
    database.execute(
        "UPDATE known SET depth = j.value->>1 FROM json_each(?) j "
        "WHERE known.high = j.value->>2 AND known.low = j.value->>3",
        (text,),
    )
    return [Row(*row) for row in rows]


def _host_numbers(
    database: sqlite3.Connection,
    names: Iterable[str],
    known: Mapping[str, int],
    turn: int,
    counts: Counter[tuple[str, str]],
) -> dict[str, int]:
    """Numbers of hosts, new ones among them. Those that nobody works on get in line to be taken."""
    others = json.dumps([name for name in names if name not in known])
    if others == "[]":
        return dict(known)
    counts["hosts", "met"] += database.execute(
        "INSERT OR IGNORE INTO hosts (name) SELECT value FROM json_each(?)", (others,)
    ).rowcount
    database.execute(
        "UPDATE hosts SET turn = ? WHERE crawler IS NULL AND turn IS NULL AND name IN (SELECT value FROM json_each(?))",
        (turn, others),
    )
    rows = value_of(
        database,
        "SELECT json_group_array(json_array(name, number)) FROM hosts WHERE name IN (SELECT value FROM json_each(?))",
        others,
    )
    return {**known, **dict(rows)}


def _rows(database: sqlite3.Connection, want: Want, name: str) -> Load:
    rows = value_of(
        database,
        f"SELECT json_group_array(json_array({_ROW})) FROM (SELECT * FROM requests "
        f"WHERE host = ? AND state = {WAITING} AND (urgency, depth, number) > (?, ?, ?) "
        "ORDER BY urgency, depth, number LIMIT ?)",
        want.host,
        *want.after,
        want.limit,
    )
    return Load(want.host, name, [Row(*row) for row in rows], len(rows) < want.limit)


# What is read in passing


def _digest(key: str) -> tuple[int, int]:
    """A fingerprint as two integers of 64 bits, which a JSON array can carry to SQLite."""
    high, low = _two_integers(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest())
    return high, low


def _last_request(database: sqlite3.Connection) -> int:
    number: int = database.execute("SELECT coalesce(max(number), 0) FROM requests").fetchone()[0]
    return number


def _others_wait(database: sqlite3.Connection) -> bool:
    """Whether hosts wait to be taken."""
    return database.execute("SELECT 1 FROM hosts WHERE turn IS NOT NULL LIMIT 1").fetchone() is not None


def _suspects(database: sqlite3.Connection) -> dict[int, int]:
    return dict(database.execute("SELECT request, crashes FROM suspects"))


def _counts(database: sqlite3.Connection) -> Counter[tuple[str, str]]:
    return Counter({(kind, name): value for kind, name, value in database.execute("SELECT * FROM counts")})


def _add_counts(database: sqlite3.Connection, counts: Counter[tuple[str, str]]) -> None:
    rows = [(kind, name, value) for (kind, name), value in counts.items() if value]
    database.execute(
        "INSERT INTO counts SELECT value->>0, value->>1, value->>2 FROM json_each(?) WHERE true "
        "ON CONFLICT DO UPDATE SET value = value + excluded.value",
        (json.dumps(rows),),
    )
