"""A state file of an earlier version is brought up to date, all of it or not at all."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from scraper.frontier.state.schema import APPLICATION_ID, MIGRATIONS, bring_up_to_date

NEXT = "ALTER TABLE hosts ADD COLUMN delay_s REAL NOT NULL DEFAULT 0;\nCREATE TABLE sites (origin TEXT);\n"
BROKEN = "ALTER TABLE hosts ADD COLUMN delay_s REAL;\nALTER TABLE nothing ADD COLUMN x;\n"


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        yield database


def version(database: sqlite3.Connection) -> int:
    found: int = database.execute("PRAGMA user_version").fetchone()[0]
    return found


def migrate(database: sqlite3.Connection, *further: str) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        bring_up_to_date(database, (*MIGRATIONS, *further))
        database.execute("COMMIT")
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")


def test_a_new_file_has_the_newest_version(database: sqlite3.Connection) -> None:
    migrate(database)
    assert version(database) == len(MIGRATIONS)
    assert database.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID


def test_an_earlier_version_keeps_what_it_has(database: sqlite3.Connection) -> None:
    migrate(database)
    database.execute("INSERT INTO hosts (name) VALUES ('a.test:80')")
    migrate(database, NEXT)
    assert version(database) == len(MIGRATIONS) + 1
    assert database.execute("SELECT name, delay_s FROM hosts").fetchall() == [("a.test:80", 0.0)]


def test_bringing_up_to_date_twice_changes_nothing(database: sqlite3.Connection) -> None:
    migrate(database, NEXT)
    before = database.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    migrate(database, NEXT)
    assert database.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall() == before


def test_a_migration_that_fails_leaves_the_file_as_it_was(database: sqlite3.Connection) -> None:
    migrate(database)
    before = database.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    with pytest.raises(sqlite3.OperationalError, match="nothing"):
        migrate(database, BROKEN)
    assert version(database) == len(MIGRATIONS)
    assert database.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall() == before
