from __future__ import annotations

import functools
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scraper import handlers
from scraper.errors import HandlerNotImportable, UsageError
from scraper.handlers import import_under_way, name_of, resolve, split_name

ROOT = Path(__file__).parents[1]


def parse(page: object) -> object:
    return page


class Parser:
    @staticmethod
    def static(page: object) -> object:
        return page

    @classmethod
    def of_class(cls, page: object) -> object:
        return page

    def of_object(self, page: object) -> object:
        return page

    def __call__(self, page: object) -> object:
        return page


not_callable = 5


@pytest.fixture
def scripts(tmp_path: Path) -> Iterator[Path]:
    """A folder for scripts; what importing one leaves behind is taken away."""
    modules, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (parse, "tests.test_handlers:parse"),
        (Parser.static, "tests.test_handlers:Parser.static"),
        (Parser.of_class, "tests.test_handlers:Parser.of_class"),
        (Parser, "tests.test_handlers:Parser"),
        (len, "builtins:len"),
        (os.path.join, "posixpath:join"),
    ],
)
def test_a_function_and_its_name_lead_to_each_other(function: Any, name: str) -> None:
    assert name_of(function) == name
    assert resolve(name) == function


@pytest.mark.parametrize("name", ["module:parse", "package.module:Parser.parse", "/a/file.py:parse", "/a:b/c.py:d"])
def test_a_name_is_its_own_name(name: str) -> None:
    assert name_of(name) == name
    place, qualname = split_name(name)
    assert f"{place}:{qualname}" == name


