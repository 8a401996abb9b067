"""`scraper crawl` as scripts and people use it: files, exit status, signals."""

import csv
import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fixtures_server import FixtureServer, SiteOptions
from fixtures_server.pytest_plugin import StartServer

SITE = SiteOptions(pages=40, page_bytes=6_000, links_per_page=10)
SLOW = SiteOptions(pages=600, page_bytes=3_000, links_per_page=10, latency_s=0.05)
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
        (["URL", "--join"], "--join needs --state FILE"),
        (["URL", "--retry-failed"], "--retry-failed needs --state FILE"),
        (["URL", "--synchronous", "full"], "--synchronous needs --state FILE"),
        (["URL", "--state", "x.db", "--synchronous", "off"], "normal, full"),
        (["URL", "--state", "-"], "standard output"),
        (["URL", "--state", ""], "name a file"),
        (["URL", "--state", "/no/such/x.db"], "folder"),
        (["URL", "--state", "x.db", "--stats", "x.db"], "--state and --stats name the same file"),
        (["URL", "--state", "x.db", "--report", "./x.db"], "--state and --report name the same file"),
        (["URL", "--state", "x.db", "--failures", "x.db"], "--state and --failures name the same file"),
        (["URL", "--state", "x.jsonl", "--output", "x.jsonl"], "only a .sqlite holds both"),
        (["--state", "x.db"], "nothing to crawl"),
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
    assert "What waited is lost. With --state FILE, the same command would go on with it." in err
    assert (stats["state"], stats["resumed"]) == (None, False)
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


def test_an_interrupted_crawl_goes_on(fixture_server: StartServer, tmp_path: Path) -> None:
    """Its numbers are over both runs, and every page and every failure is in the outputs once."""
    site = fixture_server(SLOW)
    missing = [site.fault("status", code=404, key=number) for number in range(5)]
    state, out, failures, stats_file, report = (
        tmp_path / name for name in ("c.db", "o.jsonl", "f.jsonl", "s.json", "r.html")
    )
    again = ["--state", state, "--output", out, "--failures", failures, "--stats", stats_file]
    with running(site.url, *missing, *again, "--per-host", 2) as crawl:
        wait_for_items(failures)
        crawl.send_signal(signal.SIGINT)
        _, err = crawl.communicate(timeout=30)
    assert crawl.returncode == 130, err
    assert "To go on, give the same command again." in err
    first = json.loads(stats_file.read_text())
    assert first["waiting"] > 0
    assert (first["state"], first["resumed"]) == (str(state), False)

    run = scraper("crawl", *again, "--report", report, "--per-host", 32)
    assert run.returncode == 0, run.stderr
    stats = json.loads(stats_file.read_text())
    assert (stats["state"], stats["resumed"], stats["stopped"]) == (str(state), True, None)
    assert (stats["done"], stats["failed"], stats["waiting"]) == (SLOW.pages, 5, 0)
    assert stats["items"] == SLOW.pages
    assert stats["bytes"] > first["bytes"]
    assert stats["failures"] == {"http_404": 5}
    assert sorted(item["url"] for item in read_lines(out)) == sorted(site.urls())
    assert sorted(record["url"] for record in read_lines(failures)) == sorted(missing)
    assert (
        f"Going on with {state}: {first['done']:,} of {first['seen']:,} pages done, {first['waiting']:,} waiting"
        in (run.stderr)
    )
    now = SLOW.pages - first["done"]
    assert f"{SLOW.pages} pages done over all runs, {now} of them now; 5 failed, 0 skipped, 0 waiting." in run.stderr
    assert f"5 pages failed: scraper crawl … --retry-failed tries them again, scraper state {state}" in run.stderr
    assert "To go on" not in run.stderr
    assert report.read_text().startswith("<!doctype html>")


