"""Outputs that were changed between two runs: refused, and left as they are; put back, the crawl goes on."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures_server.pytest_plugin import StartServer
from tests.faults.crawls import SITE, Crawl, bytes_of
from tests.faults.nursery import Nursery

NAMES = ["items.jsonl", "items.csv", "items.sqlite", "items.parquet"]


def file_in(output: Path) -> Path:
    """The file with the items: of a directory the one there is."""
    if output.is_dir():
        (inside,) = output.iterdir()
        return inside
    return output


def shorten(output: Path) -> None:
    if output.suffix == ".sqlite":
        with closing(sqlite3.connect(output)) as database, database:
            database.execute("DELETE FROM items WHERE _rowid_ = (SELECT max(_rowid_) FROM items)")
    else:
        os.truncate(file_in(output), file_in(output).stat().st_size - 10)


def edit(output: Path) -> None:
    if output.suffix == ".sqlite":
        with closing(sqlite3.connect(output)) as database, database:
            database.execute("ALTER TABLE items RENAME COLUMN title TO heading")
    else:
        file = file_in(output)
        file.write_bytes(file.read_bytes().replace(b"lorem", b"LOREM", 1))


def delete(output: Path) -> None:
    shutil.rmtree(output) if output.is_dir() else output.unlink()


def put_another_there(output: Path) -> None:
    delete(output)
    if output.suffix == ".sqlite":
        with closing(sqlite3.connect(output)) as database, database:
            database.execute("CREATE TABLE items (url TEXT)")
    else:
        output.write_text("url,title\nhttps://example.org/,Mine\n")


@pytest.fixture(scope="module", params=NAMES)
def halfway(
    nursery: Nursery,
    fixture_server: StartServer,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Crawl:
    folder = tmp_path_factory.mktemp("halfway")
    crawl = Crawl(nursery, fixture_server(SITE), folder, folder / "state", folder / request.param)
    assert crawl.run("--max-pages", 20).status == 0
    return crawl


def test_an_output_that_was_changed_is_refused_and_one_put_back_is_gone_on_with(halfway: Crawl, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(halfway.folder, folder)
    crawl = replace(halfway, folder=folder, state=folder / "state", output=folder / halfway.output.name)
    crawl.site.reset_blocking()
    changes: list[Callable[[Path], None]] = [shorten, edit, delete, put_another_there]
    for change in changes:
        change(crawl.output)
        before = bytes_of(crawl.output)
        end = crawl.run()
        assert end.status == 2, change
        assert f"output {crawl.output}" in end.complaint
        assert bytes_of(crawl.output) == before
        if crawl.output.exists():
            delete(crawl.output)
        if halfway.output.is_dir():
            shutil.copytree(halfway.output, crawl.output)
        else:
            shutil.copyfile(halfway.output, crawl.output)
        crawl.check()
    assert crawl.site.access_log_blocking() == []
    crawl.resume()
