"""HTML by lexbor, through selectolax: the fastest of the four.

It parses without the GIL and selects with it. Its time grows with the square of the nesting (see `nesting`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode, SelectolaxError

from scraper.parse.nesting import is_too_deep
from scraper.parse.protocol import Element, collapse, not_understood, too_deep, without_xpath
from scraper.parse.source import Source

# Mutation events serve one element, <selectedcontent>; building without them is faster.
_OPTIONS = int(LexborDocumentOptions.WO_EVENTS)


class LexborParser:
    """Parses with a `LexborHTMLParser` for each document."""

    name = "lexbor"

    def parse(self, source: Source) -> LexborDocument:
        utf8 = source.markup_utf8
        if is_too_deep(utf8):
            raise too_deep("lexbor")
        return LexborDocument(LexborHTMLParser(utf8, options=_OPTIONS))


class LexborDocument:
    """A page as lexbor read it. `tree` is its `LexborHTMLParser`."""

    def __init__(self, tree: LexborHTMLParser) -> None:
        self.tree = tree

    def title(self) -> str | None:
        return self._text_of_first("title")

    def h1(self) -> str | None:
        return self._text_of_first("h1")

    def _text_of_first(self, tag: str) -> str | None:
        node = self.tree.css_first(tag)  # stops there, and most pages have no more
        if node is None:
            return None
        return _text(node) or next((text for each in self.tree.tags(tag) if (text := _text(each))), None)

    def metas(self, name: str) -> Iterator[str]:
        for node in self._of("meta"):
            if node.attrs.sget("name").lower() == name.lower() and (text := collapse(node.attrs.sget("content"))):
                yield text

    def canonical_href(self) -> str | None:
        for node in self._of("link"):
            if "canonical" in node.attrs.sget("rel").lower().split() and (href := node.attrs.sget("href")):
                return href
        return None

    def lang(self) -> str | None:
        root = self.tree.root
        return None if root is None else root.attrs.sget("lang").strip() or None

    def base_href(self) -> str | None:
        return next((href for node in self._of("base") if (href := _attr(node, "href")) is not None), None)

    def hrefs(self) -> list[str]:
        return [href for node in self._of("a") if (href := node.attrs.sget("href", None)) is not None]

    def _of(self, tag: str) -> list[LexborNode]:
        return self._marked.get(tag, [])

    @cached_property
    def _marked(self) -> dict[str, list[LexborNode]]:
        """What links and headers are made of, by tag, area among a. One pass finds all of it, and a pass is what costs.

        Like selectors everywhere it does not look into templates.
        """
        found: dict[str, list[LexborNode]] = {}
        for node in self.tree.css("a, area, base, link, meta"):
            tag = node.tag
            found.setdefault("a" if tag == "area" else tag or "", []).append(node)
        return found

    def css(self, selector: str) -> list[Element]:
        return [LexborElement(node) for node in _select(self.tree, selector)]

    def css_first(self, selector: str) -> Element | None:
        try:
            node = self.tree.css_first(selector)
        except SelectolaxError as error:
            raise not_understood(selector, "lexbor", error) from error
        return None if node is None else LexborElement(node)

    def xpath(self, query: str) -> Any:  # noqa: ARG002
        raise without_xpath("lexbor")


def _attr(node: LexborNode, name: str) -> str | None:
    return node.attrs.sget(name, None)


def _select(scope: LexborHTMLParser | LexborNode, selector: str) -> list[LexborNode]:
    try:
        return scope.css(selector)
    except SelectolaxError as error:
        raise not_understood(selector, "lexbor", error) from error


def _text(node: LexborNode) -> str:
    child = node.first_child
    if child is None:
        return ""
    if child.next is None and child.is_text_node:
        return collapse(child.text_content or "")
    hidden = [] if node.tag in ("script", "style") else node.css("script, style")
    if not hidden:
        return collapse(node.text())
    parts = (each for each in node.traverse(include_text=True) if each.is_text_node)
    return collapse("".join(each.text_content or "" for each in parts if _is_shown(each)))


def _is_shown(text: LexborNode) -> bool:
    parent = text.parent
    return parent is None or parent.tag not in ("script", "style")


class LexborElement:
    """An element of a `LexborDocument`; `node` is selectolax's own."""

    __slots__ = ("node",)

    def __init__(self, node: LexborNode) -> None:
        self.node = node

    def __repr__(self) -> str:
        return f"<LexborElement {self.node.tag}>"

    def css(self, selector: str) -> list[Element]:
        own = self.node.mem_id  # lexbor lets an element match itself
        return [LexborElement(node) for node in _select(self.node, selector) if node.mem_id != own]

    def css_first(self, selector: str) -> Element | None:
        found = self.css(selector)
        return found[0] if found else None

    @property
    def text(self) -> str:
        return _text(self.node)

    def attr(self, name: str) -> str | None:
        return _attr(self.node, name)

    @property
    def attrs(self) -> dict[str, str]:
        return {name: value or "" for name, value in self.node.attributes.items()}

    @property
    def html(self) -> str:
        return self.node.html or ""
