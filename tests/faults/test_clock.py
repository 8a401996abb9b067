"""A system clock that is a year off: no page waits longer than its own back-off."""

from functools import partial
from itertools import pairwise
from signal import SIGINT

import pytest

from tests.faults.crawls import Crawl, ended, until

YEAR_S = 365 * 86_400


@pytest.mark.parametrize(("first_s", "second_s"), [(0, -YEAR_S), (0, YEAR_S), (YEAR_S, 0), (-YEAR_S, 0)])
def test_a_page_that_waits_for_its_retry_does_not_wait_for_the_clock(crawl: Crawl, first_s: int, second_s: int) -> None:
    """Between the runs the clock moves. A wait of a year would show as a test that hangs."""
    words = crawl.words("--max-depth", 0, "--failures", crawl.folder / "failures.jsonl")
    words[1] = crawl.site.fault("too-many-requests", retry_after=1, key=crawl.folder.name)
    with crawl.running_words(words, altered=("--clock-jump-s", first_s)) as process:
        until(crawl.has_delayed, process)
        process.send(SIGINT)
        assert ended(process).status == 130
    ((since_s, due_s),) = crawl.ask("SELECT since_s, due_s FROM delayed")
    assert 0 < due_s - since_s < 10
    with crawl.running_words(words, altered=("--clock-jump-s", second_s)) as process:
        end = ended(process)
    assert (end.status, end.stderr) == (0, "")
    crawl.check()
    assert crawl.done() == {words[1]}


def test_the_clock_of_a_file_does_not_go_back(crawl: Crawl) -> None:
    """Each run is a year earlier than the one before, and fails once more."""
    words = crawl.words("--max-depth", 0, "--retries", 9)
    words[1] = crawl.site.fault("too-many-requests", times=9, retry_after=1, key=crawl.folder.name)
    since_s = []
    for run in range(3):
        with crawl.running_words(words, altered=("--clock-jump-s", -run * YEAR_S)) as process:
            until(partial(crawl.has_delayed, run + 1), process)
            process.send(SIGINT)
            assert ended(process).status == 130
        since_s += [found for (found,) in crawl.ask("SELECT since_s FROM delayed")]
    assert len(since_s) == 3
    assert all(earlier < later for earlier, later in pairwise(since_s))
