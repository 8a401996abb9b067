"""What a terminal shows of a state file; `scraper state` itself is tested with the command line."""

import io
import re
from pathlib import Path
from typing import Any

import pytest

from scraper.report import console_for
from scraper.report.state_text import print_state

NOW_S = 1_764_115_200.0  # 2025-11-26 00:00:00 UTC

STATE: dict[str, Any] = {
    "path": "crawl.db",
    "format": 1,
    "handler": "shop.py:parse",
    "scope": "domain",
    "max_depth": 6,
    "seeds": ["https://a.example/", "https://b.example/", "https://c.example/", "https://d.example/"],
    "places": 12,
    "seen": 120_450,
    "done": 80_000,
    "failed": 320,
    "skipped": 130,
    "waiting": 40_000,
    "delayed": 3,
    "next_due_s": NOW_S + 4.2,
    "last_due_s": NOW_S + 90,
    "items": 79_321,
    "bytes": 1_930_000_000,
    "hosts": 12,
    "failures": {"http_404": 300, "crashes": 1, "timeout": 19},
    "skips": {"content_type": 130},
    "dropped": {},
    "outputs": [
        {"path": "/data/items.jsonl", "part": 1, "committed": {"bytes": 41_000_000, "crc": 1}, "crawler": 4},
        {"path": "/data/items.jsonl", "part": 2, "committed": None, "crawler": None},
        {"path": "/data/items.sqlite", "part": 1, "committed": {"rows": 1_234, "columns": {}}, "crawler": 4},
        {
            "path": "/data/items.parquet",
            "part": 1,
            "crawler": 4,
            "committed": {"part": 3, "bytes": 500_000, "crc": 1, "parts_bytes": 2_000_000},
        },
    ],
    "items_here": None,
    "crawlers": [],
    "suspects": [
        {"url": "https://a.example/bad", "state": "waiting", "crashes": 2, "is_suspected": True},
        {"url": "https://a.example/bystander", "state": "waiting", "crashes": 1, "is_suspected": False},
    ],
    "suspects_in_all": 2,
}
ALIVE: dict[str, Any] = {
    "number": 4,
    "process": 4711,
    "command": "scraper crawl https://a.example/ --state crawl.db --join",
    "started": "2025-11-25T23:55:00+00:00",
    "joined": True,
    "alive": True,
    "under_way": 8,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO | None = None, **changes: Any) -> str:
    stream = stream or io.StringIO()
    print_state(
        console_for(stream),
        {**STATE, **changes},
        part_path=lambda path, part: path if part == 1 else path.replace(".", f".{part}."),
        now_s=NOW_S,
    )
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())


def test_what_crawl_it_is_and_how_far() -> None:
    text = shown()
    assert text.startswith("A crawl of https://a.example/, https://b.example/, https://c.example/ and 9 more\n")
    assert "With handler shop.py:parse, scope domain, at most 6 links from a seed." in text
    assert "120,450 pages seen: 80,000 done, 320 failed, 130 skipped, 40,000 waiting." in text
    assert "Of the waiting, 3 are to be tried again: the first in 4 s, the last in 90 s." in text
    assert "79,321 items, 1.93 GB read, 12 hosts met, over all runs." in text
    assert text.index("http_404") < text.index("timeout") < text.index("crashes ")
    assert "the crawler died with this page again and again" in text


def test_a_time_that_has_come_is_now() -> None:
    assert "Of the waiting, 1 is to be tried again now." in shown(delayed=1, next_due_s=NOW_S - 5, last_due_s=NOW_S - 5)
    assert "tried again" not in shown(delayed=0, next_due_s=None, last_due_s=None, failed=0)


def test_how_far_each_output_is() -> None:
    text = shown(items_here=7)
    lines = [line.split("  ") for line in text.splitlines() if "/data/" in line or "this file" in line]
    assert [(line[-2].strip(), line[-1]) for line in lines] == [
        ("7 rows", "table items of this file"),
        ("41 MB", "/data/items.jsonl"),
        ("nothing yet", "/data/items.2.jsonl"),
        ("1,234 rows", "/data/items.sqlite"),
        ("2.5 MB", "/data/items.parquet"),
    ]


