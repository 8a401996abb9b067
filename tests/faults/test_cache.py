"""A cache whose disk fills up, whose crawler is killed, or that is no cache: the crawl is never the worse for it."""

import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from scraper.fetch.cache.file import CacheFile
from tests.faults.crawls import Crawl, bytes_of, ended
from tests.faults.disk import fill, read_only_file, small_disk

# Stores answers without end, each with a body of its own, and says so after each commit.
_WRITER = """
import os, sys
from scraper.fetch.cache import Answer
from scraper.fetch.cache.file import CacheFile

file = CacheFile(sys.argv[1], None)
file.open(must_exist=False)
number = 0
while True:
    with file.transaction():
        for _ in range(20):
            number += 1
            answer = Answer(200, "OK", (("ETag", str(number)),), None, os.urandom(3000) + str(number).encode())
            file.put(str(number).encode(), (), {}, url=str(number), answer=answer, requested_s=1.0, received_s=2.0)
    print(number, flush=True)
"""


def rows(cache: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(cache)) as database:
        return database.execute(query).fetchall()


def test_a_writer_that_is_killed_leaves_what_it_had_committed(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    for commits in (1, 7, 23):
        with subprocess.Popen([sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            numbers = [int(writer.stdout.readline()) for _ in range(commits)]
            writer.kill()
        file = CacheFile(path, None)
        file.open(must_exist=True)
        for number in range(1, numbers[-1] + 1):
            kept = file.find(str(number).encode(), {}, 10_000)
            assert kept is not None
            assert kept.answer.body is not None
            assert kept.answer.body.endswith(str(number).encode())
        file.close()
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        assert rows(path, "SELECT count(*) FROM bodies WHERE digest NOT IN (SELECT body FROM answers)") == [(0,)]


def test_a_crawl_that_is_killed_goes_on_with_its_cache(crawl: Crawl) -> None:
    cache = crawl.folder / "cache"
    with crawl.halted("--cache", cache) as process:
        process.send(signal.SIGKILL)
        ended(process)
    crawl.resume("--cache", cache)
    assert rows(cache, "PRAGMA integrity_check") == [("ok",)]


def test_a_disk_that_is_full_costs_the_cache_and_not_the_crawl(crawl: Crawl) -> None:
    with small_disk(crawl.folder / "disk", 4096) as disk:
        cache = disk / "cache"
        with crawl.halted("--cache", cache) as process:
            filler = fill(disk)
            crawl.go_on()
            end = ended(process)
        assert end.status == 0
        assert end.stderr.count("\n") == 1
        assert re.search("cache .* cannot be written: .*full; nothing more is stored in this run", end.stderr)
        crawl.check_complete()
        filler.unlink()
        crawl.state.unlink()
        crawl.output.unlink()
        crawl.resume("--cache", cache)
        before = len(rows(cache, "SELECT 1 FROM answers"))
        assert before >= len(crawl.site.urls())


def test_a_disk_that_is_full_from_the_start_is_told_before_the_first_request(crawl: Crawl) -> None:
    crawl.site.reset_blocking()
    with small_disk(crawl.folder / "disk", 256) as disk:
        filler = fill(disk)
        end = crawl.run("--cache", disk / "cache")
        assert end.status == 2
        assert re.search("cache .* cannot be used: .*(full|disk)", end.complaint)
        assert crawl.site.access_log_blocking() == []
        filler.unlink()


def test_a_cache_that_may_not_be_written_is_replayed(crawl: Crawl) -> None:
    cache = crawl.folder / "cache"
    assert crawl.run("--cache", cache).status == 0
    crawl.state.unlink()
    crawl.output.unlink()
    crawl.site.reset_blocking()
    with read_only_file(cache):
        crawl.resume("--cache", cache)
    assert [entry.path for entry in crawl.site.access_log_blocking()] == []


@pytest.mark.parametrize("kind", ["state", "text"])
def test_a_file_that_is_no_cache_is_left_as_it_is(crawl: Crawl, kind: str) -> None:
    cache = crawl.folder / "cache"
    if kind == "state":
        assert crawl.run("--max-pages", 5).status == 0
        crawl.state.rename(cache)
    else:
        cache.write_text("not a cache\n" * 100)
    before = bytes_of(cache)
    crawl.site.reset_blocking()
    end = crawl.run("--cache", cache)
    assert end.status == 2
    assert str(cache) in end.complaint
    assert crawl.site.access_log_blocking() == []
    assert bytes_of(cache) == before
