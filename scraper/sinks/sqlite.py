"""A database file: table `items`, a column a key."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scraper.errors import OutputRefused
from scraper.sinks.items_table import EnclosedRows, ItemsTable
from scraper.sinks.off_loop import OffLoop
from scraper.sinks.output_file import OutputFile, changed, check_in_place, missing, part_path, unknown
from scraper.sinks.protocol import Record


class SqliteSink:
    """The table `items` of a SQLite file; each batch is one transaction.

    A new key adds a column. SQLite's names do not tell case, so a key that differs from another in case alone
    has a number put behind. Nested values are JSON text. From 1,000 columns on, what has none goes into the
    column `_other`, as a JSON object. Of a file that is there already, the table `items` is replaced and
    nothing else is touched. A crawl with a durable state goes on with it if it is its own, and refuses another's.

    Args:
        path: of the database.
        lock_timeout_s: how long another program that writes to the file is waited for.
    """

    def __init__(self, path: str | os.PathLike[str], *, lock_timeout_s: float = 10.0) -> None:
        self._path = os.fspath(path)
        self._name = f"output {self._path}"
        self._off_loop = OffLoop(self._name, sqlite3.Error)
        self._lock_timeout_s = lock_timeout_s
        self._database: sqlite3.Connection | None = None
        self._was_created = False
        self._has_started = False
        self._table = ItemsTable()
        self._enclosed: EnclosedRows | None = None
        self._held: os.stat_result | None = None  # of the file of a resumed sink
        self._rows = 0
        self._position = _position(self._rows, self._table)
        self._committed: str | None = None

    @property
    def path(self) -> str:
        """Of the database, as given."""
        return self._path

    @property
    def output(self) -> str:
        return self._path

    def enclosed(self) -> EnclosedRows:
        """The same table for a database of somebody else, who holds the connection. The sink itself stays closed."""
        self._enclosed = self._enclosed or EnclosedRows(self._name)
        return self._enclosed

    async def open(self) -> None:
        await self._off_loop.open(self._open)

    async def resume(self, position: str | None, *, is_synced: bool = False) -> None:
        await self._off_loop.open(lambda: self._resume(position, is_synced=is_synced))

    async def write(self, records: Sequence[Record]) -> None:
        await self._off_loop.write(self._write, records)

    async def finish(self) -> None:
        await self._off_loop.finish(self._finish)

    async def close(self) -> None:
        await self._off_loop.close(self._close)

    @property
    def position(self) -> str:
        return self._position

    def committed(self, position: str) -> None:
        self._committed = position

    def part(self, number: int) -> SqliteSink:
        path = part_path(self._path, number)
        return self if path == self._path else SqliteSink(path, lock_timeout_s=self._lock_timeout_s)

    def warnings(self) -> tuple[str, ...]:
        table = self._table if self._enclosed is None else self._enclosed.table
        return tuple(table.warnings(self._name))

    def _open(self) -> None:
        self._was_created = not Path(self._path).exists()
        probe = OutputFile(self._path)  # says more clearly than SQLite what is wrong with a path
        probe.open()
        probe.close()
        database = self._database = sqlite3.connect(
            self._path, timeout=self._lock_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            self._check(database)
        except BaseException:
            self._close()
            raise

    def _check(self, database: sqlite3.Connection) -> None:
        if _kind_of_items(database) not in (None, "table"):
            raise OutputRefused(f"{self._name} cannot be written: what it calls items is no table")
        with _transaction(database):  # proves that the file may be written, and that nobody else is writing
            pass

    def _resume(self, position: str | None, *, is_synced: bool) -> None:
        known = json.loads(position) if position else None
        if known and known["columns"] and not Path(self._path).exists():
            raise OutputRefused(missing(self._name))
        self._has_started, self._rows, self._table = False, 0, ItemsTable()
        self._open()
        database = self._opened()
        try:
            with _transaction(database):
                self._continue(database, known)
            if is_synced:  # by itself SQLite syncs the file, and not that its journal is gone
                database.execute("PRAGMA synchronous = EXTRA")
            self._held = Path(self._path).stat()
        except BaseException:
            self._close()
            raise
        self._has_started = True
        self._committed = position or None
        self._position = _position(self._rows, self._table)

    def _continue(self, database: sqlite3.Connection, known: dict[str, Any] | None) -> None:
        if known is None:
            if _kind_of_items(database) is not None:
                raise OutputRefused(unknown(f"{self._name}, table items,"))
            return
        rows, columns, rest = known["rows"], known["columns"], known["rest"]
        present = [name for _, name, *_ in database.execute("PRAGMA table_info(items)")]
        if not {*columns.values(), *([rest] if rest is not None else [])} <= {*present}:
            raise OutputRefused(changed(self._name))
        self._rows, self._table = rows, ItemsTable(columns, rest, present)
        if present:
            (count,) = database.execute("SELECT count(*) FROM items WHERE _rowid_ <= ?", (rows,)).fetchone()
            if count != rows:  # rows are numbered from 1 on without gaps
                raise OutputRefused(changed(self._name))
            self._cut(database, rows)

    def _cut(self, database: sqlite3.Connection, rows: int) -> None:
        if database.execute("SELECT 1 FROM items WHERE _rowid_ > ?", (rows,)).fetchone():
            sys.audit("scraper.sink", "cut", self._path)
            database.execute("DELETE FROM items WHERE _rowid_ > ?", (rows,))

    def _write(self, records: Sequence[Record]) -> None:
        database = self._opened()
        if self._held is not None:
            check_in_place(self._path, self._held)
        sys.audit("scraper.sink", "write", self._path)
        rows = self._rows
        with _transaction(database):
            if not self._has_started:
                database.execute("DROP TABLE IF EXISTS items")
            if records:
                rows = self._table.insert(database, records)
                sys.audit("scraper.sink", "half", self._path)
        self._has_started = True
        self._rows, self._position = rows, _position(rows, self._table)
        sys.audit("scraper.sink", "written", self._path)

    def _finish(self) -> None:
        if not self._table.exists:  # no item came: an empty table says so
            with _transaction(self._opened()):
                self._table.create(self._opened())
            self._position = _position(self._rows, self._table)

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is None:
            return
        is_resumed, self._held = self._held is not None, None
        try:
            if is_resumed:
                self._cut_back(database)
            elif self._has_started:
                self._table.create(database)
        finally:
            database.close()
            is_kept = self._committed is not None if is_resumed else self._has_started
            if self._was_created and not is_kept:
                Path(self._path).unlink(missing_ok=True)

    def _cut_back(self, database: sqlite3.Connection) -> None:
        with _transaction(database):
            if self._committed is None:
                database.execute("DROP TABLE IF EXISTS items")
            elif _kind_of_items(database) is not None:
                self._cut(database, json.loads(self._committed)["rows"])

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            raise sqlite3.ProgrammingError("the database is closed")
        return self._database

    def __repr__(self) -> str:
        return f"SqliteSink({self._path!r})"


def _kind_of_items(database: sqlite3.Connection) -> str | None:
    row = database.execute("SELECT type FROM sqlite_master WHERE name = 'items' COLLATE NOCASE").fetchone()
    return None if row is None else str(row[0])


def _position(rows: int, table: ItemsTable) -> str:
    return json.dumps({"rows": rows, "columns": table.columns, "rest": table.rest})


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")
