"""Programs as people write them, run as they run them: what `__main__` is in a worker, and what is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from scraper.options import ExecutorName

ROOT = Path(__file__).parents[2]

GOOD = """
import asyncio
import concurrent.futures
import multiprocessing  # which takes the main module for itself
import sys
from dataclasses import dataclass

from scraper.offload import OffloadPool

@dataclass
class Question:
    text: str

@dataclass
class Answer:
    text: str
    by: str

def answer(question: Question) -> Answer:
    assert isinstance(question, Question), type(question)
    return Answer(question.text.upper(), __name__)

async def main():
    async with OffloadPool(answer, executor=sys.argv[1], workers=2) as pool:
        answers = [result.unwrap() async for result in pool.map(Question(text) for text in "abc")]
    assert all(type(answer) is Answer for answer in answers), answers
    print(*[answer.text for answer in answers], {answer.by for answer in answers})

if __name__ == "__main__":
    asyncio.run(main())
"""


def run(
    folder: Path, *command: str, stdin: str | None = None, timeout_s: float = 30.0
) -> subprocess.CompletedProcess[str]:
    """Runs Python as a user would, in that folder; warnings that tell of something left open are errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_a_script_hands_over_its_own_functions_and_classes(tmp_path: Path, executor: ExecutorName) -> None:
    write(tmp_path, "script.py", GOOD)
    done = run(tmp_path, "script.py", executor)
    assert done.stderr == ""
    name = "__mp_main__" if executor in ("process", "interpreter") else "__main__"
    assert done.stdout == f"A B C {{'{name}'}}\n"


def test_a_module_that_is_run_hands_over_its_own(tmp_path: Path, executor: ExecutorName) -> None:
    write(tmp_path, "package/__init__.py", "")
    write(tmp_path, "package/neighbour.py", "NAME = 'neighbour'")
    write(
        tmp_path, "package/module.py", GOOD.replace("import asyncio\n", "import asyncio\nfrom . import neighbour\n", 1)
    )
    done = run(tmp_path, "-m", "package.module", executor)
    assert done.stderr == ""
    assert done.stdout.startswith("A B C")


def test_a_package_that_is_run_hands_over_its_own(tmp_path: Path, executor: ExecutorName) -> None:
    write(tmp_path, "package/__init__.py", "")
    write(tmp_path, "package/__main__.py", GOOD)
    done = run(tmp_path, "-m", "package", executor)
    assert done.stderr == ""
    assert done.stdout.startswith("A B C")


def test_what_stands_beside_the_script_imports_in_workers(tmp_path: Path, executor: ExecutorName) -> None:
    """Although the program was started from elsewhere."""
    write(tmp_path, "folder/beside.py", "def shout(text): return text.upper()")
    write(
        tmp_path,
        "folder/script.py",
        "import asyncio, sys\nimport beside\nfrom scraper.offload import OffloadPool\n"
        "async def main():\n"
        "    async with OffloadPool(beside.shout, executor=sys.argv[1], workers=1) as pool:\n"
        "        print(await pool.run('abc'))\n"
        "asyncio.run(main())\n",
    )
    done = run(tmp_path, "folder/script.py", executor)
    assert (done.stdout, done.stderr) == ("ABC\n", "")


def test_a_script_whose_functions_are_elsewhere_is_not_run_by_workers(tmp_path: Path) -> None:
    """So it needs no guard, and costs a worker nothing."""
    write(tmp_path, "beside.py", "def shout(text): return text.upper()")
    write(
        tmp_path,
        "script.py",
        "import asyncio, beside, sys\nprint('run')\nfrom scraper.offload import OffloadPool\n"
        "async def main():\n"
        "    async with OffloadPool(beside.shout, executor='process', workers=2) as pool:\n"
        "        print(await pool.run('abc'))\n"
        "asyncio.run(main())\n",
    )
    done = run(tmp_path, "script.py")
    assert (done.stdout, done.stderr) == ("run\nABC\n", "")


def unguarded(last_lines: str, first_lines: str = "") -> str:
    return (
        f"import asyncio, sys\nfrom scraper.offload import OffloadPool\n{first_lines}\n"
        "def shout(text): return text.upper()\n"
        "async def main():\n"
        "    async with OffloadPool(shout, executor='process', workers=2) as pool:\n"
        "        print(await pool.run('abc'))\n"
        f"{last_lines}\n"
    )


GUARDED = "if __name__ == '__main__':\n    asyncio.run(main())"

