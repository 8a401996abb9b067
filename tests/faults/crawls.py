"""A crawl of the command line that halts in its middle, so that a fault can be made there; and what must hold of its
files whatever happened to it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from fixtures_server import FixtureServer, SiteOptions
from scraper.frontier.state.schema import DELAYED, DONE, WAITING
from tests.faults.disk import BrokenDisk
from tests.faults.nursery import Nursery

SITE = SiteOptions(pages=60, page_bytes=4_000, links_per_page=10)
HALTS_AT_PAGE = 20

# An item is so long that a few of them fill what is left of a disk's last block.
_HANDLER = f"""
import time
from pathlib import Path

HERE = Path(__file__).parent


def parse(page):
    last = page.url.rpartition("/")[2]
    if last.isdecimal() and int(last) >= {HALTS_AT_PAGE}:
        while (HERE / "gate").exists():
            (HERE / "reached").touch()
            time.sleep(0.005)
    yield {{"url": page.url, "title": page.title, "text": "lorem ipsum " * 100}}
    yield from page.follow("a")
"""
_PATIENCE_S = 40.0


@dataclass(frozen=True)
class Ended:
    """A command that has ended, and left nothing behind."""

    status: int
    stderr: str

    @property
    def complaint(self) -> str:
        """The one line that a quiet command says of what was wrong."""
        assert "Traceback" not in self.stderr, self.stderr
        assert self.stderr.count("\n") == 1, self.stderr
        head, _, text = self.stderr.strip().partition(": ")
        assert head == "scraper crawl", self.stderr
        return text


class Process:
    """A command that was started.

    Args:
        number: of the process, which leads a session of its own.
        stderr: what it has to say.
        poll: how it ended; None as long as it runs.
    """

    def __init__(self, number: int, stderr: Path, poll: Callable[[], int | None]) -> None:
        self.number = number
        self.stderr = stderr
        self._poll = poll
        self._status: int | None = None

    def status(self) -> int | None:
        if self._status is None:
            self._status = self._poll()
        return self._status

    def send(self, number: signal.Signals) -> None:
        if self.status() is None:
            os.kill(self.number, number)

    def end(self) -> None:
        """Ends it, if it has not ended."""
        self.send(signal.SIGKILL)
        until(lambda: self.status() is not None)
        self.stderr.unlink(missing_ok=True)


@dataclass(frozen=True)
class Crawl:
    """One crawl with a state and an output. Runs of it differ in their further arguments.

    Args:
        nursery: where its processes come from.
        site: what is crawled.
        folder: of the handler and the gate.
        state, output: paths.
    """

    nursery: Nursery
    site: FixtureServer
    folder: Path
    state: Path
    output: Path

    @property
    def gate(self) -> Path:
        return self.folder / "gate"

    def words(self, *more: object) -> list[str]:
        """The command's arguments."""
        handler = self.folder / "handler.py"
        if not handler.exists():
            handler.write_text(_HANDLER)
        words = ["crawl", self.site.url, "--handler", f"{handler}:parse", "--executor", "thread", "--workers", 1]
        words += ["--state", self.state, "--output", self.output, "--quiet", *more]
        return [str(word) for word in words]

    def run(self, *more: object, altered: tuple[object, ...] = (), disk: BrokenDisk | None = None) -> Ended:
        """Runs it to its end."""
        with self.running(*more, altered=altered, disk=disk) as process:
            return ended(process)

    @contextmanager
    def running(
        self, *more: object, altered: tuple[object, ...] = (), disk: BrokenDisk | None = None
    ) -> Iterator[Process]:
        """A run that is under way."""
        with self.running_words(self.words(*more), altered=altered, disk=disk) as process:
            yield process

    @contextmanager
    def halted(
        self, *more: object, altered: tuple[object, ...] = (), disk: BrokenDisk | None = None
    ) -> Iterator[Process]:
        """A run that stands in its middle: pages are committed, others wait, one is held until the gate is opened."""
        self.gate.touch()
        with self.running(*more, altered=altered, disk=disk) as process:
            try:
                until((self.folder / "reached").exists, process)
                until(lambda: len(self.done()) > 0, process)
                yield process
            finally:
                self.gate.unlink(missing_ok=True)
                process.end()  # before its note goes, which it would make again
                (self.folder / "reached").unlink(missing_ok=True)

    def go_on(self) -> None:
        """Opens the gate."""
        self.gate.unlink()

    @contextmanager
    def running_words(
        self, words: Sequence[str], *, altered: tuple[object, ...] = (), disk: BrokenDisk | None = None
    ) -> Iterator[Process]:
        """A command of other words."""
        handle, name = tempfile.mkstemp(prefix="stderr-")
        os.close(handle)
        changes = [str(word) for word in altered]
        number = self.nursery.start(words, Path(name), changes, {} if disk is None else disk.environment)
        process = Process(number, Path(name), lambda: self.nursery.status(number))
        try:
            yield process
        finally:
            process.end()

    def stop(self, process: Process) -> None:
        """Stops a run, but not in a transaction, which would hold the file for as long."""
        with closing(sqlite3.connect(self.state, timeout=0, isolation_level=None)) as database:

            def is_free() -> bool:
                process.send(signal.SIGSTOP)
                until(lambda: psutil.Process(process.number).status() == psutil.STATUS_STOPPED)
                try:
                    database.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    process.send(signal.SIGCONT)
                    return False
                database.execute("ROLLBACK")
                return True

            until(is_free, process)

    def done(self) -> set[str]:
        """URLs of the pages that the state calls done, read from a copy: opening the file itself would tidy it up."""
        return {url for (url,) in self.ask(f"SELECT url FROM requests WHERE state = {DONE}")}

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a sound copy of the state."""
        return _ask(self.state, query)

    def has_delayed(self, attempts: int = 1) -> bool:
        """Whether a page that failed so often waits for its next attempt."""
        if not self.ask("SELECT 1 FROM sqlite_master WHERE name = 'delayed'"):
            return False
        return bool(self.ask(f"SELECT 1 FROM requests WHERE state = {DELAYED} AND attempts = {attempts}"))

    def check(self) -> None:
        """The state is sound, and the output holds what it says: nothing beyond it, nothing less."""
        assert self.ask("PRAGMA integrity_check") == [("ok",)]
        done = self.done()
        assert urls_in(self.output) == Counter(done)
        counts = dict(self.ask("SELECT name, value FROM counts WHERE kind = 'state'"))
        assert counts.get("done", 0) == len(done)
        assert counts.get("seen", 0) == self.ask("SELECT count(*) FROM requests")[0][0]
        # What waits can be had: its host is in line, or somebody's.
        lost = (
            f"SELECT url FROM requests r JOIN hosts h ON h.number = r.host WHERE r.state = {WAITING} AND h.turn IS NULL"
        )
        assert self.ask(f"{lost} AND h.crawler IS NULL") == []

    def check_complete(self) -> None:
        """Every page is done, and its item in the output once."""
        self.check()
        assert self.done() == self.site.urls()
        assert presences(self.state) == []

    def resume(self, *more: object) -> None:
        """The next run comes to the end."""
        again = self.run(*more)
        assert (again.status, again.stderr) == (0, ""), again
        self.check_complete()


def ended(process: Process) -> Ended:
    """Waits for a command's end; nothing that it started may outlive it."""
    until(lambda: process.status() is not None)
    until(lambda: not _session(process.number))
    status = process.status()
    assert status is not None
    return Ended(status, process.stderr.read_text())


