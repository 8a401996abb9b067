"""Parsers in several threads at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from scraper.model import Extraction, Request, Response
from scraper.options import PARSERS, ParserName
from scraper.parse.extract import decode_result, encode_task, extractor


def page(number: int) -> tuple[bytes, tuple[str, ...]]:
    """Tag names that no other page has: each enters the dictionary of names of its thread."""
    names = [f"x{number}-{index}" for index in range(200)]
    body = "".join(f"<{name}><a href={name}>{name}</a></{name}>" for name in names)
    return body.encode(), tuple(f"http://example.org/{name}" for name in names)


@pytest.mark.parametrize("parser", PARSERS)
def test_threads_with_a_parser_each_do_not_disturb_one_another(parser: ParserName) -> None:
    """Two lxml threads that share a dictionary of names free the same memory twice."""
    local = threading.local()

    def start() -> None:
        local.work = extractor(parser, "scraper.parse.outline:outline")

    def run(number: int) -> bool:
        body, links = page(number)
        response = Response("http://example.org/", 200, (), body, len(body), 0.0)
        result, _ = decode_result(local.work(encode_task(Request("http://example.org/"), response)))
        return isinstance(result, Extraction) and result.links == links

    with ThreadPoolExecutor(4, initializer=start) as pool:
        assert all(pool.map(run, range(60)))