REFUSED = {
    "no guard": (unguarded("asyncio.run(main())"), "script.py starts a crawl or a pool when it is imported"),
    "looks at its arguments": (
        unguarded(GUARDED, "WANTED = sys.argv[1]"),
        "does not import: IndexError: list index out of range (script.py:3)",
    ),
    "needs arguments": (
        unguarded(GUARDED, "import argparse\np = argparse.ArgumentParser()\np.add_argument('wanted')\np.parse_args()"),
        "does not import: SystemExit: 2",
    ),
    "exits": (unguarded(GUARDED, "if __name__ != '__main__': sys.exit('not here')"), "SystemExit: not here"),
    "raises": (unguarded(GUARDED, "if __name__ != '__main__': raise OSError(5)"), "OSError: 5 (script.py:3)"),
    "asks": (unguarded(GUARDED, "if __name__ != '__main__': input('Your name? ')"), "EOFError"),
    "ends its process": (
        unguarded(GUARDED, "import os\nif __name__ != '__main__': os._exit(3)"),
        "a worker process ended (exit code 3) while it set up",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_script_that_a_worker_cannot_import_is_told_so_in_one_line(tmp_path: Path, kind: str) -> None:
    script, message = REFUSED[kind]
    write(tmp_path, "script.py", script)
    done = run(tmp_path, "script.py", "argument")
    assert done.returncode == 1
    assert done.stdout == ""
    assert last_line(done.stderr).startswith("scraper.errors.")
    assert message in last_line(done.stderr)
    if "IndexError" in message:
        assert 'under if __name__ == "__main__"' in last_line(done.stderr)


def test_a_script_that_starts_a_pool_in_a_thread_at_import_does_not_multiply(tmp_path: Path) -> None:
    """What is set for the importing thread does not reach a new one; the environment does."""
    start = (
        "import threading\nthread = threading.Thread(target=lambda: asyncio.run(main()))\nthread.start()\nthread.join()"
    )
    write(tmp_path, "script.py", unguarded(start))
    done = run(tmp_path, "script.py")
    assert done.stdout == "ABC\n"
    assert "script.py starts a crawl or a pool when it is imported" in done.stderr


def test_a_script_that_never_finishes_its_import_is_told_so(tmp_path: Path) -> None:
    endless = "import time\nwhile __name__ != '__main__': time.sleep(1)"
    script = unguarded(GUARDED, endless).replace("workers=2", "workers=2, options=OffloadOptions(start_timeout_s=1)")
    write(tmp_path, "script.py", "from scraper.options import OffloadOptions\n" + script)
    done = run(tmp_path, "script.py")
    assert "was not ready within 1 s" in last_line(done.stderr)


@pytest.mark.parametrize(("command", "stdin"), [(("-c", GOOD), None), (("-",), GOOD)])
def test_functions_that_were_typed_in_are_refused(tmp_path: Path, command: tuple[str, ...], stdin: str | None) -> None:
    done = run(tmp_path, *command, "process", stdin=stdin)
    assert last_line(done.stderr) == (
        "scraper.errors.HandlerNotImportable: answer was defined interactively, so a worker cannot import it: "
        "put it into a file and import it from there"
    )


def test_a_program_that_was_typed_in_can_use_functions_of_modules(tmp_path: Path) -> None:
    program = (
        "import asyncio\nfrom scraper.offload import OffloadPool\n"
        "async def main():\n"
        "    async with OffloadPool(len, executor='process', workers=1) as pool:\n"
        "        print(await pool.run('abc'))\n"
        "asyncio.run(main())\n"
    )
    assert run(tmp_path, "-c", program).stdout == "3\n"
    assert run(tmp_path, "-", stdin=program).stdout == "3\n"


def test_flags_of_the_interpreter_reach_the_workers(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\nfrom scraper.offload import OffloadPool\n"
        "def flags(_): return str(sys.flags), sorted(sys._xoptions)\n"
        "async def main():\n"
        "    async with OffloadPool(flags, executor='process', workers=1) as pool:\n"
        "        assert await pool.run(None) == flags(None), (await pool.run(None), flags(None))\n"
        "if __name__ == '__main__': asyncio.run(main())\n"
    )
    write(tmp_path, "script.py", script)
    for options in (["-X", "dev"], ["-O", "-B", "-s", "-X", "utf8", "-X", "pycache_prefix=/nowhere"]):
        done = run(tmp_path, *options, "script.py")
        assert done.stderr == ""


PARENT = """
import asyncio, sys
from scraper.offload import OffloadPool, Work
from tests.offload import functions

async def main(work, payload):
    async with OffloadPool(executor="process", workers=2) as pool:
        lane = pool.lane(Work.of(getattr(functions, work)))
        await lane.prepare()
        for number in range(2):
            if work != "double":
                lane.submit(f"{payload}{number}", 1, print)
        print("ready", flush=True)
        await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("doing", ["double", "ignore_termination", "wait_holding_the_gil"])
def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path, doing: str) -> None:
    """While idle, while busy, and while a function lets no other thread of the worker run."""
    if doing == "wait_holding_the_gil" and sys.platform != "linux":
        pytest.skip("only Linux can end a process that does not let itself be told")
    write(tmp_path, "script.py", PARENT)
    parent = subprocess.Popen(
        [sys.executable, "script.py", doing, str(tmp_path / "started")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        if doing != "double":
            while not all((tmp_path / f"started{number}").exists() for number in range(2)):
                time.sleep(0.002)
        workers = psutil.Process(parent.pid).children()
        assert len(workers) == 2
        parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=10)
    for worker in alive:
        worker.kill()
    assert alive == []


def test_ctrl_c_leaves_no_workers_and_no_noise_of_theirs(tmp_path: Path) -> None:
    """A terminal sends it to the whole process group."""
    write(tmp_path, "script.py", PARENT)
    parent = subprocess.Popen(
        [sys.executable, "script.py", "double", ""],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        assert parent.stdout.readline() == b"ready\n"
        workers = psutil.Process(parent.pid).children()
        os.killpg(parent.pid, signal.SIGINT)
        errors = parent.stderr.read().decode()
    assert last_line(errors) == "KeyboardInterrupt"
    assert "worker.py" not in errors
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
