"""Items in a database of somebody else, in whose transactions they become final."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from scraper.errors import OutputRefused, SinkError
from scraper.sinks import EnclosedRows, SqliteSink, warnings_of
from tests.sinks.rows import read, records


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@pytest.fixture
def other(path: Path) -> Iterator[sqlite3.Connection]:
    """Another process's."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@contextmanager
def transaction(database: sqlite3.Connection, end: str = "COMMIT") -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    yield
    database.execute(end)


def rows_in(database: sqlite3.Connection, path: Path) -> EnclosedRows:
    rows = SqliteSink(path).enclosed()
    with transaction(database):
        rows.prepare(database)
    return rows


def insert(rows: EnclosedRows, database: sqlite3.Connection, *items: dict[str, Any], end: str = "COMMIT") -> None:
    with transaction(database, end):
        rows.insert(database, records(*items))


def test_items_are_final_with_the_transaction(path: Path, database: sqlite3.Connection) -> None:
    rows = rows_in(database, path)
    insert(rows, database, {"n": 1}, {"n": 2})
    insert(rows, database, {"n": 3, "new": 1}, end="ROLLBACK")
    insert(rows, database, {"n": 4})
    assert read(path) == [{"n": 1}, {"n": 2}, {"n": 4}]
    insert(rows, database, {"new": 5})
    assert read(path)[3:] == [{"n": None, "new": 5}]


def test_no_items_are_no_statement(path: Path, database: sqlite3.Connection) -> None:
    rows = rows_in(database, path)
    told: list[str] = []
    database.set_trace_callback(told.append)
    rows.insert(database, [])
    assert told == []


def test_many_rows_are_few_statements(path: Path, database: sqlite3.Connection) -> None:
    """At the end of each the thread has to win the GIL back."""
    rows = rows_in(database, path)
    insert(rows, database, {"n": 0, "text": "x"}, {"other": 1})
    told: list[str] = []
    with transaction(database):
        database.set_trace_callback(told.append)
        rows.insert(database, records(*({"n": n, "text": "y"} if n % 2 else {"other": n} for n in range(64))))
        database.set_trace_callback(None)
    assert [text.split()[0] for text in told] == ["SELECT", "INSERT"]
    assert len(read(path)) == 66


def test_long_texts_are_statements_of_their_own(path: Path, database: sqlite3.Connection) -> None:
    """Python keeps a statement with the values that it had last, and 128 of them."""
    rows = rows_in(database, path)
    told: list[str] = []
    with transaction(database):
        rows.insert(database, records({"text": "first"}))
        database.set_trace_callback(told.append)
        rows.insert(database, records(*({"text": f"{n}" * 60_000} for n in range(8))))
        database.set_trace_callback(None)
    assert len(told) == 1 + 4
    assert [row["text"][0] for row in read(path)] == [*"f01234567"]


def test_more_values_than_a_statement_takes_are_all_there_in_order(path: Path, database: sqlite3.Connection) -> None:
    rows = rows_in(database, path)
    insert(rows, database, *({f"k{key}": n for key in range(30)} for n in range(1_500)))
    assert [row["k29"] for row in read(path)] == list(range(1_500))


def test_values_keep_their_types(path: Path, database: sqlite3.Connection) -> None:
    rows = rows_in(database, path)
    values = [2**63 - 1, -(2**63) + 1, 0.1, 5e-324, 1e308, -0.0, 1.0, "a\0b", "1", "", None, True, 2**80, [1]]
    insert(rows, database, *({"value": value} for value in values))
    found = [row["value"] for row in read(path)]
    assert found == [*values[:-3], 1, str(2**80), "[1]"]
    assert [type(value) for value in found[2:9]] == [float] * 5 + [str, str]


KEYS = ["title", "Title", "a\0b", "", "a,b:c", 'q"q', "ü", "NULL", "_rowid_", "ROWID", "\ud83d\ude00"]


def test_a_later_process_knows_which_column_a_key_has(path: Path, database: sqlite3.Connection) -> None:
    item = {key: at for at, key in enumerate(KEYS)}
    insert(rows_in(database, path), database, item)
    rows = rows_in(database, path)
    insert(rows, database, item)
    first, second = read(path)
    assert list(first) == ["title", "Title_2", "a\ufffdb", "", "a,b:c", 'q"q', "ü", "NULL", "_rowid__2", "ROWID", "😀"]
    assert list(second.values()) == list(first.values()) == list(range(len(KEYS)))


def test_processes_write_the_same_table_in_turn(
    path: Path, database: sqlite3.Connection, other: sqlite3.Connection
) -> None:
    mine, theirs = rows_in(database, path), rows_in(other, path)
    insert(mine, database, {"a": 1})
    insert(theirs, other, {"A": 2, "b": 3})
    insert(mine, database, {"b": 4, "A": 5, "a": 6})
    assert read(path) == [
        {"a": 1, "A_2": None, "b": None},
        {"a": None, "A_2": 2, "b": 3},
        {"a": 6, "A_2": 5, "b": 4},
    ]


def test_columns_of_a_transaction_that_was_rolled_back_are_forgotten(
    path: Path, database: sqlite3.Connection, other: sqlite3.Connection
) -> None:
    """Also where another process has since changed as much, so that no number tells."""
    mine, theirs = rows_in(database, path), rows_in(other, path)
    insert(mine, database, {"n": 0})
    with transaction(database, "ROLLBACK"):
        mine.insert(database, records({"title": 1}))
        mine.insert(database, records({"title": 2}))
    insert(theirs, other, {"Title": 3})
    insert(mine, database, {"title": 4})
    assert read(path)[1:] == [
        {"n": None, "Title": 3, "title_2": None},
        {"n": None, "Title": None, "title_2": 4},
    ]


