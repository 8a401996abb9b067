"""Signals in the middle of commits, and while a page hangs."""

import json
from signal import SIGINT, SIGTERM, Signals

import pytest

from tests.faults.crawls import Crawl, ended, presences, until

# Pages that hang are waited for so long; what does not matter here is that it is ten seconds.
SHORT = ("--grace-s", 0.3)

_HANGS = """
import time
from pathlib import Path


def parse(page):
    yield {"url": page.url, "title": page.title, "text": ""}
    if page.url.endswith("/page/3"):
        (Path(__file__).parent / "hangs").touch()
        while True:
            time.sleep(0.01)
    yield from page.follow("a")
"""


@pytest.mark.parametrize(("number", "status"), [(SIGINT, 130), (SIGTERM, 143)])
@pytest.mark.parametrize("step", ["begun", "admitted", "whole", "committed"])
def test_a_signal_in_a_commit_ends_in_order(crawl: Crawl, number: Signals, status: int, step: str) -> None:
    altered = ("--signal", int(number), "--at", "scraper.commit", step, 6)
    stats = crawl.folder / "stats.json"
    end = crawl.run("--stats", stats, altered=altered)
    assert (end.status, end.stderr) == (status, "")
    crawl.check()
    assert json.loads(stats.read_text())["stopped"] == "interrupted"
    assert 0 < json.loads(stats.read_text())["done"] == len(crawl.done()) < 60
    assert presences(crawl.state) == []
    crawl.resume()


@pytest.mark.parametrize("step", ["begun", "whole", "committed"])
def test_two_signals_in_a_commit_end_at_once_and_lose_nothing(crawl: Crawl, step: str) -> None:
    altered = ("--signal", 2, "--signal", 2, "--at", "scraper.commit", step, 6)
    end = crawl.run(altered=altered)
    assert (end.status, end.stderr) == (130, "")
    crawl.check()
    assert presences(crawl.state) == []
    crawl.resume()


@pytest.mark.parametrize("step", ["write", "written"])
def test_two_signals_in_a_write_of_the_output_lose_nothing(crawl: Crawl, step: str) -> None:
    altered = ("--signal", 2, "--signal", 2, "--at", "scraper.sink", step, 4)
    end = crawl.run(altered=altered)
    assert (end.status, end.stderr) == (130, "")
    crawl.check()
    assert presences(crawl.state) == []
    crawl.resume()


def test_a_site_that_never_answers_does_not_hold_a_crawl(crawl: Crawl) -> None:
    words = crawl.words("--max-depth", 0)
    words.insert(2, crawl.site.fault("silence", key=crawl.folder.name))
    with crawl.running_words(words, altered=SHORT) as process:
        until(lambda: any(crawl.folder.name in entry.path for entry in crawl.site.access_log_blocking()), process)
        until(lambda: len(crawl.done()) == 1, process)
        process.send(SIGINT)
        end = ended(process)
    assert (end.status, end.stderr) == (130, "")
    crawl.check()
    assert presences(crawl.state) == []
    assert crawl.ask("SELECT count(*) FROM requests WHERE state = 0") == [(1,)]


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_a_handler_that_never_returns_does_not_hold_a_crawl(crawl: Crawl, executor: str) -> None:
    crawl.words()
    (crawl.folder / "handler.py").write_text(_HANGS)
    with crawl.running("--executor", executor, altered=SHORT) as process:
        until((crawl.folder / "hangs").exists, process)
        process.send(SIGINT)
        end = ended(process)
    assert end.status == 130
    assert end.stderr in {"", "left 1 threads behind: a thread cannot be stopped before its page ends\n"}
    crawl.check()
    assert presences(crawl.state) == []
    (crawl.folder / "handler.py").unlink()
    crawl.resume()
