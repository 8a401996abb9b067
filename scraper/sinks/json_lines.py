"""One JSON object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from scraper.sinks.off_loop import OffLoop
from scraper.sinks.output_file import Extent, OutputFile, part_path
from scraper.sinks.protocol import Record
from scraper.sinks.values import json_text


class JsonLinesSink:
    """JSON lines, in UTF-8: each item whole on a line of its own, each batch in the file when it was taken.

    Numbers that are not finite are written as null, lone surrogates as U+FFFD.

    Args:
        path: a file, whatever its suffix, or "-" for standard output.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = OutputFile(path)
        self._off_loop = OffLoop(self._file.name)

    @property
    def length_bytes(self) -> int:
        """What was written so far: the end of the last whole batch."""
        return self._file.length_bytes

    async def open(self) -> None:
        await self._off_loop.open(self._file.open)

    async def resume(self, position: str | None, *, is_synced: bool = False) -> None:
        extent = Extent.of(position)
        await self._off_loop.open(lambda: self._file.resume(extent, is_synced=is_synced))

    async def write(self, records: Sequence[Record]) -> None:
        await self._off_loop.write(self._append, records)

    async def close(self) -> None:
        await self._off_loop.close(self._file.close)

    async def finish(self) -> None:
        """Nothing waits."""

    @property
    def position(self) -> str:
        extent = self._file.extent
        return "" if extent is None else json.dumps(extent.to_dict())

    def committed(self, position: str) -> None:
        self._file.committed(Extent.of(position))

    def part(self, number: int) -> JsonLinesSink:
        path = part_path(self._file.path, number)
        return self if path == self._file.path else JsonLinesSink(path)

    @property
    def output(self) -> str:
        return self._file.path

    def _append(self, records: Sequence[Record]) -> None:
        self._file.write("".join(f"{json_text(record.item)}\n" for record in records).encode())

    def __repr__(self) -> str:
        return f"JsonLinesSink({self._file.path!r})"
