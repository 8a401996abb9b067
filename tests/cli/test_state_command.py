"""`scraper state` as scripts and people use it: of crawls that stopped, that run, and that were killed."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures_server import FixtureServer, SiteOptions
from fixtures_server.pytest_plugin import StartServer
from scraper.frontier.state import reading, schema
from scraper.frontier.state.reading import StateReader

SITE = SiteOptions(pages=40, page_bytes=6_000, links_per_page=10)
LARGE = SiteOptions(pages=5000, page_bytes=6_000, links_per_page=20, latency_s=0.05)


def scraper(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scraper", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=50,
        check=False,
    )


def told(cwd: Path, *arguments: object) -> str:
    run = scraper("state", *arguments, cwd=cwd)
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    return run.stdout


def summary(cwd: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told(cwd, "crawl.db", "--json"))
    assert found["seen"] == found["done"] + found["failed"] + found["skipped"] + found["waiting"]
    return found


@contextmanager
def crawling(cwd: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A crawl that has committed something, killed at the end if it is still there."""
    command = [sys.executable, "-m", "scraper", "crawl", *map(str, arguments), "--state", "crawl.db"]
    with subprocess.Popen([*command, "--output", "o.jsonl"], stderr=subprocess.PIPE, text=True, cwd=cwd) as crawl:
        try:
            deadline_s = time.monotonic() + 30
            out = cwd / "o.jsonl"
            while not (out.exists() and out.stat().st_size):
                assert time.monotonic() < deadline_s
                assert crawl.poll() is None, crawl.communicate()[1]
                time.sleep(0.02)
            yield crawl
        finally:
            crawl.kill()


def contents(folder: Path) -> dict[str, bytes]:
    """Of what belongs to a state, except SQLite's index of its log, which every reader may build anew."""
    return {path.name: path.read_bytes() for path in folder.glob("crawl.db*") if not path.name.endswith("-shm")}


@pytest.fixture
def site(fixture_server: StartServer) -> FixtureServer:
    return fixture_server(SITE)


