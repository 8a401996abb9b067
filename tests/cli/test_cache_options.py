"""`scraper crawl --cache`: files, modes and the summary."""

import json
from pathlib import Path

import pytest

from fixtures_server import SiteOptions
from fixtures_server.pytest_plugin import StartServer
from tests.cli.test_crawl_command import read_lines, scraper

SITE = SiteOptions(pages=20, page_bytes=3_000, links_per_page=5)


def test_a_handler_is_developed_without_touching_the_site(fixture_server: StartServer, tmp_path: Path) -> None:
    site = fixture_server(SITE)
    cache, output, stats = tmp_path / "cache", tmp_path / "items.jsonl", tmp_path / "stats.json"
    first = scraper("crawl", site.url, "--cache", cache, "--output", output)
    assert first.returncode == 0
    urls = {item["url"] for item in read_lines(output)}
    assert urls == site.urls()
    assert "From the cache: 0 answers, and 0 that the site confirmed; " in first.stderr
    site.reset_blocking()
    for more in ([], ["--cache-mode", "only"]):
        again = scraper("crawl", site.url, "--cache", cache, "--output", output, "--stats", stats, *more)
        assert again.returncode == 0
        assert {item["url"] for item in read_lines(output)} == urls
        told = json.loads(stats.read_text())["cache"]
        assert told["replayed"] >= len(urls)
        assert (told["stored"], told["trouble"]) == (0, None)
        assert f"From the cache: {told['replayed']} answers, and 0 that the site confirmed; 0 new." in again.stderr
    assert site.access_log_blocking() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cache-mode", "only"], "--cache-mode needs --cache FILE"),
        (["--cache", "c", "--cache-mode", "always"], "choose one of replay, revalidate, only"),
        (["--cache", "-"], "name a file"),
        (["--cache", ""], "name a file"),
        (["--cache", "c", "--cache-mode", "only"], "cache c does not exist"),
        (["--cache", "c", "--cookies"], "cookies and a cache exclude each other"),
        (["--cache", "c", "--output", "c"], "name the same file"),
        (["--cache", "c", "--state", "c"], "name the same file"),
    ],
)
def test_a_cache_that_cannot_be_is_told_before_the_first_request(tmp_path: Path, words: list[str], said: str) -> None:
    run = scraper("crawl", "http://127.0.0.1:1/", *words, cwd=tmp_path)
    assert run.returncode == 2
    assert said in run.stderr
    assert list(tmp_path.iterdir()) == []
