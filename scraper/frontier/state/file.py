"""A state file as SQLite has it: found to be one, opened, and its failures put in our own words."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scraper.errors import StateError, StateInDoubt, StateRefused
from scraper.frontier.state import schema
from scraper.frontier.state.faults import cause_of, is_in_doubt
from scraper.options import SynchronousName

# The first whose JSON functions have the operator ->>.
_OLDEST_SQLITE = (3, 38)
# Another program that reads the file, or another crawler that commits, holds its lock for milliseconds.
_LOCK_TIMEOUT_S = 10.0
# Pages of the file in this process's memory; the rest is the kernel's.
_CACHE_KIB = 65_536
# A checkpoint copies each page that was changed once, however often it was: the rarer, the less there is to write.
# 32 MB of log are read back in some 50 ms after a crash.
_CHECKPOINT_PAGES = 8_192


class StateFile:
    """The connection to a state file. It is used by one thread.

    Args:
        path: of the file.
        synchronous: whether each commit waits for the disk.
    """

    def __init__(self, path: str | os.PathLike[str], synchronous: SynchronousName) -> None:
        self.path = Path(path).resolve()
        self.name = f"state {os.fspath(path)}"
        self._synchronous = synchronous
        self._database: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._was_made = False

    def open(self) -> None:
        """Connects, and makes the file where there is none. Its tables are made by `prepare`.

        Raises:
            StateRefused: it is no state file, or one that cannot be used.
            sqlite3.Error, OSError: as SQLite and the system have it.
        """
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            needed = ".".join(map(str, _OLDEST_SQLITE))
            raise StateRefused(f"{self.name} needs SQLite {needed}, and this Python has {sqlite3.sqlite_version}")
        if not self.path.parent.is_dir():
            raise StateRefused(f"{self.name} cannot be used: its folder does not exist")
        if self.path.is_dir():
            raise StateRefused(f"{self.name} cannot be used: it is a directory")
        self._was_made = not self.path.exists()
        self._database = database = sqlite3.connect(self.path, timeout=_LOCK_TIMEOUT_S, isolation_level=None)
        check_kind(database, self.name)
        if database.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise StateRefused(f"{self.name} cannot be used: SQLite has no write-ahead log on this file system")
        database.execute(f"PRAGMA synchronous = {self._synchronous}")
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        database.execute("PRAGMA temp_store = MEMORY")
        self._identity = _identity(self.path)

    def prepare(self, database: sqlite3.Connection) -> None:
        """Makes the tables, or brings those of an earlier version up to date; inside a transaction."""
        check_kind(database, self.name)  # once more: another process may have been quicker
        schema.bring_up_to_date(database)

    def close(self, *, is_of_no_use: bool = False) -> None:
        """Lets the file go.

        Args:
            is_of_no_use: nothing came of the crawl: if the file was made for it, it goes again.
        """
        if self._database is not None:
            self._database.close()
            self._database = None
        if is_of_no_use and self._was_made:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    @property
    def is_empty(self) -> bool:
        """No transaction has come to its end in it."""
        try:
            return self._database is not None and not value_of(self._database, "SELECT count(*) FROM sqlite_master")
        except sqlite3.Error:
            return False

    @property
    def is_there(self) -> bool:
        """SQLite writes on into a file that has no name any more, and tells nobody."""
        return self._identity is not None and _identity(self.path) == self._identity

    @contextmanager
    def in_use(self) -> Iterator[sqlite3.Connection]:
        """A transaction of the crawl.

        Raises:
            StateError: the file failed or is gone; nothing was changed.
        """
        if not self.is_there:
            raise StateError(f"{self.name} was deleted or replaced while the crawl worked on it")
        try:
            with self.transaction() as database:
                yield database
        except (sqlite3.Error, OSError) as error:
            kind = StateInDoubt if is_in_doubt(error) else StateError
            raise kind(f"{self.name} failed: {cause_of(error)}") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. What ends it by itself, by a ROLLBACK, is left alone."""
        database = self._database
        if database is None:
            raise StateError(f"{self.name} is closed")
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
            if database.in_transaction:
                database.execute("COMMIT")
        finally:
            if database.in_transaction:
                with suppress(sqlite3.Error):  # the failure that led here is the one to tell
                    database.execute("ROLLBACK")


def check_kind(database: sqlite3.Connection, name: str) -> None:
    """Whether a database is a state file of a version that is known, or empty.

    Raises:
        StateRefused: it is not.
    """
    kind = database.execute("PRAGMA application_id").fetchone()[0]
    is_empty = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if kind != schema.APPLICATION_ID and not is_empty:
        raise StateRefused(f"{name} is a database of another program: name another file")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if kind == schema.APPLICATION_ID and version > len(schema.MIGRATIONS):
        raise StateRefused(
            f"{name} was written by a newer version of scraper: it has format {version}, and this version "
            f"knows those up to {len(schema.MIGRATIONS)}"
        )


def value_of(database: sqlite3.Connection, query: str, *values: object) -> Any:
    """The one value of a query's one row: a number, or what its JSON text stands for."""
    value = database.execute(query, values).fetchone()[0]
    return json.loads(value) if isinstance(value, str) else value


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
