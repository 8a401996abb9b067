"""The sign of life of a crawler, and what it had in its hands when it died."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scraper.errors import StateRefused
from scraper.frontier.state import presence as presence_module
from scraper.frontier.state.presence import Presence, forget, is_alive, under_way
from scraper.model import Request
from tests.faults.disk import small_disk
from tests.frontier.conftest import Opening
from tests.frontier.model import done, durable_frontier, finish, lease, lease_all

PAGES = [Request(f"http://site.test/{number}") for number in range(4)]

HOLDER = """
import sys
from scraper.frontier.state.presence import Presence
presence = Presence(sys.argv[1], int(sys.argv[2]))
for request in map(int, sys.argv[3:]):
    presence.take(request)
presence.give_back(int(sys.argv[3]))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(state: Path) -> str:
    return str(state)


def test_a_crawler_lives_from_its_beginning_to_its_end(path: str) -> None:
    assert not is_alive(path, 1)
    presence = Presence(path, 1)
    assert is_alive(path, 1)
    assert is_alive(path, 1), "who looked has not taken the lock"
    assert not is_alive(path, 2)
    presence.close()
    assert not is_alive(path, 1)
    assert list(Path(path).parent.iterdir()) == []


def test_what_is_under_way_can_be_read_by_others(path: str) -> None:
    presence = Presence(path, 1)
    try:
        for request in (7, 1, 2**62):
            presence.take(request)
        presence.give_back(1)
        assert sorted(under_way(path, 1)) == [7, 2**62]
        presence.give_back(7)
        presence.take(9)
        assert sorted(under_way(path, 1)) == [9, 2**62]
    finally:
        presence.close()
    assert under_way(path, 1) == []


def test_a_place_is_not_given_twice(path: str) -> None:
    presence = Presence(path, 1)
    try:
        presence.take(5)
        with pytest.raises(BlockingIOError):
            Presence(path, 1)
    finally:
        presence.close()


@pytest.fixture
def holder(path: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, path, "1", "11", "12", "13"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_the_kernel_tells_when_a_crawler_was_killed(path: str, holder: subprocess.Popen[str]) -> None:
    assert is_alive(path, 1)
    holder.send_signal(signal.SIGKILL)
    assert holder.wait() == -signal.SIGKILL
    assert not is_alive(path, 1)
    assert sorted(under_way(path, 1)) == [12, 13]
    forget(path, 1)
    assert under_way(path, 1) == []
    forget(path, 1)


def test_one_that_is_stopped_still_lives(path: str, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGSTOP)
    assert is_alive(path, 1)
    holder.send_signal(signal.SIGCONT)


def test_a_file_that_was_cut_short_is_read_as_far_as_it_goes(path: str) -> None:
    presence = Presence(path, 1)
    try:
        file = Path(f"{path}-crawler-1")
        presence.take(3)
        data = file.read_bytes()
    finally:
        presence.close()
    file.write_bytes(data[: len(data) // 2 + 3])
    assert under_way(path, 1) == [3]
    file.write_bytes(b"\x03\0")
    assert under_way(path, 1) == []


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 256) as disk:
        yield disk


def test_a_disk_without_room_is_told_at_once(disk: Path) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        Presence(str(disk / "crawl.db"), 1)
    assert list(disk.iterdir()) == []


async def test_a_crawl_on_a_disk_without_room_is_refused_in_words(disk: Path) -> None:
    front = durable_frontier(disk / "crawl.db")
    with pytest.raises(StateRefused, match="no space left on the disk"):
        await front.open(PAGES)
    await front.aclose()


async def test_no_more_is_leased_than_there_are_slots(opened: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_module, "SLOTS", 2)
    front = await opened(PAGES)
    first, second = lease_all(front)
    front.fetched(first, None, 0.0)
    assert front.lease(0.0) is None
    await finish(front, done(first))
    assert lease(front).request.url == "http://site.test/2"
    assert front.lease(0.0) is None
    assert second.request.url == "http://site.test/1"
