"""A disk that answers with errors, or writes less than it was given."""

import errno
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from tests.faults.crawls import Crawl, ended, urls_in
from tests.faults.disk import BrokenDisk, build_broken_disk
from tests.faults.nursery import Nursery


@pytest.fixture(scope="module")
def broken_nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    library = build_broken_disk(tmp_path_factory.mktemp("library"))
    with closing(Nursery({"LD_PRELOAD": str(library)})) as found:
        yield found


@pytest.fixture
def crawl(broken_nursery: Nursery, crawl: Crawl) -> Crawl:
    return replace(crawl, nursery=broken_nursery)


@pytest.mark.parametrize(
    ("calls", "error", "path_ends", "said"),
    [
        ("pwrite", errno.EIO, "/state-wal", "I/O error"),
        ("pwrite", errno.ENOSPC, "/state-wal", "no space left"),
        ("write", errno.EIO, "/items.jsonl", "input/output error"),
        ("sync", errno.EIO, "/items.jsonl", "input/output error"),
        ("write,truncate", errno.EIO, "/items.jsonl", "input/output error"),
    ],
)
def test_a_disk_that_fails_stops_the_crawl_and_what_was_committed_is_kept(
    crawl: Crawl, calls: str, error: int, path_ends: str, said: str
) -> None:
    disk = BrokenDisk(calls, error, path_ends, crawl.folder / "broken")
    with crawl.halted("--synchronous", "full", disk=disk) as process:
        disk.fail()
        crawl.go_on()
        end = ended(process)
    assert end.status == 1
    assert said in end.complaint
    if "truncate" not in calls and said != "I/O error":
        crawl.check()
    assert not crawl.done() - urls_in(crawl.output).keys()  # what cannot be cut now is cut by the next run
    assert 0 < len(crawl.done()) < 60
    disk.recover()
    crawl.resume()


def test_a_disk_that_fails_while_the_log_is_copied_into_the_file_costs_nothing(crawl: Crawl) -> None:
    """The last crawler to leave copies the log. When that fails the log stays, and says all."""
    disk = BrokenDisk("pwrite", errno.EIO, "/state", crawl.folder / "broken")
    with crawl.halted(disk=disk) as process:
        disk.fail()
        crawl.go_on()
        ended(process)
    crawl.check_complete()
    disk.recover()
    crawl.resume()


def test_a_disk_that_fails_when_the_crawl_is_finished_costs_nothing(crawl: Crawl) -> None:
    """The last rows of a Parquet output are written when the last page is done."""
    crawl = replace(crawl, output=crawl.folder / "items.parquet")
    disk = BrokenDisk("write", errno.EIO, ".parquet", crawl.folder / "broken")
    disk.fail()
    end = crawl.run(disk=disk)
    assert end.status == 1
    assert f"output {crawl.output} failed: input/output error" in end.complaint
    crawl.check_complete()
    assert list(crawl.output.glob("*.parquet")) == []
    disk.recover()
    crawl.resume()
    assert list(crawl.output.glob("*.parquet")) == [crawl.output / "part-00001.parquet"]


@pytest.mark.parametrize("path_ends", ["/state-wal", "/state", "/items.jsonl"])
def test_short_writes_are_gone_on_with(crawl: Crawl, path_ends: str) -> None:
    disk = BrokenDisk("pwrite,write", 0, path_ends, crawl.folder / "broken")
    disk.fail()
    end = crawl.run(disk=disk)
    assert (end.status, end.stderr) == (0, "")
    crawl.check_complete()


def test_a_commit_that_is_written_and_not_synced_is_in_doubt(crawl: Crawl) -> None:
    """The next run finds it in the log, so its items must be in the output then."""
    disk = BrokenDisk("sync", errno.EIO, "/state-wal", crawl.folder / "broken")
    with crawl.halted("--synchronous", "full", disk=disk) as process:
        disk.fail()
        crawl.go_on()
        end = ended(process)
    assert end.status == 1
    assert "I/O error" in end.complaint
    disk.recover()
    crawl.resume()


@pytest.mark.parametrize(("calls", "path_ends"), [("pread", "/state"), ("pwrite", "/state-wal")])
def test_a_disk_that_fails_from_the_start_is_told_before_the_first_request(
    crawl: Crawl, calls: str, path_ends: str
) -> None:
    assert crawl.run("--max-pages", 20).status == 0
    crawl.site.reset_blocking()
    disk = BrokenDisk(calls, errno.EIO, path_ends, crawl.folder / "broken")
    disk.fail()
    end = crawl.run(disk=disk)
    assert end.status == 2
    assert "I/O error" in end.complaint
    assert crawl.site.access_log_blocking() == []
    disk.recover()
    crawl.resume()
