from __future__ import annotations

import pytest

from scraper.errors import HandlerNotImportable, InvalidOption, InvalidURL
from scraper.model import Request
from scraper.parse.page import Page
from scraper.parse.parsers import make_parser
from scraper.parse.protocol import Document, Parser
from scraper.parse.source import Source

from . import handlers
from .conftest import MakePage


class Forbidden:
    """A parser that must not be asked."""

    name = "lxml"

    def parse(self, source: Source) -> Document:
        raise AssertionError("parsed")


def test_what_needs_no_document_parses_nothing() -> None:
    page = Page.from_bytes(
        b'{"a": "\xc3\xa9 <bas"}',
        url="http://example.org/d/page",
        parser=Forbidden(),
        status=201,
        headers={"Content-Type": "application/json"},
        data={"row": 1},
    )
    assert page.body == b'{"a": "\xc3\xa9 <bas"}'
    assert page.text == '{"a": "é <bas"}'
    assert page.json() == {"a": "é <bas"}
    assert page.join("x") == "http://example.org/d/x"
    assert page.data == {"row": 1}
    assert page.request == Request("http://example.org/d/page", data={"row": 1})
    assert (page.url, page.status, page.headers["content-type"]) == (
        "http://example.org/d/page",
        201,
        "application/json",
    )
    assert "not parsed" in repr(page)


def test_a_page_is_parsed_once() -> None:
    class Counting:
        name = "lxml"

        def __init__(self) -> None:
            self.inner: Parser = make_parser("lxml")
            self.calls = 0

        def parse(self, source: Source) -> Document:
            self.calls += 1
            return self.inner.parse(source)

    parser = Counting()
    page = Page.from_bytes(b"<title>t</title><a href=x>", url="http://example.org/", parser=parser)
    assert (page.title, page.links(), len(page.css("a")), page.h1) == ("t", ["http://example.org/x"], 1, None)
    assert page.document is page.document
    assert parser.calls == 1
    assert page.parse_s > 0


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("a?b#c", "http://example.org/d/a?b"),
        ("", "http://example.org/d/page"),
        ("https://other.example", "https://other.example/"),
        ("mailto:x", None),
        ("http://[", None),
        (None, None),
    ],
)
def test_join(make_page: MakePage, reference: str | None, url: str | None) -> None:
    assert make_page("<p>").join(reference) == url


def test_links_are_the_callers_own_list(make_page: MakePage) -> None:
    page = make_page("<a href=x><a href='http://['>")
    page.links().clear()
    assert page.links() == ["http://example.org/d/x"]
    assert page.refused_links == 1


def test_follow_takes_each_url_once_and_elements_with_an_href_only(make_selectable: MakePage) -> None:
    page = make_selectable(
        "<a class=n href=1><a class=n href='1#x'><a class=n><p class=n><a class=n href=mailto:x><a href=2>"
    )
    assert list(page.follow("a.n")) == [Request("http://example.org/d/1")]
    (request,) = page.follow(".n", handler=handlers.nothing, data=[1], priority=3)
    assert request == Request("http://example.org/d/1", handler=handlers.nothing, data=[1], priority=3)


def test_follow_refuses_a_handler_that_no_worker_could_import(make_selectable: MakePage) -> None:
    with pytest.raises(HandlerNotImportable, match="a lambda"):
        list(make_selectable("<a href=x>").follow("a", handler=lambda page: None))


def test_json_in_other_encodings() -> None:
    page = Page.from_bytes(
        '["é"]'.encode("latin-1"),
        url="http://example.org/",
        headers={"Content-Type": "application/json; charset=latin-1"},
    )
    assert page.json() == ["é"]
    assert Page.from_bytes('["é"]'.encode("utf-16"), url="http://example.org/").json() == ["é"]
    with pytest.raises(ValueError, match="Expecting value"):
        Page.from_bytes(b"<p>", url="http://example.org/").json()


def test_the_parsers_own_document_is_at_hand() -> None:
    body = b"<h2>Two</h2><p>text <b>bold</b><h1>One</h1><style>no</style><a href=x>"
    kinds = {}
    for name in ("lxml", "lexbor", "html.parser", "bs4"):
        page = Page.from_bytes(body, url="http://example.org/", parser=name)
        kinds[name] = type(page.document).__name__
    assert kinds == {
        "lxml": "_Element",
        "lexbor": "LexborHTMLParser",
        "html.parser": "PageScan",
        "bs4": "BeautifulSoup",
    }


def test_the_scan_of_html_parser_tells_headings_and_text() -> None:
    scan = Page.from_bytes(
        b"<title>t</title><h2>Two</h2><p>text &amp; <b>bold</b>\n<h1>One</h1><style>no</style><textarea>&lt;</textarea>"
        b"<template><h3>no</h3></template><meta name=a content=b><link rel=next href=n>",
        url="http://example.org/",
        parser="html.parser",
    ).document
    assert scan.titles == ["t"]
    assert scan.headings == [(2, "Two"), (1, "One")]
    assert scan.text == "Twotext & bold One<"
    assert scan.metas == [{"name": "a", "content": "b"}]
    assert scan.links == [{"rel": "next", "href": "n"}]


def test_a_page_needs_a_url_and_a_parser() -> None:
    with pytest.raises(InvalidURL):
        Page.from_bytes(b"", url="page.html")
    with pytest.raises(InvalidOption, match="choose one of lxml, lexbor"):
        Page.from_bytes(b"", url="http://example.org/", parser="regex")  # type: ignore[arg-type]
