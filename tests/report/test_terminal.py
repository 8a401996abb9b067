import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from scraper.report import (
    ComparisonReport,
    CrawlReport,
    FailedPage,
    ProgressDisplay,
    console_for,
    print_comparison,
    print_summary,
    result_line,
)
from scraper.report.terminal import print_resumption


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test prints must not depend on who runs it."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@dataclass(frozen=True)
class Moment:
    elapsed_s: float
    seen: int = 100
    done: int = 0
    failed: int = 0
    skipped: int = 0
    waiting: int = 90
    in_flight: int = 32
    items: int = 0
    bytes: int = 0
    loop_lag_ms: float = 1.0
    limited_by: str = ""


def summary(crawl: CrawlReport, *, stream: io.StringIO | None = None, **changes: object) -> str:
    stream = stream or io.StringIO()
    failed: Sequence[FailedPage] = crawl.failed_pages
    print_summary(
        console_for(stream),
        {**crawl.stats, **changes},
        output="pages.jsonl",
        failed_pages=failed,
        warnings=["output items.csv has no column for 3 values"],
    )
    return stream.getvalue()


def test_the_summary_says_how_the_crawl_went(crawl: CrawlReport) -> None:
    text = summary(crawl)
    assert "Finished in 24.7 s: 1,480 pages done, 14 failed, 23 skipped, 252 waiting." in text
    assert "1,480 items to pages.jsonl, 62.4 MB read, 60.5 pages/s." in text
    assert "the server answered 404 Not Found" in text
    assert "https://docs.example.org/old/page.html  404 Not Found" in text
    assert "Event loop lag: median 9.8 ms, p99 118 ms, at most 231 ms." in text
    assert "What limits this crawl: Python code that holds the GIL while parsing." in text
    assert "Note: output items.csv has no column for 3 values" in text


def test_the_summary_says_why_a_crawl_stopped(crawl: CrawlReport) -> None:
    assert summary(crawl, stopped="max_pages").startswith("Stopped after 24.7 s (the page limit was reached):")
    assert summary(crawl, stopped="interrupted").startswith("Stopped after 24.7 s (interrupted): 1,480 pages done")


def goes_on(crawl: CrawlReport, **changes: Any) -> str:
    stream = io.StringIO()
    words = {name: changes.pop(name) for name in ("done_before", "is_shared", "has_failed") if name in changes}
    print_summary(console_for(stream), {**crawl.stats, **changes}, output="pages.jsonl", **words)
    return stream.getvalue()


def test_a_summary_tells_this_run_from_all_runs(crawl: CrawlReport) -> None:
    text = goes_on(crawl, state="c.db", resumed=True, done_before=1_000)
    assert (
        "Finished in 24.7 s: 1,480 pages done over all runs, 480 of them now; 14 failed, 23 skipped, 252 waiting."
        in text
    )
    assert "1,480 items to pages.jsonl, 62.4 MB read over all runs; now 60.5 pages/s." in text


def test_a_summary_of_several_crawlers_tells_whose_is_what(crawl: CrawlReport) -> None:
    text = goes_on(crawl, state="c.db", resumed=True, done_before=1_000, is_shared=True)
    assert "1,480 pages done by all crawlers, 480 of them since this one began; 14 failed" in text
    assert "1,480 items in all, this crawler's to pages.jsonl; 62.4 MB read, 60.5 pages/s." in text


def test_a_summary_says_how_to_go_on(crawl: CrawlReport) -> None:
    text = goes_on(crawl, state="my crawl.db", stopped="interrupted")
    assert text.endswith(
        "\nTo go on, give the same command again.\n"
        "14 pages failed: scraper crawl … --retry-failed tries them again, "
        "scraper state 'my crawl.db' --export failed lists them.\n"
    )
    assert "again with a larger --max-pages.\n" in goes_on(crawl, state="c.db", stopped="max_pages")
    assert "To go on" not in goes_on(crawl, state="c.db", waiting=0)
    assert "--retry-failed" not in goes_on(crawl, state="c.db", failed=0)


