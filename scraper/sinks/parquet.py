"""Columns with types, for analysis: an optional format, over pyarrow."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

from scraper.errors import OutputRefused, SinkError
from scraper.sinks.off_loop import OffLoop
from scraper.sinks.output_file import OutputFile, is_stream, part_path
from scraper.sinks.parquet_parts import Parts, Place
from scraper.sinks.parquet_table import GROUP_ROWS, Group, Table
from scraper.sinks.protocol import Record
from scraper.sinks.values import json_text


class ParquetSink:
    """A Parquet file; it can be read once it was closed.

    The rows of the first group, at most 10,000, decide the columns and their types: bool, int64, double, or
    else text; nested values are JSON text. What comes later and has no column, or is not of its column's type,
    goes into the last column, `_other`, as a JSON object, and `warnings()` tells: nothing is lost, and the
    output has one schema.

    A Parquet file cannot be continued. So a crawl with a durable state writes a directory of them, a file for
    each group, which readers take like a single file. In between the rows of a group that is not full yet are
    in the file `_rows-….jsonl` there.

    Args:
        path: a file; for `resume`, the directory.
        group_rows: how many rows make a group.
    """

    def __init__(self, path: str | os.PathLike[str], *, group_rows: int = GROUP_ROWS) -> None:
        self._path = os.fspath(path)
        self._name = OutputFile(path).name
        self._off_loop = OffLoop(self._name)
        self._group_rows = group_rows
        self._target: _SingleFile | Parts | None = None

    async def open(self) -> None:
        await self._off_loop.open(self._open)

    async def resume(self, position: str | None, *, is_synced: bool = False) -> None:
        await self._off_loop.open(lambda: self._resume(position, is_synced=is_synced))

    async def write(self, records: Sequence[Record]) -> None:
        await self._off_loop.write(self._append, records)

    async def finish(self) -> None:
        if isinstance(self._target, Parts):
            await self._off_loop.finish(self._target.finish)

    async def close(self) -> None:
        await self._off_loop.close(self._close)

    @property
    def position(self) -> str:
        return self._target.place.to_text() if isinstance(self._target, Parts) else ""

    def committed(self, position: str) -> None:
        if isinstance(self._target, Parts):
            self._target.committed(Place.of(position))

    def part(self, number: int) -> ParquetSink:
        path = part_path(self._path, number)
        return self if path == self._path else ParquetSink(path, group_rows=self._group_rows)

    @property
    def output(self) -> str:
        return self._path

    def warnings(self) -> tuple[str, ...]:
        found: list[str] = []
        target = self._target
        if target is not None and target.table is not None and target.table.left_out:
            where = f"{self._name} has {target.table.left_out} in its column {target.table.rest!r}"
            found.append(f"{where}: keys that came late, or values of another type than the first")
        if isinstance(target, Parts) and target.has_rows_waiting:
            found.append(f"{self._name} keeps its last rows in {target.rows_name} until the crawl comes to its end")
        return tuple(found)

    def _open(self) -> None:
        self._target = _SingleFile(self._pyarrow(), self._path, Group(self._group_rows))

    def _resume(self, position: str | None, *, is_synced: bool) -> None:
        if is_stream(self._path):
            self._open()
            return
        place = Place.of(position) if position else None
        parts = Parts(self._pyarrow(), self._path, Group(self._group_rows), is_synced=is_synced)
        parts.resume(place)
        self._target = parts

    def _pyarrow(self) -> Any:
        try:
            pyarrow: Any = importlib.import_module("pyarrow")
            pyarrow.parquet = importlib.import_module("pyarrow.parquet")
        except ImportError as exc:
            raise OutputRefused(
                f"{self._name} needs pyarrow: pip install pyarrow, or write .jsonl, .csv or .sqlite"
            ) from exc
        return pyarrow

    def _append(self, records: Sequence[Record]) -> None:
        assert self._target is not None
        self._target.append(records)

    def _close(self) -> None:
        if self._target is not None:
            self._target.close()

    def __repr__(self) -> str:
        return f"ParquetSink({self._path!r})"


class _SingleFile:
    """One file, which is whole when it was closed."""

    def __init__(self, pyarrow: Any, path: str, group: Group) -> None:
        self._pyarrow = pyarrow
        self._group = group
        self._file = OutputFile(path)
        self._writer: Any = None
        self._is_broken = False
        self.table: Table | None = None
        self._file.open()

    def append(self, records: Sequence[Record]) -> None:
        self._file.write(b"")  # discards what an earlier crawl left
        for record in records:
            self._group.add(record.item, len(json_text(record.item)))
            if self._group.is_full:
                self._write_group()

    def _write_group(self) -> None:
        items = self._group.take()
        self._is_broken = True  # until this came to its end: half a group cannot be finished
        try:
            if self.table is None:
                self.table = Table.decided_by(self._pyarrow, items)
                self._writer = self._pyarrow.parquet.ParquetWriter(self._file, self.table.schema)
            self._writer.write_table(self.table.of(items))
        except self._pyarrow.ArrowException as exc:
            raise SinkError(str(exc)) from exc
        self._is_broken = False

    def close(self) -> None:
        try:
            if self._file.has_started and not self._is_broken:
                if self._group.items or self._writer is None:
                    self._write_group()
                self._writer.close()
        finally:
            self._file.close()
