"""A crawl that is killed loses nothing and does nothing twice: real processes, real sockets, real kills.

`SCRAPER_KILLS` says how many kills the random part makes; `make kill-loop` makes a thousand.
"""

import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures_server import LogEntry
from tests.kill.harness import Crawl, Ground, Loop, Tally
from tests.kill.lives import How, Plan, Point
from tests.kill.oracle import Evidence, judge

pytest.importorskip("pyarrow")
# A life takes a second where there is nothing else to do, and there are many.
pytestmark = [
    pytest.mark.kill,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="the harness looks into /proc"),
]

KILLS = int(os.environ.get("SCRAPER_KILLS", "10"))
SEED = 7

JSON_LINES, STATE = "items.jsonl", "state.sqlite"

# Each step of a commit and of a write, in an order in which each comes: what is cut was left by the kill before.
AT_EVERY_STEP = [
    Plan(How.COMMIT, point=Point("scraper.commit", "begun", STATE), nth=8),
    Plan(How.SINK, point=Point("scraper.sink", "write", "items.csv"), nth=8),
    Plan(How.COMMIT, point=Point("scraper.commit", "ended", STATE), nth=8),
    Plan(How.SINK, point=Point("scraper.sink", "half", "items.sqlite"), nth=8),
    Plan(How.COMMIT, point=Point("scraper.commit", "admitted", STATE), nth=8),
    Plan(How.SINK, point=Point("scraper.sink", "part", "part-*.parquet")),
    Plan(How.WORKER, delay_s=1.0),
    Plan(How.COMMIT, point=Point("scraper.commit", "whole", STATE), nth=8),
    Plan(How.BOTH),
    Plan(How.SINK, point=Point("scraper.sink", "written", JSON_LINES), nth=6),
    Plan(How.SINK, point=Point("scraper.sink", "cut", JSON_LINES)),
    Plan(How.TORN, point=Point("scraper.sink", "write", JSON_LINES), nth=6),
    Plan(How.COMMIT, point=Point("scraper.commit", "committed", STATE), nth=8),
]


def assert_kept(tally: Tally) -> None:
    assert not tally.violations, "\n".join(tally.violations)
    assert (tally.lost, tally.doubled, tally.unsound) == (0, 0, 0)
    assert tally.refetched <= tally.in_flight


def test_crawls_killed_at_every_step_end_as_if_nothing_had_been(place: Ground, tmp_path: Path) -> None:
    crawls = 0

    def begin() -> Crawl:
        nonlocal crawls
        crawls += 1
        folder = tmp_path / str(crawls)
        folder.mkdir()
        return Crawl(place, folder, "process")

    crawl = begin()
    for number, plan in enumerate(AT_EVERY_STEP):
        life = crawl.live(plan, str(number))
        if life.is_over:  # that crawl had no such step left
            assert_kept(crawl.judge())
            crawl = begin()
            life = crawl.live(plan, str(number))
        assert life.point == plan.point
        assert plan.how in life.kills
    crawl.let_go()
    assert_kept(crawl.judge())


def test_crawls_killed_at_random(tmp_path: Path) -> None:
    loop = Loop(seed=SEED, kills=KILLS, folder=tmp_path, share_joined=0.0)
    tally = loop.run()
    assert_kept(tally)
    assert tally.kills.total() >= KILLS


@pytest.mark.parametrize("step", ["ended", "committed"])
def test_of_two_crawlers_on_a_file_one_is_killed_and_the_other_ends_the_crawl(
    place: Ground, tmp_path: Path, step: str
) -> None:
    crawl = Crawl(place, tmp_path, "process", join=True)
    begun = threading.Event()
    gate, opener = os.pipe()
    plan = Plan(How.COMMIT, point=Point("scraper.commit", step, STATE), nth=2)
    try:
        with ThreadPoolExecutor(2) as pool:
            one = pool.submit(crawl.live, plan, "one", on_working=begun.set, gate=gate)
            assert begun.wait(60)
            # The first is in the middle of its work, and goes on when the second is at work, too.
            two = pool.submit(crawl.let_go, "two", on_working=lambda: os.write(opener, b"."))
            two.result()
            assert one.result().kills == (How.COMMIT,)
    finally:
        os.close(gate)
        os.close(opener)
    assert (tmp_path / "crawl" / "items.2.jsonl").exists()
    assert_kept(crawl.judge())


# The judge itself: whatever a crawl could do wrong, it must see.


