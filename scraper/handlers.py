"""Functions by name: how a handler is written down, and how it is found again.

A handler crosses process borders and is stored in state files, so it travels as text:
`package.module:qualname` for a function of an importable module, `/path/file.py:qualname` for one of a script.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

from scraper.errors import HandlerNotImportable

# Set while a script is imported for its handler, so that a script which starts a crawl at import time (it has
# no `if __name__ == "__main__"` guard) is told so by the crawl, instead of crawling again in every worker.
importing: ContextVar[str | None] = ContextVar("importing", default=None)


def name_of(function: Callable[..., Any] | str) -> str:
    """The name under which a worker can import this function.

    Args:
        function: a function defined at the top level of a module or script, or such a name already.

    Raises:
        HandlerNotImportable: a lambda, a local function, a callable object, a function of an interactive
            session, or text that is not `MODULE:NAME` or `FILE.py:NAME`.
    """
    if isinstance(function, str):
        split_name(function)
        return function
    if not callable(function):
        raise HandlerNotImportable(f"{function!r} is not callable: pass a function, or its name MODULE:NAME")
    qualname = getattr(function, "__qualname__", None)
    module = getattr(function, "__module__", None)
    if qualname is None or module is None:
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
    if module not in ("__main__", "__mp_main__"):
        return module
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and not spec.name.endswith("__main__"):  # python -m package.module
        return str(spec.name)
    file = getattr(main, "__file__", None)
    if file is None:
        raise HandlerNotImportable(
            f"{qualname} was defined interactively, so a worker cannot import it: "
            "put it into a file and import it from there"
        )
    return str(Path(file).resolve())


def split_name(name: str) -> tuple[str, str]:
    """Splits `MODULE:NAME` or `FILE.py:NAME` into place and qualname.

    Raises:
        HandlerNotImportable: the text has another form.
    """
    place, colon, qualname = name.rpartition(":")
    if not colon or not place or not qualname:
        raise HandlerNotImportable(f"{name!r} does not name a function: write MODULE:NAME or FILE.py:NAME")
    return place, qualname


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
        raise HandlerNotImportable(f"{name!r} is a {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]


def _load(place: str, name: str) -> ModuleType:
    token = importing.set(place)
    try:
        return _load_script(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except HandlerNotImportable:
        raise
    except (Exception, SystemExit) as error:  # the boundary to the user's module
        raise HandlerNotImportable(
            f"{name!r} does not import: {type(error).__name__}: {error}. A handler's module is imported in every "
            'worker, so what it does at import belongs under if __name__ == "__main__"'
        ) from error
    finally:
        importing.reset(token)


def _load_script(path: Path) -> ModuleType:
    if not path.is_file():
        raise HandlerNotImportable(f"{path} does not exist")
    path = path.resolve()
    main = sys.modules.get("__main__")
    if main is not None and getattr(main, "__file__", None) and Path(str(main.__file__)).resolve() == path:
        return main
    alias = f"_script_{path.stem}_{abs(hash(str(path))):x}"
    if alias in sys.modules:
        return sys.modules[alias]
    spec = importlib.util.spec_from_file_location(alias, path)
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
