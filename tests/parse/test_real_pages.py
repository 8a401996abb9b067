"""The four parsers on saved pages of the web, where nothing is well-formed."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scraper.model import Links
from scraper.options import ParserName
from scraper.parse.outline import outline
from scraper.parse.page import Page
from scraper.parse.parsers import make_parser
from scraper.parse.protocol import Parser

FOLDER = Path(__file__).parents[3] / "shared/data/pages"
PAGES = sorted(FOLDER.glob("*.html.gz"))

pytestmark = pytest.mark.skipif(not PAGES, reason="the saved pages are not at hand")

# Where a parser differs from the HTML Standard's tree, which lexbor builds, and why.
DIFFERENCES: dict[tuple[str, ParserName], set[str]] = {
    # A style element in front of <html>: libxml2 forgets the attributes of an html tag that comes too late.
    ("0629.html.gz", "lxml"): {"lang"},
    # <noscript><iframe … /></noscript>: by the standard the iframe never ends, and what follows is its text.
    # libxml2 obeys the slash, and finds three links and the heading.
    ("2838.html.gz", "lxml"): {"h1", "links", "urls"},
}


@cache
def urls_by_file() -> dict[str, str]:
    return {entry["file"]: entry["url"] for entry in json.loads((FOLDER / "manifest.json").read_text())}


def told_by(parser: Parser, file: Path) -> dict[str, Any]:
    page = Page.from_bytes(gzip.decompress(file.read_bytes()), url=urls_by_file()[file.name], parser=parser)
    item, links = outline(page)
    assert isinstance(item, dict)
    assert isinstance(links, Links)
    return {**item, "urls": links.urls}


@pytest.mark.parametrize(
    ("name", "every"),
    [("lxml", 1), ("html.parser", 1), ("bs4", 6)],  # bs4 takes a tenth of a second a page
)
def test_outlines_are_equal_but_for_known_differences(name: ParserName, every: int) -> None:
    reference, parser = make_parser("lexbor"), make_parser(name)
    found: dict[tuple[str, ParserName], set[str]] = {}
    for file in PAGES[::every]:
        expected, told = told_by(reference, file), told_by(parser, file)
        if keys := {key for key in expected if told[key] != expected[key]}:
            found[file.name, name] = keys
    pages = {file.name for file in PAGES[::every]}
    assert found == {place: keys for place, keys in DIFFERENCES.items() if place[1] == name and place[0] in pages}


def test_pages_that_were_cut_anywhere_are_read_by_all() -> None:
    """Half a tag, half a character, half a comment."""
    body = gzip.decompress(min(PAGES, key=lambda file: file.stat().st_size).read_bytes())
    parsers = [make_parser(name) for name in ("lxml", "lexbor", "html.parser")]
    for end in range(1, len(body), max(1, len(body) // 60)):
        links = {
            tuple(Page.from_bytes(body[:end], url="https://example.org/", parser=parser).links()) for parser in parsers
        }
        assert len(links) == 1, end
