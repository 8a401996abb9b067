"""The page that a handler gets."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from scraper import urls
from scraper.errors import ParseFailed
from scraper.handlers import name_of
from scraper.model import Headers, Request
from scraper.options import ParserName
from scraper.parse import nofollow
from scraper.parse.parsers import make_parser
from scraper.parse.protocol import Document, Element, Parser
from scraper.parse.source import Source

_MAY_HAVE_BASE = re.compile(rb"<base", re.IGNORECASE)


class Page:
    """A fetched page, parsed when a handler first asks for something that needs it.

    It belongs to the thread that parses it and to the call of the handler: what is to be kept goes into items.

    Attributes:
        request: what was fetched, with the handler's `data`.
        url: the final URL, canonical.
        status: HTTP status.
        headers: of the final response.
        body: unpacked bytes.
        refused_links: how many distinct references `links()` found malformed or too long.
        parse_s, parse_cpu_s: wall and CPU seconds that the parser has taken so far.
    """

    def __init__(
        self, *, request: Request, url: str, status: int, headers: Headers, body: bytes, parser: Parser
    ) -> None:
        self.request = request
        self.url = url
        self.status = status
        self.headers = headers
        self.body = body
        self.refused_links = 0
        self.parse_s = 0.0
        self.parse_cpu_s = 0.0
        self._parser = parser
        self._source = Source(body, headers.get("content-type", ""))
        self._document: Document | None = None
        self._base_url: str | None = None
        self._links: tuple[str, ...] | None = None

    @classmethod
    def from_bytes(
        cls,
        body: bytes,
        *,
        url: str,
        parser: ParserName | Parser = "lxml",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
    ) -> Self:
        """A page without a crawl, for tests and notebooks.

        Args:
            body: as it would come unpacked.
            url: what relative references in it refer to.
            parser: a name, or a parser that this thread made, which saves making one.
            status: of the response.
            headers: of the response; without a Content-Type the encoding is looked for in the body.
            data: what the request carries.

        Raises:
            InvalidURL, InvalidOption: the URL is none, or no parser has this name.
        """
        url = urls.canonical(url)
        return cls(
            request=Request(url, data=data),
            url=url,
            status=status,
            headers=Headers(tuple((headers or {}).items())),
            body=body,
            parser=make_parser(parser) if isinstance(parser, str) else parser,
        )

    def __repr__(self) -> str:
        state = "parsed" if self._document is not None else "not parsed"
        return f"<Page {self.url} {self.status}, {len(self.body):,} bytes, {self._parser.name}, {state}>"

    @property
    def parser_name(self) -> str:
        """lxml, lexbor, html.parser or bs4."""
        return self._parser.name

    @property
    def data(self) -> Any:
        """What the request carried."""
        return self.request.data

    @property
    def text(self) -> str:
        """The body decoded as the HTML Standard says: byte order mark, header, `<meta>`, a guess."""
        return self._source.text

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        try:
            return json.loads(self.body)
        except UnicodeDecodeError:
            return json.loads(self.text)

    @property
    def document(self) -> Any:
        """The parser's own document: lxml's html element, a `LexborHTMLParser`, a `BeautifulSoup`, or the
        `PageScan` of html.parser.

        Raises:
            ParseFailed: the parser could not make one; so does everything below that needs it.
        """
        return self._parsed().tree

    def _parsed(self) -> Document:
        if self._document is None:
            wall_s, cpu_s = time.perf_counter(), time.thread_time()
            try:
                self._document = self._parser.parse(self._source)
            except ParseFailed:
                raise
            except Exception as error:  # the boundary to four foreign parsers
                raise ParseFailed(f"{self._parser.name}: {type(error).__name__}: {error}") from error
            finally:
                self.parse_s += time.perf_counter() - wall_s
                self.parse_cpu_s += time.thread_time() - cpu_s
        return self._document

    def css(self, selector: str) -> list[Element]:
        """Every element that matches, in document order. On lxml, lexbor and bs4.

        Raises:
            SelectorUnsupported: the parser has no selectors, or does not understand this one.
        """
        return self._parsed().css(selector)

    def css_first(self, selector: str) -> Element | None:
        """The first of `css`, None if there is none. Raises SelectorUnsupported."""
        return self._parsed().css_first(selector)

    def xpath(self, query: str) -> Any:
        """What an XPath expression gives: a list of elements and text, or text, a number, a bool. On lxml.

        Raises:
            SelectorUnsupported: the parser has no XPath, or does not understand this.
        """
        return self._parsed().xpath(query)

    @property
    def title(self) -> str | None:
        """Text of the first title element that has any, None if there is none."""
        return self._parsed().title()

    @property
    def h1(self) -> str | None:
        """Text of the first h1 element that has any, None if there is none."""
        return self._parsed().h1()

    @property
    def lang(self) -> str | None:
        """The language that the html element states, None if it does not."""
        return self._parsed().lang()

    @property
    def canonical(self) -> str | None:
        """The URL that the page calls its canonical one, absolute."""
        return self.join(self._parsed().canonical_href())

    def meta(self, name: str) -> str | None:
        """Content of the first meta element of that name, such as "description", that has any; None if there is
        none. Case does not matter.
        """
        return next(self._parsed().metas(name), None)

    def says_nofollow(self, product_token: str) -> bool:
        """Whether it asks that its links are not followed, in its X-Robots-Tag headers or its meta elements for robots.

        Args:
            product_token: the name by which a site would speak to this crawler alone; empty if it has none.

        Raises:
            ParseFailed: see `document`. A page is parsed for this only if it holds the words.
        """
        if nofollow.header_says(self.headers.all("x-robots-tag"), product_token):
            return True
        names = nofollow.names_of(product_token)
        if self._document is None and not nofollow.may_say(self._source.markup_utf8, names):
            return False
        return any(nofollow.content_says(content) for name in names for content in self._parsed().metas(name))

    def links(self) -> list[str]:
        """The distinct absolute URLs, in canonical form, that a and area elements refer to, in their order.

        Fragments are cut off, so a link into the page itself counts as a link to the page. References that lead
        to no http or https URL are left out.
        """
        return list(self.link_tuple())

    def link_tuple(self) -> tuple[str, ...]:
        """As `links`, and the same object at each call: what `Links` takes."""
        if self._links is None:
            hrefs = self._parsed().hrefs()
            found, self.refused_links = urls.join_all(self.base_url, hrefs)
            self._links = tuple(found)
        return self._links

    def vouches_for(self, found: tuple[str, ...]) -> bool:
        """Whether these are what `link_tuple` gave, and so need no second look."""
        return found == self._links  # the same strings, so this compares pointers

    def join(self, reference: str | None) -> str | None:
        """The absolute URL of a reference, in canonical form; None for None, and for what leads to no http or
        https URL.
        """
        return None if reference is None else urls.join(self.base_url, reference)

    @property
    def base_url(self) -> str:
        """What references are relative to: the page's `<base>` if that leads to http or https, else its URL."""
        if self._base_url is None:
            href = None
            if self._document is not None or _MAY_HAVE_BASE.search(self._source.markup_utf8):
                href = self._parsed().base_href()
            self._base_url = self.url if href is None else urls.join(self.url, href) or self.url
        return self._base_url

    def follow(
        self,
        selector: str,
        *,
        handler: Callable[..., Any] | str | None = None,
        data: Any = None,
        priority: int = 0,
    ) -> Iterator[Request]:
        """A request for each distinct URL that the matching elements' href leads to.

        Args:
            selector: elements with an href, such as "a.product"; others are passed over.
            handler: a top-level function or its name; None stands for the crawl's own handler.
            data: comes back as `page.data`.
            priority: higher is fetched earlier.

        Raises:
            SelectorUnsupported: the parser has no selectors, or does not understand this one.
            HandlerNotImportable: the handler has no name that a worker could import.
        """
        name = None if handler is None else name_of(handler)
        hrefs = [href for element in self.css(selector) if (href := element.attr("href")) is not None]
        found, refused = urls.join_all(self.base_url, hrefs)
        self.refused_links += refused
        for url in found:
            yield Request(url, handler=name, data=data, priority=priority)
