"""HTML by lxml, which is libxml2's parser.

Three facts shape this module:
- A thread adopts the name dictionary of the first lxml parser that it uses, and two threads that share one race
  on it and can corrupt the heap. So each thread has its own `LxmlParser`, used once before any user code runs,
  and the default parser behind `lxml.html.fromstring` is never touched.
- Parsing and XPath release the GIL; `find` and `iter` hold it, but `iter` is free for names that the thread has
  never met.
- Without `huge_tree` libxml2 stops at 256 levels of nesting and with it at 2,048, and drops the rest of the page
  without a word. Here such a page fails instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any

from cssselect import ExpressionError, HTMLTranslator, SelectorError, parse
from cssselect.parser import CombinedSelector
from cssselect.xpath import XPathExpr
from lxml import etree

from scraper.parse.protocol import Element, collapse, not_understood, too_deep
from scraper.parse.source import Source

# Handlers use a few selectors each; the bound is for those that build a new one for every row.
_COMPILED = 512


class LxmlParser:
    """Parses with a private `etree.HTMLParser`, and keeps what was compiled for all of its documents."""

    name = "lxml"

    def __init__(self) -> None:
        # No handler looks elements up by ID, and the index of IDs costs time.
        self._parser = etree.HTMLParser(encoding="utf-8", huge_tree=True, collect_ids=False)
        self.compiled = lru_cache(maxsize=_COMPILED)(_compile)
        self.selector = lru_cache(maxsize=_COMPILED)(_compile_selector)
        etree.fromstring(b"<p>", self._parser)

    def parse(self, source: Source) -> LxmlDocument:
        utf8 = source.markup_utf8
        root = etree.fromstring(utf8, self._parser)
        if root is None:  # nothing but white space and comments
            root = etree.fromstring(b"<html></html>", self._parser)
        error = self._parser.error_log.last_error
        if error is not None and error.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT:
            raise too_deep("lxml")
        return LxmlDocument(root, utf8, self)


def _compile(query: str) -> etree.XPath:
    return etree.XPath(query, smart_strings=False)


def _compile_selector(selector: str, axis: str, only_first: bool) -> etree.XPath:
    translator = _Translator()
    paths = [translator.selector_to_xpath(each, axis, translate_pseudo_elements=True) for each in parse(selector)]
    return _compile(" | ".join([f"{path}[1]" for path in paths] if only_first else paths))


_AXES = {" ": "ancestor::", ">": "parent::", "+": "preceding-sibling::*[1]/self::", "~": "preceding-sibling::"}


class _Translator(HTMLTranslator):
    """Reads `div p` as "a p that has a div above it", which sees beyond the element that is searched."""

    def xpath_combinedselector(self, combined: CombinedSelector) -> XPathExpr:
        left = self.xpath(combined.selector)
        right = self.xpath(combined.subselector)
        condition = f"[{left.condition}]" if left.condition else ""
        return right.add_condition(f"{_AXES[combined.combinator]}{left.element}{condition}")

    def xpath_scope_pseudo(self, xpath: XPathExpr) -> XPathExpr:  # noqa: ARG002
        raise ExpressionError("The pseudo-class :scope is not supported.")


class LxmlDocument:
    """A page as libxml2 read it. `tree` is its html element."""

    def __init__(self, root: etree._Element, utf8: bytes, parser: LxmlParser) -> None:
        self.tree = root
        self.parser = parser
        self._utf8 = utf8

    def evaluate(self, query: str) -> Any:
        return self.parser.compiled(query)(self.tree)

    def title(self) -> str | None:
        return self._text_of_first("title")

    def h1(self) -> str | None:
        return self._text_of_first("h1")

    def _text_of_first(self, tag: str) -> str | None:
        shown = "[not(ancestor::template)]" if self.has_templates else ""
        for query in (f"/descendant::{tag}{shown}[1]", f"/descendant::{tag}{shown}"):  # the first stops early
            found = self.evaluate(query)
            text = next((text for node in found if (text := LxmlElement(node, self).text)), None)
            if text or not found:
                return text
        return None

    def metas(self, name: str) -> Iterator[str]:
        for element in self._head_then_all("meta", name):
            if element.get("name", "").lower() == name.lower() and (text := collapse(element.get("content", ""))):
                yield text

    def canonical_href(self) -> str | None:
        for element in self._head_then_all("link", "canonical"):
            if "canonical" in element.get("rel", "").lower().split() and (href := element.get("href")):
                return href
        return None

    def _head_then_all(self, tag: str, word: str) -> Iterator[etree._Element]:
        """The head's elements, then, if the word stands anywhere in the page, those of the whole page."""
        for element in self._head:
            if element.tag == tag:
                yield element
        if word.lower().encode() in self._lowered:
            for element in self.tree.iter(tag):
                if not self.has_templates or next(element.iterancestors("template"), None) is None:
                    yield element

    @cached_property
    def _head(self) -> list[etree._Element]:
        head = next(self.tree.iterchildren("head"), None)
        return [] if head is None else list(head)

    @cached_property
    def _lowered(self) -> bytes:
        return self._utf8.lower()

    def lang(self) -> str | None:
        return self.tree.get("lang", "").strip() or None

    @cached_property
    def _rare(self) -> frozenset[str]:
        return frozenset(element.tag for element in self.tree.iter("area", "base", "template"))

    @property
    def has_templates(self) -> bool:
        return "template" in self._rare

    def base_href(self) -> str | None:
        if "base" not in self._rare:
            return None
        found = self.evaluate("/descendant::base[@href][1]/@href")
        return found[0] if found else None

    def hrefs(self) -> list[str]:
        query = "//a/@href | //area/@href" if "area" in self._rare else "//a/@href"
        if self.has_templates:
            query = "(//a | //area)[not(ancestor::template)]/@href"
        hrefs: list[str] = self.evaluate(query)
        return hrefs

    def css(self, selector: str) -> list[Element]:
        return [LxmlElement(node, self) for node in self.select(self.tree, selector, "/descendant::", False)]

    def css_first(self, selector: str) -> Element | None:
        found = self.select(self.tree, selector, "/descendant::", True)
        return LxmlElement(found[0], self) if found else None

    def select(self, node: etree._Element, selector: str, axis: str, only_first: bool) -> list[etree._Element]:
        try:
            found: Any = self.parser.selector(selector, axis, only_first)(node)
        except (SelectorError, etree.XPathError, ValueError) as error:
            raise not_understood(selector, "lxml", error) from error
        return list(found)

    def xpath(self, query: str) -> Any:
        try:
            found = self.evaluate(query)
        except (etree.XPathError, ValueError) as error:
            raise not_understood(query, "lxml", error) from error
        if not isinstance(found, list):
            return found
        return [LxmlElement(each, self) if etree.iselement(each) else each for each in found]


