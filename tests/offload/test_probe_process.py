"""The probe on functions that behave and on those that do not: real processes that really die."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import scraper
from scraper.errors import FunctionFailed, HandlerNotImportable, WorkerCrashed, WorkerStartFailed
from scraper.offload.costs import LoopCost, Machine
from scraper.offload.probe.judge import Setting, judge
from scraper.offload.probe.process import Probing
from scraper.offload.probe.values import Measured, ProbeReport
from scraper.offload.values import Work

HERE = "tests.offload.probed"
SETTING = Setting(Machine(2, 1.7), 2, LoopCost(), ["inline", "thread", "process"])
PAGES = [b"x" * 100] * 4


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if _is_probe(child)]


def _is_probe(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE or "scraper.offload.probe.child" in " ".join(process.cmdline())
    except psutil.ZombieProcess:
        return True
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Iterator[None]:
    yield
    assert children() == []


def measure(
    name: str, *, budget_s: float = 1.0, pages: list[bytes] = PAGES, memory_bytes: int | None = None
) -> Measured:
    blobs = [pickle.dumps(page) for page in pages]
    return Probing(Work.of(f"{HERE}:{name}"), blobs, budget_s=budget_s, memory_bytes=memory_bytes).run()


def report(name: str, **options: Any) -> ProbeReport:
    return judge(name, measure(name, **options), SETTING)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("waits", "waiting"), ("computes", "python"), ("hashes", "native"), ("backtracks", "native-held")],
)
def test_a_function_is_named_after_what_it_does(name: str, kind: str) -> None:
    assert report(name, budget_s=2.0).kind == kind


def test_a_lock_that_threads_share_is_found() -> None:
    """Two threads show it, where they have two CPUs; a machine that is busy with other things is said to be."""
    found = report("hashes_in_turn", budget_s=3.0)
    assert found.cost.serial_s > 0 or any("busy" in note for note in found.notes)


def test_what_crosses_is_measured() -> None:
    crossing = measure("hashes").crossing
    assert crossing is not None
    assert crossing.payload_bytes > 100
    assert crossing.result_bytes > 32
    assert crossing.main_s > 0


def test_a_call_that_never_returns_is_python_if_it_is_python() -> None:
    started_s = time.monotonic()
    found = report("never_returns", budget_s=1.5)
    assert time.monotonic() - started_s < 30
    assert not found.is_finished
    assert found.kind == "python"
    assert found.recommended == "process"


def test_a_call_that_never_returns_and_keeps_the_gil_is_seen_from_outside() -> None:
    found = report("never_lets_go", budget_s=1.5)
    assert not found.is_finished
    assert found.kind == "native-held"


def test_a_call_that_sleeps_with_the_gil_waits() -> None:
    assert report("sleeps_with_the_gil", budget_s=1.5).kind == "waiting"


@pytest.mark.parametrize("name", ["returns_once", "hangs_later"])
def test_a_function_that_hangs_later_is_given_up(name: str) -> None:
    found = report(name, budget_s=1.5)
    assert not found.is_finished
    assert found.recommended == "process"


def test_a_slow_first_call_does_not_stand_for_the_others() -> None:
    """It imported something, say."""
    found = report("first_call_is_slow", budget_s=2.0)
    assert found.kind == "python"
    assert found.cost.wall_s < 0.4


def test_a_function_that_takes_long_is_judged_within_the_budget() -> None:
    started_s = time.monotonic()
    found = report("takes_long", budget_s=2.0)
    assert time.monotonic() - started_s < 30
    assert found.is_finished
    assert found.kind == "python"
    assert found.cost.cpu_s == pytest.approx(0.7, rel=0.3)


@pytest.mark.parametrize(("name", "how"), [("exits", "exit code 3"), ("dies_of_a_signal", "SIGSEGV")])
def test_a_function_that_ends_its_process_is_told_of(name: str, how: str) -> None:
    with pytest.raises(WorkerCrashed, match=f"{name}.*{how}.*page 1"):
        measure(name)


@pytest.mark.parametrize(
    ("name", "what"), [("raises", r"ValueError: no such thing \(probed.py:\d+\)"), ("leaves", "SystemExit: 3")]
)
def test_a_function_that_raises_on_every_page_is_refused_with_what_it_raised(name: str, what: str) -> None:
    with pytest.raises(FunctionFailed, match=f"every page.*{what}"):
        measure(name)


def test_a_page_on_which_it_raises_only_later_is_told_once() -> None:
    found = report("raises_the_second_time", pages=[b"good", b"bad", b"good too"])
    assert [failure.index for failure in found.failures] == [1]
    assert "bad page" in found.failures[0].detail


def test_pages_on_which_it_raises_are_left_out_and_told() -> None:
    found = report("raises_on_some", pages=[b"good", b"bad", b"good"])
    assert [failure.index for failure in found.failures] == [1]
    assert "bad page" in found.failures[0].detail
    assert found.kind == "python"


def test_what_it_prints_is_not_seen(capfd: pytest.CaptureFixture[str]) -> None:
    measure("prints")
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits what a process maps")
def test_memory_is_limited() -> None:
    with pytest.raises(FunctionFailed, match="MemoryError"):
        measure("takes_all_memory", budget_s=5.0, memory_bytes=500_000_000)


def test_results_that_do_not_pickle_are_told() -> None:
    found = report("returns_a_lambda")
    assert "process" not in found.predicted
    assert any("cannot leave a process" in note for note in found.notes)


def test_a_function_that_dies_beside_another_thread_has_its_figures_nevertheless() -> None:
    found = report("dies_of_company", budget_s=2.0)
    assert found.kind == "python"
    assert "thread" not in found.predicted
    assert any("exit code 4" in note for note in found.notes)


def test_a_function_that_does_not_import_is_refused() -> None:
    with pytest.raises(HandlerNotImportable, match="nowhere"):
        measure("nowhere")


def test_a_module_that_ends_its_process_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "ends.py"
    script.write_text("import os\nos._exit(5)\ndef f(body): pass\n")
    with pytest.raises(WorkerStartFailed, match="exit code 5"):
        Probing(Work.of(f"{script}:f"), [pickle.dumps(b"")], budget_s=1.0, memory_bytes=None).run()


def test_a_function_that_leaves_other_threads_has_its_figures_nevertheless() -> None:
    found = measure("leaves_threads")
    assert found.alone is not None
    assert found.together is None


async def test_cancelling_ends_the_child() -> None:
    probing = asyncio.create_task(scraper.probe(f"{HERE}:never_returns", PAGES, raw=True, budget_s=30.0))
    while not children():  # a process table has no events
        await asyncio.sleep(0.01)
    probing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probing
    assert children() == []


def test_a_cancelled_probe_does_not_start() -> None:
    probing = Probing(Work.of(f"{HERE}:computes"), [pickle.dumps(b"")], budget_s=1.0, memory_bytes=None)
    probing.cancel()
    with pytest.raises(WorkerCrashed, match="cancelled"):
        probing.run()


@pytest.mark.parametrize("name", ["never_returns", "never_lets_go"])
def test_the_child_dies_with_its_parent(name: str) -> None:
    """Also where it would never find the time to notice."""
    if name == "never_lets_go" and sys.platform != "linux":
        pytest.skip("only Linux can signal the end of a pipe")
    program = (
        "import pickle\n"
        "from scraper.offload.probe.process import Probing\n"
        "from scraper.offload.values import Work\n"
        f"Probing(Work.of('{HERE}:{name}'), [pickle.dumps(b'')], budget_s=60.0, memory_bytes=None).run()\n"
    )
    root = str(Path(scraper.__file__).parents[1])
    with subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": root}) as parent:
        probes: list[psutil.Process] = []
        while not probes:
            probes = [child for child in psutil.Process(parent.pid).children() if _is_probe(child)]
            time.sleep(0.01)
        time.sleep(1.0)  # it is in the function by now, or will not get there
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    gone, alive = psutil.wait_procs(probes, timeout=20)
    for process in alive:
        process.kill()
    assert gone
    assert not alive


async def test_a_handler_is_probed_as_a_crawl_would_run_it() -> None:
    page = b"<html><title>a</title><body>" + b"<p>text <a href='/x'>x</a></p>" * 500
    found = await scraper.probe(f"{HERE}:handler", [("https://example.org/", page)], parser="lxml", budget_s=1.0)
    assert found.title == f"{HERE}:handler"
    assert found.failures == ()
    assert found.cost.result_bytes > 0


async def test_a_handler_that_raises_is_refused_with_its_line() -> None:
    with pytest.raises(FunctionFailed, match=r"handler_raised: KeyError.*probed\.py"):
        await scraper.probe(f"{HERE}:failing_handler", [b"<p>"], budget_s=1.0)
