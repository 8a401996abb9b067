"""What a crawl must have come to, whatever was done to it: told by the site, and by the server's access log."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from fixtures_server import LogEntry
from scraper import urls
from scraper.frontier.state.schema import DONE, FAILED, SKIPPED
from tests.kill.handlers import items_on
from tests.kill.site import RETRIES, Kind, Node

# A request that so many crawlers died with fails, by design: the last time it was the only one suspected.
_MOST_CRASHES = 3
# After so many it has a worker of its own, and fails by design if that is killed.
_SUSPECTED_AFTER = 2

_EXPECTED = {
    Kind.PAGE: (DONE, None),
    Kind.MISSING: (FAILED, None),
    Kind.BROKEN: (FAILED, "http_500"),
    Kind.OTHER: (SKIPPED, "content_type"),
}


class Row(NamedTuple):
    """A request as the state file has it."""

    url: str
    state: int
    attempts: int
    reason: str | None

    @property
    def is_ended(self) -> bool:
        return self.state in (DONE, FAILED, SKIPPED)


class Reading(NamedTuple):
    """A state file at one moment."""

    rows: dict[int, Row]
    counts: dict[tuple[str, str], int]
    integrity: str


def read_copy(state: Path) -> Reading:
    """Reads a killed crawl's file without touching it: what is not in the file yet is left in its log for the next."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, state.name)
        for suffix in ("", "-wal"):
            if Path(f"{state}{suffix}").exists():
                shutil.copyfile(f"{state}{suffix}", f"{copy}{suffix}")
        return read(copy)


