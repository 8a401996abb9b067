"""The URL parser for sub-interpreters gives what the one elsewhere gives."""

from __future__ import annotations

import gzip
import json
import re
import sys
from html import unescape
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import scraper
from scraper import ada, urls

DATA = Path(__file__).parents[2] / "shared/data"
PAGES = sorted((DATA / "pages").glob("*.html.gz"))
WPT = DATA / "urls/urltestdata.json"


@pytest.fixture(scope="module")
def urls_by_ada() -> ModuleType:
    """`scraper.urls` as it is where can_ada does not load."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "can_ada", None)
        patch.delitem(sys.modules, "scraper.urls")
        patch.setattr(scraper, "urls", urls)  # which the import below replaces
        return import_module("scraper.urls")


def test_without_can_ada_its_place_is_taken(urls_by_ada: ModuleType) -> None:
    assert urls_by_ada.can_ada is ada
    assert vars(urls)["can_ada"] is not ada


def test_no_url_and_lone_surrogates_are_told_apart() -> None:
    assert (ada.parse("HTTP://Example.org/a/") + "../ü").href == "http://example.org/%C3%BC"
    with pytest.raises(ValueError, match="is no URL"):
        ada.parse("example.org")
    with pytest.raises(TypeError):
        ada.parse("http://example.org/\ud800")


@pytest.mark.parametrize(
    ("base", "reference"),
    [
        ("http://example.org/a/b", "../c d?x y#z"),
        ("http://example.org/", "/loom/^0.7/?q=^"),
        ("http://example.org/", "\ud800"),
        ("http://xn--pokxncvks/a", "b"),
        ("http://example.org/", "http://xn--pokxncvks/b"),
        ("http://example.org/", "http://["),
        ("http://example.org/", "mailto:a@example.org"),
        ("no base", "b"),
    ],
)
def test_both_parsers_join_alike(urls_by_ada: ModuleType, base: str, reference: str) -> None:
    """A page that was parsed in an interpreter must not be fetched again under another spelling."""
    assert urls_by_ada.join(base, reference) == urls.join(base, reference)
    assert urls_by_ada.join_all(base, [reference]) == urls.join_all(base, [reference])


@pytest.mark.skipif(not PAGES, reason="the saved pages are not at hand")
def test_both_parsers_join_the_references_of_real_pages_alike(urls_by_ada: ModuleType) -> None:
    bases = {entry["file"]: entry["url"] for entry in json.loads((DATA / "pages/manifest.json").read_text())}
    joined = 0
    for file in PAGES:
        text = gzip.decompress(file.read_bytes()).decode(errors="replace")
        references = [unescape(found) for found in re.findall(r"(?:href|src)=[\"']([^\"']*)", text)]
        expected = urls.join_all(bases[file.name], references)
        assert urls_by_ada.join_all(bases[file.name], references) == expected
        joined += len(expected[0])
    assert joined > 10_000


@pytest.mark.skipif(not WPT.exists(), reason="the web platform's test data is not at hand")
def test_both_parsers_agree_on_the_web_platform_tests(urls_by_ada: ModuleType) -> None:
    cases: list[Any] = json.loads(WPT.read_text())
    for case in cases:
        if isinstance(case, dict):
            base, reference = case["base"] or "about:blank", case["input"]
            assert urls_by_ada.join(base, reference) == urls.join(base, reference), case
