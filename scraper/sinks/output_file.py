"""A file that holds whole batches, or nothing new at all."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
from pathlib import Path

from scraper.errors import OutputRefused


class OutputFile:
    """Bytes to a file, from its beginning on, or to standard output.

    Opening proves that the file can be written and leaves its content alone: a crawl that is refused a moment
    later costs nobody an earlier result. The content goes with the first `write`. A write that fails half way
    is taken back, so a file ends with a whole batch; `length_bytes` is the length it had then.

    Writes are unbuffered: a batch is in the file when `write` returns, and nothing is left to fail when the
    interpreter ends.

    Args:
        path: a file, or "-" for standard output.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._stdout = sys.stdout  # as it is now: whoever made this may send prints elsewhere before it is opened
        self.length_bytes = 0
        self._raw: io.FileIO | None = None
        self._is_regular = False
        self._was_created = False
        self.has_started = False

    @property
    def name(self) -> str:
        """As messages begin."""
        return "standard output" if self.path == "-" else f"output {self.path}"

    def open(self) -> None:
        """Raises OSError or OutputRefused."""
        self._raw = self._standard_output() if self.path == "-" else self._file()
        self._is_regular = stat.S_ISREG(os.fstat(self._raw.fileno()).st_mode) and self.path != "-"

    def _file(self) -> io.FileIO:
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
        """All of the data, or an OSError and none of it."""
        raw = self._opened()
        if not self.has_started:
            self.has_started = True
            if self._is_regular:
                raw.truncate(0)
        whole = rest = memoryview(data).cast("B")
        try:
            while rest:
                rest = rest[raw.write(rest) :]
        except OSError:
            if self._is_regular:
                raw.truncate(self.length_bytes)
                raw.seek(0, os.SEEK_END)
            raise
        self.length_bytes += len(whole)
        return len(whole)

    def close(self) -> None:
        """A file that was made by `open` and never written to goes again."""
        if self._raw is None:
            return
        self._raw.close()
        self._raw = None
        if self._was_created and not self.has_started:
            with contextlib.suppress(FileNotFoundError):
                Path(self.path).unlink()

    def _opened(self) -> io.FileIO:
        if self._raw is None:
            raise ValueError("write to a closed file")
        return self._raw
