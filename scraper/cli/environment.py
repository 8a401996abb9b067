"""What a figure depends on beside the code: named in every report."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import sysconfig
from pathlib import Path

from scraper.options import available_cpus

_NAMED = ("scraper", "aiohttp", "lxml", "selectolax", "beautifulsoup4", "uvloop")

# What a build of CPython may have been given that changes its speed: part of its configuration, and its name.
_BUILD_FLAGS = (
    ("--enable-optimizations", "PGO"),
    ("--with-lto", "LTO"),
    ("--with-pydebug", "debug"),
    ("--enable-experimental-jit", "JIT"),
    ("--disable-gil", "free-threaded"),
)


def describe_environment() -> dict[str, str]:
    """Python, processors, system and versions, in the order in which they are shown."""
    versions = {}
    for name in _NAMED:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    is_locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    return {
        "Python": f"{platform.python_implementation()} {platform.python_version()}{'' if is_locked else ', no GIL'}",
        "Python build": _build(),
        "CPU": _cpu_model(),
        "CPUs": str(available_cpus()),
        "System": f"{platform.system()} {platform.release()} {platform.machine()}",
        **versions,
    }


def load_at_start() -> dict[str, str]:
    """How many programs wanted to run in the last minute, where the system says so."""
    try:
        return {"Load at start": f"{os.getloadavg()[0]:.2f}"}
    except (OSError, AttributeError):  # there is none on Windows
        return {}


def _build() -> str:
    given = sysconfig.get_config_var("CONFIG_ARGS") or ""
    flags = [name for flag, name in _BUILD_FLAGS if flag in given]
    return ", ".join([*flags, platform.python_compiler()])


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
