import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from scraper.errors import NotRunning, OutputRefused, SinkError
from scraper.model import Item
from scraper.sinks import Record, SqliteSink, warnings_of


def records(*items: Item) -> list[Record]:
    return [Record(str(at), "http://site/", at, item) for at, item in enumerate(items)]


async def write(sink: SqliteSink, *items: Item) -> None:
    await sink.open()
    try:
        await sink.write(records(*items))
    finally:
        await sink.close()


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def rows(path: Path) -> list[tuple[Any, ...]]:
    with database(path) as connection:
        return connection.execute("SELECT * FROM items ORDER BY rowid").fetchall()


def columns(path: Path) -> list[str]:
    with database(path) as connection:
        return [row[1] for row in connection.execute("PRAGMA table_info(items)")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "items.sqlite"


async def test_a_key_is_a_column_and_a_new_key_adds_one(path: Path) -> None:
    await write(SqliteSink(path), {"a": 1, "b": "x"}, {"b": "y", "c": [1, {"d": None}]}, {})
    assert columns(path) == ["a", "b", "c"]
    assert rows(path) == [(1, "x", None), (None, "y", '[1,{"d":null}]'), (None, None, None)]


@pytest.mark.parametrize(
    "key", ['a"b', "a'b", "x); DROP TABLE items;--", "select", "", "a b", "a?b", ":a", "ü", "%s{}"]
)
async def test_any_text_can_be_a_column(path: Path, key: str) -> None:
    await write(SqliteSink(path), {key: 1, "other": 2})
    assert columns(path) == [key, "other"]
    assert rows(path) == [(1, 2)]


async def test_a_nul_in_a_key_is_replaced_because_sqlite_has_no_such_name(path: Path) -> None:
    await write(SqliteSink(path), {"a\0b": 1})
    assert columns(path) == ["a\ufffdb"]


async def test_keys_that_differ_in_case_alone_get_columns_of_their_own(path: Path) -> None:
    sink = SqliteSink(path)
    await write(sink, {"title": 1, "Title": 2}, {"TITLE": 3, "title_2": 4}, {"Title": 5})
    assert columns(path) == ["title", "Title_2", "TITLE_3", "title_2_2"]
    assert rows(path) == [(1, 2, None, None), (None, None, 3, 4), (None, 5, None, None)]
    assert "'Title' is in 'Title_2'" in warnings_of(sink)[0]


async def test_letters_beyond_ascii_that_sqlite_tells_apart_keep_their_names(path: Path) -> None:
    sink = SqliteSink(path)
    await write(sink, {"Ä": 1, "ä": 2})
    assert columns(path) == ["Ä", "ä"]
    assert warnings_of(sink) == ()


async def test_keys_beyond_the_columns_of_a_table_go_into_one_of_json(path: Path) -> None:
    """SQLite ends at 2,000 columns; a page that makes up keys must not end the crawl."""
    sink = SqliteSink(path)
    await write(sink, {f"k{n}": n for n in range(1_002)}, {"k0": 5, "k1001": 7})
    assert len(columns(path)) == 1_001
    with database(path) as connection:
        found = connection.execute("SELECT k0, _other FROM items ORDER BY rowid").fetchall()
    assert found == [(0, '{"k1000":1000,"k1001":1001}'), (5, '{"k1001":7}')]
    assert "_other" in warnings_of(sink)[0]


async def test_other_tables_of_the_file_stay(path: Path) -> None:
    with database(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
        connection.execute("CREATE TABLE Items (old)")
    await write(SqliteSink(path), {"new": 1})
    assert columns(path) == ["new"]
    with database(path) as connection:
        assert connection.execute("SELECT count(*) FROM mine").fetchone() == (0,)


async def test_a_batch_is_there_for_others_as_soon_as_it_was_taken(path: Path) -> None:
    sink = SqliteSink(path)
    await sink.open()
    await sink.write(records({"n": 1}))
    assert rows(path) == [(1,)]
    await sink.close()


async def test_a_batch_that_fails_leaves_nothing_of_itself(path: Path) -> None:
    sink = SqliteSink(path)
    await sink.open()
    await sink.write(records({"n": 1}))
    with pytest.raises(SinkError):
        await sink.write(records({"n": 2}, {"n": b"not plain"}))
    await sink.close()
    assert rows(path) == [(1,)]


async def test_a_file_that_is_no_database_is_refused_and_kept(path: Path) -> None:
    path.write_text("these are my notes, and no database" * 50)
    with pytest.raises(OutputRefused, match="not a database"):
        await SqliteSink(path).open()
    assert path.read_text().startswith("these are my notes")


async def test_a_view_of_that_name_is_refused(path: Path) -> None:
    with database(path) as connection:
        connection.execute("CREATE VIEW items AS SELECT 1 AS x")
    sink = SqliteSink(path)
    with pytest.raises(OutputRefused, match="no table"):
        await sink.open()
    with pytest.raises(NotRunning):
        await sink.write(records({"n": 1}))


async def test_a_file_that_another_program_is_writing_is_refused(path: Path) -> None:
    with database(path) as other:
        other.execute("CREATE TABLE mine (x)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OutputRefused, match="locked"):
            await SqliteSink(path, lock_timeout_s=0.01).open()


async def test_a_lock_that_does_not_go_away_is_an_error_that_names_the_file(path: Path) -> None:
    sink = SqliteSink(path, lock_timeout_s=0.01)
    await sink.open()
    with database(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SinkError, match=r"items\.sqlite failed: database is locked") as caught:
            await sink.write(records({"n": 1}))
    await sink.close()
    assert isinstance(caught.value.__cause__, sqlite3.Error)
