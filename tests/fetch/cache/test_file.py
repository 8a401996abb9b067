"""Cache files that are none, or damaged: refused in a sentence, and left as they are."""

import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from scraper.errors import CacheRefused
from scraper.fetch.cache.file import CacheFile


def opened(path: Path, *, must_exist: bool = False) -> None:
    file = CacheFile(path, None)
    file.open(must_exist=must_exist)
    file.close()


def text(path: Path) -> None:
    path.write_text("https://example.org/\n" * 500)


def random_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(100))


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def other_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")


def newer_format(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


def lost_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE bodies")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (text, "not a database"),
        (random_header, "not a database"),
        (half, "malformed"),
        (other_program, "database of another program"),
        (newer_format, "has format 99"),
        (lost_table, "no such table: bodies"),
    ],
)
def test_what_is_no_cache_is_refused(tmp_path: Path, damage: Callable[[Path], None], said: str) -> None:
    path = tmp_path / "cache"
    opened(path)
    damage(path)
    before = path.read_bytes()
    with pytest.raises(CacheRefused, match=said) as refusal:
        opened(path)
    assert str(path) in str(refusal.value)
    assert path.read_bytes() == before


def test_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    with pytest.raises(CacheRefused, match="not a file"):
        opened(tmp_path)
    with pytest.raises(CacheRefused, match="folder does not exist"):
        opened(tmp_path / "none" / "cache")


def test_a_file_may_be_made_by_several_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(6)

    def make() -> None:
        together.wait()
        opened(tmp_path / "cache")

    with ThreadPoolExecutor(6) as threads:
        for made in [threads.submit(make) for _ in range(6)]:
            made.result()


def test_an_empty_file_becomes_a_cache(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    path.touch()
    opened(path, must_exist=True)
    opened(path)
    assert path.stat().st_size
