from __future__ import annotations

from typing import Protocol

import pytest

from scraper.options import PARSERS, ParserName
from scraper.parse.page import Page
from scraper.parse.parsers import make_parser
from scraper.parse.protocol import Parser


class MakePage(Protocol):
    def __call__(self, markup: str | bytes, *, url: str = ..., content_type: str = ...) -> Page: ...


def page_maker(parser: Parser) -> MakePage:
    def make(markup: str | bytes, *, url: str = "http://example.org/d/page", content_type: str = "text/html") -> Page:
        body, charset = (markup.encode(), "; charset=utf-8") if isinstance(markup, str) else (markup, "")
        return Page.from_bytes(body, url=url, parser=parser, headers={"Content-Type": content_type + charset})

    return make


@pytest.fixture(scope="session", params=PARSERS)
def parser(request: pytest.FixtureRequest) -> Parser:
    name: ParserName = request.param
    return make_parser(name)


@pytest.fixture(scope="session", params=[name for name in PARSERS if name != "html.parser"])
def selecting(request: pytest.FixtureRequest) -> Parser:
    """A parser that has selectors."""
    name: ParserName = request.param
    return make_parser(name)


@pytest.fixture
def make_page(parser: Parser) -> MakePage:
    return page_maker(parser)


@pytest.fixture
def make_selectable(selecting: Parser) -> MakePage:
    return page_maker(selecting)
