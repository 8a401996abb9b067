"""A log that was cut or changed anywhere: the state is one committed earlier, and the crawl goes on from it."""

import shutil
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from signal import SIGKILL
from typing import NamedTuple

import pytest

from fixtures_server.pytest_plugin import StartServer
from scraper.frontier.state.schema import DONE
from tests.faults.crawls import SITE, Crawl, bytes_of, ended
from tests.faults.nursery import Nursery

HEAD_BYTES, FRAME_HEAD_BYTES = 32, 24
STEP_BYTES = 512


class Killed(NamedTuple):
    """A crawl that was killed before its log was ever copied into its file."""

    crawl: Crawl
    file: bytes
    log: bytes
    ends: list[int]
    """Where each commit ends in the log."""


class Known(NamedTuple):
    """What a state says."""

    done: int
    seen: int
    position: str | None


@pytest.fixture(scope="module")
def killed(nursery: Nursery, fixture_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    folder = tmp_path_factory.mktemp("killed")
    crawl = Crawl(nursery, fixture_server(SITE), folder, folder / "state", folder / "items.jsonl")
    with crawl.halted() as process:
        process.send(SIGKILL)
        ended(process)
    log = Path(f"{crawl.state}-wal").read_bytes()
    page_bytes, salt = struct.unpack_from(">I", log, 8)[0], log[16:24]
    ends = []
    for at in range(HEAD_BYTES, len(log), FRAME_HEAD_BYTES + page_bytes):
        pages_after_commit = struct.unpack_from(">I", log, at + 4)[0]
        if log[at + 8 : at + 16] == salt and pages_after_commit:
            ends.append(at + FRAME_HEAD_BYTES + page_bytes)
    assert len(ends) >= 5
    return Killed(crawl, crawl.state.read_bytes(), log, ends)


def known_with(killed: Killed, log: bytes, folder: Path) -> Known:
    """What SQLite makes of the file and a log."""
    state = folder / "state"
    Path(f"{state}-shm").unlink(missing_ok=True)
    state.write_bytes(killed.file)
    Path(f"{state}-wal").write_bytes(log)
    with closing(sqlite3.connect(state)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
            return Known(0, 0, None)
        done, seen = (
            database.execute(f"SELECT count(*) FROM requests {which}").fetchone()[0]
            for which in (f"WHERE state = {DONE}", "")
        )
        counts = dict(database.execute("SELECT name, value FROM counts WHERE kind = 'state'"))
        assert (counts.get("done", 0), counts.get("seen", 0)) == (done, seen)
        position = database.execute("SELECT position FROM outputs").fetchone()
        return Known(done, seen, position and position[0])


@pytest.fixture(scope="module")
def after(killed: Killed, tmp_path_factory: pytest.TempPathFactory) -> list[Known]:
    """What the state says after each commit; first, before any."""
    folder = tmp_path_factory.mktemp("after")
    return [known_with(killed, killed.log[:end], folder) for end in (0, *killed.ends)]


def whole_commits(killed: Killed, intact_bytes: int) -> int:
    return sum(end <= intact_bytes for end in killed.ends)


def test_a_log_that_was_cut_anywhere_holds_what_is_whole_in_it(
    killed: Killed, after: list[Known], tmp_path: Path
) -> None:
    assert all(earlier.done <= later.done and earlier.seen <= later.seen for earlier, later in pairwise(after))
    assert after[-1].done == len(killed.crawl.done()) > 0
    for at in range(0, len(killed.log), STEP_BYTES):
        assert known_with(killed, killed.log[:at], tmp_path) == after[whole_commits(killed, at)], at


def changed_logs(log: bytes) -> Iterator[tuple[int, bytes]]:
    """Logs with one wrong bit, and logs of which a block never reached the disk."""
    for at in range(77, len(log), 3 * STEP_BYTES + 7):
        yield at, log[:at] + bytes([log[at] ^ 1 << at % 8]) + log[at + 1 :]
    for at in range(0, len(log), 5 * STEP_BYTES):
        hole = log[:at] + bytes(len(log[at : at + STEP_BYTES])) + log[at + STEP_BYTES :]
        differs_at = next((i for i in range(at, min(at + STEP_BYTES, len(log))) if log[i]), None)
        if differs_at is not None:
            yield differs_at, hole


def test_a_log_with_a_fault_holds_what_stands_before_it(killed: Killed, after: list[Known], tmp_path: Path) -> None:
    for at, log in changed_logs(killed.log):
        assert known_with(killed, log, tmp_path) == after[whole_commits(killed, at)], at


def test_a_crawl_goes_on_from_any_commit_that_its_log_was_cut_behind(
    killed: Killed, after: list[Known], tmp_path: Path
) -> None:
    """The output holds more than the earlier state says: that is cut, and comes again."""
    first = next(number for number, known in enumerate(after) if known.position is not None)
    for number in sorted({first, (first + len(after)) // 2, len(after) - 2, len(after) - 1}):
        folder = tmp_path / str(number)
        shutil.copytree(killed.crawl.folder, folder)
        crawl = replace(killed.crawl, folder=folder, state=folder / "state", output=folder / "items.jsonl")
        Path(f"{crawl.state}-shm").unlink(missing_ok=True)
        Path(f"{crawl.state}-wal").write_bytes(killed.log[: killed.ends[number - 1] + 1000])
        crawl.resume()


def test_a_log_that_was_cut_before_the_output_was_known_does_not_cost_the_output(
    killed: Killed, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(killed.crawl.folder, folder)
    crawl = replace(killed.crawl, folder=folder, state=folder / "state", output=folder / "items.jsonl")
    Path(f"{crawl.state}-wal").write_bytes(killed.log[: killed.ends[0]])
    before = bytes_of(crawl.output)
    end = crawl.run()
    assert end.status == 2
    assert f"output {crawl.output} is there already" in end.complaint
    assert bytes_of(crawl.output) == before
