"""Which crawl a state file belongs to, and what may be different when it goes on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scraper.errors import StateRefused
from scraper.frontier.state.schema import WAITING


@dataclass(frozen=True, slots=True)
class CrawlIdentity:
    """What must be the same each time that a crawl goes on. Whatever is not here may change.

    Args:
        options: name and value of what decides which pages and items there are.
        outputs: names of the outputs that can be cut back, sorted.
        seeds: canonical URLs. One that the crawl knows is enough; new ones are added to it.
    """

    options: Mapping[str, str | None]
    outputs: Sequence[str]
    seeds: Sequence[str]


def check_crawl(database: sqlite3.Connection, name: str, crawl: CrawlIdentity) -> None:
    """Writes down what crawl this is, or compares it with what was written down.

    Raises:
        StateRefused: it is another crawl's; the message says in what it differs.
    """
    about: dict[str, str | None] = dict(database.execute("SELECT name, value FROM about"))
    if not about:
        rows = [*crawl.options.items(), ("outputs", json.dumps(crawl.outputs))]
        database.executemany("INSERT INTO about VALUES (?, ?)", rows)
        return
    for option, value in crawl.options.items():
        if about.get(option) != value:
            raise StateRefused(
                f"{name} belongs to a crawl with {option} {about.get(option) or 'unset'}, and this one has it "
                f"{value or 'unset'}: give the same, or name another file"
            )
    outputs = json.loads(about["outputs"] or "[]")
    if outputs != list(crawl.outputs):
        raise StateRefused(
            f"{name} belongs to a crawl that writes to {_listed(outputs)}, and this one writes to "
            f"{_listed(crawl.outputs)}: give the same outputs, or name another file"
        )
    if crawl.seeds and not _knows_one(database, crawl.seeds):
        known = [url for (url,) in database.execute("SELECT url FROM scope WHERE is_seed ORDER BY rowid LIMIT 3")]
        raise StateRefused(
            f"{name} belongs to a crawl of {_listed(known)}: begin with one of its URLs, or name another file"
        )


def _knows_one(database: sqlite3.Connection, seeds: Sequence[str]) -> bool:
    known: int
    of: int
    known, of = database.execute(
        "SELECT count(*), (SELECT count(*) FROM scope) FROM scope "
        "WHERE is_seed AND url IN (SELECT value FROM json_each(?))",
        (json.dumps(seeds),),
    ).fetchone()
    return known > 0 or of == 0


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "no file"


def retry_failed(database: sqlite3.Connection) -> None:
    """Lets all requests wait again that failed, as if they had never been tried."""
    failed = "(SELECT request FROM ends WHERE stage IS NOT NULL)"
    database.execute(
        "UPDATE hosts SET turn = 0 WHERE crawler IS NULL AND number IN "
        f"(SELECT host FROM requests WHERE number IN {failed})"
    )
    database.execute(f"UPDATE requests SET state = {WAITING}, attempts = 0 WHERE number IN {failed}")
    database.execute(f"DELETE FROM suspects WHERE request IN {failed}")
    database.execute("DELETE FROM ends WHERE stage IS NOT NULL")
    database.execute("DELETE FROM counts WHERE kind = 'failure' OR (kind = 'state' AND name = 'failed')")
