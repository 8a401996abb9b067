"""`scraper demo`: every strategy in a table and in a report."""

import subprocess
import sys
from pathlib import Path

import pytest

import scraper
from scraper.cli.main import main


def test_the_demo_shows_every_parser_in_every_place(tmp_path: Path) -> None:
    report = tmp_path / "new" / "demo.html"
    command = [sys.executable, "-m", "scraper", "demo", "--seconds", "0.1", "--report", str(report)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=58, check=False)
    assert run.returncode == 0, run.stderr
    html = report.read_text(encoding="utf-8")
    for parser in ("lxml", "lexbor", "html.parser", "bs4"):
        assert parser in run.stdout
        assert parser in html
    assert len([line for line in run.stderr.splitlines() if "pages/s, event loop lag" in line]) == 12
    assert report.resolve().as_uri() in run.stdout


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--report", "/dev/null/demo.html"]])
def test_a_wrong_option_is_refused_in_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *arguments]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"scraper {scraper.__version__}\n"
