"""Handlers that the tests name; an extractor imports them from here."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from scraper.model import Links, Request
from scraper.parse.page import Page


@dataclass
class Row:
    url: str
    title: str | None


def nothing(page: Page) -> None:
    """Reads nothing, and so parses nothing."""


def body_length(page: Page) -> dict[str, int]:
    return {"bytes": len(page.body)}


def several(page: Page) -> list[Any]:
    return [{"n": 1}, Row(page.url, page.title), Request("next")]


def one_dataclass(page: Page) -> Row:
    return Row(page.url, page.title)


def one_request(page: Page) -> Request:
    return Request("next")


def own_links(page: Page) -> Iterator[Links]:
    yield Links(tuple(page.links()))


def own_links_ten_times(page: Page) -> Iterator[Links]:
    for _ in range(10):
        yield Links(page.link_tuple())


def foreign_links(page: Page) -> Iterator[Links]:
    yield Links(("next", "http://example.org:80/a#b", "mailto:x@example.org", "http://["))


def requests(page: Page) -> Iterator[Any]:
    yield Request("plain#part")
    yield Request("/handled", handler=nothing, data={"row": (1, 2)})
    yield Request("HTTP://EXAMPLE.ORG/post", method="POST", body=b"x", headers={"A": "b"}, accept="image/*")
    yield Request("mailto:x@example.org")
    yield Request("http://[")
    yield Request(page.join("javascript:x"))  # type: ignore[arg-type]  # None, as users who do not check pass it on


def data_back(page: Page) -> dict[str, Any]:
    return {"data": page.data, "method": page.request.method, "type": page.headers["CONTENT-TYPE"]}


def raises(page: Page) -> Iterator[Any]:
    yield {"lost": True}
    raise ValueError("a  message\nof two lines")


def raises_in_a_library(page: Page) -> Iterator[Any]:
    yield {"n": int("x" * 5000)}


def exits(page: Page) -> None:
    raise SystemExit(3)


def interrupts(page: Page) -> None:
    raise KeyboardInterrupt


def recurses(page: Page) -> None:
    recurses(page)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def raises_unspeakably(page: Page) -> None:
    raise Unspeakable


def yields_text(page: Page) -> Iterator[str]:
    yield "text"


def yields_none(page: Page) -> Iterator[None]:
    yield None


def returns_text(page: Page) -> str:
    return "text"


def returns_number(page: Page) -> int:
    return 3


def yields_bytes_in_an_item(page: Page) -> Iterator[Any]:
    yield {"a": [{"b": page.body}]}


def yields_data_that_is_not_plain(page: Page) -> Iterator[Any]:
    yield Request("next", data={"page": page})


def yields_items_without_end(page: Page) -> Iterator[Any]:
    for number in itertools.count():
        yield {"n": number}


def yields_requests_without_end(page: Page) -> Iterator[Any]:
    for number in itertools.count():
        yield Request(f"/{number}")


def yields_many_links(page: Page) -> Iterator[Any]:
    yield Request("/special", priority=1)
    yield Links(tuple(f"http://example.org/{number}" for number in range(20)))
    yield Request("/late")


def selects(page: Page) -> Iterator[Any]:
    for element in page.css("a"):
        yield {"text": element.text}


def misuses_a_selector(page: Page) -> Iterator[Any]:
    yield {"first": page.css_first("a[")}


def follows(page: Page) -> Iterator[Request]:
    yield from page.follow("a.next", handler=follows, data={"from": page.url}, priority=2)


async def coroutine(page: Page) -> None:
    """What a handler must not be."""


async def async_generator(page: Page) -> AsyncIterator[dict[str, str]]:
    yield {"url": page.url}


def returns_coroutine(page: Page) -> Any:
    return coroutine(page)


def returns_async_generator(page: Page) -> Any:
    return async_generator(page)


not_callable = 3


class Panic(BaseException):
    pass


def panics(page: Page) -> None:
    raise Panic("as an extension in Rust does")


def huge_number(page: Page) -> Iterator[Any]:
    yield {"n": 10**5000}
