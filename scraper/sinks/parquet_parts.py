"""A directory of Parquet files that can be continued after each batch."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scraper.errors import OutputRefused, SinkError
from scraper.sinks.output_file import START_ANEW, Extent, OutputFile, changed, missing, sync_folder_of, unknown
from scraper.sinks.parquet_table import Group, Table
from scraper.sinks.protocol import Record
from scraper.sinks.values import json_text

# Readers of a directory pass over names that begin with an underscore.
_ROWS = "_rows-{:05}.jsonl"
_PART = "part-{:05}.parquet"
_UNFINISHED = "_part-{:05}.parquet"
_OWN = re.compile(r"(part|_part|_rows)-(\d{5,})\.(?:parquet|jsonl)")


class Place(NamedTuple):
    """Where a directory of parts ends.

    Args:
        part: the number of the part that is not whole yet; those before it are.
        rows: of this part, as far as there are any.
        parts_bytes: of the whole parts together.
    """

    part: int = 1
    rows: Extent = Extent()
    parts_bytes: int = 0

    @classmethod
    def of(cls, position: str) -> Place:
        found = json.loads(position)
        return cls(found["part"], Extent(found["bytes"], found["crc"]), found["parts_bytes"])

    def to_text(self) -> str:
        return json.dumps({"part": self.part, **self.rows.to_dict(), "parts_bytes": self.parts_bytes})


class Parts:
    """Rows on their way into parts.

    A batch is appended to the rows file of the part in the making. When its group is full, the part is written
    from memory, under a name that readers pass over, and takes its own name when it is whole. Its rows file stays
    until a state holds a place behind it: up to then a killed crawl goes on from these rows.
    """

    def __init__(self, pyarrow: Any, path: str, group: Group, *, is_synced: bool) -> None:
        self._pyarrow = pyarrow
        self._folder = Path(path)
        self._group = group
        self._is_synced = is_synced
        self._is_new = False
        self._rows: OutputFile | None = None  # open from the first row of its part on
        self._first_rows = 1  # no rows file has a smaller number
        self._at = Place()
        self._committed: Place | None = None
        self.place = Place()  # after the last whole batch
        self.table: Table | None = None

    def resume(self, known: Place | None) -> None:
        """Goes on from the parts as an earlier crawl committed them.

        Raises:
            OSError: the directory cannot be written.
            OutputRefused: it is not as the place says, or holds something although nothing is known.
        """
        if known is None:
            self._begin()
            return
        self._check(known)
        self._read_schema(known)
        self._folder.mkdir(exist_ok=True)
        self.place = self._at = self._committed = known
        self._first_rows = known.part
        try:
            if known.rows.length_bytes:
                self._open_rows(known.rows)
                self._read_rows(known.rows)
            self._cut(known)
        except BaseException:
            self._close_rows()
            raise

    @property
    def has_rows_waiting(self) -> bool:
        return bool(self._group.items)

    @property
    def rows_name(self) -> str:
        return _ROWS.format(self._at.part)

    def append(self, records: Sequence[Record]) -> None:
        self._drop_rows_of_whole_parts()
        lines = [f"{json_text(record.item)}\n" for record in records]
        start = 0
        for end, (record, line) in enumerate(zip(records, lines, strict=True), 1):
            self._group.add(record.item, len(line))
            if self._group.is_full:
                self._append_lines(lines[start:end])
                self._write_part()
                start = end
        self._append_lines(lines[start:])
        self.place = self._at

    def finish(self) -> None:
        """The last part, of whatever rows there are; a crawl without items leaves a part without rows."""
        if self._group.items or self._at.part == 1:
            self._write_part()
        self.place = self._at

    def committed(self, place: Place) -> None:
        self._committed = place

    def close(self) -> None:
        """Cuts back to the place that was committed last."""
        self._close_rows()
        self._cut(self._committed or Place())
        if self._is_new and self._committed is None:
            with contextlib.suppress(OSError):  # somebody put a file there, or took the directory away
                self._folder.rmdir()

    def _begin(self) -> None:
        try:
            self._folder.mkdir()
            self._is_new = True
        except FileExistsError:
            if not self._folder.is_dir() or any(self._folder.iterdir()):
                raise OutputRefused(unknown(self._name)) from None
        if self._is_synced:
            sync_folder_of(self._folder)

    def _check(self, known: Place) -> None:
        if not self._folder.exists() and known != Place():
            raise OutputRefused(missing(self._name))
        if self._folder.exists() and not self._folder.is_dir():
            raise OutputRefused(f"{self._name} is a file and was a directory of parts: {START_ANEW}")
        found_bytes = 0
        for number in range(1, known.part):
            part = self._folder / _PART.format(number)
            try:
                found_bytes += part.stat().st_size
            except FileNotFoundError:
                raise OutputRefused(missing(f"output {part}")) from None
        if found_bytes != known.parts_bytes:
            raise OutputRefused(changed(self._name))

    def _read_schema(self, known: Place) -> None:
        if known.part > 1:
            try:
                schema = self._pyarrow.parquet.read_schema(self._folder / _PART.format(1))
                self.table = Table.with_schema(self._pyarrow, schema)
            except (self._pyarrow.ArrowException, KeyError) as exc:
                raise OutputRefused(changed(self._name)) from exc

    def _read_rows(self, extent: Extent) -> None:
        with (self._folder / self.rows_name).open("rb") as file:
            for line in file.read(extent.length_bytes).splitlines(keepends=True):  # bytes know no other line ends
                self._group.add(json.loads(line), len(line.decode()))

    def _open_rows(self, known: Extent | None) -> OutputFile:
        rows = self._rows = OutputFile(self._folder / self.rows_name)
        rows.resume(known, is_synced=self._is_synced)
        return rows

    def _close_rows(self) -> None:
        """Leaves the file as it is: what is cut from it depends on the place that was committed."""
        if self._rows is not None:
            self._rows.committed(self._rows.extent)
            self._rows.close()
            self._rows = None

    def _append_lines(self, lines: Sequence[str]) -> None:
        if lines:
            rows = self._rows or self._open_rows(None)
            rows.write("".join(lines).encode())
            self._at = self._at._replace(rows=rows.extent or Extent())

    def _write_part(self) -> None:
        number = self._at.part
        unfinished, part = (self._folder / name.format(number) for name in (_UNFINISHED, _PART))
        items = self._group.take()
        self.table = self.table or Table.decided_by(self._pyarrow, items)
        try:
            with unfinished.open("wb") as file:
                self._pyarrow.parquet.write_table(self.table.of(items), file)
                file.flush()
                if self._is_synced:
                    os.fsync(file.fileno())
                part_bytes = file.tell()
        except self._pyarrow.ArrowException as exc:
            raise SinkError(str(exc)) from exc
        sys.audit("scraper.sink", "half", str(unfinished))
        unfinished.replace(part)
        if self._is_synced:
            sync_folder_of(part)
        self._close_rows()
        self._at = Place(number + 1, Extent(), self._at.parts_bytes + part_bytes)
        sys.audit("scraper.sink", "part", str(part))

    def _drop_rows_of_whole_parts(self) -> None:
        while self._committed is not None and self._first_rows < self._committed.part:
            (self._folder / _ROWS.format(self._first_rows)).unlink(missing_ok=True)
            self._first_rows += 1

    def _cut(self, place: Place) -> None:
        """Takes away what was written beyond a place, and rows that are in whole parts."""
        rows_bytes = place.rows.length_bytes
        for path, kind, number in self._own_files():
            if kind == "part":
                is_beyond = number >= place.part
            else:
                is_beyond = kind == "_part" or number != place.part or not rows_bytes
            if is_beyond:
                sys.audit("scraper.sink", "cut", str(path))
                path.unlink()
            elif kind == "_rows" and path.stat().st_size > rows_bytes:
                sys.audit("scraper.sink", "cut", str(path))
                os.truncate(path, rows_bytes)

    def _own_files(self) -> Iterator[tuple[Path, str, int]]:
        with contextlib.suppress(FileNotFoundError):  # of a directory that is gone there is nothing to cut
            for path in list(self._folder.iterdir()):
                if own := _OWN.fullmatch(path.name):
                    yield path, own[1], int(own[2])

    @property
    def _name(self) -> str:
        return f"output {self._folder}"