def test_a_value_that_is_not_plain_leaves_nothing_after_the_rollback(path: Path, database: sqlite3.Connection) -> None:
    rows = rows_in(database, path)
    insert(rows, database, {"n": 1})
    database.execute("BEGIN IMMEDIATE")
    with pytest.raises(SinkError):
        rows.insert(database, records({"new": b"not plain"}))
    database.execute("ROLLBACK")
    insert(rows, database, {"n": 2, "new": 3})
    assert read(path) == [{"n": 1, "new": None}, {"n": 2, "new": 3}]


def test_keys_without_a_column_have_one_together_in_every_process(
    path: Path, database: sqlite3.Connection, other: sqlite3.Connection
) -> None:
    insert(rows_in(database, path), database, {f"k{n}": n for n in range(1_001)})
    sink = SqliteSink(path)
    theirs = sink.enclosed()
    insert(theirs, other, {"k1000": 5, "k0": 6}, {"k0": 7})
    found = other.execute("SELECT k0, _other FROM items ORDER BY rowid").fetchall()
    assert found == [(0, '{"k1000":1000}'), (6, '{"k1000":5}'), (7, None)]
    assert "further keys are in '_other'" in warnings_of(sink)[0]


def test_an_item_without_keys_is_a_row(path: Path, database: sqlite3.Connection) -> None:
    rows = rows_in(database, path)
    insert(rows, database, {})
    insert(rows, database, {"n": 1}, {})
    insert(rows, database, {})
    assert read(path) == [{"url": None, "n": n} for n in (None, 1, None, None)]


def test_a_table_that_is_not_this_crawls_is_refused(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE Items (mine)")
    with pytest.raises(OutputRefused, match="state does not know it: move it away"):
        SqliteSink(path).enclosed().prepare(database)
    assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("Items",)]


def test_a_table_that_has_gone_is_refused(path: Path, database: sqlite3.Connection) -> None:
    insert(rows_in(database, path), database, {"n": 1})
    database.execute("DROP TABLE items")
    with pytest.raises(OutputRefused, match="has lost its table items"):
        SqliteSink(path).enclosed().prepare(database)


def test_the_sink_knows_its_path(path: Path) -> None:
    assert SqliteSink(path).path == SqliteSink(path).output == str(path)


# In a file of its own


async def resumed(path: Path, position: str | None, *batches: list[Any]) -> str:
    sink = SqliteSink(path)
    await sink.resume(position, is_synced=True)
    for batch in batches:
        await sink.write(batch)
        sink.committed(sink.position)
    await sink.close()
    return sink.position


async def test_a_resumed_table_knows_which_column_a_key_has(path: Path) -> None:
    item = {key: at for at, key in enumerate(KEYS)}
    position = await resumed(path, None, records(item))
    await resumed(path, position, records(item))
    first, second = read(path)
    assert list(second.values()) == list(first.values()) == list(range(len(KEYS)))


async def test_a_resumed_table_keeps_the_column_of_further_keys(path: Path) -> None:
    position = await resumed(path, None, records({f"k{n}": n for n in range(1_001)}))
    await resumed(path, position, records({"k1000": 5}))
    assert [row["_other"] for row in read(path)] == ['{"k1000":1000}', '{"k1000":5}']


@pytest.mark.parametrize(("is_synced", "level"), [(True, 3), (False, 2)])
async def test_a_synced_table_syncs_the_end_of_its_journal_too(path: Path, is_synced: bool, level: int) -> None:
    sink = SqliteSink(path)
    await sink.resume(None, is_synced=is_synced)
    assert sink._database is not None
    assert sink._database.execute("PRAGMA synchronous").fetchone() == (level,)
    await sink.close()


async def test_columns_of_rows_that_were_cut_are_taken_again(path: Path) -> None:
    sink = SqliteSink(path)
    await sink.resume(None)
    await sink.write(records({"a": 1}))
    sink.committed(sink.position)
    position = sink.position
    await sink.write(records({"b": 2, "c": 3}))
    await sink.close()
    await resumed(path, position, records({"c": 4, "b": 5}))
    assert read(path) == [{"a": 1, "b": None, "c": None}, {"a": None, "b": 5, "c": 4}]


async def test_a_table_of_another_is_refused_and_other_tables_stay(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE mine (x)")
    position = await resumed(path, None, records({"n": 1}))
    with pytest.raises(OutputRefused, match="table items, is there already"):
        await resumed(path, None)
    await resumed(path, position, records({"n": 2}))
    assert read(path) == [{"n": 1}, {"n": 2}]
    assert database.execute("SELECT count(*) FROM mine").fetchone() == (0,)


@pytest.mark.parametrize("change", ["DROP TABLE items", "ALTER TABLE items RENAME COLUMN n TO m", "DELETE FROM items"])
async def test_a_table_that_was_changed_is_refused(path: Path, database: sqlite3.Connection, change: str) -> None:
    position = await resumed(path, None, records({"n": 1}))
    database.execute(change)
    before = database.execute("SELECT sql FROM sqlite_master").fetchall()
    with pytest.raises(OutputRefused, match="was changed"):
        await resumed(path, position)
    assert database.execute("SELECT sql FROM sqlite_master").fetchall() == before
