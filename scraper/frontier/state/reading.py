"""A state file as somebody sees it who does not work on it.

Nothing is changed and nobody is held up: each transaction reads one portion and ends, so that a crawl's log can always
be copied back into its file. URLs come without the user names and passwords in them.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from scraper import urls
from scraper.errors import StateRefused
from scraper.frontier.protocol import SUSPECTED_AFTER
from scraper.frontier.state import presence, schema
from scraper.frontier.state.faults import cause_of
from scraper.frontier.state.file import check_kind
from scraper.frontier.state.schema import DELAYED, DONE, FAILED, SKIPPED, WAITING

T = TypeVar("T")

# A crawl that commits, or one that starts, holds the file's lock for milliseconds.
_LOCK_TIMEOUT_S = 10.0
# Requests that are looked at in one transaction: some 10 ms.
_PORTION = 5_000
# Of what there may be a million of, a summary has the first few.
_MOST_SEEDS = 20
_MOST_SUSPECTS = 20

STATES = ("waiting", "done", "failed", "skipped")
"""Words for the states of a request; one that waits for a time waits."""
_WORDS = {WAITING: "waiting", DELAYED: "waiting", DONE: "done", FAILED: "failed", SKIPPED: "skipped"}


@dataclass(frozen=True, slots=True)
class StoredOutput:
    """One part of an output, as far as it is committed.

    Args:
        path: of the output itself, absolute.
        part: its number; 1 is the output itself.
        committed: the sink's own words for how far; None where nothing is.
        crawler: number of the one that writes it; None if nobody does.
    """

    path: str
    part: int
    committed: Mapping[str, Any] | None
    crawler: int | None


@dataclass(frozen=True, slots=True)
class StoredCrawler:
    """A process that works on the file, or died with it.

    Args:
        number: never given twice.
        process: its id.
        command: what it was started as, cut to 1,000 characters.
        started: date and time, UTC.
        joined: it shares the file with others.
        alive: it still runs.
        under_way: requests that it has, or had when it died.
    """

    number: int
    process: int
    command: str
    started: str
    joined: bool
    alive: bool
    under_way: int


@dataclass(frozen=True, slots=True)
class Suspect:
    """A request that crawlers died with.

    Args:
        url: without credentials.
        state: its word.
        crashes: how many died.
        is_suspected: whether they were so many that it is let in alone.
    """

    url: str
    state: str
    crashes: int
    is_suspected: bool


@dataclass(frozen=True, slots=True)
class StateSummary:
    """A crawl as its state file has it at one moment.

    Args:
        path: of the file, as given.
        format: version of its tables.
        handler, scope, max_depth: of the crawl.
        seeds: the first of them.
        places: how many seeds there are, and places that seeds moved to.
        seen, done, failed, skipped, waiting: requests; seen is the sum of the others.
        delayed: those of the waiting that wait for a time.
        next_due_s, last_due_s: the first and the last of these times, in seconds since 1970; None without any.
        items, bytes: of the pages that are done, over all runs.
        hosts: that ever had a request.
        failures, skips, dropped: reason and count.
        outputs: how far each part of each output is committed.
        items_here: rows of the table of items in this very file; None if the crawl writes none to it.
        crawlers: who works on it, or died with it.
        suspects: the requests that most crawlers died with.
        suspects_in_all: how many there are.
    """

    path: str
    format: int
    handler: str | None
    scope: str | None
    max_depth: int | None
    seeds: tuple[str, ...]
    places: int
    seen: int
    done: int
    failed: int
    skipped: int
    waiting: int
    delayed: int
    next_due_s: float | None
    last_due_s: float | None
    items: int
    bytes: int
    hosts: int
    failures: Mapping[str, int]
    skips: Mapping[str, int]
    dropped: Mapping[str, int]
    outputs: tuple[StoredOutput, ...]
    items_here: int | None
    crawlers: tuple[StoredCrawler, ...]
    suspects: tuple[Suspect, ...]
    suspects_in_all: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as JSON has it."""
        return asdict(self)


class ListedRequest(NamedTuple):
    """A request of a listing; stage, reason and detail are None where there is no reason to tell."""

    state: str
    url: str
    depth: int
    attempts: int
    stage: str | None
    reason: str | None
    detail: str | None