def test_a_path_below_this_folder_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output = {"path": str(tmp_path / "out" / "o.csv"), "part": 1, "committed": {"bytes": 5, "crc": 1}, "crawler": None}
    assert "  5 bytes  out/o.csv\n" in shown(outputs=[output])


def test_who_works_on_it() -> None:
    dead = {**ALIVE, "process": 12, "joined": False, "alive": False, "under_way": 1}
    text = shown(crawlers=[ALIVE, dead])
    assert "  process 4711, for 5 min, 8 requests under way, joined\n" in text
    assert "  process 12 is dead; it had 1 request under way, which the next crawler tries again\n" in text
    assert "    scraper crawl https://a.example/ --state crawl.db --join\n" in text


def test_only_what_crawlers_died_with_twice_is_suspected() -> None:
    text = shown()
    assert "2 crashes  https://a.example/bad\n" in text
    assert "bystander" not in text


MADE = "  scraper crawl --state crawl.db --handler shop.py:parse --scope domain --max-depth 6\nwith the same --output"


def test_how_to_go_on_where_nobody_is_at_it() -> None:
    assert f"To go on:\n{MADE} and --failures as before.\n" in shown()
    assert "--output crawl.db\nwith the same --failures as before.\n" in shown(items_here=7)
    assert "as before" not in shown(outputs=[])
    assert "Nothing waits: the crawl is finished.\n" in shown(waiting=0)
    assert "--retry-failed" in shown()
    assert "--retry-failed" not in shown(failed=0)


@pytest.mark.parametrize(
    ("command", "is_given"),
    [
        ("scraper crawl https://a.example/ --state crawl.db", True),
        ("__main__.py crawl https://a.example/ --state crawl.db", True),
        ("scraper crawl https://a.example/?a=1&b=2 --state crawl.db", False),  # a shell would read it otherwise
        ("scraper crawl 'https://a.example/?a=1&b=2' --state crawl.db", True),
        ("scraper crawl 'https://a.example/ --state crawl.db", False),
        ("scraper crawl https://a.example/ --state crawl.db".ljust(1_000, "x"), False),  # it was cut
        ("shop.py", False),
    ],
)
def test_the_command_of_a_dead_crawler_is_given_if_it_is_whole(command: str, is_given: bool) -> None:
    text = shown(crawlers=[{**ALIVE, "alive": False, "command": command}])
    given = f"To go on:\n  {command.replace('__main__.py', 'scraper')}\n"
    assert (given in text) is is_given
    assert (MADE in text) is not is_given


def test_how_to_go_on_where_somebody_is_at_it() -> None:
    assert f"To help, give the same command with --join:\n  {ALIVE['command']}\n" in shown(crawlers=[ALIVE])
    alone = shown(crawlers=[{**ALIVE, "joined": False}])
    assert "To " not in alone
    assert "The failed pages are listed by:\n  scraper state crawl.db --export failed\n" in alone


@pytest.mark.parametrize("columns", [80, 120])
def test_it_fits_a_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences break between words; what is to be copied stays whole."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    lines = shown(Terminal(), path="a_long_name_" * 12, crawlers=[ALIVE]).splitlines()
    assert [line for line in lines if len(line) > columns] == [f"  scraper state {'a_long_name_' * 12} --export failed"]


def test_text_of_strangers_commands_no_terminal() -> None:
    hostile = "http://evil/[bold red]x[/]\x1b]0;title\x07\x1b[2J\r\x9b5n\u202e"
    text = shown(
        Terminal(),
        seeds=[hostile],
        handler=hostile,
        failures={hostile: 3},
        crawlers=[{**ALIVE, "command": hostile, "alive": False}],
        suspects=[{"url": hostile, "state": "waiting", "crashes": 5, "is_suspected": True}],
        outputs=[{"path": hostile, "part": 1, "committed": None, "crawler": None}],
    )
    assert "[bold red]x[/]" in text
    assert not set(text) & set("\x1b\x07\r\x9b\u202e")
