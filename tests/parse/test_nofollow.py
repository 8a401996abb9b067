"""Pages that ask for their links not to be followed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scraper.handlers import name_of
from scraper.model import Extraction, Failure, Request, Response
from scraper.options import PARSERS, ParserName
from scraper.parse.extract import decode_result, encode_task, extractor
from scraper.parse.nofollow import header_says
from scraper.parse.outline import outline
from scraper.parse.page import Page

from . import handlers
from .conftest import MakePage

BOT = "ExampleBot"
URL = "http://example.org/"
LINKS = "<title>t</title><a href=/1>1</a><a href=/2>2</a>"

HEADERS = {
    ("nofollow",): True,
    ("none",): True,
    ("noindex, NoFollow",): True,
    ("noindex", "nofollow"): True,
    ("examplebot: nofollow",): True,
    ("EXAMPLEBOT : noindex , none",): True,
    ("otherbot: noindex, examplebot: nofollow",): True,
    ("unavailable_after: Friday, 25-Jun-10 15:00:00 EST, nofollow",): True,
    ("unavailable_after: 25 Jun 2010 15:00:00 PST", "nofollow"): True,
    ("max-snippet:20, nofollow",): True,
    (): False,
    ("",): False,
    ("noindex, noarchive",): False,
    ("follow, all",): False,
    ("otherbot: nofollow",): False,
    ("otherbot: noindex, nofollow",): False,
    ("examplebot: noindex",): False,
    ("max-image-preview: none",): False,
    ("nofollowing", "no-follow", "nofollow;"): False,
    ("x" * 10_000, ",:" * 10_000): False,
}

MARKUP = {
    "<meta name=robots content=nofollow>": True,
    "<META NAME='ROBOTS' CONTENT='NOINDEX,NOFOLLOW'>": True,
    "<meta name=robots content=' noindex ,\n nofollow '>": True,
    "<meta name=robots content=none>": True,
    "<meta name=robots content=index><meta name=robots content=nofollow>": True,
    "<meta name=robots content='follow, nofollow'>": True,
    "<meta name=ExampleBot content=nofollow>": True,
    "<p>text</p><meta name=robots content=nofollow>": True,
    "<meta name=robots content='no&#102;ollow'><meta name=robots content=none>": True,
    "<meta name=otherbot content=nofollow>": False,
    "<meta name=robots content=noindex>": False,
    "<meta name=robots content=follow>": False,
    "<meta name=robots>": False,
    "<meta property=robots content=nofollow>": False,
    "<!-- <meta name=robots content=nofollow> -->": False,
    "<template><meta name=robots content=nofollow></template>": False,
    "<p>robots: nofollow</p>": False,
    "<a rel=nofollow href=/3>3</a>": False,  # that is about one link
}


def extracted(
    parser: ParserName,
    *,
    markup: str = LINKS,
    headers: tuple[tuple[str, str], ...] = (),
    handler: Callable[..., Any] = outline,
    token: str | None = BOT,
) -> Extraction:
    body = markup.encode()
    response = Response(URL, 200, (("Content-Type", "text/html; charset=utf-8"), *headers), body, len(body), 0.1)
    work = extractor(parser, name_of(handler), token)
    result = decode_result(work(encode_task(Request(URL), response)))[0]
    assert not isinstance(result, Failure), result
    return result


@pytest.mark.parametrize(("values", "expected"), HEADERS.items())
def test_what_headers_say(values: tuple[str, ...], expected: bool) -> None:
    assert header_says(values, BOT) is expected


def test_a_crawler_without_a_name_hears_what_is_said_to_all() -> None:
    assert header_says(["nofollow"], "")
    assert not header_says(["examplebot: nofollow"], "")
    page = Page.from_bytes(b"<meta name='' content=nofollow>", url=URL)
    assert not page.says_nofollow("")
    assert Page.from_bytes(b"<meta name=robots content=nofollow>", url=URL).says_nofollow("")


@pytest.mark.parametrize(("markup", "expected"), MARKUP.items())
def test_what_markup_says(make_page: MakePage, markup: str, expected: bool) -> None:
    page = make_page(markup + LINKS)
    assert page.says_nofollow(BOT) is expected
    assert make_page(markup + LINKS).title == "t"
    parsed = make_page(markup + LINKS)
    parsed.links()
    assert parsed.says_nofollow(BOT) is expected


@pytest.mark.parametrize("parser", PARSERS)
def test_links_are_dropped_and_items_stay(parser: ParserName) -> None:
    result = extracted(parser, markup=f"<meta name=robots content=nofollow>{LINKS}")
    assert result.links == ()
    assert result.items[0]["links"] == 2
    assert result.dropped == (("nofollow", 2),)
    assert extracted(parser, headers=(("X-Robots-Tag", "noindex"), ("x-robots-tag", "none"))).links == ()


def test_requests_are_links_too() -> None:
    result = extracted("lxml", headers=(("X-Robots-Tag", "nofollow"),), handler=handlers.requests)
    assert (result.links, result.requests) == ((), ())
    assert dict(result.dropped) == {"nofollow": 3, "invalid_url": 3}


def test_nobody_asks_unless_the_user_wants_it() -> None:
    result = extracted("lxml", markup=f"<meta name=robots content=nofollow>{LINKS}", token=None)
    assert len(result.links) == 2
    assert result.dropped == ()


def test_a_page_without_the_words_is_not_parsed_for_them() -> None:
    page = Page.from_bytes(b"<meta name=robots content=noindex>" + LINKS.encode(), url=URL)
    assert not page.says_nofollow(BOT)
    assert page.parse_s == 0
    assert "not parsed" in repr(page)
