"""`scraper probe` as scripts and people use it."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

FUNCTIONS = """
import hashlib

def python(body):
    return sum(i * i for i in range(20_000))

def native(body):
    return hashlib.pbkdf2_hmac("sha256", b"a", b"b", 10_000)

def titles(page):
    yield {"title": page.title}

def fails(body):
    raise ValueError("not this one")

def ends(body):
    import os
    os._exit(7)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pages = tmp_path / "pages"
    (pages / "below").mkdir(parents=True)
    (pages / "a.html").write_text("<title>a</title>")
    (pages / "b.HTM").write_text("<title>b</title>")
    (pages / "below" / "c.xhtml.gz").write_bytes(gzip.compress(b"<title>c</title>"))
    (pages / "notes.txt").write_text("no page")
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    return tmp_path


def scraper(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scraper", "probe", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=55,
        check=False,
    )


def test_the_json_keeps_its_contract(folder: Path) -> None:
    run = scraper(folder, "functions.py:python", "--pages", "pages", "--raw", "--json", "--cores", "8")
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["kind"] == "python"
    assert set(told["shares"]) == {"waiting", "python", "native", "native_held"}
    assert sum(told["shares"].values()) == pytest.approx(1.0)
    assert 0.7 < told["gil_held"] <= 1.0
    assert told["wall_s_per_page"] > 0
    assert told["cpu_s_per_page"] > 0
    assert told["pickle_s_per_page"] > 0
    assert told["recommended"] in {"inline", "thread", "process", "interpreter"}
    assert told["recommended_workers"] >= 1
    assert {"inline", "thread", "process"} <= set(told["predicted"])
    assert set(told["predicted"]["process"]) == {"1", "2", "4", "8", "16", "32", "64"}
    assert 0 <= told["uncertainty"] <= 1
    assert told["why"]
    assert told["pages"] == 3


def test_the_text_names_the_nature_and_the_place(folder: Path) -> None:
    run = scraper(folder, "functions:native", "--pages", "pages", "--raw")
    assert run.returncode == 0, run.stderr
    assert "It is mostly C that lets the GIL go" in run.stdout
    assert "Measured on 3 pages" in run.stdout
    assert "Best in" in run.stdout


def test_a_handler_gets_pages(folder: Path) -> None:
    run = scraper(folder, "functions.py:titles", "--pages", "pages", "--parser", "html.parser", "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["failures"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["functions.py:python", "--pages", "nowhere"], "no such folder"),
        (["functions.py:python", "--pages", "."], ""),
        (["functions.py:python"], "--pages"),
        (["functions.py:missing", "--pages", "pages"], "missing"),
        (["nowhere.py:python", "--pages", "pages"], "does not exist"),
        (["python", "--pages", "pages"], "MODULE:NAME"),
        (["functions.py:python", "--pages", "pages", "--parser", "other"], "other"),
        (["functions.py:python", "--pages", "pages", "--cores", "0"], "cores"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(folder: Path, arguments: list[str], said: str) -> None:
    if arguments[-1] == ".":  # a folder without pages
        (folder / "empty").mkdir()
        arguments, said = [*arguments[:-1], "empty"], "no HTML files"
    run = scraper(folder, *arguments)
    assert run.returncode == 2
    assert len(run.stderr.strip().splitlines()) == 1
    assert said in run.stderr
    assert run.stdout == ""


@pytest.mark.parametrize(("name", "said"), [("fails", "ValueError: not this one"), ("ends", "exit code 7")])
def test_a_function_that_cannot_be_measured_is_one_line_and_exit_1(folder: Path, name: str, said: str) -> None:
    run = scraper(folder, f"functions.py:{name}", "--pages", "pages", "--raw", "--json")
    assert run.returncode == 1
    assert len(run.stderr.strip().splitlines()) == 1
    assert said in run.stderr