class StateReader:
    """A state file that is looked at; used as a context. It may be worked on at the same time.

    SQLite makes two files beside a database whose log is not there, and a reader may not take them away again. So a
    file that nobody works on is read as one that does not change, and read once more where it did.

    Args:
        path: of the file.

    Raises:
        StateRefused: it is missing, no state file, damaged, or of a newer version; here, and while it is read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._given = os.fspath(path)
        self._path = os.path.realpath(self._given)
        self._log = Path(f"{self._path}-wal")
        self._name = f"state {self._given}"
        self._database: sqlite3.Connection | None = None
        self._unchanged: tuple[int, ...] | None = None  # the file that was opened as one that does not change

    def __repr__(self) -> str:
        return f"<StateReader {self._given}>"

    def __enter__(self) -> Self:
        try:
            self._read(self._check)
        except BaseException:
            self._disconnect()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._disconnect()

    def summary(self) -> StateSummary:
        """The crawl at this moment."""
        numbers = self._read(lambda database: database.execute("SELECT number FROM crawlers").fetchall())
        # Who ends in good order leaves the file first: without a sign of life, and still in it, is dead.
        alive = partial(presence.is_alive, self._path)
        dead = {number for (number,) in numbers if not self._looked(partial(alive, number))}
        return self._read(lambda database: self._summary(database, dead))

    def requests(self, states: Collection[str] = STATES) -> Iterator[ListedRequest]:
        """Requests in these states, in the order in which they were found. Memory does not grow with their number.

        What is found after the first portion was read is not among them. Each is in the state that it had when its
        portion was read.
        """
        wanted = ", ".join(str(state) for state, word in _WORDS.items() if word in states)
        query = (
            "SELECT r.state, r.url, r.depth, r.attempts, e.stage, e.reason, e.detail FROM requests r "
            f"LEFT JOIN ends e ON e.request = r.number AND r.state IN ({FAILED}, {SKIPPED}) "
            f"WHERE r.number BETWEEN ? AND ? AND r.state IN ({wanted}) ORDER BY r.number"
        )
        last: int = self._read(lambda database: database.execute("SELECT max(number) FROM requests").fetchone()[0] or 0)
        for first in range(1, last + 1, _PORTION):
            bounds = (first, min(first + _PORTION - 1, last))
            for state, url, *rest in self._read(partial(_rows, query=query, values=bounds)):
                yield ListedRequest(_WORDS[state], urls.without_credentials(url), *rest)

    # What a summary is made of

    def _summary(self, database: sqlite3.Connection, dead: Collection[int]) -> StateSummary:
        about: dict[str, str | None] = dict(database.execute("SELECT name, value FROM about"))
        counts = Counter({(kind, name): value for kind, name, value in database.execute("SELECT * FROM counts")})
        seen, done, failed, skipped = (counts["state", word] for word in ("seen", "done", "failed", "skipped"))
        seeds = database.execute("SELECT url FROM scope WHERE is_seed ORDER BY rowid LIMIT ?", (_MOST_SEEDS,))
        delayed, next_due_s, last_due_s = database.execute(
            "SELECT count(*), min(due_s), max(due_s) FROM delayed"
        ).fetchone()
        depth = about.get("max-depth")
        return StateSummary(
            path=self._given,
            format=database.execute("PRAGMA user_version").fetchone()[0],
            handler=about.get("handler"),
            scope=about.get("scope"),
            max_depth=None if depth is None else int(depth),
            seeds=tuple(urls.without_credentials(url) for (url,) in seeds),
            places=_number(database, "SELECT count(*) FROM scope WHERE is_seed"),
            seen=seen,
            done=done,
            failed=failed,
            skipped=skipped,
            waiting=seen - done - failed - skipped,
            delayed=delayed,
            next_due_s=next_due_s,
            last_due_s=last_due_s,
            items=counts["total", "items"],
            bytes=counts["total", "bytes"],
            hosts=counts["hosts", "met"],
            failures=_of_kind(counts, "failure"),
            skips=_of_kind(counts, "skip"),
            dropped=_of_kind(counts, "dropped"),
            outputs=self._outputs(database, json.loads(about.get("outputs") or "[]")),
            items_here=_items_here(database),
            crawlers=self._crawlers(database, dead),
            suspects=_suspects(database),
            suspects_in_all=_number(database, "SELECT count(*) FROM suspects"),
        )

    def _outputs(self, database: sqlite3.Connection, names: Collection[str]) -> tuple[StoredOutput, ...]:
        rows = database.execute("SELECT name, part, crawler, position FROM outputs ORDER BY name, part").fetchall()
        rows += [(name, 1, None, None) for name in names if name not in {row[0] for row in rows}]
        folder = Path(self._path).parent
        return tuple(
            StoredOutput(os.path.normpath(folder / name), part, json.loads(position) if position else None, crawler)
            for name, part, crawler, position in rows
        )

    def _crawlers(self, database: sqlite3.Connection, dead: Collection[int]) -> tuple[StoredCrawler, ...]:
        rows = database.execute("SELECT number, process, command, started, is_joined FROM crawlers ORDER BY number")
        return tuple(
            StoredCrawler(
                number,
                process,
                command,
                started,
                joined=bool(is_joined),
                alive=number not in dead,
                under_way=len(presence.under_way(self._path, number)),
            )
            for number, process, command, started, is_joined in rows
        )

    # The ground

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """What a query finds, in a transaction of its own."""
        return self._looked(lambda: self._in_transaction(query))

    def _in_transaction(self, query: Callable[[sqlite3.Connection], T]) -> T:
        while True:
            database = self._connected()
            try:
                database.execute("BEGIN")
                found = query(database)
                database.execute("COMMIT")
            except (sqlite3.Error, StateRefused):
                if self._is_as_opened():
                    raise
            else:
                if self._is_as_opened():
                    return found
            self._disconnect()

    def _looked(self, look: Callable[[], T]) -> T:
        """Says in our own words why the file, or one beside it, cannot be read."""
        try:
            return look()
        except (sqlite3.Error, OSError) as error:
            raise StateRefused(f"{self._name} cannot be read: {cause_of(error)}") from error
        except json.JSONDecodeError as error:
            raise StateRefused(f"{self._name} cannot be read: it is damaged: restore a copy") from error

    def _connected(self) -> sqlite3.Connection:
        if self._database is None:
            path = Path(self._path)
            if not path.exists():
                raise StateRefused(f"{self._name} does not exist: give the path that a crawl was given with --state")
            if path.is_dir():
                raise StateRefused(f"{self._name} cannot be read: it is a directory")
            if not os.access(path, os.R_OK):
                raise StateRefused(f"{self._name} cannot be read: it may not be read by this user")
            self._unchanged = None if self._log.exists() else self._file()
            how = "mode=ro" if self._unchanged is None else "mode=ro&immutable=1"
            self._database = sqlite3.connect(
                f"{path.as_uri()}?{how}", uri=True, timeout=_LOCK_TIMEOUT_S, isolation_level=None
            )
            # What is no UTF-8, as lone surrogates are none, must not end a listing.
            self._database.text_factory = lambda data: data.decode("utf-8", "replace")
        return self._database

    def _disconnect(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _file(self) -> tuple[int, ...] | None:
        try:
            found = Path(self._path).stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _is_as_opened(self) -> bool:
        """Whether what was read was whole. SQLite sees to that itself where the file was opened as one that changes."""
        if self._unchanged is None:
            return True
        return not self._log.exists() and self._file() == self._unchanged

    def _check(self, database: sqlite3.Connection) -> None:
        check_kind(database, self._name)
        if database.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
            raise StateRefused(f"{self._name} is empty: no crawl has begun in it")


def _rows(database: sqlite3.Connection, query: str, values: tuple[int, ...]) -> list[Any]:
    return database.execute(query, values).fetchall()


def _number(database: sqlite3.Connection, query: str) -> int:
    number: int = database.execute(query).fetchone()[0]
    return number


def _of_kind(counts: Counter[tuple[str, str]], kind: str) -> dict[str, int]:
    return {name: value for (of, name), value in counts.items() if of == kind and value}


def _items_here(database: sqlite3.Connection) -> int | None:
    """Rows are numbered from 1 on, and none is ever taken away."""
    if not _number(database, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'items'"):
        return None
    return _number(database, "SELECT coalesce(max(_rowid_), 0) FROM items")


def _suspects(database: sqlite3.Connection) -> tuple[Suspect, ...]:
    rows = database.execute(
        "SELECT r.url, r.state, s.crashes FROM suspects s JOIN requests r ON r.number = s.request "
        "ORDER BY s.crashes DESC, s.request LIMIT ?",
        (_MOST_SUSPECTS,),
    )
    return tuple(
        Suspect(urls.without_credentials(url), _WORDS[state], crashes, crashes >= SUSPECTED_AFTER)
        for url, state, crashes in rows
    )
