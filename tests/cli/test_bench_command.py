"""`scraper bench`: one real run in its smallest form, its files, its refusals and its end by Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures_server import SiteOptions
from fixtures_server.pytest_plugin import StartServer
from scraper.cli.main import main

CELL_FIELDS = {
    "mode",
    "parser",
    "executor",
    "workers",
    "pages_per_s",
    "low",
    "high",
    "speedup_vs_inline",
    "predicted_pages_per_s",
    "loop_lag_p99_ms",
    "cpu_s_per_page",
    "rss_mb",
    "status",
}

SELECTING = """
def parse(page):
    yield {"title": page.css_first("title").text}
"""


def bench(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    # What is measured of the machine while tests run must not be remembered.
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder)}
    command = [sys.executable, "-m", "scraper", "bench", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def finished(process: subprocess.Popen[str], *, status: int = 0) -> tuple[str, str]:
    try:
        out, err = process.communicate(timeout=100)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == status, err
    return out, err


def cells_of(path: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {(cell["mode"], cell["parser"], cell["executor"]): cell for cell in json.loads(path.read_text())["cells"]}


@pytest.mark.timeout(150)
def test_a_small_benchmark_writes_what_scripts_rely_on(tmp_path: Path) -> None:
    found, page = tmp_path / "bench.json", tmp_path / "bench.html"
    small = ["--parsers", "html.parser,lexbor", "--executors", "inline,process", "--workers", "1"]
    files = ["--json", str(found), "--html", str(page)]
    out, err = finished(bench(*small, "--rounds", "2", "--seconds", "0.2", *files, folder=tmp_path))
    assert err.startswith("This takes about ")
    result = json.loads(found.read_text())
    assert len(result["cells"]) == 8
    for cell in result["cells"]:
        assert cell.keys() >= CELL_FIELDS
        assert cell["status"] == "ok"
        assert cell["low"] <= cell["pages_per_s"] <= cell["high"]
        assert cell["cpu_s_per_page"] > 0
        assert cell["rss_mb"] > 10
        assert cell["loop_lag_p99_ms"] >= 0
        assert len(cell["rates"]) == 2
        assert (cell["speedup_vs_inline"] == 1) == (cell["executor"] == "inline")
    assert result["status"] == "complete"
    assert result["environment"]["Python"]
    assert {best["mode"] for best in result["verdict"]["best"]} == {"parse", "crawl"}
    assert result["verdict"]["noise"]
    for text in ("End to end", "Parsing alone", "html.parser", "1 process"):
        assert text in out
    assert page.read_text().startswith("<!doctype html>")

    compared = tmp_path / "compared.json"
    out, _ = finished(bench("--compare", str(found), str(found), "--json", str(compared), folder=tmp_path))
    assert "0 of 8 strategies differ" in out
    assert {change["text"] for change in json.loads(compared.read_text())["changes"]} == {"no difference"}


@pytest.mark.timeout(150)
def test_saved_pages_and_a_handler_that_not_every_parser_can_serve(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    for number in range(12):
        (pages / f"{number}.html").write_text(f"<title>Page {number}</title><p>{'text ' * 50 * number}</p>")
    handler = tmp_path / "own.py"
    handler.write_text(SELECTING)
    found = tmp_path / "bench.json"
    what = ["--pages", str(pages), "--handler", f"{handler}:parse", "--parsers", "html.parser,lexbor"]
    how = ["--executors", "thread", "--workers", "1", "--rounds", "2", "--seconds", "0.1", "--quiet"]
    out, err = finished(bench(*what, *how, "--json", str(found), folder=tmp_path))
    assert out == err == ""
    cells = cells_of(found)
    for mode in ("parse", "crawl"):
        assert cells[mode, "lexbor", "thread"]["status"] == "ok"
        lacking = cells[mode, "html.parser", "thread"]
        assert lacking["status"] == "unsupported"
        assert lacking["pages_per_s"] is None
    assert json.loads(found.read_text())["pages"]["number"] == 12


@pytest.mark.timeout(150)
def test_a_site_is_fetched_once_for_parsing_and_crawled_again_and_again(
    tmp_path: Path, fixture_server: StartServer
) -> None:
    site = fixture_server(SiteOptions(pages=20, page_bytes=6_000, links_per_page=10))
    found = tmp_path / "bench.json"
    how = ["--parsers", "lexbor", "--executors", "inline", "--rounds", "2", "--seconds", "0.1"]
    finished(bench("--url", site.url, *how, "--json", str(found), folder=tmp_path))
    assert {key[0]: cell["status"] for key, cell in cells_of(found).items()} == {"parse": "ok", "crawl": "ok"}
    assert json.loads(found.read_text())["pages"]["number"] == 20


@pytest.mark.timeout(150)
def test_ctrl_c_writes_what_was_measured_until_then(tmp_path: Path) -> None:
    found, page = tmp_path / "bench.json", tmp_path / "bench.html"
    how = ["--parsers", "lexbor", "--executors", "inline", "--mode", "parse", "--rounds", "1000", "--seconds", "0.1"]
    process = bench(*how, "--json", str(found), "--html", str(page), folder=tmp_path)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("This takes about ")
    # A thousand rounds would take minutes. This line comes when the first ones are done.
    assert any("round" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    out, _ = finished(process, status=130)
    result = json.loads(found.read_text())
    assert result["status"] == "interrupted"
    assert "Interrupted" in out
    assert "interrupted" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--parsers", "lxml,libxml"], "libxml"),
        (["--executors", "fork"], "fork"),
        (["--workers", "0"], "workers"),
        (["--workers", "two"], "two"),
        (["--rounds", "1"], "rounds"),
        (["--seconds", "0"], "seconds"),
        (["--mode", "fetch"], "fetch"),
        (["--parsers", ","], "nothing to compare"),
        (["--handler", "no_such_module:parse"], "no_such_module"),
        (["--url", "not a url"], "not a url"),
        (["--pages", "EMPTY"], "EMPTY"),
        (["--pages", "EMPTY/none"], "none"),
        (["--json", "/dev/null/x.json"], "--json"),
        (["--html", "EMPTY"], "--html"),
        (["--json", "EMPTY/x", "--html", "EMPTY/x"], "same file"),
        (["--compare", "OTHER", "OTHER"], "not a file of scraper bench"),
        (["--compare", "MISSING", "OTHER"], "cannot be read"),
        (["--compare", "OTHER", "OTHER", "--html", "EMPTY/x.html"], "--html"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is measured: a benchmark takes minutes, and its end is no time to find a typing error."""
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "OTHER").write_text('{"a": 1}')
    placed = [
        str(tmp_path / argument) if argument.startswith(("EMPTY", "OTHER", "MISSING")) else argument
        for argument in arguments
    ]
    assert main(["bench", *placed]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert told in err