class LxmlElement:
    """An element of an `LxmlDocument`; `node` is lxml's own."""

    __slots__ = ("_document", "node")

    def __init__(self, node: etree._Element, document: LxmlDocument) -> None:
        self.node = node
        self._document = document

    def __repr__(self) -> str:
        return f"<LxmlElement {self.node.tag}>"

    def css(self, selector: str) -> list[Element]:
        document = self._document
        return [LxmlElement(node, document) for node in document.select(self.node, selector, "descendant::", False)]

    def css_first(self, selector: str) -> Element | None:
        found = self._document.select(self.node, selector, "descendant::", True)
        return LxmlElement(found[0], self._document) if found else None

    @property
    def text(self) -> str:
        node = self.node
        if not len(node):
            return collapse(node.text or "")
        query = "descendant::text()[not(parent::script or parent::style)]"
        if self._document.has_templates:
            outer = len(list(node.iterancestors("template"))) + (node.tag == "template")
            query = f"{query}[count(ancestor::template) = {outer}]"
        parts: Any = self._document.parser.compiled(query)(node)
        return collapse("".join(parts))

    def attr(self, name: str) -> str | None:
        return self.node.get(name.lower())

    @property
    def attrs(self) -> dict[str, str]:
        return {str(name): str(value) for name, value in self.node.attrib.items()}

    @property
    def html(self) -> str:
        return etree.tostring(self.node, encoding="unicode", method="html", with_tail=False)
