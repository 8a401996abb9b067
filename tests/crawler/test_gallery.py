"""Crawls through everything that a server may do to a crawler: each request must end as the gallery says."""

import asyncio
import csv
import json
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil
import pytest

from fixtures_server import FixtureServer, SiteOptions
from fixtures_server.pytest_plugin import StartServer
from scraper import (
    Crawler,
    Failure,
    FetchOptions,
    LimitOptions,
    MemorySink,
    PaceOptions,
    Request,
    Resolve,
    Response,
    Skip,
)
from scraper.options import ExecutorName, ParserName
from scraper.robots import Robots
from scraper.sitemap import SitemapWalk
from tests.crawler import gallery, handlers
from tests.fetch.attempt import attempt

SITE = SiteOptions(pages=3, page_bytes=4_000, links_per_page=4)
# Seconds for what never comes, which a busy machine answers in; no wait where waiting is not what is asked about.
FETCH = FetchOptions(timeout_s=3.0)
PACE = PaceOptions(robots=False, retries=1, backoff_s=0.05, max_backoff_s=0.05, max_retry_after_s=0.2)
MAX_MEMORY_BYTES = 300_000_000
# Groups whose pages have the name of their behaviour for a title.
NAMED = frozenset({"answers", "pacing", "framing", "encodings", "cookies", "traps"})

