"""`scraper crawl` as scripts and people use it: files, exit status, signals."""

import csv
import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fixtures_server import FixtureServer, SiteOptions
from fixtures_server.pytest_plugin import StartServer

SITE = SiteOptions(pages=40, page_bytes=6_000, links_per_page=10)
LARGE = SiteOptions(pages=5000, page_bytes=6_000, links_per_page=20)

HANDLER = """
from dataclasses import dataclass
from scraper import Page, Request

@dataclass
class Thing:
    url: str
    title: str

def parse(page: Page):
    yield Thing(page.url, page.title)
    yield from page.follow("a.next")
"""


def scraper(*arguments: object, cwd: Path | None = None, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scraper", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        input=stdin,
        timeout=50,
        check=False,
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def site(fixture_server: StartServer) -> FixtureServer:
    return fixture_server(SITE)


def test_a_crawl_writes_items_statistics_and_a_report(site: FixtureServer, tmp_path: Path) -> None:
    out, stats_file, report = tmp_path / "o.jsonl", tmp_path / "s.json", tmp_path / "r.html"
    run = scraper("crawl", site.url, "--output", out, "--stats", stats_file, "--report", report)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    items = read_lines(out)
    assert {item["url"] for item in items} == site.urls()
    assert list(items[0]) == ["url", "status", "title", "h1", "description", "canonical", "lang", "links"]
    stats = json.loads(stats_file.read_text())
    promised = {
        *("seen", "done", "failed", "skipped", "waiting", "items", "bytes", "elapsed_s", "pages_per_s", "parser"),
        *("executor", "workers", "strategies", "failures", "skips", "dropped", "stages", "loop_lag_ms", "verdict"),
    }
    assert promised <= set(stats)
    assert set(stats["stages"]) == {"queue", "fetch", "handoff", "parse", "extract", "return", "commit"}
    assert set(stats["stages"]["parse"]) == {"count", "total_s", "cpu_s", "p50_ms", "p99_ms"}
    assert set(stats["loop_lag_ms"]) == {"p50", "p99", "max"}
    assert {"bottleneck", "evidence", "advice", "predicted_gain"} <= set(stats["verdict"])
    assert set(stats["strategies"][0]) == {"handler", "parser", "executor", "workers", "pages", "why"}
    assert stats["seen"] == stats["done"] == stats["items"] == len(items) == 40
    assert report.read_text().startswith("<!doctype html>")
    assert "40 pages done" in run.stderr


def test_items_go_to_stdout_and_nothing_else_does(site: FixtureServer) -> None:
    run = scraper("crawl", site.url, "--output", "-")
    assert {json.loads(line)["url"] for line in run.stdout.splitlines()} == site.urls()
    assert "40 pages done" in run.stderr


def test_quiet_is_quiet(site: FixtureServer, tmp_path: Path) -> None:
    run = scraper("crawl", site.url, "--output", tmp_path / "o.csv", "--quiet")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_csv_and_sqlite_hold_the_same_pages(site: FixtureServer, tmp_path: Path) -> None:
    for name in ("o.csv", "o.sqlite"):
        assert scraper("crawl", site.url, "--output", tmp_path / name, "--quiet").returncode == 0
    with (tmp_path / "o.csv").open(newline="", encoding="utf-8") as file:
        in_csv = {row["url"] for row in csv.DictReader(file)}
    connection = sqlite3.connect(tmp_path / "o.sqlite")
    in_sqlite = {url for (url,) in connection.execute("SELECT url FROM items")}
    connection.close()
    assert in_csv == in_sqlite == site.urls()


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_a_handler_of_a_file_runs(site: FixtureServer, tmp_path: Path, executor: str) -> None:
    (tmp_path / "mine.py").write_text(HANDLER)
    for handler in ("mine.py:parse", "mine:parse"):
        run = scraper(
            "crawl", site.url, "--handler", handler, "--executor", executor, "--output", "-", "--quiet", cwd=tmp_path
        )
        assert run.returncode == 0, run.stderr
        items = [json.loads(line) for line in run.stdout.splitlines()]
        assert len(items) == 40
        assert set(items[0]) == {"url", "title"}


@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
def test_what_a_handler_prints_does_not_stand_among_the_items(
    site: FixtureServer, tmp_path: Path, executor: str
) -> None:
    (tmp_path / "loud.py").write_text("def parse(page):\n    print('look here')\n    yield {'url': page.url}\n")
    run = scraper("crawl", site.url, "--handler", f"{tmp_path}/loud.py:parse", "--executor", executor, "--output", "-")
    assert json.loads(run.stdout) == {"url": site.url}
    assert "look here" in run.stderr


def test_urls_come_from_a_file_and_from_standard_input(site: FixtureServer, tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text(f"# seeds\n{site.url_of(1)}\n\n{site.url_of(2)}\n")
    run = scraper("crawl", "--urls", tmp_path / "urls.txt", "--max-depth", 0, "--output", "-", "--quiet")
    assert {json.loads(line)["url"] for line in run.stdout.splitlines()} == {site.url_of(1), site.url_of(2)}
    run = scraper("crawl", "--urls", "-", "--max-depth", 0, "--output", "-", "--quiet", stdin=site.url_of(3))
    assert json.loads(run.stdout)["url"] == site.url_of(3)


def test_a_seed_that_fails_is_a_failed_page_and_said(site: FixtureServer, tmp_path: Path) -> None:
    failures = tmp_path / "failures.jsonl"
    missing = site.fault("status", code=404)
    run = scraper("crawl", missing, "http://127.0.0.1:9/", "--retries", 0, "--failures", failures)
    assert run.returncode == 0
    assert "http_404" in run.stderr
    assert "connection_refused" in run.stderr
    records = {record["reason"]: record for record in read_lines(failures)}
    assert records["http_404"]["url"] == missing
    assert set(records["http_404"]) == {"url", "stage", "reason", "detail", "attempts"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "not an absolute URL"),
        (["ftp://example.org/"], "only http and https"),
        (["URL", "--parser", "html6"], "lxml, lexbor, html.parser, bs4"),
        (["URL", "--executor", "gpu"], "auto, inline, thread, process"),
        (["URL", "--scope", "planet"], "prefix, host, domain, any"),
        (["URL", "--handler", "parse"], "MODULE:NAME"),
        (["URL", "--handler", "no_such_module:parse"], "no_such_module"),
        (["URL", "--handler", "missing.py:parse"], "missing.py"),
        (["URL", "--handler", "json:no_such_name"], "no_such_name"),
        (["URL", "--handler", "json:__version__"], "no function"),
        (["URL", "--output", "/no/such/folder/o.jsonl"], "folder"),
        (["URL", "--output", "o.xlsx"], ".parquet"),
        (["URL", "--stats", "/"], "directory"),
        (["URL", "--report", "/no/such/r.html"], "folder"),
        (["URL", "--workers", "0"], "more than 0"),
        (["URL", "--concurrency", "-1"], "more than 0"),
        (["URL", "--per-host", "0"], "more than 0"),
        (["URL", "--max-pages", "0"], "more than 0"),
        (["URL", "--max-depth", "-1"], "negative"),
        (["URL", "--max-time", "0"], "more than 0"),
        (["URL", "--timeout", "-5"], "more than 0"),
        (["URL", "--retries", "-1"], "negative"),
        (["URL", "--max-body", "0"], "more than 0"),
        (["URL", "--workers", "many"], "--workers"),
        (["URL", "--resolve", "a:b"], "HOST:PORT:ADDR"),
        (["URL", "--urls", "no-such-file"], "no-such-file"),
        (["URL", "--output", "x.jsonl", "--failures", "x.jsonl"], "same file"),
        (["URL", "--no-such-option"], "--no-such-option"),
        ([], "nothing to crawl"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else "",
)
async def test_what_is_wrong_is_said_in_one_line(
    site: FixtureServer, tmp_path: Path, arguments: list[str], said: str
) -> None:
    await site.reset()
    run = scraper("crawl", *[site.url if word == "URL" else word for word in arguments], cwd=tmp_path)
    assert run.returncode == 2
    assert said in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []
    assert await site.access_log() == []


def test_a_refused_crawl_leaves_an_existing_output_alone(site: FixtureServer, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    out.write_text("precious\n")
    assert scraper("crawl", site.url, "--output", out, "--handler", "nowhere:parse").returncode == 2
    assert scraper("crawl", site.url, "--output", out, "--workers", 0).returncode == 2
    assert out.read_text() == "precious\n"


def test_an_output_that_fails_later_ends_with_1(site: FixtureServer, tmp_path: Path) -> None:
    link = tmp_path / "full.jsonl"
    link.symlink_to("/dev/full")
    run = scraper("crawl", site.url, "--output", link)
    assert run.returncode == 1
    assert "no space left" in run.stderr.splitlines()[-1]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_in_order(fixture_server: StartServer, tmp_path: Path, number: int, status: int) -> None:
    site = fixture_server(LARGE)
    out, stats_file = tmp_path / "o.jsonl", tmp_path / "s.json"
    with running(site.url, "--output", out, "--stats", stats_file) as crawl:
        wait_for_items(out)
        crawl.send_signal(number)
        _, err = crawl.communicate(timeout=30)
    assert crawl.returncode == status, err
    stats = json.loads(stats_file.read_text())
    assert stats["stopped"] == "interrupted"
    assert 0 < stats["done"] == stats["items"] == len(read_lines(out)) < 5000
    assert stats["seen"] == stats["done"] + stats["failed"] + stats["skipped"] + stats["waiting"]


def test_a_second_signal_stops_at_once(fixture_server: StartServer, tmp_path: Path) -> None:
    """The pages under way never answer; the first signal waits for them and the second does not."""
    site = fixture_server(LARGE)
    with running(site.fault("silence"), "--output", tmp_path / "o.jsonl") as crawl:
        wait_until_listed(site, "silence")
        crawl.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            crawl.wait(timeout=1)
        crawl.send_signal(signal.SIGINT)
        crawl.communicate(timeout=10)
    assert crawl.returncode == 130


def test_the_reader_of_stdout_may_go_away(fixture_server: StartServer) -> None:
    site = fixture_server(LARGE)
    command = f"{sys.executable} -m scraper crawl {site.url} --output - | head -1"
    run = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=50, check=False
    )
    assert run.returncode == 1
    assert len(run.stdout.splitlines()) == 1
    assert "closed the pipe" in run.stderr
    assert "Traceback" not in run.stderr


def running(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scraper", "crawl", *map(str, arguments)], stderr=subprocess.PIPE, text=True
    )


def wait_for_items(path: Path) -> None:
    deadline_s = time.monotonic() + 20
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def wait_until_listed(site: FixtureServer, part: str) -> None:
    deadline_s = time.monotonic() + 20
    while not any(part in entry.path for entry in site.access_log_blocking()):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
