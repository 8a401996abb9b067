"""What functions print and log in workers, and where it comes out."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scraper.errors import WorkerCrashed
from scraper.offload import OffloadPool
from tests.offload import faults

ROOT = Path(__file__).parents[2]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


async def speak(*tasks: tuple[str, str]) -> None:
    async with OffloadPool(faults.speak, executor="process", workers=1) as pool:
        for task in tasks:
            await pool.run(task)


def said(log: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    return [entry for entry in log.record_tuples if entry[0] in ("scraper.worker", "tests.speaker")]


async def test_prints_are_logged_with_their_worker(log: pytest.LogCaptureFixture) -> None:
    await speak(("print", "one\ntwo"), ("print without end of line", "three"), ("complain", "four"))
    assert said(log) == [
        ("scraper.worker", logging.INFO, "worker process 0: one"),
        ("scraper.worker", logging.INFO, "worker process 0: two"),
        ("scraper.worker", logging.INFO, "worker process 0: three"),
        ("scraper.worker", logging.WARNING, "worker process 0: four"),
    ]


async def test_records_come_out_under_their_own_name(log: pytest.LogCaptureFixture) -> None:
    await speak(("warn", "it is 5 % full"), ("log an error", "bad page"))
    assert said(log) == [
        ("tests.speaker", logging.WARNING, "it is 5 % full"),
        ("tests.speaker", logging.ERROR, "it went wrong"),
    ]
    record = log.records[-1]
    assert record.processName == "worker process 0"
    assert record.filename == "faults.py"
    assert record.exc_text is not None
    assert record.exc_text.startswith("Traceback")
    assert "ValueError: invalid literal for int() with base 10: 'bad page'" in record.exc_text


async def test_workers_send_no_record_that_nobody_wants(log: pytest.LogCaptureFixture) -> None:
    async with OffloadPool(faults.speak, executor="process", workers=1) as pool:
        assert await pool.run(("debug", "detail")) is False
    log.set_level(logging.DEBUG, "tests.speaker")
    async with OffloadPool(faults.speak, executor="process", workers=1) as pool:
        assert await pool.run(("debug", "detail")) is True
    assert said(log) == [("tests.speaker", logging.DEBUG, "detail")]


async def test_what_is_printed_before_a_crash_arrives(log: pytest.LogCaptureFixture) -> None:
    async with OffloadPool(faults.speak, executor="process", workers=1) as pool:
        with pytest.raises(WorkerCrashed):
            await pool.run(("print and die", "last words"))
    assert [text for _, _, text in said(log)] == ["worker process 0: last words"] * 2  # it ran twice


async def test_a_flood_of_prints_is_cut_and_counted(log: pytest.LogCaptureFixture) -> None:
    await speak(("flood", "50000"), ("print", "the next page"))
    lines = [text for _, _, text in said(log)]
    assert lines[:2] == ["worker process 0: line 0", "worker process 0: line 1"]
    assert lines[-2:] == [
        "worker process 0: 49,800 further lines of one page were left out",
        "worker process 0: the next page",
    ]
    assert len(lines) == 202


async def test_a_long_line_is_cut(log: pytest.LogCaptureFixture) -> None:
    await speak(("one long line", "3000000"))
    [(_, _, text)] = said(log)
    assert len(text) < 5000
    assert text.endswith("x…")


async def test_a_destructor_may_print(log: pytest.LogCaptureFixture) -> None:
    await speak(("destroy", "gone"))
    assert [text for _, _, text in said(log)] == ["worker process 0: gone"]


async def test_output_of_c_code_goes_to_the_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    await speak(("write by C", "one\n"), ("write by C to the output", "two\n"))
    assert capfd.readouterr() == ("", "one\ntwo\n")


async def test_a_child_of_a_worker_does_not_write_into_its_socket(capfd: pytest.CaptureFixture[str]) -> None:
    await speak(("fork and print", "from the child"))
    assert capfd.readouterr() == ("", "from the child\n")


async def test_prints_that_the_log_would_not_show_go_to_the_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The root logger lets through warnings only, unless somebody says otherwise."""
    await speak(("print", "to be seen"))
    assert capsys.readouterr() == ("", "to be seen\n")


PROGRAM = """
import asyncio
from scraper.offload import OffloadPool

async def main():
    async with OffloadPool("tests.offload.faults:speak", executor="process", workers=1) as pool:
        await pool.run(("print", "printed"))
        await pool.run(("warn", "warned"))

asyncio.run(main())
"""


def test_a_program_without_logging_sees_everything_on_its_standard_error() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "printed\nwarned\n")


async def test_a_filter_of_the_program_that_fails_loses_no_page(log: pytest.LogCaptureFixture) -> None:
    def refuse(_: logging.LogRecord) -> bool:
        raise LookupError("a bug of the program's")

    logging.getLogger("tests.speaker").addFilter(refuse)
    try:
        async with OffloadPool(faults.speak, executor="process", workers=1) as pool:
            assert await pool.run(("warn", "never seen")) is None
    finally:
        logging.getLogger("tests.speaker").removeFilter(refuse)
    assert "could not be logged" in log.text
