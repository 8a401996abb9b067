"""A database file: table `items`, a column a key."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from scraper.errors import OutputRefused
from scraper.model import Item
from scraper.sinks.off_loop import OffLoop
from scraper.sinks.output_file import OutputFile
from scraper.sinks.protocol import Record
from scraper.sinks.values import Cell, cell, json_text, well_formed

# SQLite refuses more than 2,000 columns unless it was built otherwise, and a table that wide comes from keys
# that are data. Half of it leaves room for whoever works on with the table.
_MAX_COLUMNS = 1_000
_REST = "_other"
_PLACEHOLDER = "url"  # a table has at least one column, even where no item came
_MAX_LISTED = 10


class SqliteSink:
    """The table `items` of a SQLite file; each batch is one transaction.

    A new key adds a column. SQLite's names do not tell case, so a key that differs from another in case alone
    has a number put behind. Nested values are JSON text. From 1,000 columns on, what has none goes into the
    column `_other`, as a JSON object. Of a file that is there already, the table `items` is replaced and
    nothing else is touched.

    Args:
        path: of the database.
        lock_timeout_s: how long another program that writes to the file is waited for.
    """

    def __init__(self, path: str | os.PathLike[str], *, lock_timeout_s: float = 10.0) -> None:
        self._path = os.fspath(path)
        self._off_loop = OffLoop(f"output {self._path}", sqlite3.Error)
        self._lock_timeout_s = lock_timeout_s
        self._database: sqlite3.Connection | None = None
        self._was_created = False
        self._has_started = False
        self._has_table = False
        self._columns: dict[str, str] = {}  # key to column
        self._taken: set[bytes] = set()  # columns in SQLite's own folding, which knows ASCII alone
        self._rest: str | None = None

    async def open(self) -> None:
        await self._off_loop.open(self._open)

    async def write(self, records: Sequence[Record]) -> None:
        await self._off_loop.write(self._write, records)

    async def close(self) -> None:
        await self._off_loop.close(self._close)

    def warnings(self) -> tuple[str, ...]:
        found = []
        renamed = [f"{key!r} is in {column!r}" for key, column in self._columns.items() if key != column]
        if renamed:
            dots = ", …" if len(renamed) > _MAX_LISTED else ""
            found.append(f"output {self._path} has other names for some keys: {', '.join(renamed[:_MAX_LISTED])}{dots}")
        if self._rest is not None:
            found.append(f"output {self._path} has {len(self._columns):,} columns; further keys are in {self._rest!r}")
        return tuple(found)

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
        kind = database.execute("SELECT type FROM sqlite_master WHERE name = 'items' COLLATE NOCASE").fetchone()
        if kind not in (None, ("table",)):
            raise OutputRefused(f"output {self._path} cannot be written: what it calls items is no table")
        with _transaction(database):  # proves that the file may be written, and that nobody else is writing
            pass

    def _write(self, records: Sequence[Record]) -> None:
        database = self._opened()
        with _transaction(database):
            if not self._has_started:
                database.execute("DROP TABLE IF EXISTS items")
            for keys, alike in groupby(records, key=lambda record: tuple(record.item)):
                self._insert(database, keys, [record.item for record in alike])
        self._has_started = True

    def _insert(self, database: sqlite3.Connection, keys: tuple[str, ...], items: list[Item]) -> None:
        placed = [key for key in keys if self._has_column(database, key)]
        extra = [key for key in keys if key not in self._columns]
        columns = [self._columns[key] for key in placed]
        if extra:
            self._rest = self._rest or self._add_column(database, _REST)
            columns.append(self._rest)
        if not self._has_table:
            self._add_column(database, _PLACEHOLDER)
        if columns:
            names, marks = ", ".join(map(_quoted, columns)), ", ".join("?" * len(columns))
            insert = f"INSERT INTO items ({names}) VALUES ({marks})"  # noqa: S608  names are quoted
        else:
            insert = "INSERT INTO items DEFAULT VALUES"
        database.executemany(insert, (_row(item, placed, extra) for item in items))

    def _has_column(self, database: sqlite3.Connection, key: str) -> bool:
        if key not in self._columns and len(self._columns) < _MAX_COLUMNS:
            self._columns[key] = self._add_column(database, key)
        return key in self._columns

    def _add_column(self, database: sqlite3.Connection, key: str) -> str:
        wanted = column = well_formed(str(key)).replace("\0", "\ufffd")
        number = 2
        while column.encode().lower() in self._taken:
            column = f"{wanted}_{number}"
            number += 1
        self._taken.add(column.encode().lower())
        how = "ALTER TABLE items ADD COLUMN {}" if self._has_table else "CREATE TABLE items ({})"
        database.execute(how.format(_quoted(column)))
        self._has_table = True
        return column

    def _close(self) -> None:
        if self._database is None:
            return
        try:
            if self._has_started and not self._has_table:  # no item came: an empty table says so
                self._add_column(self._database, _PLACEHOLDER)
        finally:
            self._database.close()
            self._database = None
            if self._was_created and not self._has_started:
                Path(self._path).unlink(missing_ok=True)

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            raise sqlite3.ProgrammingError("the database is closed")
        return self._database

    def __repr__(self) -> str:
        return f"SqliteSink({self._path!r})"


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")


def _row(item: Item, placed: list[str], extra: list[str]) -> list[Cell]:
    row = [cell(item[key]) for key in placed]
    if extra:
        row.append(json_text({key: item[key] for key in extra}))
    return row


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