# Prints how much memory the largest process of a command had.
MEASURED = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(status)
"""


@dataclass(frozen=True)
class Listed:
    """A case of the gallery."""

    name: str
    group: str
    url: str
    ends: tuple[str, ...]
    is_apart: bool


@pytest.fixture
async def site(fixture_server: StartServer) -> FixtureServer:
    site = fixture_server(SITE)
    await site.reset()  # what fails a few times fails again in each crawl
    return site


@pytest.fixture
def cases(site: FixtureServer) -> list[Listed]:
    with urlopen(site.url + "faults/index.json") as answer:
        listed = json.load(answer)
    origin = site.url.rstrip("/")
    return [
        Listed(case["name"], case["group"], origin + case["path"], tuple(case["expected"]), case["apart"])
        for case in listed
    ]


def ends_of(items: MemorySink, failures: MemorySink) -> dict[str, str]:
    """How each URL ended, as far as it was done or failed."""
    done = {item["asked"]: "done" for item in items.items}
    return done | {record.url: f"failed:{record.item['reason']}" for record in failures.records}


def held() -> tuple[int, int, int, int]:
    """What a crawl must not leave behind: tasks, file descriptors, connections, processes."""
    process = psutil.Process()
    return (
        len(asyncio.all_tasks()),
        process.num_fds(),
        len(process.net_connections("all")),
        len(process.children(recursive=True)),
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("parser", "executor"), [("lxml", "thread"), ("lexbor", "process")])
async def test_every_case_ends_as_it_must_and_nothing_is_left(
    site: FixtureServer, cases: list[Listed], parser: ParserName, executor: ExecutorName
) -> None:
    before = held()
    items, failures = MemorySink(), MemorySink()
    async with Crawler(gallery.asked, parser=parser, executor=executor, workers=2, fetch=FETCH, pace=PACE) as crawler:
        stats = await crawler.run(site.fault(""), sinks=[items], failures=failures)
    assert held() == before

    ends = ends_of(items, failures)
    linked = [case for case in cases if not case.is_apart]
    wrong = {case.url: ends[case.url] for case in linked if case.url in ends and ends[case.url] not in case.ends}
    assert wrong == {}
    # Of what was skipped only numbers are known: every case that is neither done nor failed must be allowed to be.
    skips = Counter(next(end for end in case.ends if "skipped:" in end) for case in linked if case.url not in ends)
    skips["skipped:content_type"] += 1  # the listing itself
    deeper = {"trap_repeated_segments", "trap_session_id"}
    assert {f"skipped:{reason}": stats.skips[reason] for reason in stats.skips.keys() - deeper} == skips
    assert deeper <= stats.skips.keys()
    assert stats.seen == stats.done + stats.failed + stats.skipped
    assert stats.waiting == 0
    assert stats.stopped is None
    # What can succeed later is tried again.
    assert {ends[case.url] for case in linked if case.name == "flaky"} == {"done"}
    # No answer was taken for another one's.
    named = {case.url: case.name for case in linked if case.group in NAMED}
    titles = {item["asked"]: item["title"] for item in items.items if item["title"] is not None}
    assert {url: title for url, title in titles.items() if title != named.get(url, title)} == {}
    assert "Unsolicited" not in titles.values()
    assert stats.dropped["too_many_links"] == 50_000


async def test_no_address_that_is_not_public_is_connected_to_however_it_is_written(
    site: FixtureServer, cases: list[Listed]
) -> None:
    """Whatever the scope permits: there the address alone is what refuses."""
    addresses = [case.url for case in cases if case.group == "addresses" or case.name == "another-origin"]
    items, failures = MemorySink(), MemorySink()
    async with Crawler(handlers.only_url, limits=LimitOptions(scope="any"), pace=PACE) as crawler:
        await crawler.run(addresses, sinks=[items], failures=failures)
    assert {record.url: record.item["reason"] for record in failures.records} == dict.fromkeys(
        addresses, "private_address"
    )
    assert items.records == []


async def test_no_cookie_comes_back_that_should_not_and_of_many_only_some(
    site: FixtureServer, cases: list[Listed]
) -> None:
    port = urlsplit(site.url).port
    assert port is not None
    names = ("shop.co.uk", "other.co.uk")
    resolve = tuple(Resolve(host=name, port=port, address="127.0.0.1") for name in names)
    setting = [case.url.removeprefix(site.url) for case in cases if case.group == "cookies"]
    fetch = FetchOptions(timeout_s=3.0, cookies=True, resolve=resolve)
    async with Crawler(gallery.asked, fetch=fetch, pace=PACE) as crawler:
        await crawler.run([f"http://{host}:{port}/{path}" for path in setting for host in ("shop.co.uk", "127.0.0.1")])
        await site.reset()
        await crawler.run([f"http://{host}:{port}/echo" for host in (*names, "127.0.0.1")])
    sent = {entry.host.partition(":")[0]: dict(entry.headers).get("cookie", "") for entry in await site.access_log()}
    assert sent["other.co.uk"] == ""
    for host in ("shop.co.uk", "127.0.0.1"):
        cookies = Counter(pair.partition("=")[0].partition("-")[0] for pair in sent[host].split("; "))
        assert 0 < cookies.pop("many") < 1_000
        # A Domain that is the whole address of the host is no other than the host.
        assert cookies in (Counter(), Counter(super=1)) if host == "127.0.0.1" else cookies == Counter()


async def test_who_asks_to_be_left_alone_is_left_alone_as_long_as_the_options_say(
    site: FixtureServer, cases: list[Listed]
) -> None:
    apart = [case for case in cases if case.is_apart]
    assert apart
    items, failures = MemorySink(), MemorySink()
    async with Crawler(gallery.asked, pace=PACE) as crawler:
        await crawler.run([case.url for case in apart], sinks=[items], failures=failures)
    assert ends_of(items, failures) == {case.url: "done" for case in apart}


@pytest.mark.parametrize(
    ("name", "allowed", "refused", "delay_s"),
    [
        ("robots-refusing", (), ("/", "/page"), None),
        ("robots-large", ("/", "/page"), ("/early/page",), None),
        ("robots-redirects", (), ("/", "/page"), None),
        ("robots-html", ("/", "/page"), (), None),
        ("robots-binary", ("/", "/page"), (), None),
        ("robots-patterns", ("/", "/" + "a" * 2_000, "/public/page"), (), None),
        ("robots-delay-huge", ("/",), (), 1e9),
        ("robots-delay-negative", ("/",), (), None),
        ("robots-delay-nan", ("/",), (), None),
    ],
)
async def test_a_robots_file_says_what_the_gallery_says(
    site: FixtureServer, name: str, allowed: tuple[str, ...], refused: tuple[str, ...], delay_s: float | None
) -> None:
    got = await attempt(Request(site.fault(name), accept=("*/*",)))
    assert isinstance(got, Response)
    robots = Robots.parse(got.body, "scraper")
    origin = site.url.rstrip("/")
    assert {path: robots.allows(origin + path) for path in (*allowed, *refused)} == {
        **dict.fromkeys(allowed, True),
        **dict.fromkeys(refused, False),
    }
    assert robots.crawl_delay_s == delay_s


@pytest.mark.parametrize(
    ("name", "listed", "problem"),
    [
        ("sitemap", 3, None),
        ("sitemap-entities", 0, "declarations"),
        ("sitemap-external-entity", 0, "declarations"),
        ("sitemap-gzip-bomb", 0, "gzip_bomb"),
        ("sitemap-of-itself", 0, None),
        ("sitemap-long", 60_000, None),
        ("sitemap-of-others", 3, None),
    ],
)
async def test_a_sitemap_gives_what_it_may(site: FixtureServer, name: str, listed: int, problem: str | None) -> None:
    async def get(url: str) -> bytes | Failure | Skip:
        got = await attempt(Request(url, accept=("*/*",)))
        return got.body if isinstance(got, Response) else got

    walk = SitemapWalk([site.fault(name)], fetch=get)
    count = 0
    async for _ in walk:
        count += 1
    assert count == listed
    assert [shown.reason for shown in walk.statistics.shown] == ([] if problem is None else [problem])


@pytest.mark.timeout(120)
def test_the_command_comes_to_its_end_in_bounded_memory(
    fixture_server: StartServer, cases: list[Listed], tmp_path: Path
) -> None:
    site, state, output = fixture_server(SITE), tmp_path / "crawl.state", tmp_path / "items.csv"
    # What fails is not tried again here, nor is the host left alone for it: the crawl above has retries.
    crawl = [sys.executable, "-m", "scraper", "crawl", site.fault(""), "--timeout", "3", "--retries", "0"]
    files = {"state": state, "output": output, "failures": tmp_path / "f.jsonl", "report": tmp_path / "r.html"}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, *crawl, *options], capture_output=True, text=True, timeout=100, check=False
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < MAX_MEMORY_BYTES

    with closing(sqlite3.connect(state)) as database:
        rows = database.execute(
            "SELECT url, state, reason FROM requests LEFT JOIN ends ON ends.request = requests.number"
        ).fetchall()
    words = {1: "done", 2: "failed", 3: "skipped"}
    ends = {url: words[number] if reason is None else f"{words[number]}:{reason}" for url, number, reason in rows}
    linked = [case for case in cases if not case.is_apart]
    assert {case.url: ends.get(case.url) for case in linked if ends.get(case.url) not in case.ends} == {}

    written = run.stderr + "".join(path.read_text() for name, path in files.items() if name != "state")
    assert "hunter2" not in written
    assert "\x1b[2J" not in run.stderr  # a title that clears the screen
    with output.open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert any("HYPERLINK" in cell for cell in cells)
    assert [cell for cell in cells if cell.startswith(("=", "+", "@", "\t"))] == []