def test_failures_of_a_killed_crawl_are_kept_once(fixture_server: StartServer, tmp_path: Path) -> None:
    site = fixture_server(SLOW)
    missing = [site.fault("status", code=404, key=number) for number in range(100)]
    failures = tmp_path / "f.jsonl"
    command = [*missing, "--max-depth", 0, "--state", tmp_path / "c.db", "--failures", failures, "--per-host", 1]
    with running(*command) as crawl:
        wait_for_items(failures)
        crawl.kill()
        crawl.communicate(timeout=30)
    run = scraper("crawl", *command)
    assert run.returncode == 0, run.stderr
    assert sorted(record["url"] for record in read_lines(failures)) == sorted(missing)


def test_failed_pages_are_tried_again_when_the_server_is_well(site: FixtureServer, tmp_path: Path) -> None:
    failing = [site.fault("flaky", fails=1, key=f"retried {number}") for number in range(3)]
    out, failures, stats_file = (tmp_path / name for name in ("o.jsonl", "f.jsonl", "s.json"))
    command = [*failing, "--max-depth", 0, "--retries", 0, "--state", tmp_path / "c.db"]
    command += ["--output", out, "--failures", failures, "--stats", stats_file]
    assert scraper("crawl", *command).returncode == 0
    stats = json.loads(stats_file.read_text())
    assert (stats["done"], stats["failed"], stats["failures"]) == (0, 3, {"http_503": 3})

    assert scraper("crawl", *command, "--quiet").returncode == 0
    assert json.loads(stats_file.read_text())["failed"] == 3  # nobody asked to try them again

    run = scraper("crawl", *command, "--retry-failed")
    assert run.returncode == 0, run.stderr
    stats = json.loads(stats_file.read_text())
    assert (stats["done"], stats["failed"], stats["failures"]) == (3, 0, {})
    assert {item["url"] for item in read_lines(out)} == set(failing)
    assert "0 of 3 pages done, 3 waiting" in run.stderr
    assert "pages failed" not in run.stderr


def test_a_crawl_with_a_state_may_be_quiet(site: FixtureServer, tmp_path: Path) -> None:
    for _ in range(2):
        run = scraper("crawl", site.url, "--state", tmp_path / "c.db", "--quiet")
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_page_limit_is_over_all_runs(site: FixtureServer, tmp_path: Path) -> None:
    for limit, done in ((5, 5), (5, 5), (12, 12)):
        run = scraper("crawl", site.url, "--state", tmp_path / "c.db", "--max-pages", limit)
        assert run.returncode == 0
        assert f"{done} pages done" in run.stderr
        assert "To go on, give the same command again with a larger --max-pages." in run.stderr


def test_a_sqlite_output_may_be_the_state_itself(site: FixtureServer, tmp_path: Path) -> None:
    both = tmp_path / "c.sqlite"
    for limit in (["--max-pages", 5], []):
        assert scraper("crawl", site.url, "--state", both, "--output", both, *limit).returncode == 0
    with closing(sqlite3.connect(both)) as database:
        urls = [url for (url,) in database.execute("SELECT url FROM items")]
    assert sorted(urls) == sorted(site.urls())


def test_each_crawler_that_joins_names_its_own_part(fixture_server: StartServer, tmp_path: Path) -> None:
    site, out = fixture_server(SLOW), tmp_path / "o.jsonl"
    command = [site.url, "--state", tmp_path / "c.db", "--output", out, "--join"]
    with running(*command, "--per-host", 1) as crawl:
        wait_for_items(out)
        run = scraper("crawl", *command, "--max-time", 0.5)
        crawl.send_signal(signal.SIGINT)
        _, err = crawl.communicate(timeout=30)
    assert f"this crawler's to {tmp_path / 'o.2.jsonl'};" in run.stderr
    assert f"this crawler's to {out};" in err
    assert "pages done by all crawlers" in err


def test_another_crawls_state_is_refused_and_kept(site: FixtureServer, tmp_path: Path) -> None:
    state = tmp_path / "c.db"
    assert scraper("crawl", site.url, "--state", state).returncode == 0
    before = state.read_bytes()
    for other in (["--scope", "any"], ["--output", tmp_path / "o.jsonl"], ["--max-depth", 3]):
        run = scraper("crawl", site.url, "--state", state, *other)
        assert run.returncode == 2
        assert "belongs to a crawl" in run.stderr
        assert len(run.stderr.splitlines()) == 1
    assert state.read_bytes() == before


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
