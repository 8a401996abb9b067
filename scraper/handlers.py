"""Functions by name: how a handler is written down, and how it is found again.

A handler crosses process borders and is stored in state files, so it travels as text:
`package.module:qualname` for a function of an importable module, `/path/file.py:qualname` for one of a script.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from scraper.errors import HandlerNotImportable

# Set while a script is imported for its handler, so that a script which starts a crawl at import time (it has
# no `if __name__ == "__main__"` guard) is told so by the crawl, instead of crawling again in every worker.
importing: ContextVar[str | None] = ContextVar("importing", default=None)

# The same for what such a script starts in threads and processes of its own, set in worker processes only.
IMPORTING_VARIABLE = "SCRAPER_WORKER_IMPORTS"

_SCRIPT_PREFIX = "_script_"

# The name multiprocessing gives to the main script in a worker, and everybody's guard expects.
_WORKER_MAIN = "__mp_main__"

# importlib locks modules, not files: two threads that want the same script must not run it twice.
_script_lock = threading.RLock()


def import_under_way() -> str | None:
    """The module or script that is being imported for its handler, if this code runs because of that."""
    return importing.get() or os.environ.get(IMPORTING_VARIABLE)


def name_of(function: Callable[..., Any] | str) -> str:
    """The name under which a worker can import this function; a script's path in it is absolute.

    Args:
        function: a function defined at the top level of a module or script, or such a name already.

    Raises:
        HandlerNotImportable: a lambda, a local function, a callable object, a method of an object, a function of
            an interactive session, or text that is not `MODULE:NAME` or `FILE.py:NAME`.
    """
    if isinstance(function, str):
        place, name = split_name(function)
        return f"{Path(place).resolve()}:{name}" if _is_file(place) else function
    if not callable(function):
        raise HandlerNotImportable(f"{function!r} is not callable: pass a function, or its name MODULE:NAME")
    qualname = getattr(function, "__qualname__", None)
    module = getattr(function, "__module__", None)
    owner = getattr(function, "__self__", None)
    if qualname is None or module is None or not (owner is None or isinstance(owner, type | ModuleType)):
        raise HandlerNotImportable(
            f"{function!r} has no name that a worker could import: write a function at the top level of a module"
        )
    if "<" in qualname:
        kind = "a lambda" if qualname.endswith("<lambda>") else f"{qualname}, a local function,"
        raise HandlerNotImportable(
            f"{kind} in {module} has no name that a worker could import: "
            "define the function at the top level of its module"
        )
    return f"{_place_of(module, qualname)}:{qualname}"


def _place_of(module: str, qualname: str) -> str:
    if module.startswith(_SCRIPT_PREFIX) and module in sys.modules:
        return str(sys.modules[module].__file__)
    if module not in ("__main__", _WORKER_MAIN):
        return module
    place = main_place()
    if place is None:
        raise HandlerNotImportable(
            f"{qualname} was defined interactively, so a worker cannot import it: "
            "put it into a file and import it from there"
        )
    return place


def main_place() -> str | None:
    """Where the running program came from: a module's name, a script's path, or None if it was typed in."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":  # python -m package.module
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return None if file is None or not Path(file).is_file() else str(Path(file).resolve())


def split_name(name: str) -> tuple[str, str]:
    """Splits `MODULE:NAME` or `FILE.py:NAME` into place and qualname.

    Raises:
        HandlerNotImportable: the text has another form.
    """
    place, colon, qualname = name.rpartition(":")
    if not colon or not place or not qualname:
        raise HandlerNotImportable(f"{name!r} does not name a function: write MODULE:NAME or FILE.py:NAME")
    return place, qualname


def _is_file(place: str) -> bool:
    return place.endswith(".py") or os.sep in place


