"""State files that are damaged, or no state files at all: refused before the first request, and left as they are."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures_server.pytest_plugin import StartServer
from tests.faults.crawls import SITE, Crawl, bytes_of, ended
from tests.faults.nursery import Nursery


@pytest.fixture(scope="module")
def halfway(nursery: Nursery, fixture_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    """A crawl that was stopped in good order. Its files are to be copied."""
    folder = tmp_path_factory.mktemp("halfway")
    crawl = Crawl(nursery, fixture_server(SITE), folder, folder / "state", folder / "items.jsonl")
    assert crawl.run("--max-pages", 20).status == 0
    return crawl


@pytest.fixture
def copy(halfway: Crawl, tmp_path: Path) -> Crawl:
    return copied(halfway, tmp_path)


def copied(crawl: Crawl, folder: Path) -> Crawl:
    shutil.copytree(crawl.folder, folder, dirs_exist_ok=True)
    return replace(crawl, folder=folder, state=folder / crawl.state.name, output=folder / crawl.output.name)


def random_header(state: Path) -> None:
    overwrite(state, 0, os.urandom(100))


def random_middle(state: Path) -> None:
    """From the second page to the last, so that whatever is read first is hit."""
    overwrite(state, 4096, os.urandom(state.stat().st_size - 4096))


def half(state: Path) -> None:
    os.truncate(state, state.stat().st_size // 2)


def text(state: Path) -> None:
    state.write_text("https://example.org/\n" * 500)


def picture(state: Path) -> None:
    state.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + os.urandom(20_000))


def other_program(state: Path) -> None:
    state.unlink()
    with closing(sqlite3.connect(state)) as database, database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")


def newer_format(state: Path) -> None:
    with closing(sqlite3.connect(state)) as database:
        database.execute("PRAGMA user_version = 99")


def lost_table(state: Path) -> None:
    with closing(sqlite3.connect(state)) as database, database:
        database.execute("DROP TABLE requests")


def no_positions(state: Path) -> None:
    with closing(sqlite3.connect(state)) as database, database:
        database.execute("UPDATE outputs SET position = '{}'")


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (random_header, "no SQLite database"),
        (random_middle, "damaged"),
        (half, "damaged"),
        (text, "no SQLite database"),
        (picture, "no SQLite database"),
        (other_program, "database of another program"),
        (newer_format, "newer version of scraper"),
        (lost_table, "damaged"),
        (no_positions, "damaged"),
    ],
)
def test_a_damaged_state_is_refused(copy: Crawl, damage: Callable[[Path], None], said: str) -> None:
    damage(copy.state)
    # What the state says of an output is read when the crawl has taken its place on the file.
    kept = (copy.output,) if damage is no_positions else (copy.state, copy.output)
    before = bytes_of(*kept)
    copy.site.reset_blocking()
    end = copy.run()
    assert end.status == 2
    assert str(copy.state) in end.complaint
    assert said in end.complaint
    assert copy.site.access_log_blocking() == []
    assert bytes_of(*kept) == before


def test_an_emptied_state_is_a_new_one_and_the_output_is_not_its_own(copy: Crawl) -> None:
    os.truncate(copy.state, 0)
    before = bytes_of(copy.output)
    end = copy.run()
    assert end.status == 2
    assert f"output {copy.output}" in end.complaint
    assert bytes_of(copy.output) == before


@pytest.mark.parametrize("shm", [None, b"", os.urandom(32_768)])
def test_the_index_of_the_log_is_made_anew(crawl: Crawl, shm: bytes | None) -> None:
    with crawl.halted() as process:
        process.send(signal.SIGKILL)
        ended(process)
    assert Path(f"{crawl.state}-wal").stat().st_size
    index = Path(f"{crawl.state}-shm")
    if shm is None:
        index.unlink()
    else:
        index.write_bytes(shm)
    crawl.resume()


def test_an_emptied_state_beside_its_log_goes_on_from_the_log(crawl: Crawl) -> None:
    """Before the first checkpoint everything is in the log."""
    with crawl.halted() as process:
        process.send(signal.SIGKILL)
        ended(process)
    os.truncate(crawl.state, 0)
    before = bytes_of(crawl.output)
    end = crawl.run()
    if end.status == 2:
        assert end.complaint
        assert bytes_of(crawl.output) == before
    else:
        assert (end.status, end.stderr) == (0, "")
        crawl.check_complete()
