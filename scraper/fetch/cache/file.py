"""The SQLite file of a cache.

answers   one for each request and each selection of its headers (RFC 9111 section 4.1)
bodies    what they hold, compressed with Zstandard; the same body is kept once

What a request sent is in the file as digests alone, except its URL: its headers may hold secrets.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from scraper.errors import CacheRefused
from scraper.fetch.cache.answer import Answer, Pairs
from scraper.fetch.refused import Refused

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# "scrc", beside a state file's "scrp".
APPLICATION_ID = 0x73637263
_VERSION = 1
_TABLES = (
    # A number is never given twice: whoever knows one may be late.
    """CREATE TABLE answers (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        request BLOB NOT NULL,
        vary TEXT NOT NULL,
        selection BLOB NOT NULL,
        url TEXT NOT NULL,
        status INTEGER NOT NULL,
        phrase TEXT NOT NULL,
        headers TEXT NOT NULL,
        location TEXT,
        body BLOB,
        requested_s REAL NOT NULL,
        received_s REAL NOT NULL,
        used_s REAL NOT NULL,
        UNIQUE (request, selection)
    )""",
    "CREATE INDEX answers_used ON answers (used_s)",
    "CREATE INDEX answers_body ON answers (body)",
    "CREATE TABLE bodies (digest BLOB PRIMARY KEY, size INTEGER NOT NULL, packed BLOB NOT NULL)",
)

# Another crawler on the same file commits in milliseconds. Answers that are looked for wait as long.
_LOCK_TIMEOUT_S = 5.0
# A server that selects by ever other headers would have a URL's answers grow without end.
_MAX_SELECTIONS = 16
# Making room goes on until so much is left, so that not every page makes room anew.
_FULL_SHARE = 0.9
_EVICTED_AT_ONCE = 64


class Kept(NamedTuple):
    """An answer as it is in the file.

    Args:
        number: its row.
        answer: as it came, without what is not stored of its headers.
        requested_s, received_s: when it was asked for, and when it came or was confirmed; seconds since the epoch.
        used_s: about when it was used last.
    """

    number: int
    answer: Answer
    requested_s: float
    received_s: float
    used_s: float


class CacheFile:
    """The connection to a cache file. It is used by one thread.

    Args:
        path: of the file.
        max_bytes: what it may grow to; None is no bound.
    """

    def __init__(self, path: str | os.PathLike[str], max_bytes: int | None) -> None:
        self.name = f"cache {os.fspath(path)}"
        self._path = Path(path)
        self._max_bytes = max_bytes
        self._database: sqlite3.Connection | None = None

    def open(self, *, must_exist: bool) -> None:
        """Connects, and makes the file where there is none.

        Raises:
            CacheRefused: it is no cache, or cannot be used.
        """
        if not self._path.exists():
            if must_exist:
                raise CacheRefused(f"{self.name} does not exist: there is nothing to replay")
            if not self._path.absolute().parent.is_dir():
                raise CacheRefused(f"{self.name} cannot be used: its folder does not exist")
        elif not self._path.is_file():
            raise CacheRefused(f"{self.name} cannot be used: it is not a file")
        try:
            self._connect()
        except sqlite3.Error as error:
            self.close()
            raise CacheRefused(f"{self.name} cannot be used: {error}; name another file, or delete it") from error
        except CacheRefused:
            self.close()
            raise

    def _connect(self) -> None:
        database = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_S, isolation_level=None)
        self._database = database
        is_empty = self._check()
        if database.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise CacheRefused(f"{self.name} cannot be used: SQLite has no write-ahead log on this file system")
        database.execute("PRAGMA synchronous = NORMAL")
        if is_empty:
            with self.transaction():
                if self._check():  # another crawler may have been quicker
                    for statement in _TABLES:
                        database.execute(statement)
                    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    database.execute(f"PRAGMA user_version = {_VERSION}")
        database.execute("SELECT 1 FROM answers, bodies LIMIT 1").fetchone()

    def _check(self) -> bool:
        """Whether the file is empty. Raises CacheRefused if it is another program's, or of another version."""
        database = self._opened
        kind, version, tables = database.execute(
            "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_master) "
            "FROM pragma_application_id a, pragma_user_version v"
        ).fetchone()
        if kind != APPLICATION_ID:
            if tables:
                raise CacheRefused(f"{self.name} is a database of another program: name another file")
            return True
        if version != _VERSION:
            raise CacheRefused(f"{self.name} has format {version}, and this version of scraper knows {_VERSION} alone")
        return False

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    @property
    def _opened(self) -> sqlite3.Connection:
        assert self._database is not None
        return self._database

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        database = self._opened
        database.execute("BEGIN IMMEDIATE")
        try:
            yield
            database.execute("COMMIT")
        finally:
            if database.in_transaction:
                with suppress(sqlite3.Error):  # the failure that led here is the one to tell
                    database.execute("ROLLBACK")

    def find(self, request: bytes, sent: Mapping[str, str], max_body_bytes: int) -> Kept | None:
        """The answer to a request.

        Args:
            request: digest of the request without its headers.
            sent: headers of the request, by names in lower case.
            max_body_bytes: no larger body is unpacked.

        Raises:
            Refused: the body is larger.
            Damaged: what is stored is not what was stored.
            sqlite3.Error: as SQLite has it.
        """
        rows = self._opened.execute(
            "SELECT number, vary, selection, status, phrase, headers, location, body, requested_s, received_s, used_s "
            "FROM answers WHERE request = ? ORDER BY received_s DESC",
            (request,),
        ).fetchall()
        for number, vary, selection, status, phrase, headers, location, digest, *times_s in rows:
            if selection_of(vary.split(), sent) != selection:
                continue
            try:
                pairs = tuple([(name, value) for name, value in json.loads(headers)])
                words, where = json.loads(phrase), None if location is None else json.loads(location)
            except ValueError as error:
                raise Damaged(number) from error
            body = None if digest is None else self._body(number, digest, max_body_bytes)
            return Kept(number, Answer(status, words, pairs, where, body), *times_s)
        return None

    def _body(self, number: int, digest: bytes, max_bytes: int) -> bytes:
        row = self._opened.execute("SELECT size, packed FROM bodies WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            raise Damaged(number)
        size, packed = row
        if size > max_bytes:
            raise Refused("body_too_large", f"a stored body of {size} bytes; the cap is {max_bytes}")
        try:
            body = zstd.ZstdDecompressor().decompress(packed, max_length=size + 1)
        except zstd.ZstdError as error:
            raise Damaged(number) from error
        if _digest(body) != digest:
            raise Damaged(number)
        return body

    def put(
        self,
        request: bytes,
        names: tuple[str, ...],
        sent: Mapping[str, str],
        *,
        url: str,
        answer: Answer,
        requested_s: float,
        received_s: float,
    ) -> None:
        """Stores an answer in place of an earlier one to the same request; inside a transaction.

        Args:
            request: as for `find`.
            names: of the request headers that the answer was selected by.
            sent: as for `find`.
            url: of the request.
            answer: without the headers that are not to be stored.
            requested_s: when it was asked for; seconds since the epoch.
            received_s: when it came.
        """
        body, location = answer.body, answer.location
        database = self._opened
        digest = None if body is None else _digest(body)
        if body is not None and not database.execute("SELECT 1 FROM bodies WHERE digest = ?", (digest,)).fetchone():
            database.execute("INSERT INTO bodies VALUES (?, ?, ?)", (digest, len(body), zstd.compress(body)))
        selection = selection_of(names, sent)
        earlier = database.execute(
            "SELECT number, body, selection FROM answers WHERE request = ? ORDER BY received_s DESC", (request,)
        ).fetchall()
        database.execute(
            "INSERT OR REPLACE INTO answers VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                request,
                " ".join(names),
                selection,
                url,
                answer.status,
                json.dumps(answer.phrase),  # it may hold stray bytes, as surrogates
                json.dumps(answer.headers),
                None if location is None else json.dumps(location),
                digest,
                requested_s,
                received_s,
                received_s,
            ),
        )
        replaced = [(number, body) for number, body, its in earlier if its == selection]
        others = [(number, body) for number, body, its in earlier if its != selection]
        self._remove([*replaced, *others[_MAX_SELECTIONS - 1 :]])

    def confirm(self, number: int, headers: Pairs, requested_s: float, received_s: float) -> None:
        """What a 304 says of a stored answer; inside a transaction."""
        self._opened.execute(
            "UPDATE answers SET headers = ?, requested_s = ?, received_s = ?, used_s = ? WHERE number = ?",
            (json.dumps(headers), requested_s, received_s, received_s, number),
        )

    def use(self, number: int, now_s: float) -> None:
        """Notes that an answer was used; inside a transaction."""
        self._opened.execute("UPDATE answers SET used_s = ? WHERE number = ?", (now_s, number))

    def forget(self, request: bytes) -> None:
        """Takes away what is stored for a request; inside a transaction."""
        self._remove(self._opened.execute("SELECT number, body FROM answers WHERE request = ?", (request,)).fetchall())

    def drop(self, number: int) -> None:
        """Takes away a damaged answer, and its body also if others have it; inside a transaction."""
        self._opened.execute("DELETE FROM bodies WHERE digest = (SELECT body FROM answers WHERE number = ?)", (number,))
        self._opened.execute("DELETE FROM answers WHERE number = ?", (number,))

    def make_room(self) -> None:
        """Takes away what was not used for longest, as long as the file holds too much; inside a transaction."""
        if self._max_bytes is None or self._bytes() <= self._max_bytes:
            return
        while self._bytes() > self._max_bytes * _FULL_SHARE:
            oldest = self._opened.execute(
                "SELECT number, body FROM answers ORDER BY used_s LIMIT ?", (_EVICTED_AT_ONCE,)
            ).fetchall()
            if not oldest:
                return
            self._remove(oldest)

    def _bytes(self) -> int:
        """What is in use of the file: SQLite keeps the room of what was taken away, and fills it again."""
        pages, free, size = (
            self._opened.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _remove(self, rows: Sequence[tuple[int, bytes | None]]) -> None:
        for number, digest in rows:
            self._opened.execute("DELETE FROM answers WHERE number = ?", (number,))
            if digest is not None:
                self._opened.execute(
                    "DELETE FROM bodies WHERE digest = ? AND NOT EXISTS (SELECT 1 FROM answers WHERE body = ?)",
                    (digest, digest),
                )


class Damaged(Exception):
    """What is in the file is not what was stored there.

    Args:
        number: row of the answer.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def selection_of(names: Iterable[str], sent: Mapping[str, str]) -> bytes:
    """A digest of the request headers that an answer was selected by."""
    return _digest(json.dumps([(name, sent.get(name)) for name in names]).encode())


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