def _session(leader: int) -> list[int]:
    found = []
    for number in psutil.pids():
        try:
            if os.getsid(number) == leader:
                found.append(number)
        except ProcessLookupError:
            continue
    return found


def until(condition: Callable[[], object], process: Process | None = None) -> None:
    """Waits for what another process does, which must not end meanwhile."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while not condition():
        status = process.status() if process is not None else None
        if process is not None and status is not None and not condition():
            raise AssertionError(f"it ended with {status}: {process.stderr.read_text()}")
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def urls_in(output: Path) -> Counter[str]:
    """URLs of the items in an output, and how often each is there."""
    if not output.exists():
        return Counter()
    if output.suffix == ".sqlite":
        tables = _ask(output, "SELECT name FROM sqlite_master WHERE name = 'items'")
        return Counter(url for (url,) in _ask(output, "SELECT url FROM items")) if tables else Counter()
    if output.suffix == ".csv":
        with output.open(newline="", encoding="utf-8") as file:
            return Counter(row["url"] for row in csv.DictReader(file))
    if output.suffix == ".parquet":
        import pyarrow.parquet

        found = Counter(
            json.loads(line)["url"] for path in output.glob("_rows-*") for line in path.read_text().splitlines()
        )
        for part in output.glob("part-*"):
            found.update(pyarrow.parquet.read_table(part, columns=["url"])["url"].to_pylist())
        return found
    return Counter(json.loads(line)["url"] for line in output.read_text(encoding="utf-8").splitlines())


def _ask(database: Path, query: str) -> list[tuple[Any, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, database.name)
        for suffix in ("", "-wal", "-journal"):
            if Path(f"{database}{suffix}").exists():
                shutil.copyfile(f"{database}{suffix}", f"{copy}{suffix}")
        with closing(sqlite3.connect(copy)) as connection:
            return connection.execute(query).fetchall()


def presences(state: Path) -> list[Path]:
    """Signs of life beside a state."""
    return list(state.parent.glob(f"{state.name}-crawler-*"))


def bytes_of(*paths: Path) -> dict[Path, bytes | None]:
    """What files hold, and whether they are there, directories with what is in them."""
    every = [each for path in paths for each in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return {path: path.read_bytes() if path.exists() else None for path in every}
