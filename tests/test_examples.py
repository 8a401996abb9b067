"""Every example runs as it stands."""

import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from fixtures_server import SiteOptions
from fixtures_server.pytest_plugin import StartServer

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_example_is_without_a_test() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in tested


def test_quickstart() -> None:
    lines = run("quickstart.py").splitlines()
    assert len(lines) == 30
    assert all(line.startswith("200 ") for line in lines)


def test_own_handler() -> None:
    lines = run("own_handler.py").splitlines()
    assert lines[0] == "url,shop,product,price_eur"
    assert re.match(r"\d+ prices from \d+ pages", lines[-1])


def test_offload_only() -> None:
    assert "1996 documents" in run("offload_only.py")


def test_compare_parsers() -> None:
    rows = run("compare_parsers.py", "30").splitlines()[1:]
    assert len(rows) == 12
    assert all(float(row.split()[2]) > 0 for row in rows)


def test_embed_in_app(fixture_server: StartServer) -> None:
    site = fixture_server(SiteOptions(pages=15, page_bytes=6_000, links_per_page=10))
    command = [sys.executable, str(EXAMPLES / "embed_in_app.py"), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout is not None
            address = service.stdout.readline().split()[1].removesuffix("...")
            for _ in range(2):  # the pool of workers outlives a request
                with urllib.request.urlopen(f"{address}{site.url}&pages=10", timeout=20) as answer:
                    assert len(answer.read().splitlines()) == 10
            with pytest.raises(urllib.error.HTTPError, match="400"):
                urllib.request.urlopen(f"{address}nonsense", timeout=20)
        finally:
            service.terminate()
    assert service.returncode is not None
