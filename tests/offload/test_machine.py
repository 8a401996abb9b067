"""What a machine costs: measured in a process of its own, remembered, and never an error."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from scraper.offload import machine as machine_module
from scraper.offload.costs import HandoffCost, LoopCost, Machine
from scraper.offload.machine import Environment, known_machine, machine, machine_async
from scraper.options import available_cpus

FOUND = Machine(
    cpus=available_cpus(),
    capacity=1.0,
    handoffs={"thread": HandoffCost(1e-6, 1e-6, worker_cpu_s=2e-6)},
    mapping=LoopCost(7e-6, 7e-6),
    handover_s=1e-5,
    reacquire_s=0.004,
    has_gil=Environment.current().has_gil,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "scraper"


@pytest.fixture(autouse=True)
def _leaves_no_process() -> Iterator[None]:
    yield
    assert [child for child in psutil.Process().children() if "machine_measurement" in " ".join(child.cmdline())] == []


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Has a small program answer in place of the measurement, and note that it ran."""
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'a').write('x'); print({json.dumps(asdict(FOUND))!r})"
    monkeypatch.setattr(machine_module, "_program", lambda: [sys.executable, "-c", code])
    return ran


def times_run(ran: Path) -> int:
    return len(ran.read_text()) if ran.exists() else 0


def test_what_is_measured_is_plausible() -> None:
    """The real measurement, on whatever machine this is: wide margins."""
    found = machine()
    assert found.cpus == available_cpus()
    assert 1.0 <= found.capacity <= found.cpus
    assert {"inline", "thread", "process"} <= set(found.handoffs)
    for name in ("inline", "thread", "process"):
        handoff = found.handoffs[name]
        assert 1e-7 < handoff.main_cpu_s < 5e-3
        assert 0 <= handoff.main_held_s <= handoff.main_cpu_s
    assert 0 < found.handoffs["process"].worker_cpu_s < 5e-3
    assert found.handoffs["process"].main_byte_s < 1e-7
    assert 0 <= found.mapping.cpu_s < 5e-3
    assert 0 <= found.handover_s < 0.05
    assert known_machine() == found


def test_it_is_measured_once(answers: Path) -> None:
    assert machine() == FOUND
    assert machine() == FOUND
    assert times_run(answers) == 1


async def test_it_is_measured_beside_a_running_loop(answers: Path) -> None:
    assert await machine_async() == FOUND
    assert await machine_async() == FOUND
    assert times_run(answers) == 1


def test_default_figures_serve_until_it_was_measured(answers: Path) -> None:
    """Whoever must not wait need not."""
    before = known_machine()
    assert before.cpus == available_cpus()
    assert set(before.handoffs) >= {"inline", "thread", "process"}
    assert times_run(answers) == 0
    machine()
    assert known_machine() == FOUND


@pytest.mark.parametrize(
    "changed",
    [{"python": "4.0"}, {"cpu": "another"}, {"cpus": 77}, {"has_gil": None}, {"version": "0"}],
    ids=lambda changed: next(iter(changed)),
)
def test_another_environment_is_measured_anew(
    answers: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object]
) -> None:
    machine()
    other = replace(Environment.current(), **changed)  # type: ignore[arg-type]
    monkeypatch.setattr(Environment, "current", lambda: other)
    machine()
    assert times_run(answers) == 2


def test_figures_grow_old(answers: Path, cache: Path) -> None:
    machine()
    (file,) = cache.iterdir()
    entry = json.loads(file.read_text())
    entry["measured_at_s"] -= 60 * 86_400
    file.write_text(json.dumps(entry))
    machine()
    assert times_run(answers) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"null",
        b"{}",
        b'{"environment": 1, "measured_at_s": "x"}',
        b"[" * 100_000,
    ],
)
def test_a_broken_cache_is_measured_anew(answers: Path, cache: Path, content: bytes) -> None:
    machine()
    (file,) = cache.iterdir()
    file.write_bytes(content)
    assert machine() == FOUND
    assert times_run(answers) == 2
    assert machine() == FOUND
    assert times_run(answers) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("capacity", 0.5), ("capacity", 1e9), ("handover_s", -1), ("handover_s", "1"), ("mapping", {}), ("handoffs", 3)],
)
def test_figures_that_cannot_be_are_not_believed(answers: Path, cache: Path, name: str, value: object) -> None:
    machine()
    (file,) = cache.iterdir()
    entry = json.loads(file.read_text())
    entry["machine"][name] = value
    file.write_text(json.dumps(entry))
    assert machine() == FOUND
    assert times_run(answers) == 2


def test_a_cache_that_cannot_be_written_is_no_error(answers: Path, tmp_path: Path) -> None:
    (tmp_path / "scraper").write_text("a file where the directory should be")
    assert machine() == FOUND


def test_a_home_that_does_not_exist_is_no_error(answers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative, which the specification has us ignore")
    monkeypatch.setenv("HOME", "/dev/null/nowhere")
    assert machine() == FOUND


@pytest.mark.parametrize("code", ["print('no figures')", "import sys; sys.exit(3)", "print('{}')"])
async def test_a_measurement_that_fails_leaves_the_default_figures(
    monkeypatch: pytest.MonkeyPatch, code: str, cache: Path
) -> None:
    monkeypatch.setattr(machine_module, "_program", lambda: [sys.executable, "-c", code])
    assert machine() == known_machine()
    assert await machine_async() == known_machine()
    assert not cache.exists()


async def test_a_python_that_cannot_be_started_leaves_the_default_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_module, "_program", lambda: ["/nowhere/python"])
    assert machine() == known_machine()
    assert await machine_async() == known_machine()


async def test_cancelling_ends_the_measurement(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started = tmp_path / "started"
    code = f"open({str(started)!r}, 'w').close(); import time; time.sleep(600)"
    monkeypatch.setattr(machine_module, "_program", lambda: [sys.executable, "-c", code])
    others = set(psutil.Process().children())  # servers of other tests
    measuring = asyncio.create_task(machine_async())
    while not started.exists():
        await asyncio.sleep(0.002)
    measuring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await measuring
    assert not set(psutil.Process().children()) - others


def test_further_cpus_add_what_those_at_hand_do() -> None:
    found = Machine(cpus=2, capacity=1.6)
    assert [found.capacity_of(cpus) for cpus in (1, 2, 4)] == pytest.approx([1.0, 1.6, 2.8])
    assert Machine(cpus=1, capacity=1.0).capacity_of(4) == 4.0
