"""HTML by BeautifulSoup over html.parser, with soupsieve's selectors: the most forgiving tree, and the slowest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bs4 import BeautifulSoup, Tag
from bs4.builder._htmlparser import BeautifulSoupHTMLParser, HTMLParserTreeBuilder
from bs4.element import Script, Stylesheet, TemplateString
from soupsieve import SelectorSyntaxError

from scraper.parse.protocol import Element, collapse, not_understood, without_xpath
from scraper.parse.source import Source
from scraper.parse.tokens import TagReader


class SoupParser:
    """Makes a `BeautifulSoup` of each page."""

    name = "bs4"

    def parse(self, source: Source) -> SoupDocument:
        markup = source.markup
        if "<" not in markup:
            markup += "\n"  # bs4 warns of one line of text, which may be meant as a file name
        return SoupDocument(BeautifulSoup(markup, builder=_Builder()))


class _Reader(TagReader, BeautifulSoupHTMLParser):
    def _root_tag_encountered(self, name: str) -> None:
        """bs4 would warn of XML that is read as HTML. Here that is meant."""


class _Builder(HTMLParserTreeBuilder):
    def __init__(self) -> None:
        super().__init__(
            multi_valued_attributes=None,  # class and rel as they stand there, as the other parsers give them
            store_line_numbers=False,
            # Without bs4's classes for ruby, whose text would be left out.
            string_containers={"script": Script, "style": Stylesheet, "template": TemplateString},
        )
        self.parser_args[1]["convert_charrefs"] = True

    def feed(self, markup: Any, _parser_class: type[BeautifulSoupHTMLParser] = _Reader) -> None:
        super().feed(markup, _parser_class)


class SoupDocument:
    """A page as BeautifulSoup read it. `tree` is the `BeautifulSoup`."""

    def __init__(self, tree: BeautifulSoup) -> None:
        self.tree = tree
        self._has_templates = tree.find("template") is not None

    def _tags(self, *names: str) -> Iterator[Tag]:
        for tag in self.tree.find_all(names):
            if not self._has_templates or tag.find_parent("template") is None:
                yield tag

    def title(self) -> str | None:
        return next((text for tag in self._tags("title") if (text := SoupElement(tag).text)), None)

    def h1(self) -> str | None:
        return next((text for tag in self._tags("h1") if (text := SoupElement(tag).text)), None)

    def metas(self, name: str) -> Iterator[str]:
        for tag in self._tags("meta"):
            if _attr(tag, "name", "").lower() == name.lower() and (text := collapse(_attr(tag, "content", ""))):
                yield text

    def canonical_href(self) -> str | None:
        for tag in self._tags("link"):
            if "canonical" in _attr(tag, "rel", "").lower().split() and (href := _attr(tag, "href", "")):
                return href
        return None

    def lang(self) -> str | None:
        return next((lang for tag in self._tags("html") if (lang := _attr(tag, "lang", "").strip())), None)

    def base_href(self) -> str | None:
        return next((str(tag["href"]) for tag in self._tags("base") if tag.has_attr("href")), None)

    def hrefs(self) -> list[str]:
        return [str(tag["href"]) for tag in self._tags("a", "area") if tag.has_attr("href")]

    def css(self, selector: str) -> list[Element]:
        return _select(self.tree, selector)

    def css_first(self, selector: str) -> Element | None:
        return _select_first(self.tree, selector)

    def xpath(self, query: str) -> Any:  # noqa: ARG002
        raise without_xpath("bs4")


def _attr(tag: Tag, name: str, absent: str) -> str:
    return str(tag.get(name, absent))


def _select(tag: Tag, selector: str) -> list[Element]:
    try:
        return [SoupElement(found) for found in tag.select(selector)]
    except (SelectorSyntaxError, NotImplementedError) as error:
        raise not_understood(selector, "bs4", error) from error


def _select_first(tag: Tag, selector: str) -> Element | None:
    try:
        found = tag.select_one(selector)
    except (SelectorSyntaxError, NotImplementedError) as error:
        raise not_understood(selector, "bs4", error) from error
    return None if found is None else SoupElement(found)


class SoupElement:
    """An element of a `SoupDocument`; `node` is BeautifulSoup's own."""

    __slots__ = ("node",)

    def __init__(self, node: Tag) -> None:
        self.node = node

    def __repr__(self) -> str:
        return f"<SoupElement {self.node.name}>"

    def css(self, selector: str) -> list[Element]:
        return _select(self.node, selector)

    def css_first(self, selector: str) -> Element | None:
        return _select_first(self.node, selector)

    @property
    def text(self) -> str:
        return collapse(self.node.get_text())

    def attr(self, name: str) -> str | None:
        value = self.node.get(name.lower())
        return None if value is None else str(value)

    @property
    def attrs(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.node.attrs.items()}

    @property
    def html(self) -> str:
        return str(self.node)