def test_a_summary_says_what_is_lost(crawl: CrawlReport) -> None:
    lost = "What waited is lost. With --state FILE, the same command would go on with it."
    assert lost in goes_on(crawl, stopped="interrupted")
    assert lost in goes_on(crawl, has_failed=True)
    assert lost not in goes_on(crawl, stopped="interrupted", waiting=0)
    assert lost not in goes_on(crawl, stopped="max_pages")
    assert lost not in goes_on(crawl, stopped="interrupted", state="c.db")


def test_a_crawl_that_failed_did_not_finish(crawl: CrawlReport) -> None:
    assert goes_on(crawl, has_failed=True).startswith("Stopped after 24.7 s (it could not go on): 1,480 pages done")


@pytest.mark.parametrize("columns", [80, 120])
def test_sentences_break_between_words_and_addresses_do_not(
    crawl: CrawlReport, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    url = "https://docs.example.org/" + "long/" * 30
    shown = summary(replace(crawl, failed_pages=(FailedPage(url, "fetch", "timeout"),)), stream=Terminal())
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert [line for line in lines if len(line) > columns] == [f"      {url}  timeout"]
    assert "for all" in " ".join(line.strip() for line in lines)


def test_what_a_crawl_goes_on_with() -> None:
    stream = io.StringIO()
    print_resumption(console_for(stream), "c.db\x1b[2J", seen=5_000, done=800, waiting=4_150)
    assert stream.getvalue() == (
        "Going on with c.db[2J: 800 of 5,000 pages done, 4,150 waiting. "
        "Pages are counted over all runs, the rest in this one.\n"
    )


def test_progress_of_a_crawl_that_goes_on_does_not_count_earlier_pages_as_fast() -> None:
    stream = io.StringIO()
    with ProgressDisplay(console_for(stream), ended_before=1_000) as progress:
        progress.update(Moment(5.0, done=1_090, failed=10))
    assert "1,090 done, 20 pages/s" in stream.getvalue()


def test_a_summary_of_nothing_is_one_of_zeros() -> None:
    stream = io.StringIO()
    print_summary(console_for(stream), {})
    assert "0 pages done, 0 failed, 0 skipped, 0 waiting." in stream.getvalue()


def test_reasons_without_end_are_counted_together(crawl: CrawlReport) -> None:
    text = summary(crawl, failures={f"reason_{at}": 1 for at in range(500)})
    assert "492  of 492 other reasons" in text
    assert len(text.splitlines()) < 60


def test_no_colour_codes_where_no_terminal_is(crawl: CrawlReport) -> None:
    assert "\x1b" not in summary(crawl)
    assert "\x1b[1m" in summary(crawl, stream=Terminal())


def test_a_long_line_is_not_broken_where_no_terminal_is(crawl: CrawlReport) -> None:
    """So that a log can be searched for a URL."""
    url = "https://docs.example.org/" + "long/" * 30
    assert url in summary(replace(crawl, failed_pages=(FailedPage(url, "fetch", "timeout"),)))


HOSTILE = "http://evil/[bold red]x[/]\x1b]0;title\x07\x1b[2J\r\x9b5n\u202e[link=http://evil/]"


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_text_of_pages_cannot_command_a_terminal(stream: type[io.StringIO], crawl: CrawlReport) -> None:
    ours = summary(crawl, stream=Terminal())
    pages = (FailedPage(HOSTILE, HOSTILE, HOSTILE, HOSTILE),)
    verdict = {"bottleneck": HOSTILE, "evidence": HOSTILE, "advice": HOSTILE}
    text = summary(replace(crawl, failed_pages=pages), stream=stream(), failures={HOSTILE: 3}, verdict=verdict)
    assert "[bold red]x[/]" in text
    assert "\x1b]" not in text
    assert "\x1b[2J" not in text
    assert not set(text) & set("\x07\r\x9b\u202e")
    assert set(text) - set(ours) <= set(HOSTILE + summary(crawl, stream=stream()))


def test_an_encoding_that_lacks_a_character_gets_a_question_mark(crawl: CrawlReport) -> None:
    """A crawl of hours must not end in a UnicodeEncodeError of its own summary."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_summary(console_for(stream), crawl.stats, failed_pages=[FailedPage("http://x/ü", "fetch", "timeout", "日本")])
    stream.flush()
    assert b"http://x/?  ??" in stream.buffer.getvalue()


def test_the_comparison_shows_every_strategy_and_what_it_means(comparison: ComparisonReport) -> None:
    stream = io.StringIO()
    print_comparison(console_for(stream), comparison.rows)
    text = stream.getvalue()
    for shown in ("html.parser", "2 processes", "350", "×1.49", "18 ms", "1.3 s", "51.2 ms", "161 MB", "█"):
        assert shown in text
    assert "it is pure Python and holds the GIL" in text
    assert "…" not in text


def test_the_comparison_fits_a_narrow_terminal(comparison: ComparisonReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    console = console_for(stream)
    print_comparison(console, comparison.rows)
    assert console.width == 80
    assert "…" not in stream.getvalue()


def test_a_strategy_without_numbers_is_shown_with_its_status(comparison: ComparisonReport) -> None:
    broken = replace(comparison.rows[1], status="unsupported")
    stream = io.StringIO()
    print_comparison(console_for(stream), [comparison.rows[0], broken])
    assert "unsupported" in stream.getvalue()
    assert str(result_line(broken)) == "lxml in 2 threads: unsupported"
    assert str(result_line(comparison.rows[1])) == "lxml in 2 threads: 520 pages/s, event loop lag p99 18 ms"


def test_progress_in_a_pipe_is_a_line_now_and_then() -> None:
    stream = io.StringIO()
    with ProgressDisplay(console_for(stream), title="lxml") as progress:
        for tenth in range(121):
            lag_ms = 70.0 if tenth == 20 else 1.0
            progress.update(Moment(tenth / 10, done=tenth * 5, failed=tenth // 10, loop_lag_ms=lag_ms))
    lines = stream.getvalue().splitlines()
    assert lines == [
        "lxml: 5 s, 250 done, 51 pages/s, 90 waiting, 32 under way, 5 failed, loop lag 70 ms",
        "lxml: 10 s, 500 done, 51 pages/s, 90 waiting, 32 under way, 10 failed, loop lag 1 ms",
    ]


def test_progress_in_a_terminal_is_redrawn_and_leaves_nothing() -> None:
    stream = Terminal()
    with ProgressDisplay(console_for(stream)) as progress:
        for at in range(1, 10):
            progress.update(Moment(at / 4, done=at * 10, failed=2, items=at * 10, bytes=at * 100_000))
    text = stream.getvalue()
    for shown in ("90 of 100 done", "40 pages/s", "90 waiting", "32 under way", "2 failed", "loop lag 1 ms", "900 kB"):
        assert shown in text
    assert text.count("waiting") == 10  # nine drawings, and one more as rich takes it away
    assert text.rstrip("\n").endswith("\x1b[2K")


def test_progress_says_what_limits_the_crawl_as_soon_as_that_is_known() -> None:
    limit = "parsing (2 processes 97% busy)"
    for stream in (io.StringIO(), Terminal()):
        with ProgressDisplay(console_for(stream, has_colours=False)) as progress:
            progress.update(Moment(6.0, done=5))
            assert "limited" not in stream.getvalue()
            progress.update(Moment(12.0, done=50, limited_by=limit))
        shown = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
        assert f"limited by{':' if stream.isatty() else ''} {limit}" in shown


def test_progress_is_drawn_five_times_a_second_at_most() -> None:
    """Drawing costs the event loop time, and a crawl may give a snapshot for every page."""
    stream = Terminal()
    with ProgressDisplay(console_for(stream)) as progress:
        for at in range(1, 1_001):
            progress.update(Moment(at / 1_000, done=at))
    assert stream.getvalue().count("waiting") <= 6


def test_quiet_prints_nothing(crawl: CrawlReport, comparison: ComparisonReport) -> None:
    for stream in (io.StringIO(), Terminal()):
        console = console_for(stream, is_quiet=True)
        with ProgressDisplay(console) as progress:
            progress.update(Moment(10.0, done=5))
        print_summary(console, crawl.stats)
        print_comparison(console, comparison.rows)
        assert stream.getvalue() == ""


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with ProgressDisplay(console_for(stream)) as progress:
        progress.update(Moment(6.0, done=5))
    assert "6 s, 5 done" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
