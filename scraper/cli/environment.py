"""What a figure depends on beside the code: named in every report."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

from scraper.options import available_cpus

_NAMED = ("scraper", "aiohttp", "lxml", "selectolax", "beautifulsoup4", "uvloop")


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
        "CPUs": str(available_cpus()),
        "System": f"{platform.system()} {platform.release()} {platform.machine()}",
        **versions,
    }
