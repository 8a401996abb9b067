"""Sub-interpreters: what refuses to load in one is named before any page, and what runs away in one is left behind."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

from scraper.errors import HandlerNotImportable, InterpretersUnsupported, ParseTimeout, WorkerStartFailed
from scraper.offload import OffloadPool, Result, Work, isolation
from scraper.offload.interpreters import loads_in_interpreter
from scraper.offload.refusal import refusal, refused_module
from scraper.options import OffloadOptions
from tests.offload import functions, inmates
from tests.offload.conftest import needs_interpreters, until

INMATES = "tests.offload.inmates"
EXTRACTOR = "scraper.parse.extract:extractor"
OUTLINE = "scraper.parse.outline:outline"
DOUBLE = Work.of(functions.double)
ROOT = Path(__file__).parents[2]


# which Python has any


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ((3, 11, 7, "final", 0), "executor interpreter needs Python 3.13 or later, this is 3.11.7: use process"),
        ((3, 12, 1, "final", 0), "executor interpreter needs Python 3.13 or later, this is 3.12.1: use process"),
    ],
)
async def test_an_older_python_is_told(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int | str, ...], says: str
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(InterpretersUnsupported) as refused:
        async with OffloadPool(functions.double, executor="interpreter"):
            pytest.fail("it opened")
    assert str(refused.value) == says
    assert await loads_in_interpreter(DOUBLE) == says


async def test_a_python_without_the_module_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 13, 0, "final", 0))
    monkeypatch.setattr(isolation, "find_spec", lambda _: None)
    assert await loads_in_interpreter(DOUBLE) == "executor interpreter needs CPython, this is cpython: use process"


def test_the_public_module_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.14 promises that one, and not the one below it."""
    created: list[str] = []

    class Given:
        def exec(self, code: str) -> None:
            created.append(code)

        def close(self) -> None:
            created.append("closed")

    public = ModuleType("concurrent.interpreters")
    vars(public)["create"] = Given
    public.__spec__ = sys.__spec__
    monkeypatch.setitem(sys.modules, "concurrent.interpreters", public)
    interpreter = isolation.create()
    interpreter.exec("pass")
    interpreter.close()
    assert created == ["pass", "closed"]


@needs_interpreters
def test_what_a_program_raises_in_an_interpreter_comes_out() -> None:
    interpreter = isolation.create()
    with pytest.raises(Exception, match="LookupError: in there"):
        interpreter.exec("raise LookupError('in there')")
    interpreter.close()


