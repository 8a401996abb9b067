"""The layout holds: public names, light import, no import cycle, stages that do not know each other."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import scraper

ROOT = Path(scraper.__file__).parent
STAGES = {"frontier", "fetch", "parse", "offload", "sinks", "metrics", "report"}
SHARED = {
    "addresses",
    "command_line",
    "completion",
    "errors",
    "handlers",
    "model",
    "options",
    "traps",
    "url_form",
    "urls",
}

PUBLIC = {
    "AddressOptions",
    "AioFetcher",
    "CacheOptions",
    "CacheRefused",
    "Crawler",
    "CsvSink",
    "Failure",
    "FetchOptions",
    "FunctionFailed",
    "HandlerNotImportable",
    "InterpretersUnsupported",
    "InvalidOption",
    "InvalidURL",
    "ItemNotPlain",
    "JsonLinesSink",
    "LimitOptions",
    "Links",
    "MemorySink",
    "MockFetcher",
    "NestingTooDeep",
    "NotRunning",
    "OffloadOptions",
    "OffloadPool",
    "OriginOptions",
    "OutputRefused",
    "PaceOptions",
    "Page",
    "ParquetSink",
    "ParseFailed",
    "ParseTimeout",
    "ProbeReport",
    "Request",
    "Resolve",
    "Response",
    "Result",
    "Resumable",
    "ScraperError",
    "SelectorUnsupported",
    "Sink",
    "SinkError",
    "Skip",
    "Snapshot",
    "SqliteSink",
    "StateError",
    "StateInDoubt",
    "StateOptions",
    "StateRefused",
    "Statistics",
    "TrapOptions",
    "UrlOptions",
    "UsageError",
    "WorkerCrashed",
    "WorkerError",
    "WorkerStartFailed",
    "__version__",
    "outline",
    "probe",
    "probe_now",
    "sitemaps",
}


def test_the_public_names_are_these() -> None:
    """Adding a name is a promise; taking one away breaks somebody."""
    assert set(scraper.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(scraper, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Crawlr"):
        _ = scraper.Crawlr


def loaded_by(code: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after running the code."""
    script = f"{code}\nimport sys; print(*sorted(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    return set(run.stdout.split())


@pytest.mark.parametrize("code", ["import scraper", "import scraper.offload.worker"])
def test_importing_the_package_loads_no_heavy_module(code: str) -> None:
    """A worker process pays for each of them at its start; aiohttp alone takes a quarter of a second."""
    assert not loaded_by(code) & {"aiohttp", "lxml", "selectolax", "bs4", "anyio", "rich", "asyncio", "pyarrow"}


def test_a_worker_loads_only_the_parser_that_it_uses() -> None:
    code = "from scraper.parse.extract import extractor; extractor('lexbor', 'scraper.parse.outline:outline')"
    assert not loaded_by(code) & {"aiohttp", "lxml", "bs4", "anyio", "asyncio"}


def modules() -> Iterator[tuple[str, Path]]:
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports_of(path: Path) -> set[str]:
    """Modules of this package that a module imports, wherever in its text, other than for types alone."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        waiting.extend(ast.iter_child_nodes(node))
    return found & {name for name, _ in modules()}


GRAPH = {name: imports_of(path) - {name} for name, path in modules() if name != "scraper"}


def test_no_import_cycle() -> None:
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in GRAPH.get(name, ()):
                visit(target, (*trail, name))
            done.add(name)

    for name in GRAPH:
        visit(name, ())


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_knows_shared_values_and_no_other_stage(stage: str) -> None:
    prefix = f"scraper.{stage}"
    own = {name: targets for name, targets in GRAPH.items() if name == prefix or name.startswith(prefix + ".")}
    assert own
    for name, targets in own.items():
        for target in targets - {"scraper"}:
            part = target.split(".")[1]
            assert part in SHARED | {stage}, f"{name} imports {target}"


def test_only_the_fetch_stage_imports_aiohttp() -> None:
    for name, path in modules():
        if not name.startswith("scraper.fetch"):
            text = path.read_text(encoding="utf-8")
            assert "import aiohttp" not in text, name
            assert "from aiohttp" not in text, name
