import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures_server import FixtureServer, LogEntry, SiteOptions
from fixtures_server.access_log import AccessLog, read_log
from fixtures_server.request import Headers


async def test_an_entry_tells_what_was_asked_and_answered(site: FixtureServer, ask: Callable[..., Any]) -> None:
    await site.reset()
    before = time.time()
    ask(site.url_of(1) + "?q=1", User_Agent="crawler/1", X_Extra="yes")
    ask(site.url + "nowhere", "HEAD")
    first, second = await site.access_log()
    assert (first.method, first.path, first.status) == ("GET", "/page/1?q=1", 200)
    assert (first.user_agent, first.host) == ("crawler/1", site.url.removeprefix("http://").rstrip("/"))
    assert ("x-extra", "yes") in first.headers
    assert first.sent_bytes > 4000
    assert (second.method, second.path, second.status) == ("HEAD", "/nowhere", 404)
    assert 0 < second.sent_bytes < 200
    assert first.connection != second.connection
    assert first.duration_s is not None
    assert before - 1 < first.time_s <= second.time_s < time.time() + 1


async def test_requests_of_one_connection_are_known_by_its_number(site: FixtureServer) -> None:
    await site.reset()
    host, port = site.url.removeprefix("http://").rstrip("/").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\n\r\n" * 2 + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()
    assert len({entry.connection for entry in await site.access_log()}) == 1
    assert len(await site.access_log()) == 3


async def test_reading_the_log_leaves_no_trace_in_it(site: FixtureServer) -> None:
    await site.reset()
    await site.access_log()
    assert await site.access_log() == []
    assert site.access_log_blocking() == []


async def test_what_cannot_be_understood_is_in_the_log(site: FixtureServer, send: Callable[..., bytes]) -> None:
    await site.reset()
    send(site.url, b"nonsense\r\n\r\n")
    assert [entry.status for entry in await site.access_log()] == [400]


async def test_the_file_has_what_the_memory_has(tmp_path: Path, ask: Callable[..., Any]) -> None:
    file = tmp_path / "access.jsonl"
    async with FixtureServer(SiteOptions(pages=3), log_file=file) as site:
        for url in sorted(site.urls()):
            ask(url)
        ask(site.fault("status", code=500))
        log = await site.access_log()
    assert [LogEntry.from_json(line) for line in file.read_text().splitlines()] == log
    assert read_log(file) == [replace(entry, headers=()) for entry in log]
    assert len(log) == 4


def test_fields_that_are_not_known_are_left_out() -> None:
    log = AccessLog()
    log.finish(log.begin(1, "GET", "/", Headers(b"Host: x\r\n")))
    line = json.dumps(json.loads(log.json_lines()) | {"added_later": 1})
    assert LogEntry.from_json(line).host == "x"


def test_an_answer_counts_once() -> None:
    """A connection that breaks after the answer was sent does not make it take longer."""
    log = AccessLog()
    record = log.begin(1, "GET", "/", Headers(b""))
    log.finish(record)
    duration_s = record.duration_s
    log.finish(record)
    assert record.duration_s == duration_s


async def test_only_a_post_resets(site: FixtureServer, ask: Callable[..., Any]) -> None:
    await site.reset()
    ask(site.url)
    assert ask(site.url + "-/reset").status == 405
    assert len(await site.access_log()) == 1


async def test_a_wait_that_an_answer_asked_for_is_in_its_entry(site: FixtureServer, ask: Callable[..., Any]) -> None:
    await site.reset()
    ask(site.fault("too-many-requests", retry_after=7, key="in the log"))
    ask(site.fault("too-many-requests", retry_after="Wed, 21 Oct 2015 07:28:00 GMT", key="a date"))
    ask(site.fault("too-many-requests", retry_after="soon", key="no number"))
    ask(site.url)
    assert [entry.retry_after_s for entry in await site.access_log()] == [7.0, 0.0, None, None]


async def test_a_request_is_under_way_until_the_last_of_its_answer(
    site: FixtureServer, ask: Callable[..., Any]
) -> None:
    """Or until its connection breaks: what was sent before that is not its end."""
    await site.reset()
    ask(site.fault("slow", wait_s=0.05))
    with pytest.raises(ConnectionResetError):
        ask(site.fault("reset"))
    for entry in await site.access_log():
        assert entry.duration_s is not None
        assert entry.duration_s >= 0.049  # event loops round their timers
