"""A file that holds whole batches, or nothing new at all."""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
import sys
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from scraper.errors import OutputRefused, SinkError

_READ_BYTES = 1_000_000
START_ANEW = "put it back as it was, or crawl anew with another state file and another output"


class Extent(NamedTuple):
    """The beginning of a file, by which it is known again.

    Args:
        length_bytes: of the beginning.
        crc: CRC-32 of its bytes.
    """

    length_bytes: int = 0
    crc: int = 0

    @classmethod
    def of(cls, position: str | None) -> Extent | None:
        """What a position says of a file; None where it says nothing."""
        if not position:
            return None
        found = json.loads(position)
        return cls(found["bytes"], found["crc"])

    def to_dict(self) -> dict[str, Any]:
        return {"bytes": self.length_bytes, "crc": self.crc}

    def and_then(self, data: bytes | memoryview) -> Extent:
        return Extent(self.length_bytes + len(data), zlib.crc32(data, self.crc))


class OutputFile:
    """Bytes to a file, from its beginning or from where an earlier crawl left it, or to standard output.

    Opening proves that the file can be written and leaves its content alone: a crawl that is refused a moment
    later costs nobody an earlier result. The content goes with the first `write`. A write that fails half way
    is taken back, so a file ends with a whole batch; `length_bytes` is the length it had then.

    `resume` goes on behind the extent that a state knows, and `close` then cuts back to the one that was
    committed last.

    Writes are unbuffered: a batch is in the file when `write` returns, and nothing is left to fail when the
    interpreter ends.

    Args:
        path: a file, or "-" for standard output.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._stdout = sys.stdout  # as it is now: whoever made this may send prints elsewhere before it is opened
        self._written = Extent()
        self._raw: io.FileIO | None = None
        self._is_regular = False
        self._was_created = False
        self._is_resumed = False
        self._is_synced = False
        self._committed: Extent | None = None
        self.has_started = False

    @property
    def name(self) -> str:
        """As messages begin."""
        return "standard output" if self.path == "-" else f"output {self.path}"

    @property
    def length_bytes(self) -> int:
        return self._written.length_bytes

    @property
    def extent(self) -> Extent | None:
        """What was written so far; None for what cannot be read back."""
        return self._written if self._is_regular else None

    def open(self) -> None:
        """Raises OSError or OutputRefused."""
        self._is_resumed = False
        self._raw = self._standard_output() if self.path == "-" else self._file()
        self._is_regular = stat.S_ISREG(os.fstat(self._raw.fileno()).st_mode) and self.path != "-"

    def resume(self, known: Extent | None, *, is_synced: bool = False) -> None:
        """Opens the file to go on behind what is known of it; what is no regular file is just opened.

        Args:
            known: what an earlier crawl committed; None for a file that must be new or empty.
            is_synced: each write is on the disk itself before it returns.

        Raises:
            OSError: as for `open`.
            OutputRefused: the file is not as the extent says, or holds something although nothing is known.
        """
        if is_stream(self.path):
            self.open()
            return
        extent = known or Extent()
        self._check(known, extent)
        self.open()
        self.has_started = self._is_resumed = True
        self._written, self._committed, self._is_synced = extent, known, is_synced
        try:
            self._cut(extent)
            if is_synced:
                sync_folder_of(self.path)
        except BaseException:
            self._opened().close()
            self._raw = None
            raise

    def _check(self, known: Extent | None, extent: Extent) -> None:
        try:
            found = Path(self.path).stat()
        except FileNotFoundError:
            if extent.length_bytes:
                raise OutputRefused(missing(self.name)) from None
            return
        size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size  # of a directory, opening it says more clearly
        if known is None and size:
            raise OutputRefused(unknown(self.name))
        if size < extent.length_bytes:
            sizes = f"{size:,} bytes, not {extent.length_bytes:,}"
            raise OutputRefused(f"{self.name} is shorter than the crawl left it ({sizes}): {START_ANEW}")
        if extent.length_bytes and _beginning(self.path, extent.length_bytes) != extent:
            raise OutputRefused(changed(self.name))

    def _file(self) -> io.FileIO:
        self._was_created = False
        try:
            raw = io.FileIO(self.path, "x")
        except FileExistsError:
            return io.FileIO(self.path, "a")
        self._was_created = True
        return raw

    def _standard_output(self) -> io.FileIO:
        try:
            self._stdout.flush()
            return io.FileIO(self._stdout.fileno(), "wb", closefd=False)
        except (AttributeError, ValueError) as exc:
            raise OutputRefused("there is no standard output here: name a file instead of -") from exc

    @property
    def closed(self) -> bool:
        return self._raw is None

    def tell(self) -> int:
        return self.length_bytes

    def flush(self) -> None:
        """Nothing waits: for libraries that write to file objects."""

    def write(self, data: bytes | memoryview) -> int:
        """All of the data, or an OSError and none of it.

        Raises:
            OSError: the data could not be written.
            SinkError: a resumed file is not where it was any more.
        """
        raw = self._opened()
        if not self.has_started:
            self.has_started = True
            if self._is_regular:
                raw.truncate(0)
        if self._is_resumed:
            held = os.fstat(raw.fileno())
            check_in_place(self.path, held)
            if held.st_size != self.length_bytes:
                raise SinkError("another program changed it while the crawl wrote to it")
        whole = memoryview(data).cast("B")
        if not whole:
            return 0
        sys.audit("scraper.sink", "write", self.path)
        try:
            self._write_all(raw, whole)
            if self._is_synced:
                os.fsync(raw.fileno())
        except OSError:
            if self._is_regular:
                raw.truncate(self.length_bytes)
                raw.seek(0, os.SEEK_END)
            raise
        self._written = self._written.and_then(whole)
        sys.audit("scraper.sink", "written", self.path)
        return len(whole)

    def _write_all(self, raw: io.FileIO, rest: memoryview) -> None:
        while rest := rest[raw.write(rest) :]:
            sys.audit("scraper.sink", "half", self.path)

    def committed(self, extent: Extent | None) -> None:
        """Of a resumed file: what `close` leaves."""
        self._committed = extent

    def close(self) -> None:
        """A file that was made here and never written to, or of which nothing was committed, goes again."""
        if self._raw is None:
            return
        try:
            # Of another length it is not as this one left it: somebody else may have gone on with it.
            if self._is_resumed and os.fstat(self._raw.fileno()).st_size == self.length_bytes:
                self._cut(self._committed or Extent())
        finally:
            self._raw.close()
            self._raw = None
        is_kept = self._committed is not None if self._is_resumed else self.has_started
        if self._was_created and not is_kept:
            with contextlib.suppress(FileNotFoundError):
                Path(self.path).unlink()

    def _cut(self, extent: Extent) -> None:
        raw = self._opened()
        if os.fstat(raw.fileno()).st_size > extent.length_bytes:
            sys.audit("scraper.sink", "cut", self.path)
            raw.truncate(extent.length_bytes)

    def _opened(self) -> io.FileIO:
        if self._raw is None:
            raise ValueError("write to a closed file")
        return self._raw


def is_stream(path: str) -> bool:
    """Standard output, a pipe or a device: what cannot be read back."""
    if path == "-":
        return True
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def part_path(path: str, number: int) -> str:
    """The path for another crawler's part: its number before the suffix. Streams are shared by all."""
    if number == 1 or is_stream(path):
        return path
    whole = Path(path)
    return str(whole.with_name(f"{whole.stem}.{number}{whole.suffix}"))


