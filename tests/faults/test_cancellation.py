"""Programs that cancel a durable crawl anywhere; see `tests.faults.cancelled`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("how", ["task", "timeout"])
def test_a_crawl_that_is_cancelled_at_any_step_goes_on_as_if_it_had_not_been(tmp_path: Path, how: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.faults.cancelled", str(tmp_path), how],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert json.loads(run.stdout)["steps"] > 20
