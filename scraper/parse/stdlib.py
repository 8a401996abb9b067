"""HTML by the standard library's html.parser, in one pass that keeps what the outline needs. No selectors."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from typing import Any

from scraper.parse.protocol import Element, collapse, without_selectors, without_xpath
from scraper.parse.source import Source
from scraper.parse.tokens import TagReader, attributes_of

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_KEPT = frozenset({"a", "area", "base", "html", "link", "meta", "template", "title", *_HEADINGS})


class StdlibParser:
    """Reads each page with a `PageScan`."""

    name = "html.parser"

    def parse(self, source: Source) -> StdlibDocument:
        scan = PageScan()
        scan.feed(source.markup)
        scan.close()
        return StdlibDocument(scan)


class PageScan(TagReader):
    """What one pass over a page finds outside its templates. A handler has it as `page.document`.

    Attributes:
        lang: the lang of the html element, "" if it has none.
        bases: href of each base element that has one.
        hrefs: href of each a and area element that has one, as it stands there.
        metas, links: the attributes of each meta and each link element.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lang = ""
        self.bases: list[str] = []
        self.hrefs: list[str] = []
        self.metas: list[dict[str, str]] = []
        self.links: list[dict[str, str]] = []
        self._titles: list[str] = []
        self._text: list[str] = []
        self._headings: list[tuple[int, int, int]] = []  # level, and from where to where in _text
        self._heading: tuple[int, int] | None = None
        self._templates = 0

    @property
    def titles(self) -> list[str]:
        """Text of each title element."""
        return [collapse(text) for text in self._titles]

    @property
    def headings(self) -> list[tuple[int, str]]:
        """Level and text of each heading."""
        return [(level, collapse("".join(self._text[start:end]))) for level, start, end in self._headings]

    @property
    def text(self) -> str:
        """All text but that of title, script and style, white space collapsed."""
        return collapse("".join(self._text))

    def start(self, name: str, rest: str) -> None:
        if name not in _KEPT or (self._templates and name != "template"):
            return
        if name == "template":
            self._templates += 1
        elif name in _HEADINGS:
            self._end_heading()
            self._heading = _HEADINGS[name], len(self._text)
        elif name == "title":
            self._titles.append("")
        else:
            self._keep(name, attributes_of(rest))

    def _keep(self, name: str, attributes: dict[str, str]) -> None:
        href = attributes.get("href")
        if name in ("a", "area"):
            if href is not None:
                self.hrefs.append(href)
        elif name == "meta":
            self.metas.append(attributes)
        elif name == "link":
            self.links.append(attributes)
        elif name == "base":
            if href is not None:
                self.bases.append(href)
        elif not self.lang:
            self.lang = attributes.get("lang", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "template":
            self._templates = max(0, self._templates - 1)
        elif tag in _HEADINGS and not self._templates:
            self._end_heading()

    def _end_heading(self) -> None:
        if self._heading is not None:
            self._headings.append((*self._heading, len(self._text)))
            self._heading = None

    def close(self) -> None:
        super().close()
        self._end_heading()

    def handle_data(self, data: str) -> None:
        if self._templates:
            return
        raw = self.cdata_elem
        if raw is None:
            self._text.append(data)
        elif raw == "title":
            self._titles[-1] += unescape(data)
            if self._heading is not None:  # of an SVG image, and so a part of the heading
                self._text.append(unescape(data))
        elif raw not in ("script", "style"):
            self._text.append(unescape(data) if raw == "textarea" else data)


class StdlibDocument:
    """A page as a `PageScan` saw it, which is its `tree`."""

    def __init__(self, scan: PageScan) -> None:
        self.tree = scan

    def title(self) -> str | None:
        return next((text for text in self.tree.titles if text), None)

    def h1(self) -> str | None:
        return next((text for level, text in self.tree.headings if level == 1 and text), None)

    def metas(self, name: str) -> Iterator[str]:
        for attributes in self.tree.metas:
            if attributes.get("name", "").lower() == name.lower() and (text := collapse(attributes.get("content", ""))):
                yield text

    def canonical_href(self) -> str | None:
        for attributes in self.tree.links:
            if "canonical" in attributes.get("rel", "").lower().split() and (href := attributes.get("href")):
                return href
        return None

    def lang(self) -> str | None:
        return self.tree.lang.strip() or None

    def base_href(self) -> str | None:
        return next(iter(self.tree.bases), None)

    def hrefs(self) -> list[str]:
        return self.tree.hrefs

    def css(self, selector: str) -> list[Element]:  # noqa: ARG002
        raise without_selectors("html.parser")

    def css_first(self, selector: str) -> Element | None:  # noqa: ARG002
        raise without_selectors("html.parser")

    def xpath(self, query: str) -> Any:  # noqa: ARG002
        raise without_xpath("html.parser")