def check_in_place(path: str, held: os.stat_result) -> None:
    """Raises SinkError where the path does not lead to the file that is held open: what is written would be lost."""
    with contextlib.suppress(FileNotFoundError):
        if held.st_nlink and os.path.samestat(held, Path(path).stat()):
            return
    raise SinkError(f"{path} was deleted while the crawl wrote to it")


def unknown(name: str) -> str:
    """The sentence for content of which the state knows nothing."""
    return f"{name} is there already and this crawl's state does not know it: move it away, or name another output"


def missing(name: str) -> str:
    """The sentence for content that the state knows and that is not there."""
    return f"{name} is missing, and the crawl's state counts on it: {START_ANEW}"


def changed(name: str) -> str:
    """The sentence for content that is not as the state knows it."""
    return f"{name} was changed after the crawl had written it: {START_ANEW}"


def sync_folder_of(path: str | os.PathLike[str]) -> None:
    """Makes a new name in a folder last through a loss of power; only POSIX lets folders be synced."""
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(Path(path).absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _beginning(path: str, length_bytes: int) -> Extent:
    """The extent of a file's first bytes; a shorter one where the file ends before."""
    extent = Extent()
    with Path(path).open("rb", buffering=0) as file:
        while piece := file.read(min(_READ_BYTES, length_bytes - extent.length_bytes)):
            extent = extent.and_then(piece)
    return extent