@pytest.fixture
def finished(site: FixtureServer, tmp_path: Path) -> Path:
    """The folder of a crawl that came to its end, with a page that failed and one that was skipped."""
    seeds = (site.url, site.fault("status", code=404), site.fault("redirect", to="/"))
    run = scraper("crawl", *seeds, "--retries", 0, "--state", "crawl.db", "--output", "o.jsonl", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    return tmp_path


def test_a_finished_crawl_in_words(site: FixtureServer, finished: Path) -> None:
    text = told(finished, "crawl.db")
    assert f"A crawl of {site.url}, " in text
    assert "With the outline, scope host, any depth." in text
    assert "42 pages seen: 40 done, 1 failed, 1 skipped, 0 waiting." in text
    assert "the server answered 404 Not Found" in text
    assert "redirected to a page that another request has" in text
    assert "o.jsonl" in text
    assert "Nothing waits: the crawl is finished." in text
    assert "  scraper state crawl.db --export failed\n" in text
    assert "Who works on it" not in text


def test_a_finished_crawl_as_json(site: FixtureServer, finished: Path) -> None:
    found = summary(finished)
    assert (found["done"], found["failed"], found["skipped"], found["waiting"]) == (40, 1, 1, 0)
    assert found["failures"] == {"http_404": 1}
    assert found["skips"] == {"duplicate_redirect": 1}
    assert found["items"] == 40
    assert found["bytes"] >= 40 * 6_000
    assert found["seeds"][0] == site.url
    assert (found["handler"], found["scope"], found["max_depth"]) == ("scraper.parse.outline:outline", "host", None)
    (output,) = found["outputs"]
    assert output["path"] == str((finished / "o.jsonl").resolve())
    assert output["committed"]["bytes"] == (finished / "o.jsonl").stat().st_size
    assert output["crawler"] is None
    assert found["crawlers"] == found["suspects"] == []


def test_urls_are_listed_by_state(site: FixtureServer, finished: Path) -> None:
    lines = [line.split("\t") for line in told(finished, "crawl.db", "--export").splitlines()]
    assert {url for state, url, *_ in lines if state == "done"} == site.urls()
    assert sorted(state for state, *_ in lines) == ["done"] * 40 + ["failed", "skipped"]
    (failed,) = told(finished, "crawl.db", "--export", "failed").splitlines()
    assert failed.split("\t")[:4] == ["failed", site.fault("status", code=404), "fetch", "http_404"]
    (skipped,) = told(finished, "crawl.db", "--export", "skipped").splitlines()
    assert skipped.split("\t")[:4] == ["skipped", site.fault("redirect", to="/"), "", "duplicate_redirect"]
    assert told(finished, "crawl.db", "--export", "waiting") == ""


def test_a_listing_as_json_lines(site: FixtureServer, finished: Path) -> None:
    listed = [json.loads(line) for line in told(finished, "crawl.db", "--export", "--json").splitlines()]
    assert len(listed) == 42
    failed = next(each for each in listed if each["state"] == "failed")
    assert failed == {
        "state": "failed",
        "url": site.fault("status", code=404),
        "depth": 0,
        "attempts": 1,
        "stage": "fetch",
        "reason": "http_404",
        "detail": failed["detail"],
    }
    assert {tuple(each) for each in listed if each["state"] == "done"} == {("state", "url", "depth", "attempts")}


def test_looking_changes_nothing(finished: Path) -> None:
    before, names = contents(finished), sorted(finished.iterdir())
    for arguments in ((), ("--json",), ("--export",)):
        told(finished, "crawl.db", *arguments)
    assert contents(finished) == before
    assert sorted(finished.iterdir()) == names


def test_a_stopped_crawl_says_how_to_go_on(fixture_server: StartServer, tmp_path: Path) -> None:
    with crawling(tmp_path, fixture_server(LARGE).url, "--max-depth", 7, "--scope", "any") as crawl:
        crawl.send_signal(signal.SIGINT)
        crawl.communicate(timeout=30)
    text = told(tmp_path, "crawl.db")
    assert "  scraper crawl --state crawl.db --scope any --max-depth 7\n" in text
    assert "with the same --output and --failures as before." in text
    assert "scope any, at most 7 links from a seed." in text
    found = summary(tmp_path)
    assert found["waiting"] > 0
    assert found["crawlers"] == []
    waiting = told(tmp_path, "crawl.db", "--export", "waiting").splitlines()
    assert len(waiting) == found["waiting"]


def test_a_crawl_that_runs(fixture_server: StartServer, tmp_path: Path) -> None:
    """It is seen at work, and goes on as if nobody had looked."""
    with crawling(tmp_path, fixture_server(LARGE).url) as crawl:
        first = summary(tmp_path)
        listed = told(tmp_path, "crawl.db", "--export").splitlines()
        text = told(tmp_path, "crawl.db")
        assert crawl.poll() is None
        crawl.send_signal(signal.SIGINT)
        _, err = crawl.communicate(timeout=30)
    assert crawl.returncode == 130, err
    (crawler,) = first["crawlers"]
    assert (crawler["process"], crawler["alive"], crawler["joined"]) == (crawl.pid, True, False)
    assert "crawl" in crawler["command"]
    assert first["outputs"][0]["crawler"] == crawler["number"]
    assert len(listed) >= first["seen"]
    assert f"process {crawl.pid}, for" in text
    assert "under way" in text
    assert "To go on" not in text  # somebody is at it
    assert summary(tmp_path)["done"] >= first["done"] > 0


def test_a_crawl_that_was_killed(fixture_server: StartServer, tmp_path: Path) -> None:
    site = fixture_server(LARGE)
    with crawling(tmp_path, site.url) as crawl:
        crawl.kill()
        crawl.communicate(timeout=30)
    before = contents(tmp_path)
    found, text = summary(tmp_path), told(tmp_path, "crawl.db")
    listed = told(tmp_path, "crawl.db", "--export").splitlines()
    assert contents(tmp_path) == before
    (crawler,) = found["crawlers"]
    assert (crawler["process"], crawler["alive"]) == (crawl.pid, False)
    assert crawler["under_way"] > 0
    assert len(listed) == found["seen"]
    assert re.search(rf"process {crawl.pid} is dead; it had {crawler['under_way']} requests? under way", text)
    assert f"  scraper crawl {site.url} --state crawl.db --output o.jsonl\n" in text


def test_the_reader_of_a_listing_may_go_away(finished: Path) -> None:
    with closing(sqlite3.connect(finished / "crawl.db")) as database, database:
        database.executemany(
            "INSERT INTO requests (url, host, depth, urgency) VALUES (?, 1, 1, 0)",
            ((f"http://127.0.0.1/{number}",) for number in range(20_000)),
        )
    command = f"{sys.executable} -m scraper state crawl.db --export | head -1"
    run = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=finished,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert len(run.stdout.splitlines()) == 1


def test_portions_leave_nothing_out_and_nothing_twice(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PORTION", 7)
    with StateReader(finished / "crawl.db") as state:
        listed = [request.url for request in state.requests()]
    assert len(listed) == len(set(listed)) == 42


def test_a_crawl_that_begins_while_the_file_is_read_is_noticed(finished: Path) -> None:
    """The file is opened as one that does not change, and then it does."""
    with StateReader(finished / "crawl.db") as state:
        assert state.summary().waiting == 0
        with closing(sqlite3.connect(finished / "crawl.db")) as database:
            with database:
                database.execute("UPDATE counts SET value = value + 5 WHERE kind = 'state' AND name = 'seen'")
            assert state.summary().waiting == 5
        with closing(sqlite3.connect(finished / "crawl.db")) as database, database:
            database.execute("UPDATE counts SET value = value + 5 WHERE kind = 'state' AND name = 'seen'")
        assert state.summary().waiting == 10


def test_a_listing_holds_no_checkpoint_up(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PORTION", 7)
    with closing(sqlite3.connect(finished / "crawl.db")) as database:
        database.execute("UPDATE counts SET value = value")
        database.commit()
        with StateReader(finished / "crawl.db") as state:
            requests = state.requests()
            next(requests)
            database.execute("UPDATE counts SET value = value + 1")
            database.commit()
            is_busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert not is_busy
            assert len(list(requests)) == 41


def test_what_strangers_wrote_commands_no_terminal(finished: Path) -> None:
    with closing(sqlite3.connect(finished / "crawl.db")) as database, database:
        database.execute("UPDATE ends SET detail = ?", ("a\tb\nc\x1b[2J\u202e",))
        database.execute("UPDATE requests SET url = 'http://me:secret@h/' WHERE state = 2")
        database.execute("INSERT INTO suspects SELECT number, 2 FROM requests WHERE state = 2")
    (line,) = told(finished, "crawl.db", "--export", "failed").splitlines()
    assert line == "failed\thttp://h/\tfetch\thttp_404\ta b c[2J"
    text = told(finished, "crawl.db")
    assert "Suspected of crashing the crawler" in text
    assert "2 crashes  http://h/" in text
    assert "secret" not in text + told(finished, "crawl.db", "--json") + told(
        finished, "crawl.db", "--export", "--json"
    )


def test_text_that_is_no_utf8_ends_no_listing(finished: Path) -> None:
    with closing(sqlite3.connect(finished / "crawl.db")) as database, database:
        database.execute("UPDATE ends SET detail = CAST(x'61ED A0 80 62' AS TEXT)".replace(" A0 80 ", "A080"))
    assert len(told(finished, "crawl.db", "--export").splitlines()) == 42


def missing(path: Path) -> None:
    """Nothing is there."""


def directory(path: Path) -> None:
    path.mkdir()


def text(path: Path) -> None:
    path.write_text("http://example.org/\n" * 100)


def empty(path: Path) -> None:
    path.touch()


def others(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")


def newer(path: Path) -> None:
    make(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")


def damaged(path: Path) -> None:
    make(path)
    data = bytearray(path.read_bytes())
    data[1_000:] = b"\xff" * (len(data) - 1_000)
    path.write_bytes(data)


def cut(path: Path) -> None:
    make(path)
    path.write_bytes(path.read_bytes()[:5_000])


def nonsense(path: Path) -> None:
    make(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO about VALUES ('outputs', '[')")


def make(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        schema.bring_up_to_date(database)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (missing, "does not exist"),
        (directory, "it is a directory"),
        (text, "no SQLite database"),
        (empty, "is empty: no crawl has begun in it"),
        (others, "a database of another program"),
        (newer, "written by a newer version"),
        (damaged, "it is damaged"),
        (cut, "it is damaged"),
        (nonsense, "it is damaged"),
    ],
)
def test_what_is_no_state_file_is_refused_in_one_line(tmp_path: Path, prepare: Any, said: str) -> None:
    prepare(tmp_path / "crawl.db")
    before = [] if prepare is directory else sorted(contents(tmp_path).items())
    run = scraper("state", "crawl.db", cwd=tmp_path)
    assert run.returncode == 2
    assert said in run.stderr
    assert run.stderr.startswith("scraper state: state crawl.db ")
    assert len(run.stderr.splitlines()) == 1
    assert run.stdout == ""
    assert ([] if prepare is directory else sorted(contents(tmp_path).items())) == before


def test_an_unknown_state_is_refused(finished: Path) -> None:
    run = scraper("state", "crawl.db", "--export", "lost", cwd=finished)
    assert run.returncode == 2
    assert "waiting, done, failed, skipped, all" in run.stderr
    assert run.stdout == ""
