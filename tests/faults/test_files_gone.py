"""Files that are taken away, replaced or cut while a crawl works on them."""

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.crawls import Crawl, bytes_of, ended


def take_away(path: Path) -> None:
    path.rename(f"{path}.away")


def put_another_there(path: Path) -> None:
    take_away(path)
    path.write_text("not that\n")


def put_a_copy_there(path: Path) -> None:
    take_away(path)
    shutil.copyfile(f"{path}.away", path)


@pytest.mark.parametrize("change", [take_away, put_another_there, put_a_copy_there])
def test_a_state_that_is_not_there_any_more_stops_the_crawl(crawl: Crawl, change: Callable[[Path], None]) -> None:
    with crawl.halted() as process:
        change(crawl.state)
        there = crawl.state.read_bytes() if crawl.state.exists() else None
        crawl.go_on()
        end = ended(process)
    assert end.status == 1
    assert f"state {crawl.state} was deleted or replaced" in end.complaint
    assert (crawl.state.read_bytes() if crawl.state.exists() else None) == there
    Path(f"{crawl.state}.away").replace(crawl.state)
    crawl.check()
    crawl.resume()


def test_a_log_that_is_taken_away_costs_nothing_that_was_committed(crawl: Crawl) -> None:
    with crawl.halted() as process:
        Path(f"{crawl.state}-wal").unlink()
        crawl.go_on()
        end = ended(process)
    assert "Traceback" not in end.stderr
    crawl.check()
    crawl.resume()


@pytest.mark.parametrize("name", ["items.jsonl", "items.csv", "items.sqlite", "items.parquet"])
@pytest.mark.parametrize("change", [take_away, put_another_there])
def test_an_output_that_is_not_there_any_more_stops_the_crawl(
    crawl: Crawl, name: str, change: Callable[[Path], None]
) -> None:
    crawl = replace(crawl, output=crawl.folder / name)
    with crawl.halted() as process:
        change(crawl.output)
        crawl.go_on()
        end = ended(process)
    assert end.status == 1
    assert str(crawl.output) in end.complaint
    if change is put_another_there:
        assert crawl.output.read_text() == "not that\n"
        crawl.output.unlink()
    if crawl.output.is_dir():
        shutil.rmtree(crawl.output)
    Path(f"{crawl.output}.away").replace(crawl.output)
    crawl.check()
    crawl.resume()


def test_an_output_that_was_cut_while_the_crawl_wrote_is_not_gone_on_with(crawl: Crawl) -> None:
    with crawl.halted() as process:
        os.truncate(crawl.output, crawl.output.stat().st_size // 2)
        crawl.go_on()
        assert "Traceback" not in ended(process).stderr
    left = crawl.output.read_bytes()
    end = crawl.run()
    assert end.status == 2
    assert str(crawl.output) in end.complaint
    assert crawl.output.read_bytes() == left


def test_an_output_that_is_cut_stops_the_crawl(crawl: Crawl) -> None:
    with crawl.halted() as process:
        os.truncate(crawl.output, crawl.output.stat().st_size // 2)
        crawl.go_on()
        end = ended(process)
    assert end.status == 1
    assert str(crawl.output) in end.complaint


def test_a_log_that_is_taken_away_from_a_crawl_that_is_killed_is_no_way_to_a_wrong_state(crawl: Crawl) -> None:
    """What was committed since the last checkpoint is lost, and that is said: the output knows more than the state."""
    with crawl.halted() as process:
        Path(f"{crawl.state}-wal").unlink()
        process.send(signal.SIGKILL)
        ended(process)
    before = bytes_of(crawl.output)
    end = crawl.run()
    assert end.status == 2
    assert f"output {crawl.output} is there already" in end.complaint
    assert bytes_of(crawl.output) == before