def test_a_relative_path_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two names of one handler would be two handlers to a crawl, and a state file may be used from elsewhere."""
    monkeypatch.chdir(tmp_path)
    assert name_of("folder/file.py:parse") == f"{tmp_path}/folder/file.py:parse"


def local() -> Any:
    def inner(page: object) -> object:
        return page

    return inner


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda page: page, "a lambda in tests.test_handlers has no name"),
        (local(), "local.<locals>.inner, a local function, in tests.test_handlers has no name"),
        (functools.partial(parse), "has no name"),
        (Parser(), "has no name"),
        (Parser().of_object, "has no name"),
        ([].append, "has no name"),
        (5, "5 is not callable"),
        (None, "None is not callable"),
        ("parse", "write MODULE:NAME or FILE.py:NAME"),
        (":parse", "write MODULE:NAME or FILE.py:NAME"),
        ("module:", "write MODULE:NAME or FILE.py:NAME"),
        ("", "write MODULE:NAME or FILE.py:NAME"),
    ],
)
def test_what_a_worker_could_not_import_is_refused(function: Any, message: str) -> None:
    with pytest.raises(HandlerNotImportable, match=r"^[^\n]*$") as refused:
        name_of(function)
    assert message in str(refused.value)
    assert isinstance(refused.value, UsageError)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tests.test_handlers:missing", "'tests.test_handlers:missing': tests.test_handlers has no 'missing'"),
        ("tests.test_handlers:Parser.missing", "has no 'Parser.missing'"),
        ("tests.test_handlers:not_callable", "is no function but of type int"),
        ("tests.nowhere:parse", "does not import: ModuleNotFoundError: No module named 'tests.nowhere'"),
        ("/nowhere/file.py:parse", "/nowhere/file.py does not exist"),
    ],
)
def test_names_that_lead_nowhere_are_refused(name: str, message: str) -> None:
    with pytest.raises(HandlerNotImportable) as refused:
        resolve(name)
    assert message in str(refused.value)


def test_a_script_is_imported_once_and_finds_its_neighbours(scripts: Path) -> None:
    write(scripts, "beside.py", "VALUE = 5")
    path = write(scripts, "script.py", "import beside\ncalls = []\ndef parse(page): calls.append(page); return calls")
    for calls in (1, 2, 3):
        assert len(resolve(f"{path}:parse")("page")) == calls


def test_a_function_of_a_script_keeps_its_name_where_the_script_was_imported(scripts: Path) -> None:
    """A handler names another one in the requests that it yields, from inside a worker."""
    path = write(scripts, "script.py", "def parse(page): pass")
    function = resolve(f"{path}:parse")
    assert name_of(function) == f"{path}:parse"


def test_a_script_without_the_usual_suffix_can_be_imported(scripts: Path) -> None:
    path = write(scripts, "tool", "def parse(page): return 5")
    assert resolve(f"{path}:parse")(None) == 5


def test_scripts_of_one_name_do_not_mix(scripts: Path) -> None:
    first = write(scripts, "a/script.py", "def parse(page): return 'a'")
    second = write(scripts, "b/script.py", "def parse(page): return 'b'")
    assert [resolve(f"{path}:parse")(None) for path in (first, second, first)] == ["a", "b", "a"]


def test_a_script_is_the_same_module_in_every_process(scripts: Path) -> None:
    """What a worker returns may be of one of its classes: the pickle names the module."""
    path = write(scripts, "script.py", "class Item:\n    pass\ndef make(_): return Item()")
    program = (
        "import pickle, sys\nfrom scraper.handlers import resolve\n"
        "sys.stdout.buffer.write(pickle.dumps(resolve(sys.argv[1])(None)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, f"{path}:make"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        check=True,
    )
    make = resolve(f"{path}:make")
    assert type(pickle.loads(done.stdout)) is type(make(None))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all' (script.py:1)"),
        ("\n\nraise ValueError('too early')", "ValueError: too early (script.py:3)"),
        ("import sys\nsys.exit(2)", "SystemExit: 2 (script.py:2)"),
        ("def parse(page:", "SyntaxError"),
        ("import beside", "KeyError: 'x' (beside.py:2)"),
    ],
)
def test_a_script_that_does_not_import_is_told_where(scripts: Path, text: str, message: str) -> None:
    write(scripts, "beside.py", "\n{}['x']")
    path = write(scripts, "script.py", text)
    for _ in range(2):  # and the second time again: nothing half imported is left
        with pytest.raises(HandlerNotImportable) as refused:
            resolve(f"{path}:parse")
        assert message in str(refused.value)
        assert 'under if __name__ == "__main__"' in str(refused.value)
        assert "\n" not in str(refused.value)


def test_what_is_imported_can_see_that_it_is(scripts: Path) -> None:
    path = write(
        scripts,
        "script.py",
        "from scraper.handlers import import_under_way\nSEEN = import_under_way()\ndef parse(page): return SEEN",
    )
    assert import_under_way() is None
    assert resolve(f"{path}:parse")(None) == str(path)
    assert import_under_way() is None


def test_what_an_import_starts_in_a_worker_can_see_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(handlers.IMPORTING_VARIABLE, "/path/script.py")
    assert import_under_way() == "/path/script.py"


def test_an_adopted_main_runs_when_it_is_needed(scripts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that needs nothing of the parent's script must not pay for it, nor run what it does at import."""
    path = write(
        scripts,
        "script.py",
        "from pathlib import Path\nPath(__file__).with_name('ran').touch()\ndef parse(page): return __name__\n"
        "if __name__ == '__main__': raise SystemExit('as the main program')",
    )
    adopted = handlers.AdoptedMain(str(path))
    monkeypatch.setitem(sys.modules, "__main__", adopted)
    assert not hasattr(adopted, "__wrapped__")  # as tools ask of any module
    assert not (scripts / "ran").exists()
    function = resolve(f"{path}:parse")
    assert function(None) == "__mp_main__"
    assert (scripts / "ran").exists()
    assert name_of(function) == f"{path}:parse"
    assert sys.modules["__main__"].parse is function


def test_an_adopted_main_that_does_not_import_is_told(scripts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(scripts, "script.py", "import sys\nsys.argv[999]\ndef parse(page): pass")
    monkeypatch.setitem(sys.modules, "__main__", handlers.AdoptedMain(str(path)))
    with pytest.raises(HandlerNotImportable, match=r"does not import: IndexError: .* \(script\.py:2\)"):
        resolve(f"{path}:parse")
