"""The table `items` of a SQLite database: which column a key has, and rows under their keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

from scraper.errors import OutputRefused
from scraper.model import Item
from scraper.sinks.output_file import START_ANEW, unknown
from scraper.sinks.protocol import Record
from scraper.sinks.values import Cell, cell, json_text, well_formed

# SQLite refuses more than 2,000 columns unless it was built otherwise, and a table that wide comes from keys
# that are data. Half of it leaves room for whoever works on with the table.
_MAX_COLUMNS = 1_000
_REST = "_other"
_PLACEHOLDER = "url"  # a table has at least one column, even where no item came
_ROW_ID = b"_rowid_"  # what SQLite itself calls a row's number must not be a column's name
_MAX_LISTED = 10
# Of one statement. SQLite bears more, but Python keeps 128 statements for later, each with its last values.
_MAX_VALUES = 2_000
_MAX_CHARACTERS = 100_000


class ItemsTable:
    """Puts items into the table. Whoever calls has begun a transaction.

    Args:
        columns: those that keys have already.
        rest: the column of keys without one, if it is there.
        present: columns that the table has, whatever for; none if there is no table.
    """

    def __init__(
        self, columns: Mapping[str, str] | None = None, rest: str | None = None, present: Iterable[str] = ()
    ) -> None:
        self.columns = dict(columns or {})  # key to column
        self.rest = rest
        names = list(present)
        self.exists = bool(names)
        self._taken = {_ROW_ID, *map(_folded, names)}
        # Of a batch that was cut its columns stay; the next that asks for the name has it.
        self._unused = {*names} - {*self.columns.values(), rest}

    def insert(self, database: sqlite3.Connection, records: Sequence[Record]) -> int:
        """Puts items in, in order, and gives the last one's rowid.

        Raises:
            sqlite3.Error: as the database has it.
            SinkError: a value is not plain data.
        """
        items = [{well_formed(str(key)): value for key, value in record.item.items()} for record in records]
        keys = list(dict.fromkeys(key for item in items for key in item))
        keys = keys or [next(iter(self.columns), _PLACEHOLDER)]  # SQLite has no rows without a column
        placed = [key for key in keys if self._has_column(database, key)]
        extra = [key for key in keys if key not in self.columns]
        columns = [self.columns[key] for key in placed]
        if extra:
            self.rest = self.rest or self._add_column(database, _REST)
            columns.append(self.rest)
        rows = (_row(item, placed, extra) for item in items)
        # One statement for many rows, because after each statement, and each row of `executemany`, the thread
        # has to win the GIL back from a busy event loop: 64 rows took 0.4 ms so, and 59 ms one by one.
        # `json_each` would be one statement as well, but it ends text at a NUL, promises no more than 15 digits
        # of a float, and takes twice as long.
        names, marks = ", ".join(map(_quoted, columns)), f"({', '.join('?' * len(columns))})"
        most = min(_MAX_VALUES, database.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER))
        last = 0
        for some in _portions(rows, max_rows=most // len(columns)):
            insert = f"INSERT INTO items ({names}) VALUES {', '.join([marks] * len(some))}"  # noqa: S608  names are quoted
            last = database.execute(insert, [value for row in some for value in row]).lastrowid or 0
        return last

    def create(self, database: sqlite3.Connection) -> None:
        """The table, even where no item came; it is there already if one did."""
        if not self.exists:
            self._has_column(database, _PLACEHOLDER)

    def warnings(self, name: str) -> Iterable[str]:
        """Sentences about the output with this name."""
        renamed = [f"{key!r} is in {column!r}" for key, column in self.columns.items() if key != column]
        if renamed:
            dots = ", …" if len(renamed) > _MAX_LISTED else ""
            yield f"{name} has other names for some keys: {', '.join(renamed[:_MAX_LISTED])}{dots}"
        if self.rest is not None:
            yield f"{name} has {len(self.columns):,} columns; further keys are in {self.rest!r}"

    def _has_column(self, database: sqlite3.Connection, key: str) -> bool:
        if key not in self.columns and len(self.columns) < _MAX_COLUMNS:
            self.columns[key] = self._add_column(database, key)
        return key in self.columns

    def _add_column(self, database: sqlite3.Connection, key: str) -> str:
        wanted = column = key.replace("\0", "\ufffd")
        if column in self._unused:
            self._unused.remove(column)
            return column
        number = 2
        while _folded(column) in self._taken:
            column = f"{wanted}_{number}"
            number += 1
        self._taken.add(_folded(column))
        how = "ALTER TABLE items ADD COLUMN {}" if self.exists else "CREATE TABLE items ({})"
        database.execute(how.format(_quoted(column)))
        self.exists = True
        return column


class EnclosedRows:
    """The table `items` in a database of somebody else, who begins and commits the transactions.

    So items are final in the same moment as whatever else the transaction holds. Which column a key has is in
    the table `item_columns`, and is read anew for each batch: other processes may have written in between, and
    a transaction may have been rolled back.

    Args:
        name: of the database, as messages begin.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._read: str | None = None
        self.table = ItemsTable()

    def prepare(self, database: sqlite3.Connection) -> None:
        """Makes the table of columns where there is none: in a transaction of its own, before the first insert.

        Raises:
            OutputRefused: there is a table `items` that is not this crawl's, or it has gone.
            sqlite3.Error: as the database has it.
        """
        rows = database.execute(
            "SELECT lower(name) FROM sqlite_master WHERE lower(name) IN ('items', 'item_columns')"
        ).fetchall()
        found = {name for (name,) in rows}
        if found == {"items"}:
            raise OutputRefused(unknown(f"{self._name}, table items,"))
        if "item_columns" not in found:
            database.execute("CREATE TABLE item_columns (key TEXT PRIMARY KEY, name TEXT NOT NULL)")
        elif "items" not in found and database.execute("SELECT 1 FROM item_columns").fetchone():
            raise OutputRefused(f"{self._name} has lost its table items: {START_ANEW}")

    def insert(self, database: sqlite3.Connection, records: Sequence[Record]) -> None:
        """Puts items in, in order, inside of a transaction that the caller has begun, and commits or rolls back.

        Raises:
            sqlite3.Error: as the database has it; the transaction has to be rolled back.
            SinkError: a value is not plain data; likewise.
        """
        if not records:
            return
        self._load(database)
        known, rest = len(self.table.columns), self.table.rest
        read, self._read = self._read, None  # of what is not committed yet, nothing is remembered
        self.table.insert(database, records)
        added: list[tuple[str | None, str]] = list(list(self.table.columns.items())[known:])
        if self.table.rest != rest and self.table.rest is not None:
            added.append((None, self.table.rest))
        if added:
            database.executemany("INSERT INTO item_columns VALUES (?, ?)", added)
        else:
            self._read = read

    def _load(self, database: sqlite3.Connection) -> None:
        # As one row, for the GIL's sake; in hexadecimal, because a key may hold whatever would separate it.
        # The rest's column has no key, which is not the same as an empty one.
        (text,) = database.execute(
            "SELECT group_concat(hex(name) || CASE WHEN key IS NULL THEN '' ELSE ':' || hex(key) END) FROM item_columns"
        ).fetchone()
        text = text or ""
        if text == self._read:
            return
        columns: dict[str, str] = {}
        rest = None
        for entry in filter(None, text.split(",")):
            name, colon, key = entry.partition(":")
            if colon:
                columns[_of_hex(key)] = _of_hex(name)
            else:
                rest = _of_hex(name)
        self._read = text
        self.table = ItemsTable(columns, rest, [*columns.values(), *([rest] if rest is not None else [])])


def _folded(name: str) -> bytes:
    """SQLite's own folding, which knows ASCII alone."""
    return name.encode().lower()


def _of_hex(text: str) -> str:
    return bytes.fromhex(text).decode()


def _row(item: Item, placed: list[str], extra: list[str]) -> list[Cell]:
    row = [cell(item.get(key)) for key in placed]
    if extra:
        rest = {key: item[key] for key in extra if key in item}
        row.append(json_text(rest) if rest else None)
    return row


def _portions(rows: Iterable[list[Cell]], max_rows: int) -> Iterator[list[list[Cell]]]:
    some: list[list[Cell]] = []
    characters = 0
    for row in rows:
        some.append(row)
        characters += sum(len(value) for value in row if isinstance(value, str))
        if len(some) >= max_rows or characters >= _MAX_CHARACTERS:
            yield some
            some, characters = [], 0
    if some:
        yield some


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
