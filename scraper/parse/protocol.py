"""What the parsers have in common: the seam that a further parser is written against."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from scraper.errors import NestingTooDeep, SelectorUnsupported
from scraper.parse.nesting import MAX_DEPTH
from scraper.parse.source import Source


class Element(Protocol):
    """An element of a page, the same on every parser."""

    def css(self, selector: str) -> list[Element]:
        """Its descendants that match, in document order.

        The selector sees the whole document, as `querySelectorAll` does: `body p` finds the p elements of any
        element.

        Raises:
            SelectorUnsupported: the parser does not understand the selector.
        """
        ...

    def css_first(self, selector: str) -> Element | None:
        """The first of `css`, None if there is none."""
        ...

    @property
    def text(self) -> str:
        """All descendant text, white space collapsed, without that of script, style and template below it."""
        ...

    def attr(self, name: str) -> str | None:
        """An attribute's value, "" if it has none; None if the attribute is absent."""
        ...

    @property
    def attrs(self) -> dict[str, str]:
        """Every attribute; of one that stands twice the first."""
        ...

    @property
    def html(self) -> str:
        """The element as HTML, as the parser writes it."""
        ...


class Document(Protocol):
    """A parsed page: what every parser can tell of one, and selectors where it has them.

    Text has its white space collapsed; None stands for what is absent or blank.
    """

    @property
    def tree(self) -> Any:
        """The parser's own document."""
        ...

    def title(self) -> str | None:
        """Text of the first title element that has any."""
        ...

    def h1(self) -> str | None:
        """Text of the first h1 element that has any."""
        ...

    def metas(self, name: str) -> Iterator[str]:
        """Content of each meta element of that name that has any; one may come twice. Case of the name is ignored."""
        ...

    def canonical_href(self) -> str | None:
        """The href of the first link element whose rel holds "canonical", as it stands there."""
        ...

    def lang(self) -> str | None:
        """The language that the html element states."""
        ...

    def base_href(self) -> str | None:
        """The href of the first base element that has one, as it stands there."""
        ...

    def hrefs(self) -> list[str]:
        """The href of every a and area element outside templates, as it stands there, in document order."""
        ...

    def css(self, selector: str) -> list[Element]:
        """Every element that matches. Raises SelectorUnsupported."""
        ...

    def css_first(self, selector: str) -> Element | None:
        """The first element that matches. Raises SelectorUnsupported."""
        ...

    def xpath(self, query: str) -> Any:
        """What an XPath expression gives: elements and text in a list, or text, a number, a bool.

        Raises:
            SelectorUnsupported: the parser has no XPath, or does not understand this.
        """
        ...


class Parser(Protocol):
    """Makes documents. It belongs to the thread that made it, and so do its documents."""

    @property
    def name(self) -> str: ...

    def parse(self, source: Source) -> Document:
        """Reads a body as HTML, however broken it is.

        Raises:
            NestingTooDeep: the elements are nested deeper than the parser goes.
        """
        ...


def collapse(text: str) -> str:
    """Text with every run of white space as one space, and none at its ends."""
    return " ".join(text.split())


def not_understood(selector: str, parser: str, error: Exception) -> SelectorUnsupported:
    return SelectorUnsupported(f"{parser} does not understand {selector!r}: {error}")


def too_deep(parser: str) -> NestingTooDeep:
    return NestingTooDeep(
        f"the page nests elements more than {MAX_DEPTH:,} deep, which is all that {parser} takes: "
        "html.parser and bs4 have no bound"
    )


def without_selectors(parser: str) -> SelectorUnsupported:
    return SelectorUnsupported(f"{parser} has no CSS selectors: lxml, lexbor and bs4 have them")


def without_xpath(parser: str) -> SelectorUnsupported:
    return SelectorUnsupported(f"{parser} has no XPath: lxml has it")