def read(state: Path) -> Reading:
    with closing(sqlite3.connect(state)) as database:
        integrity = database.execute("PRAGMA integrity_check").fetchone()[0]
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'requests'").fetchone():
            return Reading({}, {}, integrity)
        rows = database.execute(
            "SELECT number, url, state, attempts, reason FROM requests LEFT JOIN ends ON request = number"
        )
        counts = database.execute("SELECT kind, name, value FROM counts")
        return Reading(
            {number: Row(*row) for number, *row in rows}, {(kind, name): n for kind, name, n in counts}, integrity
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is left of a crawl that came to its end.

    Args:
        nodes: the site, by URL.
        seeds: where the crawl began.
        folder: of state and outputs.
        log: what was asked of the server.
        lost: how often a crawler was killed with a request in its hands whose outcome was not in the file, by number.
    """

    nodes: Mapping[str, Node]
    seeds: tuple[str, ...]
    folder: Path
    log: list[LogEntry]
    lost: Mapping[int, int]


@dataclass(slots=True)
class Verdict:
    """What was found.

    Args:
        violations: sentences; none is what is wanted.
        urls: requests that came to their end.
        items: in each output.
        refetched: pages that the server gave once more than the requests that ended there.
        crashed: requests that failed because crawlers and workers died with them again and again.
        lost, doubled: pages and items.
        is_sound: SQLite finds nothing wrong with the files.
    """

    violations: list[str]
    urls: int = 0
    items: int = 0
    refetched: int = 0
    crashed: int = 0
    lost: int = 0
    doubled: int = 0
    is_sound: bool = True


def judge(evidence: Evidence) -> Verdict:
    """Compares what is left of a crawl with what must be."""
    return _Judge(evidence).verdict


class _Judge:
    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._state = read(evidence.folder / "state.sqlite")
        self._by_url: dict[str, list[Row]] = {}
        self._crashed: set[str] = set()
        self.verdict = Verdict([])
        self._check_rows()
        done = self._pages_done()
        self._check_reached(done)
        self._check_fetches()
        self._check_outputs(done)
        self._check_failures()
        self._check_counts()
        self._check_files()

    def _say(self, sentence: str, *, lost: int = 0, doubled: int = 0) -> None:
        self.verdict.violations.append(sentence)
        self.verdict.lost += lost
        self.verdict.doubled += doubled

    def _check_rows(self) -> None:
        """Each request ended as what is at its URL makes it end."""
        nodes = self._evidence.nodes
        self.verdict.urls = len(self._state.rows)
        for number, row in self._state.rows.items():
            node = nodes.get(row.url)
            self._by_url.setdefault(row.url, []).append(row)
            if node is None:
                self._say(f"{row.url} is no address of the site, and was admitted")
            elif row.reason in ("crashes", "worker_crashed"):
                self._crashed.add(row.url)
                crashes = self._evidence.lost.get(number, 0)
                has_right = crashes >= (_MOST_CRASHES if row.reason == "crashes" else _SUSPECTED_AFTER)
                if row.state != FAILED or not has_right:
                    self._say(f"{row.url} ended in state {row.state} for {row.reason}, and met {crashes}", lost=1)
            elif not _ended_rightly(row, node):
                self._say(f"{row.url} ({node.kind}) ended in state {row.state} for {row.reason}", lost=1)
            elif node.kind is Kind.BROKEN and row.attempts != RETRIES + 1:
                self._say(f"{row.url} failed after {row.attempts} attempts, not {RETRIES + 1}")
        for url, rows in self._by_url.items():
            if len(rows) > 1:
                self._say(f"{url} was admitted {len(rows)} times", doubled=len(rows) - 1)
        self.verdict.crashed = len(self._crashed)

    def _pages_done(self) -> set[str]:
        """Addresses of pages that a request, which may have been led there, is done with."""
        done = Counter(
            node.end
            for row in self._state.rows.values()
            if row.state == DONE and (node := self._evidence.nodes.get(row.url)) is not None
        )
        for url, times in done.items():
            if times > 1:
                self._say(f"{url} was done {times} times", doubled=times - 1)
        for url in {row.url for row in self._state.rows.values() if row.reason == "duplicate_redirect"}:
            end = self._evidence.nodes[url].end
            if end not in done and not self._crashed & {end, *self._aliases(end)}:
                self._say(f"{url} was left out as a duplicate of {end}, which nobody has", lost=1)
        return set(done)

    def _aliases(self, end: str) -> set[str]:
        return {url for url, node in self._evidence.nodes.items() if node.end == end}

    def _check_reached(self, done: set[str]) -> None:
        """Whatever a page that is done links to has been admitted, or is a page that a redirect led to."""
        reached = {urls.canonical(seed) for seed in self._evidence.seeds}
        for url in done:
            reached.update(self._evidence.nodes[url].links)
        for url in sorted(reached - self._by_url.keys() - done):
            self._say(f"{url} can be reached, and was not admitted", lost=1)
        for url in sorted(self._by_url.keys() - reached):
            self._say(f"{url} was admitted, and cannot be reached")

    def _check_fetches(self) -> None:
        """Every address was asked for as often as the file tells of attempts, and once more at most for each time that
        a crawler was killed with a request that leads there.
        """
        told: Counter[str] = Counter()
        lost: Counter[str] = Counter()
        pages: Counter[str] = Counter()
        for number, row in self._state.rows.items():
            node = self._evidence.nodes.get(row.url)
            if node is None:
                continue
            pages[node.end] += row.reason != "crashes"
            for hop in node.chain:
                told[hop] += row.attempts - (row.reason == "crashes")  # which was its last attempt, and a fetch no more
                lost[hop] += self._evidence.lost.get(number, 0)
        asked = Counter(_url_of(entry) for entry in self._evidence.log)
        for url, times in asked.items():
            beyond = times - told[url]
            if beyond > lost[url]:
                self._say(
                    f"{url} was asked for {times} times: {told[url]} attempts are told of, and it was under way at "
                    f"{lost[url]} kills",
                    doubled=beyond - lost[url],
                )
        for url, times in told.items():
            if asked[url] < times:
                self._say(f"{url} was asked for {asked[url]} times, and {times} attempts are told of", lost=1)
        answered = Counter(_url_of(entry) for entry in self._evidence.log if entry.status == HTTPStatus.OK)
        self.verdict.refetched = (answered - pages).total()

    def _check_outputs(self, done: set[str]) -> None:
        """Each output holds each item of the pages that are done exactly once, as it came."""
        folder = self._evidence.folder
        expected = {item["key"]: item for url in done for item in items_on(url)}
        self.verdict.items = len(expected)
        for pattern, rows in (
            ("items*.jsonl", _json_lines),
            ("items*.csv", _csv),
            ("items*.sqlite", _table),
            ("state.sqlite", _table),
            ("items*.parquet", _parquet),
        ):
            try:
                found = [item for path in sorted(folder.glob(pattern)) for item in rows(path)]
            except (ValueError, OSError, sqlite3.Error) as error:
                self._say(f"{pattern} cannot be read: {error}", lost=1)
                continue
            keys = Counter(item["key"] for item in found)
            if missing := expected.keys() - keys.keys():
                self._say(f"{pattern} lacks {len(missing)} items, such as {min(missing)}", lost=len(missing))
            if twice := {key for key, times in keys.items() if times > 1}:
                self._say(f"{pattern} has {len(twice)} items more than once, such as {min(twice)}", doubled=len(twice))
            if strange := keys.keys() - expected.keys():
                self._say(f"{pattern} has {len(strange)} items of no page, such as {min(strange)}")
            for item in found:
                if item["text"] != expected.get(item["key"], item)["text"]:
                    self._say(f"{pattern}: the item {item['key']} is not as it came")

    def _check_failures(self) -> None:
        found = Counter(
            row["url"] for path in self._evidence.folder.glob("failures*.jsonl") for row in _json_lines(path)
        )
        failed = Counter(row.url for row in self._state.rows.values() if row.state == FAILED)
        for url in sorted((found - failed) | (failed - found)):
            sentence = f"failures.jsonl has {url} {found[url]} times, and it failed {failed[url]} times"
            self._say(sentence, lost=found[url] < failed[url], doubled=found[url] > failed[url])

    def _check_counts(self) -> None:
        states = Counter(row.state for row in self._state.rows.values())
        counted = {
            "seen": len(self._state.rows),
            "done": states[DONE],
            "failed": states[FAILED],
            "skipped": states[SKIPPED],
        }
        for name, number in counted.items():
            if self._state.counts.get(("state", name), 0) != number:
                self._say(
                    f"the file counts {self._state.counts.get(('state', name), 0)} {name}, and there are {number}"
                )
        if self._state.counts.get(("total", "items"), 0) != self.verdict.items:
            self._say(f"the file counts {self._state.counts.get(('total', 'items'), 0)} items")

    def _check_files(self) -> None:
        folder = self._evidence.folder
        for path in sorted(folder.glob("*.sqlite")):
            said = read(path).integrity if path.name == "state.sqlite" else _integrity(path)
            if said != "ok":
                self.verdict.is_sound = False
                self._say(f"integrity_check of {path.name}: {said}")
        kept = ("items", "failures", "state.sqlite")
        for path in sorted(folder.iterdir()):
            if path.name.endswith("-journal"):  # SQLite had not begun to use it, and takes it away at its next write
                continue
            if not path.name.startswith(kept) or "-" in path.name:
                self._say(f"{path.name} was left behind")
        for path in sorted(folder.glob("items*.parquet/*")):
            if not path.name.startswith("part-"):
                self._say(f"{path.parent.name}/{path.name} was left behind")


def _url_of(entry: LogEntry) -> str:
    return urls.canonical(f"http://{entry.host}{entry.path}")


def _ended_rightly(row: Row, node: Node) -> bool:
    if row.reason == "duplicate_redirect":
        return row.state == SKIPPED and len(node.chain) > 1 and node.kind is Kind.PAGE
    state, reason = _EXPECTED[node.kind]
    if node.kind is Kind.MISSING:
        return row.state == state and row.reason in ("http_404", "http_410")
    return row.state == state and row.reason == reason


def went_back(before: Reading, after: Reading) -> Iterator[str]:
    """Requests whose end is no end any more."""
    for number, row in before.rows.items():
        now = after.rows.get(number)
        if row.is_ended and row != now:
            yield f"{row.url} had ended as {row} and is {now} after a kill"


def _integrity(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        return str(database.execute("PRAGMA integrity_check").fetchone()[0])


def _json_lines(path: Path) -> Iterable[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def _csv(path: Path) -> Iterable[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _table(path: Path) -> Iterable[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM items")]


def _parquet(path: Path) -> Iterable[dict[str, Any]]:
    import pyarrow.parquet

    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows
