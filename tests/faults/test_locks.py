"""A state file that another program has locked, or another crawl works on."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGSTOP

import pytest

from tests.faults.crawls import Crawl, bytes_of, ended, presences, until, urls_in

# What does not matter here is how long a crawl waits for a lock, so it is made short.
SHORT = ("--lock-wait-s", 0.3)

_HOLDER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
if sys.argv[2] == "FOR GOOD":
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("PRAGMA user_version").fetchone()
    database.execute("BEGIN EXCLUSIVE")
else:
    database.execute(f"BEGIN {sys.argv[2]}")
print("held", flush=True)
sys.stdin.readline()
database.execute("ROLLBACK")
database.close()
"""


@contextmanager
def locked(state: Path, how: str) -> Iterator[None]:
    """Another program holds the file."""
    command = [sys.executable, "-c", _HOLDER, str(state), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.communicate("\n")


@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE", "FOR GOOD"])
def test_a_state_that_another_program_holds_is_refused(crawl: Crawl, how: str) -> None:
    assert crawl.run("--max-pages", 20).status == 0
    crawl.site.reset_blocking()
    with locked(crawl.state, how):
        end = crawl.run(altered=SHORT)
        assert end.status == 2
        assert f"state {crawl.state} cannot be used: another program holds its lock" in end.complaint
        assert crawl.site.access_log_blocking() == []
    crawl.resume()


def test_a_state_that_another_program_takes_while_the_crawl_runs_stops_it(crawl: Crawl) -> None:
    with crawl.halted(altered=SHORT) as process:
        with locked(crawl.state, "EXCLUSIVE"):
            crawl.go_on()
            end = ended(process)
            assert end.status == 1
            assert f"state {crawl.state} failed: another program holds its lock" in end.complaint
            crawl.check()
        crawl.resume()


def test_a_lock_that_is_let_go_again_is_waited_for(crawl: Crawl) -> None:
    with crawl.halted() as process:
        with locked(crawl.state, "EXCLUSIVE"):
            held = crawl.done()
            size = crawl.output.stat().st_size
            crawl.go_on()
            until(lambda: crawl.output.stat().st_size > size)  # a batch is written, and its commit waits
            assert crawl.done() == held
        end = ended(process)
    assert (end.status, end.stderr) == (0, "")
    crawl.check_complete()


def test_a_second_crawl_is_refused_while_the_first_lives(crawl: Crawl) -> None:
    with crawl.halted() as process:
        before = bytes_of(crawl.output)
        for joins in ([], ["--join"]):
            end = crawl.run(*joins)
            assert end.status == 2
            assert f"in use by process {process.number} (" in end.complaint
            assert f"crawl {crawl.site.url}" in end.complaint
            assert "--join" in end.complaint
        crawl.stop(process)
        end = crawl.run()
        assert end.status == 2
        assert f"in use by process {process.number} (" in end.complaint
        process.send(SIGCONT)
        assert bytes_of(crawl.output) == before
        crawl.go_on()
        end = ended(process)
    assert (end.status, end.stderr) == (0, "")
    crawl.check_complete()


def test_a_crawl_that_did_not_join_is_refused_while_one_that_did_lives(crawl: Crawl) -> None:
    with crawl.halted("--join") as process:
        end = crawl.run()
        assert end.status == 2
        assert f"in use by process {process.number} (" in end.complaint
        crawl.go_on()
        end = ended(process)
    assert (end.status, end.stderr) == (0, "")
    crawl.check_complete()


def test_a_crawl_that_was_killed_holds_nothing(crawl: Crawl) -> None:
    with crawl.halted() as process:
        process.send(SIGKILL)
        assert ended(process).status == -SIGKILL
        assert len(presences(crawl.state)) == 1
    crawl.resume()


def test_a_crawl_that_was_stopped_and_killed_holds_nothing(crawl: Crawl) -> None:
    with crawl.halted() as process:
        process.send(SIGSTOP)
        process.send(SIGKILL)
        ended(process)
    crawl.resume()


def test_a_second_crawl_waits_for_nobody_who_was_interrupted(crawl: Crawl) -> None:
    with crawl.halted() as process:
        process.send(SIGINT)
        crawl.go_on()
        assert ended(process).status == 130
        assert presences(crawl.state) == []
    crawl.resume()


def test_a_crawl_whose_sign_of_life_was_deleted_does_not_cost_what_another_wrote(crawl: Crawl) -> None:
    with crawl.halted() as first:
        for path in presences(crawl.state):
            path.unlink()
        crawl.stop(first)
        crawl.go_on()
        crawl.resume()
        first.send(SIGCONT)
        end = ended(first)
    assert end.status == 1
    assert str(crawl.folder) in end.complaint
    crawl.check_complete()


def test_a_crawler_that_stood_still_does_not_cost_what_another_wrote(crawl: Crawl) -> None:
    """The second takes the first one's place and dies; the third goes on; the first wakes up."""
    impatient = ("--patience-s", 0.5)
    with crawl.halted("--join", altered=impatient) as first:
        crawl.stop(first)
        with crawl.running("--join", altered=impatient) as second:
            until(lambda: crawl.ask(f"SELECT 1 FROM crawlers WHERE process = {second.number}"), second)
            until(lambda: not crawl.ask(f"SELECT 1 FROM crawlers WHERE process = {first.number}"), second)
            second.send(SIGKILL)
            ended(second)
        crawl.go_on()
        third = crawl.run("--join")
        assert (third.status, third.stderr) == (0, "")
        first.send(SIGCONT)
        end = ended(first)
    assert end.status == 1
    assert str(crawl.folder) in end.complaint
    found = [url for path in crawl.folder.glob("items*.jsonl") for url in urls_in(path).elements()]
    assert sorted(found) == sorted(crawl.done()) == sorted(crawl.site.urls())
