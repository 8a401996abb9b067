"""Facts about the GIL; what only a free-threaded build does is injected."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

import scraper.offload
from scraper.offload.gil import GilFacts, gil_facts, watching_gil

# As CPython 3.13 and 3.14 say it.
SWITCHED_ON = (
    "The global interpreter lock (GIL) has been enabled to load module '{}', which has not declared that it can run "
    "safely without the GIL. To override this behavior and keep the GIL disabled (at your own risk), run with "
    "PYTHON_GIL=0 or -Xgil=0."
)
OFFLOAD = Path(scraper.offload.__file__).parent


def facts(*, is_free_threaded: bool, is_enabled: bool, by: str | None = None, interpreters: bool = True) -> GilFacts:
    return GilFacts(is_free_threaded, is_enabled, by, interpreters, 0.005)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            facts(is_free_threaded=False, is_enabled=True, interpreters=False),
            "Python with a GIL, which one thread holds at a time",
        ),
        (
            facts(is_free_threaded=False, is_enabled=True),
            "Python with a GIL, which one thread holds at a time; interpreters have their own",
        ),
        (facts(is_free_threaded=True, is_enabled=False), "free-threaded Python, with its GIL off"),
        (facts(is_free_threaded=True, is_enabled=True), "free-threaded Python, but with its GIL on"),
        (
            facts(is_free_threaded=True, is_enabled=True, by="lxml.etree"),
            "free-threaded Python, but importing lxml.etree switched the GIL back on",
        ),
    ],
)
def test_the_facts_make_a_sentence(given: GilFacts, sentence: str) -> None:
    assert str(given) == sentence


def test_the_facts_of_this_python() -> None:
    found = gil_facts()
    assert found.is_free_threaded_build == bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert found.is_gil_enabled or found.is_free_threaded_build
    assert found.has_interpreters == (sys.version_info[:2] >= (3, 13))
    assert found.switch_interval_s == sys.getswitchinterval()


def test_on_a_free_threaded_build_the_gil_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", {"Py_GIL_DISABLED": 1}.get)
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert str(gil_facts()) == "free-threaded Python, with its GIL off"
    assert gil_facts("lxml.etree").reenabled_by is None
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True)
    assert gil_facts("lxml.etree").reenabled_by == "lxml.etree"


def test_the_import_that_switches_the_gil_on_is_named() -> None:
    """Even where warnings are errors, as they are in this test."""
    with watching_gil(is_free_threaded_build=True) as watch:
        assert watch.reenabled_by is None
        warnings.warn(SWITCHED_ON.format("lxml.etree"), RuntimeWarning, stacklevel=1)
    assert watch.reenabled_by == "lxml.etree"


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("has_failed", [False, True])
def test_other_warnings_come_as_they_would_have(has_failed: bool) -> None:
    """Also when the import fails in the end."""
    with (
        warnings.catch_warnings(record=True) as seen,
        suppress(ImportError),
        watching_gil(is_free_threaded_build=True) as watch,
    ):
        warnings.warn(SWITCHED_ON.format("lxml.etree"), RuntimeWarning, stacklevel=1)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
        if has_failed:
            raise ImportError("no such module")
    assert watch.reenabled_by == "lxml.etree"
    assert [(each.category, str(each.message)) for each in seen] == [(DeprecationWarning, "old thing")]
    assert seen[0].filename == __file__


def test_a_warning_that_is_an_error_stays_one() -> None:
    with pytest.raises(DeprecationWarning), watching_gil(is_free_threaded_build=True):
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)


def test_a_python_with_a_gil_has_nothing_to_watch_for() -> None:
    with pytest.raises(RuntimeWarning), watching_gil(is_free_threaded_build=False) as watch:
        warnings.warn(SWITCHED_ON.format("lxml.etree"), RuntimeWarning, stacklevel=1)
    assert watch.reenabled_by is None


BLOCKED = ["aiohttp", "ada_url", "anyio", "backports", "brotli", "bs4", "can_ada", "cssselect", "lxml", "psutil"]
BLOCKED += ["pyarrow", "rich", "selectolax", "uvloop"]
EXECUTORS = ["inline", "thread", "process", *(["interpreter"] if sys.version_info >= (3, 13) else [])]


def test_the_offload_layer_imports_and_works_where_no_dependency_does(tmp_path: Path) -> None:
    """On free-threaded builds, and on Pythons that are new, not every one of them imports yet."""
    modules = sorted(f"scraper.offload.{path.stem}" for path in OFFLOAD.glob("[!_]*.py"))
    (tmp_path / "task.py").write_text("def double(number):\n    return 2 * number\n")
    program = f"""if True:
        import asyncio, importlib, sys
        for name in {BLOCKED!r}:
            sys.modules[name] = None
        for name in {modules!r}:
            importlib.import_module(name)
        from scraper.offload import OffloadPool
        from scraper.offload.costs import LoopCost, Machine, WorkCost
        from scraper.offload.roofline import predict
        async def main():
            for executor in {EXECUTORS!r}:
                async with OffloadPool("task:double", executor=executor, workers=1) as pool:
                    print(await pool.run(21))
            machine = Machine(cpus=2, capacity=1.6)
            print(predict("inline", 1, WorkCost(wall_s=0.01, cpu_s=0.01, held_s=0.01), LoopCost(), machine).executor)
        if __name__ == "__main__":
            asyncio.run(main())
    """
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        env={"PYTHONPATH": f"{OFFLOAD.parents[1]}:{tmp_path}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.stderr) == (["42"] * len(EXECUTORS) + ["inline"], "")
