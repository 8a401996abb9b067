"""A table as text, for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence

from scraper.errors import OutputRefused
from scraper.model import Item
from scraper.sinks.left_out import LeftOut
from scraper.sinks.off_loop import OffLoop
from scraper.sinks.output_file import Extent, OutputFile, part_path
from scraper.sinks.protocol import Record
from scraper.sinks.values import Cell, cell

# A spreadsheet takes text that starts so for a formula, and runs it. After OWASP, "CSV Injection"; the last
# four are the full-width forms of the first four, which some of them read alike.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class CsvSink:
    """Comma-separated values after RFC 4180, in UTF-8, with a header line.

    The columns are the keys of the first page's items, unless they are named. A key without a column is left
    out, counted, and told by `warnings()`. Nested values are JSON text, null is empty, bools are true and
    false. Text that a spreadsheet would run as a formula gets an apostrophe in front; numbers stay.

    Args:
        path: a file, or "-" for standard output.
        columns: keys, in order; None takes those of the first page's items.
        escape_formulas: False writes text as it is, for readers that are not spreadsheets.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        columns: Sequence[str] | None = None,
        escape_formulas: bool = True,
    ) -> None:
        self._file = OutputFile(path)
        self._off_loop = OffLoop(self._file.name)
        self._named = tuple(columns or ())
        self._columns = dict.fromkeys(self._named)
        self._has_header = False
        self._escape_formulas = escape_formulas
        self._left_out = LeftOut()

    @property
    def length_bytes(self) -> int:
        """What was written so far: the end of the last whole batch."""
        return self._file.length_bytes

    async def open(self) -> None:
        await self._off_loop.open(self._file.open)

    async def resume(self, position: str | None, *, is_synced: bool = False) -> None:
        await self._off_loop.open(lambda: self._resume(position, is_synced=is_synced))

    async def write(self, records: Sequence[Record]) -> None:
        await self._off_loop.write(self._append, records)

    async def close(self) -> None:
        await self._off_loop.close(self._file.close)

    async def finish(self) -> None:
        """Nothing waits."""

    @property
    def position(self) -> str:
        extent = self._file.extent
        if extent is None:
            return ""
        return json.dumps({**extent.to_dict(), "columns": list(self._columns) if self._has_header else []})

    def committed(self, position: str) -> None:
        self._file.committed(Extent.of(position))

    def part(self, number: int) -> CsvSink:
        path = part_path(self._file.path, number)
        if path == self._file.path:
            return self
        return CsvSink(path, columns=self._named, escape_formulas=self._escape_formulas)

    @property
    def output(self) -> str:
        return self._file.path

    def warnings(self) -> tuple[str, ...]:
        if not self._left_out:
            return ()
        return (f"{self._file.name} has no column for {self._left_out}: name the columns, or write .jsonl",)

    def _resume(self, position: str | None, *, is_synced: bool) -> None:
        columns = json.loads(position)["columns"] if position else []
        if self._named and columns and list(self._named) != columns:
            raise OutputRefused(
                f"{self._file.name} has the columns {', '.join(columns)}, and this crawl names others: "
                "name the same, or another output"
            )
        self._file.resume(Extent.of(position), is_synced=is_synced)
        if self._file.extent is None:  # a stream: whoever reads it now has seen no header
            columns = []
        self._columns, self._has_header = dict.fromkeys(columns or self._named), bool(columns)

    def _append(self, records: Sequence[Record]) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text)  # its dialect ends lines with CR LF, and so quotes both wherever they occur
        self._columns = self._columns or _first_page_keys(records)
        if self._columns and not self._has_header:
            writer.writerow([self._safe(column) for column in self._columns])
        if self._columns:  # before the first key, items are empty
            writer.writerows(self._row(record.item) for record in records)
        self._file.write(text.getvalue().encode())
        self._has_header = bool(self._columns)

    def _row(self, item: Item) -> list[Cell]:
        row = [self._safe(item.get(column)) for column in self._columns]
        self._left_out.add(key for key in item if key not in self._columns)
        return row

    def _safe(self, value: object) -> Cell:
        held = cell(value)
        if isinstance(held, bool):
            return "true" if held else "false"
        if self._escape_formulas and isinstance(held, str) and held.startswith(_FORMULA_STARTS):
            return f"'{held}"
        return held

    def __repr__(self) -> str:
        return f"CsvSink({self._file.path!r})"


def _first_page_keys(records: Sequence[Record]) -> dict[str, None]:
    """Keys, in order, of the first page that has any; ordinals rise within a page."""
    keys: dict[str, None] = {}
    previous: Record | None = None
    for record in records:
        if keys and previous and (record.url != previous.url or record.ordinal <= previous.ordinal):
            break
        keys |= dict.fromkeys(record.item)
        previous = record
    return keys
