"""Going on with other options than a crawl was begun with: some make it another crawl, others count from now on."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from signal import SIGINT

import pytest

from fixtures_server.pytest_plugin import StartServer
from tests.faults.crawls import SITE, Crawl, bytes_of, ended, until
from tests.faults.nursery import Nursery


@pytest.fixture(scope="module")
def halfway(nursery: Nursery, fixture_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    folder = tmp_path_factory.mktemp("halfway")
    crawl = Crawl(nursery, fixture_server(SITE), folder, folder / "state", folder / "items.jsonl")
    assert crawl.run("--max-pages", 20).status == 0
    return crawl


@pytest.fixture
def copy(halfway: Crawl, tmp_path: Path) -> Crawl:
    shutil.copytree(halfway.folder, tmp_path, dirs_exist_ok=True)
    return replace(halfway, folder=tmp_path, state=tmp_path / "state", output=tmp_path / "items.jsonl")


Change = Callable[[list[str]], list[str]]


def without(option: str) -> Change:
    def change(words: list[str]) -> list[str]:
        at = words.index(option)
        return words[:at] + words[at + 2 :]

    return change


def value(option: str, new: str) -> Change:
    def change(words: list[str]) -> list[str]:
        return [*without(option)(words), option, new] if option in words else [*words, option, new]

    return change


def seed(new: str) -> Change:
    return lambda words: [words[0], new, *words[2:]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("--handler"), "handler"),
        (value("--handler", "json:loads"), "handler"),
        (value("--scope", "domain"), "scope"),
        (value("--max-depth", "3"), "max-depth"),
        (value("--max-depth", "0"), "max-depth"),
        (value("--output", "other.jsonl"), "other.jsonl"),
        (value("--failures", "failures.jsonl"), "failures.jsonl"),
        (without("--output"), "items.jsonl"),
        (seed("http://127.0.0.1:9/"), "URL"),
    ],
)
def test_another_crawl_is_refused(copy: Crawl, change: Change, said: str) -> None:
    words = change(copy.words())
    words = [str(copy.folder / word) if word in {"other.jsonl", "failures.jsonl"} else word for word in words]
    before = bytes_of(copy.state, copy.output)
    copy.site.reset_blocking()
    with copy.running_words(words) as process:
        end = ended(process)
    assert end.status == 2
    assert f"state {copy.state} belongs to a crawl" in end.complaint
    assert said in end.complaint
    assert "name another file" in end.complaint
    assert copy.site.access_log_blocking() == []
    assert bytes_of(copy.state, copy.output) == before
    assert {path.name for path in copy.folder.iterdir()} == {"handler.py", "state", "items.jsonl"}


@pytest.mark.parametrize(
    ("option", "new", "told"),
    [
        ("--parser", "lexbor", {"parser": "lexbor"}),
        ("--executor", "process", {"executor": "process"}),
        ("--executor", "inline", {"executor": "inline"}),
        ("--workers", "2", {"workers": 2}),
    ],
)
def test_another_way_to_parse_counts_from_now_on(copy: Crawl, option: str, new: str, told: dict[str, object]) -> None:
    stats = copy.folder / "stats.json"
    words = value(option, new)([*copy.words(), "--stats", str(stats)])
    with copy.running_words(words) as process:
        end = ended(process)
    assert (end.status, end.stderr) == (0, "")
    copy.check_complete()
    assert told.items() <= json.loads(stats.read_text()).items()


def test_a_larger_limit_of_pages_counts_from_now_on(copy: Crawl) -> None:
    assert len(copy.done()) == 20
    assert copy.run("--max-pages", 35, "--concurrency", 3, "--per-host", 2).status == 0
    copy.check()
    assert len(copy.done()) == 35
    copy.resume()


@pytest.mark.parametrize("pages", [10, 20])
def test_a_limit_of_pages_that_is_reached_already_ends_the_run(copy: Crawl, pages: int) -> None:
    assert copy.run("--max-pages", pages).status == 0
    assert len(copy.done()) == 20


def test_further_seeds_are_crawled_too(copy: Crawl) -> None:
    words = copy.words()
    words.insert(2, f"{copy.site.url}page/7")
    words.insert(2, copy.site.fault("ok"))
    with copy.running_words(words) as process:
        end = ended(process)
    assert (end.status, end.stderr) == (0, "")
    copy.check()
    assert copy.done() == {*copy.site.urls(), copy.site.fault("ok")}


def test_other_retries_count_from_now_on(crawl: Crawl) -> None:
    """A page that failed once waits for its second attempt, which is then its last."""
    words = crawl.words("--failures", crawl.folder / "failures.jsonl", "--max-depth", 0)
    words[1] = crawl.site.fault("too-many-requests", times=9, retry_after=1, key=crawl.folder.name)
    with crawl.running_words([*words, "--retries", "5"]) as process:
        until(crawl.has_delayed, process)
        process.send(SIGINT)
        assert ended(process).status == 130
    assert crawl.ask("SELECT attempts FROM requests") == [(1,)]
    with crawl.running_words([*words, "--retries", "1"]) as process:
        assert ended(process).status == 0
    failure = json.loads((crawl.folder / "failures.jsonl").read_text())
    assert (failure["reason"], failure["attempts"]) == ("http_429", 2)
