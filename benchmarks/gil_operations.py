"""What `gil_table` measures: the operations of HTML parsers, each as a function of what it works on.

Libraries are imported when an operation is set up, in the process that measures it. One that is not installed is a
row that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib import import_module
from typing import Any

# What is worked on, made of a page beforehand, and the operation on it.
Parts = tuple[Callable[[bytes], Any], Callable[[Any], object]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One row.

    Args:
        library: what is installed, as PyPI calls it; None for the standard library.
        title: the library as the table calls it.
        name: what is done.
        set_up: called once in each thread, so that each has a parser of its own.
        is_on_tree: it works on trees that were parsed before.
    """

    library: str | None
    title: str
    name: str
    set_up: Callable[[], Parts]
    is_on_tree: bool = False


def _same(page: bytes) -> bytes:
    return page


def _text(page: bytes) -> str:
    return page.decode("utf-8", "replace")


def _lxml(run: Callable[[Any], object]) -> Callable[[], Parts]:
    """An operation on a tree of a private parser."""

    def set_up() -> Parts:
        etree = import_module("lxml.etree")
        parser = etree.HTMLParser()
        return lambda page: etree.fromstring(page, parser), run

    return set_up


def _lxml_parse() -> Parts:
    etree = import_module("lxml.etree")
    parser = etree.HTMLParser()
    return _same, lambda page: etree.fromstring(page, parser)


def _lxml_css() -> Parts:
    prepare, _ = _lxml(len)()
    return prepare, import_module("lxml.cssselect").CSSSelector("a[href]", translator="html")


def _lxml_tostring() -> Parts:
    prepare, _ = _lxml(len)()
    return prepare, import_module("lxml.etree").tostring


def _lxml_default_parser() -> Parts:
    return _same, import_module("lxml.html").fromstring


def _parsel(run: Callable[[Any], object] | None = None) -> Callable[[], Parts]:
    def set_up() -> Parts:
        selector = import_module("parsel").Selector
        if run is None:
            return _same, lambda page: selector(body=page, type="html")
        return lambda page: selector(body=page, type="html"), run

    return set_up


def _lexbor(run: Callable[[Any], object] | None = None) -> Callable[[], Parts]:
    def set_up() -> Parts:
        parse = import_module("selectolax.lexbor").LexborHTMLParser
        return (_same, parse) if run is None else (parse, run)

    return set_up


def _modest() -> Parts:
    return _same, import_module("selectolax.parser").HTMLParser


def _resiliparse(run: Callable[[Any], object] | None = None) -> Callable[[], Parts]:
    def set_up() -> Parts:
        parse = import_module("resiliparse.parse.html").HTMLTree.parse_from_bytes
        return (_same, parse) if run is None else (parse, run)

    return set_up


def _turbohtml(run: Callable[[Any], object] | None = None) -> Callable[[], Parts]:
    def set_up() -> Parts:
        parse = import_module("turbohtml").parse
        return (_same, parse) if run is None else (parse, run)

    return set_up


def _html5_parser() -> Parts:
    parse = import_module("html5_parser").parse
    parse(b"<p>")  # it refuses here where lxml has another libxml2
    return _same, parse


def _html_parser() -> Parts:
    return _text, lambda text: HTMLParser().feed(text)


def _soup(builder: str, run: Callable[[Any], object] | None = None) -> Callable[[], Parts]:
    def set_up() -> Parts:
        soup = import_module("bs4").BeautifulSoup
        if run is None:
            return _text, lambda text: soup(text, builder)
        return lambda page: soup(_text(page), builder), run

    return set_up


def _html5lib() -> Parts:
    return _text, import_module("html5lib").parse


def _justhtml() -> Parts:
    return _text, import_module("justhtml").JustHTML


def _lexbor_attributes(tree: Any) -> list[object]:
    return [node.attributes for node in tree.root.traverse()]


OPERATIONS = (
    Operation("lxml", "lxml", "parse", _lxml_parse),
    Operation("lxml", "lxml", "parse, default parser", _lxml_default_parser),
    Operation("lxml", "lxml", "XPath `//a/@href`", _lxml(lambda root: root.xpath("//a/@href")), is_on_tree=True),
    Operation("lxml", "lxml", "CSS `a[href]`", _lxml_css, is_on_tree=True),
    Operation("lxml", "lxml", "`find` of all `a`", _lxml(lambda root: root.findall(".//a")), is_on_tree=True),
    Operation(
        "lxml", "lxml", "`iter`, text of each", _lxml(lambda root: [node.text for node in root.iter()]), is_on_tree=True
    ),
    Operation("lxml", "lxml", "`tostring`", _lxml_tostring, is_on_tree=True),
    Operation("selectolax", "lexbor", "parse", _lexbor()),
    Operation("selectolax", "lexbor", "CSS `a[href]`", _lexbor(lambda tree: tree.css("a[href]")), is_on_tree=True),
    Operation("selectolax", "lexbor", "text", _lexbor(lambda tree: tree.text()), is_on_tree=True),
    Operation("selectolax", "lexbor", "attributes of each", _lexbor(_lexbor_attributes), is_on_tree=True),
    Operation("selectolax", "modest", "parse", _modest),
    Operation("parsel", "parsel", "parse", _parsel()),
    Operation("parsel", "parsel", "CSS `a::attr(href)`", _parsel(lambda page: page.css("a::attr(href)").getall())),
    Operation("resiliparse", "resiliparse", "parse", _resiliparse()),
    Operation(
        "resiliparse",
        "resiliparse",
        "CSS `a[href]`",
        _resiliparse(lambda tree: tree.body.query_selector_all("a[href]")),
        is_on_tree=True,
    ),
    Operation("turbohtml", "turbohtml", "parse", _turbohtml()),
    Operation("turbohtml", "turbohtml", "text", _turbohtml(lambda tree: tree.text), is_on_tree=True),
    Operation("html5-parser", "html5-parser", "parse", _html5_parser),
    Operation(None, "html.parser", "feed", _html_parser),
    Operation("beautifulsoup4", "bs4 on html.parser", "parse", _soup("html.parser")),
    Operation("beautifulsoup4", "bs4 on lxml", "parse", _soup("lxml")),
    Operation(
        "beautifulsoup4", "bs4", "CSS `a[href]`", _soup("lxml", lambda soup: soup.select("a[href]")), is_on_tree=True
    ),
    Operation("html5lib", "html5lib", "parse", _html5lib),
    Operation("justhtml", "justhtml", "parse", _justhtml),
)