def resolve(name: str) -> Callable[..., Any]:
    """Imports the function that a name stands for. A script is imported at most once in a process.

    Raises:
        HandlerNotImportable: no such file, module or function; its import failed; it is not callable.
    """
    place, qualname = split_name(name)
    module = _load(place, name)
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise HandlerNotImportable(f"{name!r}: {place} has no {qualname!r}")
    if not callable(found):
        raise HandlerNotImportable(f"{name!r} is no function but of type {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _load(place: str, name: str) -> ModuleType:
    with _imports(place, name):
        if _is_file(place):
            with _script_lock:
                return _load_script(Path(place))
        main = sys.modules["__main__"]
        if place not in sys.modules and getattr(getattr(main, "__spec__", None), "name", None) == place:
            return main  # it runs as python -m, and must not be imported a second time
        return importlib.import_module(place)


@contextmanager
def _imports(place: str, name: str) -> Iterator[None]:
    """The one translation of what a user's module raises while it is imported."""
    token = importing.set(place)
    try:
        yield
    except HandlerNotImportable:
        raise
    except (Exception, SystemExit) as error:  # the boundary to the user's module
        raise HandlerNotImportable(
            f"{name!r} does not import: {type(error).__name__}: {error}{_line_of(error)}. A handler's module is "
            'imported in every worker, so what it does at import belongs under if __name__ == "__main__"'
        ) from error
    finally:
        importing.reset(token)


def _line_of(error: BaseException) -> str:
    """Where in the user's files an import failed: the innermost line that is no import machinery."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<") and file not in (__file__, importlib.__file__):
            place = f" ({Path(file).name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place


def _load_script(path: Path) -> ModuleType:
    if not path.is_file():
        raise HandlerNotImportable(f"{path} does not exist")
    path = path.resolve()
    main = sys.modules["__main__"]
    if getattr(main, "__file__", None) and Path(str(main.__file__)).resolve() == path:
        return main
    # The same in every process, because what workers return may name a class of the script.
    alias = f"{_SCRIPT_PREFIX}{path.stem}_{zlib.crc32(os.fsencode(path)):08x}"
    if alias in sys.modules:
        return sys.modules[alias]
    spec = importlib.util.spec_from_file_location(alias, path, loader=SourceFileLoader(alias, str(path)))
    if spec is None or spec.loader is None:
        raise HandlerNotImportable(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    folder = str(path.parent)  # a script finds its neighbours, as when it is run
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[alias]
        raise
    return module


class AdoptedMain(ModuleType):
    """Stands in a worker for the main script of the process that started it.

    The script is run when the first of its names is asked for, by a handler's name or by a pickle that holds one
    of its objects; a worker that needs nothing of it never runs it. It runs under the name `__mp_main__`, so that
    what it guards by `if __name__ == "__main__"` does not run.

    Args:
        place: as `main_place` gave it in the process that started this one.
    """

    def __init__(self, place: str) -> None:
        super().__init__("__main__")
        self._place = place
        self._module: ModuleType | None = None
        if os.sep in place:
            self.__file__ = place
        else:
            self.__spec__ = ModuleSpec(place, None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        with _script_lock:
            return getattr(self._module or self._run(), name)

    def _run(self) -> ModuleType:
        with _imports(self._place, self._place):
            spec = self._find()
            self._module = module = importlib.util.module_from_spec(spec)
            module.__name__ = _WORKER_MAIN
            if os.sep in self._place:
                module.__spec__ = None  # as it is in a script that runs
            # Before it runs: whatever it imports may look for the main module, as multiprocessing does.
            sys.modules["__main__"] = sys.modules[_WORKER_MAIN] = module
            try:
                exec(spec.loader.get_code(spec.name), module.__dict__)  # type: ignore[union-attr] # noqa: S102
            except BaseException:
                self._module = None
                sys.modules["__main__"] = self
                del sys.modules[_WORKER_MAIN]
                raise
        return module

    def _find(self) -> ModuleSpec:
        if os.sep in self._place:
            loader = SourceFileLoader(_WORKER_MAIN, self._place)
            spec = importlib.util.spec_from_file_location(_WORKER_MAIN, self._place, loader=loader)
        else:
            spec = importlib.util.find_spec(self._place)
        if spec is None or spec.loader is None:
            raise HandlerNotImportable(f"{self._place} cannot be found by a worker")
        return spec
