"""Files and folders that may not be written to."""

from dataclasses import replace

from tests.faults.crawls import Crawl, bytes_of
from tests.faults.disk import read_only_disk, read_only_file, small_disk


def test_a_state_that_may_not_be_written_is_refused(crawl: Crawl) -> None:
    assert crawl.run("--max-pages", 20).status == 0
    before = bytes_of(crawl.state, crawl.output)
    crawl.site.reset_blocking()
    with read_only_file(crawl.state):
        end = crawl.run()
    assert end.status == 2
    assert str(crawl.state) in end.complaint
    assert "permissions" in end.complaint
    assert crawl.site.access_log_blocking() == []
    assert bytes_of(crawl.state, crawl.output) == before
    crawl.resume()


def test_an_output_that_may_not_be_written_is_refused(crawl: Crawl) -> None:
    assert crawl.run("--max-pages", 20).status == 0
    before = bytes_of(crawl.output)
    with read_only_file(crawl.output):
        end = crawl.run()
    assert end.status == 2
    assert f"output {crawl.output} cannot be written: operation not permitted" in end.complaint
    assert bytes_of(crawl.output) == before
    crawl.check()
    crawl.resume()


def test_a_folder_that_may_not_be_written_is_refused(crawl: Crawl) -> None:
    with small_disk(crawl.folder / "disk", 2048) as disk:
        crawl = replace(crawl, state=disk / "state")
        with read_only_disk(disk):
            end = crawl.run()
        assert end.status == 2
        assert str(crawl.state) in end.complaint
        assert "permissions" in end.complaint
        assert list(disk.iterdir()) == []
        assert crawl.run("--max-pages", 20).status == 0
        with read_only_disk(disk):
            end = crawl.run()
        assert end.status == 2
        assert "permissions" in end.complaint
        crawl.check()
        crawl.resume()
