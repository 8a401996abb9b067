"""The tables of a state file, and how they came to be what they are.

requests   every admitted request; what is at its end keeps its row, so that it is never admitted again
known      what makes requests the same, hashed to 128 bits, and the URLs behind redirects
ends       why requests failed or were skipped
delayed    requests that wait for a time
suspects   requests that crawlers died with
hosts      whose they are, and which wait for a crawler to take them
scope      seeds, and places that seeds moved to
crawlers   who works on this file
outputs    how far each output is committed
counts     numbers of the crawl
about      which crawl this is
robots     robots.txt files, packed, and until when they count
rests      hosts that are to be left alone, and until when
"""

from __future__ import annotations

import sqlite3

# "scrp": so that `file` and other programs can tell a state file, and this one a database that is not its own.
APPLICATION_ID = 0x73637270

WAITING, DONE, FAILED, SKIPPED, DELAYED = range(5)
"""States of a row in `requests`."""

_FIRST = f"""
CREATE TABLE requests (
    number INTEGER PRIMARY KEY,
    url TEXT NOT NULL,
    host INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    urgency INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    state INTEGER NOT NULL DEFAULT {WAITING},
    more TEXT
);
CREATE INDEX requests_waiting ON requests (host, urgency, depth, number) WHERE state = {WAITING};
CREATE TABLE known (
    high INTEGER NOT NULL,
    low INTEGER NOT NULL,
    request INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    PRIMARY KEY (high, low)
) WITHOUT ROWID;
CREATE TABLE ends (request INTEGER PRIMARY KEY, stage TEXT, reason TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE delayed (
    request INTEGER PRIMARY KEY, host INTEGER NOT NULL, since_s REAL NOT NULL, due_s REAL NOT NULL
);
CREATE INDEX delayed_due ON delayed (due_s);
CREATE TABLE suspects (request INTEGER PRIMARY KEY, crashes INTEGER NOT NULL);
CREATE TABLE hosts (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, crawler INTEGER, turn INTEGER);
CREATE INDEX hosts_free ON hosts (turn) WHERE turn IS NOT NULL;
CREATE INDEX hosts_taken ON hosts (crawler) WHERE crawler IS NOT NULL;
CREATE TABLE scope (url TEXT PRIMARY KEY, is_seed INTEGER NOT NULL);
CREATE TABLE crawlers (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    process INTEGER NOT NULL,
    command TEXT NOT NULL,
    started TEXT NOT NULL,
    is_joined INTEGER NOT NULL,
    beats INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE outputs (
    name TEXT NOT NULL, part INTEGER NOT NULL, crawler INTEGER, position TEXT, PRIMARY KEY (name, part)
) WITHOUT ROWID;
CREATE TABLE counts (
    kind TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""

_SECOND = """
CREATE TABLE robots (origin TEXT PRIMARY KEY, packed BLOB NOT NULL, until_s REAL NOT NULL);
CREATE TABLE rests (host TEXT PRIMARY KEY, until_s REAL NOT NULL) WITHOUT ROWID;
"""

# One script for each version: the first makes an empty file one of version 1, the next one of version 2, and so on.
MIGRATIONS = (_FIRST, _SECOND)


def bring_up_to_date(database: sqlite3.Connection, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Makes the tables, or changes those of an earlier version, all in one transaction.

    To be called inside a transaction that was begun for writing. The file's version must be one of those known.
    """
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    for script in migrations[version:]:
        for statement in script.split(";\n"):
            if statement.strip():
                database.execute(statement)
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {len(migrations)}")