@needs_interpreters
def test_interpreters_that_share_datetime_do_not_corrupt_the_heap() -> None:
    """In a process of its own, which CPython 3.13.0 would otherwise end, ten times out of ten."""
    program = """if True:
        import threading
        from scraper.offload.isolation import create
        def live():
            for _ in range(4):
                interpreter = create()
                interpreter.exec("import datetime; datetime.datetime.now(datetime.UTC).isoformat()")
                interpreter.close()
        threads = [threading.Thread(target=live) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# what refuses


def refused(message: str) -> ImportError:
    return ImportError(f"module {message} does not support loading in subinterpreters")


def test_the_module_that_refused_is_found_behind_other_errors() -> None:
    error = HandlerNotImportable("'pages:parse' does not import")
    error.__cause__ = refused("lxml.etree")
    assert refused_module(error) == "lxml.etree"
    assert str(refusal("pages:parse", error)) == (
        "'pages:parse' cannot run in an interpreter, because the module lxml.etree does not load in one: "
        "use executor process, or a parser that loads there (html.parser, bs4)"
    )


@pytest.mark.parametrize("error", [ImportError("No module named 'x'"), ValueError("bad page"), None])
def test_other_errors_are_no_refusals(error: BaseException | None) -> None:
    assert refused_module(error) is None


def test_a_short_name_is_completed_by_the_package_that_imports_it(tmp_path: Path) -> None:
    """CPython names what is imported relatively by its last part."""
    (tmp_path / "_core.so").touch()
    (tmp_path / "_core.py").touch()
    package = {"__package__": "msgspec", "refused": refused}
    for name, full in (("_core", "msgspec._core"), ("_elsewhere", "_elsewhere")):
        with pytest.raises(ImportError) as caught:
            exec(compile(f"raise refused({name!r})", str(tmp_path / "__init__.py"), "exec"), package)
        assert refused_module(caught.value) == full


@needs_interpreters
@pytest.mark.parametrize(
    ("work", "module"),
    [
        (Work(EXTRACTOR, ("lxml", OUTLINE)), "lxml.etree"),
        (Work(EXTRACTOR, ("lexbor", OUTLINE)), "selectolax.lexbor"),
        (Work.of("msgspec:Struct"), "msgspec._core"),
    ],
)
async def test_a_module_that_does_not_load_in_one_is_named(work: Work, module: str) -> None:
    says = f"'{work.title}' cannot run in an interpreter, because the module {module} does not load in one"
    assert str(await loads_in_interpreter(work)).startswith(says)
    async with OffloadPool(executor="interpreter", workers=1) as pool:
        with pytest.raises(InterpretersUnsupported, match="use executor process, or a parser that loads there"):
            await pool.prepare(work)


@needs_interpreters
@pytest.mark.parametrize("parser", ["html.parser", "bs4"])
async def test_parsers_in_python_load_in_one(parser: str) -> None:
    assert await loads_in_interpreter(Work(EXTRACTOR, (parser, OUTLINE))) is None


@needs_interpreters
async def test_a_work_that_was_not_prepared_names_the_module_on_its_pages() -> None:
    results: list[Result] = []
    async with OffloadPool(executor="interpreter", workers=1) as pool:
        lane = pool.lane(Work(EXTRACTOR, ("lxml", OUTLINE)))
        lane.submit("page", 4, results.append)
        await until(lambda: results)
    assert results[0].failure is not None
    assert "lxml.etree does not load in one" in results[0].failure.detail


@needs_interpreters
async def test_a_handler_that_does_not_import_anywhere_is_told_as_elsewhere() -> None:
    async with OffloadPool(executor="interpreter", workers=1) as pool:
        with pytest.raises(HandlerNotImportable, match="No module named 'nowhere'"):
            await pool.prepare(Work.of("nowhere:parse"))


@needs_interpreters
async def test_a_set_up_that_ends_its_trial_does_not_end_the_program() -> None:
    work = Work(f"{INMATES}:crashing")
    assert "a process that tried it ended (exit code 5)" in str(await loads_in_interpreter(work))
    async with OffloadPool(executor="interpreter", workers=1) as pool:
        with pytest.raises(InterpretersUnsupported, match="exit code 5"):
            await pool.prepare(work)


@needs_interpreters
async def test_a_set_up_that_hangs_is_given_up() -> None:
    assert "was not ready within 0.5 s" in str(await loads_in_interpreter(Work(f"{INMATES}:hanging"), timeout_s=0.5))


@needs_interpreters
async def test_a_cancelled_trial_leaves_no_process() -> None:
    """The fixture that looks for processes counts ended ones, too."""
    asking = asyncio.create_task(loads_in_interpreter(Work(f"{INMATES}:hanging")))
    await asyncio.sleep(0.1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


@needs_interpreters
async def test_a_trial_that_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert "could not be tried" in str(await loads_in_interpreter(DOUBLE))


# what is particular to running there


@needs_interpreters
async def test_it_runs_in_this_process_and_in_another_interpreter() -> None:
    async with OffloadPool(inmates.interpreter_of, executor="interpreter", workers=1) as pool:
        process, refusal = await pool.run(None)
        [statistics] = pool.statistics().executors
    assert process == os.getpid()
    assert "daemon threads are disabled" in refusal
    assert (statistics.executor, statistics.workers, statistics.items) == ("interpreter", 1, 1)


@needs_interpreters
async def test_interpreters_run_python_code_side_by_side(tmp_path: Path) -> None:
    """Each waits for the other in Python code that never waits for anything else."""
    async with OffloadPool(functions.touch_and_wait, executor="interpreter", workers=2) as pool:
        paths = [(str(tmp_path / one), str(tmp_path / other)) for one, other in ("ab", "ba")]
        assert [result.unwrap() async for result in pool.map(paths)] == [os.getpid()] * 2


@needs_interpreters
async def test_prints_and_logs_arrive_and_there_is_no_input(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with OffloadPool(inmates.read_and_say, executor="interpreter", workers=1) as pool:
            assert await pool.run(None) == ""
    said = {(record.name, record.getMessage()) for record in caplog.records}
    assert ("a.page", "through logging") in said
    assert ("scraper.worker", "sub-interpreter 0: to the standard output") in said


@needs_interpreters
async def test_the_environment_of_the_program_is_left_alone() -> None:
    """What a worker process notes there while it imports is its own; here other threads start processes meanwhile."""
    async with OffloadPool(executor="interpreter", workers=1) as pool:
        results: list[Result] = []
        async with pool.lane(Work(f"{INMATES}:environment_while_importing")) as lane:
            lane.submit(None, 1, results.append)
            await until(lambda: results)
    assert [name for name in results[0].unwrap() if name.startswith("SCRAPER")] == []


@needs_interpreters
async def test_a_set_up_may_fail_in_the_worker_after_the_trial(tmp_path: Path) -> None:
    async with OffloadPool(executor="interpreter", workers=1) as pool:
        with pytest.raises(WorkerStartFailed, match="LookupError: not a second time"):
            await pool.prepare(Work(f"{INMATES}:refusing_at_first", (str(tmp_path / "flag"),)))


# what runs away


@needs_interpreters
@pytest.mark.parametrize("kind", ["loops", "catches all but the third"])
async def test_python_code_past_its_deadline_is_interrupted(kind: str, tmp_path: Path) -> None:
    """It fails at once, another interpreter takes the place of its own, and that one ends by itself."""
    options = OffloadOptions(executor="interpreter", workers=1, deadline_s=0.2)
    async with OffloadPool(inmates.run_away, options=options) as pool:
        with pytest.raises(ParseTimeout):
            await pool.run((kind, str(tmp_path / "started")))
        assert await pool.run(("returns", "")) == "returns"
        await until(lambda: len(threads()) == 1)
        [statistics] = pool.statistics().executors
        assert (statistics.timeouts, statistics.lost, statistics.workers) == (1, 0, 1)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("scraper-offload-interpreter")]


@needs_interpreters
async def test_a_pool_closes_beside_python_code_that_does_not_return(tmp_path: Path) -> None:
    started_s = time.monotonic()
    async with OffloadPool(executor="interpreter", workers=1) as pool:
        lane = pool.lane(Work.of(inmates.run_away))
        lane.submit(("loops", str(tmp_path / "started")), 1, lambda _: None)
        await until((tmp_path / "started").exists)
    assert threads() == []
    assert time.monotonic() - started_s < 10


@needs_interpreters
async def test_a_pool_closes_beside_c_code_that_does_not_return(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with OffloadPool(executor="interpreter", workers=1) as pool:
        lane = pool.lane(Work.of(inmates.run_away))
        lane.submit(("sleeps", str(tmp_path / "started")), 1, lambda _: None)
        await until((tmp_path / "started").exists)
    assert [record.getMessage() for record in caplog.records] == [
        "left an interpreter behind: it cannot be stopped before its function returns"
    ]
    await until(lambda: not threads())


@needs_interpreters
async def test_a_pool_closes_while_interpreters_come_up() -> None:
    async with OffloadPool(executor="interpreter", workers=2) as pool:
        pool.lane(DOUBLE).submit(1, 1, lambda _: None)
        await asyncio.sleep(0)
    assert threads() == []


@needs_interpreters
@pytest.mark.parametrize("kind", ["returns", "loops", "sleeps for ever"])
def test_a_program_ends_with_a_pool_that_was_never_closed(kind: str, tmp_path: Path) -> None:
    """As with threads, what a program leaves open must not keep it from its end."""
    program = tmp_path / "program.py"
    program.write_text("""if True:
        import asyncio, sys
        from pathlib import Path
        from scraper.offload import OffloadPool, Work
        async def main():
            pool = OffloadPool(executor="interpreter", workers=2)
            await pool.__aenter__()
            lane = pool.lane(Work.of("tests.offload.inmates:run_away"))
            lane.submit(sys.argv[1:], 1, print)
            while not Path(sys.argv[2]).exists():
                await asyncio.sleep(0.01)
        if __name__ == "__main__":
            asyncio.run(main())
    """)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(program), kind, str(tmp_path / "started")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
