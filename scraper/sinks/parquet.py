"""Columns with types, for analysis: an optional format, over pyarrow."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

from scraper.errors import OutputRefused, SinkError
from scraper.model import Item
from scraper.sinks.left_out import LeftOut
from scraper.sinks.off_loop import OffLoop
from scraper.sinks.output_file import OutputFile
from scraper.sinks.protocol import Record
from scraper.sinks.values import Cell, cell, json_text, well_formed

# A row group is what a reader decodes at once, and what the writer keeps in memory until it is full. Small
# ones make Parquet slow to read; the bound in bytes keeps memory flat where items hold whole pages of text.
_GROUP_ROWS = 10_000
_GROUP_CHARACTERS = 16_000_000
# Every column costs each row group a header, and a table that wide comes from keys that are data.
_MAX_COLUMNS = 1_000
_REST = "_other"
_PLACEHOLDER = "url"  # so that a crawl without items leaves a table, too
_EXACT_IN_DOUBLE = 2**53


class ParquetSink:
    """A Parquet file; it can be read once it was closed.

    The rows of the first group, at most 10,000, decide the columns and their types: bool, int64, double, or
    else text; nested values are JSON text. What comes later and has no column, or is not of its column's type,
    goes into the last column, `_other`, as a JSON object, and `warnings()` tells: nothing is lost, and the
    file has one schema.

    Args:
        path: a file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = OutputFile(path)
        self._off_loop = OffLoop(self._file.name)
        self._pyarrow: Any = None
        self._waiting: list[Item] = []
        self._waiting_characters = 0
        self._table: _Table | None = None
        self._writer: Any = None
        self._is_broken = False

    async def open(self) -> None:
        await self._off_loop.open(self._open)

    async def write(self, records: Sequence[Record]) -> None:
        await self._off_loop.write(self._append, records)

    async def close(self) -> None:
        await self._off_loop.close(self._close)

    def warnings(self) -> tuple[str, ...]:
        if self._table is None or not self._table.left_out:
            return ()
        where = f"{self._file.name} has {self._table.left_out} in its column {self._table.rest!r}"
        return (f"{where}: keys that came late, or values of another type than the first",)

    def _open(self) -> None:
        try:
            self._pyarrow = importlib.import_module("pyarrow")
            self._pyarrow.parquet = importlib.import_module("pyarrow.parquet")
        except ImportError as exc:
            raise OutputRefused(
                f"{self._file.name} needs pyarrow: pip install pyarrow, or write .jsonl, .csv or .sqlite"
            ) from exc
        self._file.open()

    def _append(self, records: Sequence[Record]) -> None:
        self._file.write(b"")  # discards what an earlier crawl left
        for record in records:
            self._waiting.append(record.item)
            self._waiting_characters += len(json_text(record.item))
            if len(self._waiting) >= _GROUP_ROWS or self._waiting_characters >= _GROUP_CHARACTERS:
                self._write_group()

    def _write_group(self) -> None:
        group, self._waiting, self._waiting_characters = self._waiting, [], 0
        self._is_broken = True  # until this came to its end: half a group cannot be finished
        try:
            if self._table is None:
                self._table = _Table(self._pyarrow, group)
                self._writer = self._pyarrow.parquet.ParquetWriter(self._file, self._table.schema)
            self._writer.write_table(self._table.of(group))
        except self._pyarrow.ArrowException as exc:
            raise SinkError(str(exc)) from exc
        self._is_broken = False

    def _close(self) -> None:
        try:
            if self._file.has_started and not self._is_broken:
                if self._waiting or self._writer is None:
                    self._write_group()
                self._writer.close()
        finally:
            self._file.close()

    def __repr__(self) -> str:
        return f"ParquetSink({self._file.path!r})"


class _Table:
    """The schema that the first rows decide, and later rows made to fit it."""

    def __init__(self, pyarrow: Any, first: Sequence[Item]) -> None:
        self._pyarrow = pyarrow
        self.left_out = LeftOut()
        types: dict[str, set[type]] = {}
        for item in first:
            for key, value in item.items():
                name = well_formed(str(key))
                if name in types or len(types) < _MAX_COLUMNS:
                    types.setdefault(name, set()).add(type(cell(value)))
        self._types = {name: _column_type(seen - {type(None)}) for name, seen in types.items()} or {_PLACEHOLDER: str}
        self.rest = _REST
        while self.rest in self._types:
            self.rest = f"_{self.rest}"
        fields = [(name, self._arrow_type(kind)) for name, kind in self._types.items()]
        self.schema = pyarrow.schema([*fields, (self.rest, pyarrow.string())])

    def of(self, items: Sequence[Item]) -> Any:
        """A pyarrow table of these rows."""
        columns: dict[str, list[Cell]] = {name: [None] * len(items) for name in (*self._types, self.rest)}
        for at, item in enumerate(items):
            rest: Item = {}
            for key, value in item.items():
                name, held = well_formed(str(key)), cell(value)
                kind = self._types.get(name)
                if kind is None or not _fits(held, kind):
                    rest[name] = value
                elif kind is str and held is not None and not isinstance(held, str):
                    columns[name][at] = json_text(held)
                else:
                    columns[name][at] = held
            if rest:
                columns[self.rest][at] = json_text(rest)
                self.left_out.add(rest)
        return self._pyarrow.table(columns, schema=self.schema)

    def _arrow_type(self, kind: type) -> Any:
        return {
            bool: self._pyarrow.bool_,
            int: self._pyarrow.int64,
            float: self._pyarrow.float64,
            str: self._pyarrow.string,
        }[kind]()


def _column_type(seen: set[type]) -> type:
    if seen in ({bool}, {int}):
        return seen.pop()
    return float if seen and seen <= {int, float} else str


def _fits(held: Cell, kind: type) -> bool:
    if held is None or kind is str:
        return True
    if kind is float:
        return type(held) is float or (type(held) is int and abs(held) <= _EXACT_IN_DOUBLE)
    return type(held) is kind
