from __future__ import annotations

import subprocess
import sys

import pytest

from scraper.offload import describe
from scraper.offload.describe import describe_error
from tests.offload import functions


def test_a_worker_loads_nothing_that_it_does_not_need() -> None:
    """Every worker pays for it at its start, in time and in memory."""
    program = (
        "import sys, scraper.offload.worker\n"
        "heavy = {'asyncio', 'dataclasses', 'inspect', 'aiohttp', 'lxml', 'anyio', 'rich', 'subprocess', 'tempfile'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def raised(kind: str) -> BaseException:
    try:
        functions.misbehave(kind)
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError(kind)


def test_an_error_is_described_with_its_line() -> None:
    error = raised("raises")
    assert error.__traceback__ is not None
    assert error.__traceback__.tb_next is not None
    line = error.__traceback__.tb_next.tb_lineno
    assert describe_error(error) == f"ValueError: bad page (functions.py:{line})"


def test_the_line_is_of_the_functions_own_file_not_of_a_library() -> None:
    def parse() -> None:
        import json

        json.loads("{")

    with pytest.raises(ValueError, match="Expecting") as raised:
        parse()
    assert describe_error(raised.value).endswith(f"(test_worker.py:{parse.__code__.co_firstlineno + 3})")


def test_a_long_message_is_cut() -> None:
    assert len(describe_error(ValueError("x" * 100_000))) < 2000


@pytest.mark.parametrize(
    ("returncode", "text"), [(3, "exit code 3"), (-11, "killed by SIGSEGV"), (-63, "killed by signal 63")]
)
def test_exits_are_described(returncode: int, text: str) -> None:
    assert describe.describe_exit(returncode) == text
