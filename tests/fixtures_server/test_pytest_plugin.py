"""The plugin in a pytest run of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

TESTS = """
from fixtures_server import SiteOptions

seen = []


def test_one(fixture_server):
    site = fixture_server(SiteOptions(pages=3))
    seen.append(site)
    assert site.url_of(2).endswith("/page/2")
    assert fixture_server(SiteOptions(pages=3)) is site
    assert fixture_server(SiteOptions(pages=4)) is not site
    assert fixture_server() is fixture_server(SiteOptions())


async def test_two(fixture_server):
    assert fixture_server(SiteOptions(pages=3)) is seen[0]
    assert await seen[0].access_log() == []
"""


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=50, check=False
    )


def test_the_fixture_gives_equal_options_one_server_for_the_whole_run(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    # By its module's name instead of the installed entry point, so that this works in a checkout, too.
    plugins = ["-p", "no:scraper_fixtures_server", "-p", "fixtures_server.pytest_plugin", "-p", "no:cacheprovider"]
    finished = _run(
        "-m",
        "pytest",
        *plugins,
        "-o",
        "asyncio_mode=auto",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        "-W",
        "error",
        ".",
        cwd=tmp_path,
    )
    assert "2 passed" in finished.stdout, finished.stdout + finished.stderr


def test_loading_it_loads_nothing_else_of_the_package(tmp_path: Path) -> None:
    """It is imported in every pytest run of an environment that has the package, used or not."""
    script = (
        "import sys, pytest; before = set(sys.modules); import fixtures_server.pytest_plugin;"
        "print(sorted(set(sys.modules) - before))"
    )
    finished = _run("-c", script, cwd=tmp_path)
    assert finished.stdout.strip() == "['fixtures_server', 'fixtures_server.pytest_plugin']"
