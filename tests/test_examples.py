"""Every example runs as it stands."""

import re
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
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


def test_good_guest() -> None:
    printed = run("good_guest.py")
    assert "4 pages done, failed: {'http_404': 1}, skipped: {'robots': 2}" in printed
    assert printed.count("robots.txt, line 2: Disallow: /private/") == 2
    asked = re.findall(r"^  \d{3}  (\S+)$", printed, re.MULTILINE)
    assert asked[0] == "/robots.txt"
    assert sorted(asked[1:]) == ["/", "/a.html", "/b.html", "/missing.html", "/orphan.html", "/sitemap.xml"]
    assert printed.endswith("by ExampleBot/1.0 (+https://example.org/bot)\n")


def test_durable_crawl() -> None:
    lines = run("durable_crawl.py").splitlines()
    assert lines.count("killed") == 3
    assert lines[-1] == "500 items of 500 pages in the file"


def test_offload_only() -> None:
    assert "1996 documents" in run("offload_only.py")


def test_compare_parsers() -> None:
    rows = run("compare_parsers.py", "30").splitlines()[1:]
    assert len(rows) == 12
    assert all(float(row.split()[2]) > 0 for row in rows)


def test_gil_demo() -> None:
    rows = [
        line for line in run("gil_demo.py", "--quick").splitlines() if re.search(r"\d\.\d\d +[\d.]+ +\d+\.\d$", line)
    ]
    works = [line for line in rows if not line.startswith(" ")]
    assert [work.split(":")[0] for work in works] == [
        "Python",
        "waiting",
        "C that lets the GIL go",
        "C that keeps the GIL",
    ]


def test_markdown_metadata(tmp_path: Path) -> None:
    """Broken documents are reported, and none is lost: whoever did the work, the same rows are in the database."""
    printed = run("markdown_metadata.py", "--docs", "2000", "--folder", str(tmp_path))
    databases = sorted(tmp_path.glob("*.sqlite"))
    assert len(databases) == 6
    contents = []
    for path in databases:
        with closing(sqlite3.connect(path)) as database:
            contents.append(
                [database.execute(f"SELECT * FROM {each}").fetchall() for each in ("documents", "rejected")]
            )
    documents, rejected = contents[0]
    assert len(documents) + len(rejected) == 2000
    assert f"{len(rejected)} rejected" in printed
    assert {path for path, *_ in documents}.isdisjoint(path for path, _ in rejected)
    for other_documents, other_rejected in contents[1:]:
        assert other_documents == documents
        assert [path for path, _ in other_rejected] == [path for path, _ in rejected]
    title, *_, markdown = next(row[1:] for row in documents if row[5])
    assert markdown.startswith(f"---\ntitle: {title}\ndate: 20")
    assert "\ndraft: true\n---\n\n" in markdown


def test_choose_for_me() -> None:
    """Whatever the machine, counting words is Python and a sleep is waiting, and each prediction meets its crawl."""
    printed = run("choose_for_me.py", "--pages", "60", "--budget", "1")
    kinds = dict(re.findall(r"^(\w+): ([\w-]+), [\d.e+-]+ ms a page$", printed, re.MULTILINE))
    assert list(kinds) == ["select", "count_words", "look_up"]
    assert kinds["count_words"] == "python"
    assert kinds["look_up"] == "waiting"
    assert len(re.findall(r", recommended +[\d,]+ +[\d,]+ +[+-]\d+%", printed)) == 3
    assert len(re.findall(r"[\d,]+ +[\d,]+ +[+-]\d+% ", printed)) == 6


def test_gil_table_measures_and_writes_its_tables(tmp_path: Path) -> None:
    """The one benchmark whose output is a document: what stands around the tables stays."""
    document = tmp_path / "gil.md"
    markers = "".join(f"<!-- {name} -->\nold\n<!-- /{name} -->\n" for name in ("synthetic", "event loop"))
    document.write_text(f"before\n{markers}after\n", encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.gil_table", "--only", "html.parser", "--only", "html5-parser"]
    command += [
        "--rounds",
        "1",
        "--window-s",
        "0.05",
        "--json",
        str(tmp_path / "results.json"),
        "--write",
        str(document),
    ]
    done = subprocess.run(command, cwd=EXAMPLES.parent, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
    text = document.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- synthetic -->\n")
    assert text.endswith("<!-- event loop -->\nold\n<!-- /event loop -->\nafter\n")
    assert re.search(r"\| html.parser \| feed \| [\d.]+ \| \d\.\d\d \| \d\.\d\d \| \d+% \|", text)
    assert "| html5-parser | parse | not installed | | | |" in text


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