@pytest.fixture(scope="module")
def undisturbed(place: Ground, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    crawl = Crawl(place, tmp_path_factory.mktemp("undisturbed"), "thread")
    crawl.let_go()
    return crawl.evidence()


def test_an_undisturbed_crawl_is_as_the_site_says(undisturbed: Evidence) -> None:
    verdict = judge(undisturbed)
    assert not verdict.violations
    assert (verdict.refetched, verdict.crashed) == (0, 0)
    assert verdict.items > 100
    assert verdict.urls > 150


def _change_lines(name: str, change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    def to(folder: Path) -> None:
        lines = (folder / name).read_bytes().splitlines(keepends=True)
        (folder / name).write_bytes(b"".join(change(lines)))

    return to


def _run_in(name: str, statement: str) -> Callable[[Path], None]:
    def to(folder: Path) -> None:
        with closing(sqlite3.connect(folder / name)) as database, database:
            assert database.execute(statement).rowcount

    return to


def _leave(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).touch()


def _lose_a_part(folder: Path) -> None:
    (folder / "items.parquet" / "part-00002.parquet").unlink()


def _double_a_part(folder: Path) -> None:
    part = folder / "items.parquet" / "part-00002.parquet"
    shutil.copyfile(part, part.with_name("part-99999.parquet"))


DAMAGES = {
    "an item lost": _change_lines(JSON_LINES, lambda lines: lines[1:]),
    "an item twice": _change_lines(JSON_LINES, lambda lines: [*lines, lines[0]]),
    "an item changed": _change_lines(JSON_LINES, lambda lines: [lines[0].replace(b"and, more", b"less"), *lines[1:]]),
    "an item torn": _change_lines(JSON_LINES, lambda lines: [*lines, lines[0][:9]]),
    "a failure lost": _change_lines("failures.jsonl", lambda lines: lines[1:]),
    "a failure twice": _change_lines("failures.jsonl", lambda lines: [*lines, lines[0]]),
    "a row of the table lost": _run_in("items.sqlite", "DELETE FROM items WHERE rowid = 5"),
    "a row of the state's table twice": _run_in(STATE, "INSERT INTO items SELECT * FROM items WHERE rowid = 5"),
    "rows of a part lost": _lose_a_part,
    "rows of a part twice": _double_a_part,
    "a page waits": _run_in(STATE, "UPDATE requests SET state = 0 WHERE number = 9"),
    "a page unknown": _run_in(STATE, "DELETE FROM requests WHERE url LIKE '%/pages/7.html' AND url LIKE '%//a%'"),
    "a page twice": _run_in(
        STATE,
        "INSERT INTO requests (url, host, depth, urgency, attempts, state) "
        "SELECT url, host, depth, urgency, attempts, state FROM requests WHERE number = 9",
    ),
    "an attempt too few": _run_in(STATE, "UPDATE requests SET attempts = 2 WHERE url LIKE '%code=500%'"),
    "failed for crashes": _run_in(
        STATE, "UPDATE ends SET reason = 'crashes' WHERE request = (SELECT min(request) FROM ends WHERE stage > '')"
    ),
    "a wrong count": _run_in(STATE, "UPDATE counts SET value = value + 1 WHERE kind = 'state' AND name = 'done'"),
    "a presence file left": _leave(f"{STATE}-crawler-3"),
    "rows without a part left": _leave("items.parquet/_rows-00099.jsonl"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_judge_sees(damage: str, undisturbed: Evidence, tmp_path: Path) -> None:
    folder = tmp_path / "crawl"
    shutil.copytree(undisturbed.folder, folder)
    DAMAGES[damage](folder)
    verdict = judge(replace(undisturbed, folder=folder))
    assert verdict.violations
    if damage.endswith(" lost"):
        assert verdict.lost
    if damage.endswith(" twice"):
        assert verdict.doubled


@pytest.mark.parametrize("is_explained", [False, True])
def test_the_judge_allows_a_page_to_be_fetched_again_only_if_a_kill_met_it(
    undisturbed: Evidence, is_explained: bool
) -> None:
    again = next(entry for entry in undisturbed.log if entry.path == "/pages/7.html")
    number = _number_of(again, undisturbed.folder)
    verdict = judge(
        replace(undisturbed, log=[*undisturbed.log, again], lost={number: 1} if is_explained else {number + 1: 1})
    )
    assert verdict.refetched == 1
    assert bool(verdict.violations) is not is_explained


def test_the_judge_misses_a_fetch(undisturbed: Evidence) -> None:
    log = [entry for entry in undisturbed.log if entry.path != "/pages/7.html"]
    assert judge(replace(undisturbed, log=log)).lost


def _number_of(entry: LogEntry, folder: Path) -> int:
    with closing(sqlite3.connect(folder / STATE)) as database:
        row = database.execute("SELECT number FROM requests WHERE url = ?", (f"http://{entry.host}{entry.path}",))
        number: int = row.fetchone()[0]
        return number
