"""A disk that has no room left, for the state or for an output; and the run after room was made."""

import re
from dataclasses import replace

import pytest

from tests.faults.crawls import Crawl, bytes_of, ended, presences, urls_in
from tests.faults.disk import fill, small_disk

NO_SPACE = re.compile("no space left on the disk|database or disk is full")


@pytest.mark.parametrize(
    ("on_the_disk", "output"),
    [
        ("state", "items.jsonl"),
        ("output", "items.jsonl"),
        ("output", "items.csv"),
        ("output", "items.sqlite"),
        ("output", "items.parquet"),
        ("both", "items.jsonl"),
        ("both", "items.parquet"),
        ("both", "state.sqlite"),
    ],
)
def test_a_disk_that_fills_up_stops_the_crawl_and_costs_nothing(crawl: Crawl, on_the_disk: str, output: str) -> None:
    with small_disk(crawl.folder / "disk", 4096) as disk:
        crawl = replace(
            crawl,
            state=(crawl.folder if on_the_disk == "output" else disk) / "state.sqlite",
            output=(crawl.folder if on_the_disk == "state" else disk) / output,
        )
        with crawl.halted() as process:
            filler = fill(disk)
            crawl.go_on()
            end = ended(process)
        assert end.status == 1
        assert NO_SPACE.search(end.complaint)
        crawl.check()
        assert 0 < len(crawl.done()) < 60
        filler.unlink()
        crawl.resume()


@pytest.mark.parametrize("room_kib", [0, 16, 300])
def test_a_disk_without_room_for_a_state_is_told_before_the_first_request(crawl: Crawl, room_kib: int) -> None:
    """Room for nothing; for a few pages of the file; for the file, and not for the crawler's sign of life."""
    crawl.site.reset_blocking()
    with small_disk(crawl.folder / "disk", 1024) as disk:
        crawl = replace(crawl, state=disk / "state")
        filler = fill(disk, but_kib=room_kib)
        end = crawl.run()
        assert end.status == 2
        assert str(crawl.state) in end.complaint
        assert NO_SPACE.search(end.complaint)
        assert not crawl.output.exists()
        assert crawl.site.access_log_blocking() == []
        filler.unlink()
        crawl.resume()


def test_a_disk_that_is_full_when_a_crawl_goes_on_leaves_its_state_as_it_is(crawl: Crawl) -> None:
    with small_disk(crawl.folder / "disk", 2048) as disk:
        crawl = replace(crawl, state=disk / "state")
        assert crawl.run("--max-pages", 20).status == 0
        before = bytes_of(crawl.state, crawl.output)
        filler = fill(disk, but_kib=256)
        end = crawl.run()
        assert end.status == 2
        assert NO_SPACE.search(end.complaint)
        crawl.check()
        assert presences(crawl.state) == []
        assert bytes_of(crawl.state, crawl.output) == before
        filler.unlink()
        crawl.resume()


@pytest.mark.parametrize("output", ["items.jsonl", "items.parquet"])
def test_an_output_without_room_from_the_start(crawl: Crawl, output: str) -> None:
    with small_disk(crawl.folder / "disk", 64) as disk:
        crawl = replace(crawl, output=disk / output)
        filler = fill(disk)
        end = crawl.run()
        assert end.status == 1
        assert NO_SPACE.search(end.complaint)
        assert sum(urls_in(crawl.output).values()) == 0
        crawl.check()
        filler.unlink()


def test_a_state_that_could_not_be_made_leaves_nothing(crawl: Crawl) -> None:
    with small_disk(crawl.folder / "disk", 1024) as disk:
        filler = fill(disk, but_kib=300)
        assert replace(crawl, state=disk / "state").run().status == 2
        assert list(disk.iterdir()) == [filler]
