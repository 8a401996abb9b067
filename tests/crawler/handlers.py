"""Handlers that the tests name; workers import them from here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

from scraper import Links, Page, Request


def follow_all(page: Page) -> Iterator[Any]:
    yield {"url": page.url, "depth": page.data}
    yield Links(tuple(page.links()))


def only_url(page: Page) -> Iterator[dict[str, str]]:
    yield {"url": page.url}


def raises_on_odd(page: Page) -> Iterator[Any]:
    yield {"url": page.url}
    yield Links(tuple(page.links()))
    number = page.url.rsplit("/", 1)[-1]
    if number.isdigit() and int(number) % 2:
        raise ValueError("odd")


def exits_on_seven(page: Page) -> Iterator[Any]:
    if page.url.endswith("/7"):
        os._exit(3)
    yield {"url": page.url}
    yield Links(tuple(page.links()))


def hands_over(page: Page) -> Iterator[Any]:
    yield {"by": "hands_over", "url": page.url}
    for url in [link for link in page.links() if link != page.url][:3]:
        yield Request(url, handler=receives, data={"from": page.url})


def receives(page: Page) -> Iterator[Any]:
    yield {"by": "receives", "url": page.url, "from": page.data["from"]}


def takes_json(page: Page) -> Iterator[Any]:
    if page.url.endswith("/"):
        yield Request("/echo.json", method="POST", body=b"hello", accept="application/json")
        return
    yield {"answer": page.json()}


def slow(page: Page) -> Iterator[Any]:
    time.sleep(0.2)
    yield {"url": page.url}
    yield Links(tuple(page.links()))


def many_items(page: Page) -> Iterator[Any]:
    for n in range(10):
        yield {"url": page.url, "n": n}
    yield Links(tuple(page.links()))


def posts_text(page: Page) -> Iterator[Any]:
    if page.url.endswith("/b"):
        yield Request("http://a.test/api", method="POST", body="a=1")  # type: ignore[arg-type]
    yield {"url": page.url}
    yield Links(tuple(page.links()))


class Panic(BaseException):
    pass


def panics(page: Page) -> None:
    raise Panic


def stuck_on_seven(page: Page) -> Iterator[Any]:
    while page.url.endswith("/7"):
        time.sleep(0.01)
    yield {"url": page.url}
    yield Links(tuple(page.links()))


def crashes_on_seven(page: Page) -> Iterator[Any]:
    if page.url.endswith("/7"):
        os.kill(os.getpid(), signal.SIGKILL)
    yield {"url": page.url}
    yield Links(tuple(page.links()))


def kills_its_parent_on_seven(page: Page) -> Iterator[Any]:
    if page.url.endswith("/7"):
        os.kill(os.getppid(), signal.SIGKILL)
    yield {"url": page.url}
    yield Links(tuple(page.links()))
