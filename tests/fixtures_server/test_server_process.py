"""The child process: it is there when it should be, and gone when it should be."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixtures_server import CorpusOptions, FixtureServer, FixtureServerError, OptionsRefused, SiteOptions

ROOT = Path(__file__).parents[2]
OPTIONS = SiteOptions(pages=5)


def _children() -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process().children()
    return [child for child in found if "fixtures_server" in " ".join(child.cmdline())]


async def test_the_server_runs_beside_this_process_for_the_length_of_the_block(ask: Callable[..., Any]) -> None:
    async with FixtureServer(OPTIONS) as site:
        server = psutil.Process(site.pid)
        assert server.pid != os.getpid()
        assert server.ppid() == os.getpid()
        assert ask(site.url).status == 200
        assert site.url in repr(site)
    assert not server.is_running()
    assert "not running" in repr(site)


def test_it_works_without_an_event_loop(ask: Callable[..., Any]) -> None:
    with FixtureServer(OPTIONS) as site:
        server = psutil.Process(site.pid)
        assert ask(site.url_of(4)).status == 200
    assert not server.is_running()


async def test_it_can_be_started_again(ask: Callable[..., Any]) -> None:
    server = FixtureServer(OPTIONS)
    for _ in range(2):
        async with server as site:
            assert ask(site.url).status == 200


async def test_the_addresses_are_those_of_the_pages(ask: Callable[..., Any]) -> None:
    async with FixtureServer(OPTIONS) as site:
        assert site.urls() == {site.url_of(page) for page in range(5)}
        assert {ask(url).status for url in site.urls()} == {200}
        assert site.url_of(0) == site.url
        assert site.fault("flaky", key="a b", fails=3) == site.url + "faults/flaky?key=a+b&fails=3"
        with pytest.raises(IndexError):
            site.url_of(5)


async def test_pages_are_the_same_as_the_options_make_them_here(ask: Callable[..., Any]) -> None:
    """The oracle in this process and the pages in the other come from one description."""
    options = SiteOptions(pages=9, page_bytes=3000, links_per_page=6, fan_out=3, seed=11)
    async with FixtureServer(options) as site:
        for page in range(9):
            resource = site.content.resource(site.content.paths()[page])
            assert resource is not None
            assert ask(site.url_of(page)).body == resource.body


def test_outside_its_block_it_has_no_address() -> None:
    site = FixtureServer(OPTIONS)
    with pytest.raises(FixtureServerError, match="not running"):
        _ = site.url
    with pytest.raises(FixtureServerError, match="not running"):
        _ = site.pid


async def test_it_is_not_entered_twice() -> None:
    async with FixtureServer(OPTIONS) as site:
        with pytest.raises(FixtureServerError, match="running already"):
            await site.__aenter__()
        assert len(_children()) >= 1


async def test_a_failure_to_start_is_told_in_its_own_words(tmp_path: Path) -> None:
    for site, said in (
        (FixtureServer(OPTIONS, host="192.0.2.1"), "192.0.2.1 is not a loopback address"),
        (FixtureServer(OPTIONS, log_file=tmp_path / "no" / "such" / "log"), "No such file or directory"),
    ):
        with pytest.raises(FixtureServerError, match=said):
            async with site:
                pass
        with pytest.raises(FixtureServerError, match=said), site:
            pass


def test_a_directory_that_cannot_be_served_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(OptionsRefused, match="holds no file"):
        FixtureServer(CorpusOptions(tmp_path))


async def test_a_server_that_died_is_told(ask: Callable[..., Any]) -> None:
    async with FixtureServer(OPTIONS) as site:
        os.kill(site.pid, signal.SIGKILL)
        psutil.Process(site.pid).wait(10)
        with pytest.raises(FixtureServerError, match="does not answer"):
            await site.access_log()
        with pytest.raises(FixtureServerError, match="does not answer"):
            site.access_log_blocking()


async def test_cancelling_the_start_leaves_nothing_behind() -> None:
    before = _children()
    starting = asyncio.create_task(FixtureServer(OPTIONS).__aenter__())
    await asyncio.sleep(0)
    assert len(_children()) == len(before) + 1
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert _children() == before


async def test_another_loopback_address_will_do(ask: Callable[..., Any]) -> None:
    async with FixtureServer(OPTIONS, host="127.0.0.2") as site:
        assert site.url.startswith("http://127.0.0.2:")
        assert ask(site.url).status == 200


async def test_what_the_child_is_told_comes_through(tmp_path: Path, ask: Callable[..., Any]) -> None:
    """Every option has its argument: a corpus, packed, in a directory whose name is odd."""
    directory = tmp_path / "--odd name"
    directory.mkdir()
    (directory / "a.html").write_text("<p>")
    async with FixtureServer(CorpusOptions(directory, gzip=True, latency_s=0.001, seed=-1)) as site:
        assert ask(site.url_of(1), Accept_Encoding="gzip").headers["Content-Encoding"] == "gzip"


CRASH = """
    import os, signal, sys
    from fixtures_server import FixtureServer, SiteOptions

    site = FixtureServer(SiteOptions(pages=3)).__enter__()
    if sys.argv[1] == "fork" and os.fork() == 0:
        signal.pause()
    print(site.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _wait_until_ended(process: psutil.Process) -> None:
    """Return when a process has ended; it may stay a zombie until whoever adopted it looks."""
    try:
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
    except psutil.NoSuchProcess:
        pass


@pytest.mark.parametrize("how", ["alone", "fork"])
def test_it_ends_with_a_parent_that_was_killed(how: str) -> None:
    """Also where a process forked from the parent lives on and holds the pipe to the server open."""
    crash = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CRASH), how],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        assert crash.stdout is not None
        server = psutil.Process(int(crash.stdout.readline()))
        crash.wait(10)
        _wait_until_ended(server)
    finally:
        if how == "fork":
            os.killpg(crash.pid, signal.SIGKILL)
        crash.stdout.close()  # type: ignore[union-attr]
