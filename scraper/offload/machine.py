"""What this machine and this Python cost, measured once and remembered in the user's cache directory.

    known_machine()           at once: what was measured before, or default figures
    machine()                 measured, for plain scripts: takes about two seconds the first time
    await machine_async()     the same beside a running event loop, which goes on meanwhile

Measuring happens in a process of its own (`scraper.offload.machine_measurement`), because the caller's has other
things to do. What was measured counts for one environment, and for some weeks. A cache that is broken, foreign or
not writable is never an error: what cannot be read is measured anew.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import scraper
from scraper.offload.costs import HandoffCost, LoopCost, Machine
from scraper.offload.startup import in_same_place, interpreter_options
from scraper.options import EXECUTORS, ExecutorName, available_cpus

# Kernels, microcode and neighbours on a shared host change without a trace that is seen here.
_MAX_AGE_S = 28 * 86_400.0

# Two seconds on an idle machine. One that takes so much longer is too busy to be measured.
_TIMEOUT_S = 30.0

# Until something was measured: what `machine_measurement` gave on CPython 3.11 and an AMD EPYC of 2024, rounded up,
# because most machines are slower; they differ less between executors than pages do. Further CPUs count 0.8 each: two
# virtual ones did the work of 1.55 to 2.0 on the machines that were looked at.
_DEFAULT_CPU = 0.8
_DEFAULT_HANDOFFS: dict[ExecutorName, HandoffCost] = {
    "inline": HandoffCost(5e-6, 5e-6),
    "thread": HandoffCost(2e-6, 2e-6, worker_cpu_s=3e-6),
    "process": HandoffCost(5e-6, 5e-6, 4e-10, 6e-6, 2e-10),
}
_DEFAULT_INTERPRETER = HandoffCost(5e-6, 5e-6, 4e-10, 6e-6, 2e-10)
_DEFAULT_MAPPING = LoopCost(3e-6, 3e-6)


@dataclass(frozen=True, slots=True)
class Environment:
    """What figures are measured for; in another one they are measured anew."""

    python: str
    cpu: str
    cpus: int
    has_gil: bool
    version: str

    @classmethod
    def current(cls) -> Environment:
        return cls(sys.version, _cpu_model(), available_cpus(), _has_gil(), scraper.__version__)


def known_machine() -> Machine:
    """What is known of this machine without waiting: the figures of an earlier measurement, or default ones."""
    environment = Environment.current()
    return _read(environment) or _default(environment)


def machine() -> Machine:
    """What is known of this machine, measured now if it was not before. Blocks for about two seconds then.

    Where it cannot be measured, the figures are the default ones.
    """
    environment = Environment.current()
    known = _read(environment)
    if known is not None:
        return known
    try:
        run = subprocess.run(  # noqa: S603  # our own program
            _program(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            process_group=0,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return _default(environment)
    return _keep(environment, run.stdout)


async def machine_async() -> Machine:
    """The same as `machine`, while the event loop goes on. Cancelling it ends the measurement."""
    environment = Environment.current()
    known = _read(environment)
    if known is not None:
        return known
    try:
        process = await asyncio.create_subprocess_exec(
            *_program(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # uvloop has no process_group
        )
    except OSError:
        return _default(environment)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        return _default(environment)
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.shield(process.wait())
    return _keep(environment, output)


def _program() -> list[str]:
    code = in_same_place("from scraper.offload.machine_measurement import main; main()")
    return [sys.executable, *interpreter_options(), "-c", code]


def _keep(environment: Environment, output: bytes) -> Machine:
    """Takes what the measurement printed, and writes it into the cache if that can be."""
    measured = _parse(output, environment)
    if measured is None:
        return _default(environment)
    with suppress(OSError, RuntimeError):
        _write(environment, measured)
    return measured


def _default(environment: Environment) -> Machine:
    handoffs = dict(_DEFAULT_HANDOFFS)
    if sys.version_info >= (3, 12):
        handoffs["interpreter"] = _DEFAULT_INTERPRETER
    return Machine(
        cpus=environment.cpus,
        capacity=1.0 + _DEFAULT_CPU * (environment.cpus - 1),
        handoffs=handoffs,
        mapping=_DEFAULT_MAPPING,
        reacquire_s=sys.getswitchinterval(),
        has_gil=environment.has_gil,
    )


# the cache


def _file(environment: Environment) -> Path:
    """One file for each environment, so that several of them do not push each other out.

    Raises:
        RuntimeError: there is no home directory.
    """
    configured = os.environ.get("XDG_CACHE_HOME", "")
    directory = Path(configured) if os.path.isabs(configured) else Path.home() / ".cache"  # noqa: PTH117  # may be ""
    key = zlib.crc32(json.dumps(asdict(environment)).encode())
    return directory / "scraper" / f"machine-{key:08x}.json"


def _read(environment: Environment) -> Machine | None:
    try:
        entry = json.loads(_file(environment).read_bytes())
        age_s = time.time() - entry["measured_at_s"]
        if entry["environment"] != asdict(environment) or not 0 <= age_s <= _MAX_AGE_S:
            return None
        return _machine(entry["machine"], environment)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _write(environment: Environment, measured: Machine) -> None:
    """Writes a whole file or none, whoever else does at the same time.

    Raises:
        OSError: the directory cannot be written to.
        RuntimeError: there is none.
    """
    entry = {"environment": asdict(environment), "measured_at_s": time.time(), "machine": asdict(measured)}
    file = _file(environment)
    file.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=file.parent)
    try:
        with open(fd, "w", encoding="utf-8") as new:  # noqa: PTH123  # a descriptor
            json.dump(entry, new, indent=1)
        os.replace(name, file)  # noqa: PTH105  # a name
    except BaseException:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108  # a name
        raise


def _parse(output: bytes, environment: Environment) -> Machine | None:
    try:
        return _machine(json.loads(output), environment)
    except (ValueError, TypeError, KeyError):
        return None


def _machine(figures: Mapping[str, Any], environment: Environment) -> Machine:
    """Figures as JSON has them, each one checked.

    Raises:
        KeyError, TypeError, ValueError: something is missing, or is not what it should be.
    """
    handoffs: dict[ExecutorName, HandoffCost] = {
        name: HandoffCost(**_seconds(figures["handoffs"][name], HandoffCost))
        for name in EXECUTORS
        if name in figures["handoffs"]
    }
    capacity, handover_s, reacquire_s = (_second(figures[name]) for name in ("capacity", "handover_s", "reacquire_s"))
    if not 1.0 <= capacity <= environment.cpus:
        raise ValueError(f"{environment.cpus} CPUs do not do the work of {capacity}")
    return Machine(
        cpus=environment.cpus,
        capacity=capacity,
        handoffs=handoffs,
        mapping=LoopCost(**_seconds(figures["mapping"], LoopCost)),
        handover_s=handover_s,
        reacquire_s=reacquire_s,
        has_gil=environment.has_gil,
    )


def _seconds(figures: Mapping[str, Any], kind: type[HandoffCost | LoopCost]) -> dict[str, float]:
    return {field.name: _second(figures[field.name]) for field in fields(kind)}


def _second(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (0 <= value < math.inf):
        raise ValueError(f"{value!r} is no time")
    return float(value)


# the environment


def _has_gil() -> bool:
    is_enabled = getattr(sys, "_is_gil_enabled", None)  # Python 3.13
    return True if is_enabled is None else bool(is_enabled())


def _cpu_model() -> str:
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:  # noqa: PTH123  # Linux
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
