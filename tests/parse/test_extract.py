"""One page through one handler, as the offload layer runs it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from scraper import urls
from scraper.errors import HandlerNotImportable, InvalidOption, UsageError
from scraper.handlers import name_of
from scraper.model import Extraction, Failure, Request, Response, Stage
from scraper.options import PARSERS, ParserName
from scraper.parse import extract
from scraper.parse.extract import decode_result, encode_task, extractor
from scraper.parse.page import Page

from . import handlers

URL = "http://example.org/d/page"
BODY = b"<title>t</title><base href='/e/'><a class=next href=1>one</a><a href='2#x'>two</a><a href='http://['></a>"


def run_timed(
    handler: Callable[..., Any] | str,
    *,
    parser: ParserName = "lxml",
    body: bytes = BODY,
    request: Request | None = None,
) -> tuple[Extraction | Failure, tuple[float, float, float, float]]:
    """Through pickle at both borders, as between processes; with the seconds of parser and handler."""
    work = extractor(parser, handler if isinstance(handler, str) else name_of(handler))
    response = Response(URL, 200, (("Content-Type", "text/html; charset=utf-8"),), body, len(body), 0.1)
    payload = pickle.loads(pickle.dumps(encode_task(request or Request(URL), response)))
    return decode_result(pickle.loads(pickle.dumps(work(payload))))


def run(handler: Callable[..., Any] | str, **how: Any) -> Extraction | Failure:
    return run_timed(handler, **how)[0]


def extracted(handler: Callable[..., Any] | str, **how: Any) -> Extraction:
    result = run(handler, **how)
    assert isinstance(result, Extraction), result
    return result


def failed(handler: Callable[..., Any], **how: Any) -> Failure:
    result = run(handler, **how)
    assert isinstance(result, Failure), result
    return result


@pytest.mark.parametrize("parser", PARSERS)
def test_the_outline_gives_an_item_and_links(parser: ParserName) -> None:
    result = extracted("scraper.parse.outline:outline", parser=parser)
    assert result.items[0]["title"] == "t"
    assert result.items[0]["links"] == 2
    assert result.links == ("http://example.org/e/1", "http://example.org/e/2")
    assert result.requests == ()
    assert result.dropped == (("invalid_url", 1),)


def test_parsing_and_the_handler_are_timed_apart() -> None:
    _, seconds = run_timed("scraper.parse.outline:outline", body=b"<p>x</p>" * 20_000)
    assert all(each > 0 for each in seconds)


def test_a_page_that_fails_has_its_times_too() -> None:
    """Where half of the pages fail, half of the CPU would be missing from the statistics."""
    failure, (_, _, extract_s, extract_cpu_s) = run_timed(handlers.raises)
    assert isinstance(failure, Failure)
    assert extract_s > 0
    assert extract_cpu_s > 0


def test_a_handler_that_reads_only_the_body_parses_nothing() -> None:
    result, (parse_s, parse_cpu_s, _, _) = run_timed(handlers.body_length)
    assert isinstance(result, Extraction)
    assert result.items == ({"bytes": len(BODY)},)
    assert parse_s == parse_cpu_s == 0


def test_a_panic_is_the_handlers_failure() -> None:
    """Extensions in Rust panic with exceptions outside of Exception; in line such a page would never end."""
    assert failed(handlers.panics).reason == "handler_raised"


def test_a_number_that_no_output_can_write_fails_its_page() -> None:
    assert failed(handlers.huge_number).reason == "item_not_plain"


def test_a_handler_may_return_nothing() -> None:
    result = extracted(handlers.nothing)
    assert (result.items, result.links, result.requests, result.dropped) == ((), (), (), ())


def test_a_handler_may_return_a_list() -> None:
    result = extracted(handlers.several)
    assert result.items == ({"n": 1}, {"url": URL, "title": "t"})
    assert result.links == ("http://example.org/e/next",)


def test_a_handler_may_return_one_value() -> None:
    assert extracted(handlers.one_dataclass).items == ({"url": URL, "title": "t"},)
    assert extracted(handlers.one_request).links == ("http://example.org/e/next",)


def test_links_of_the_page_pass_as_they_are() -> None:
    assert extracted(handlers.own_links).links == ("http://example.org/e/1", "http://example.org/e/2")


def test_other_links_are_made_canonical() -> None:
    result = extracted(handlers.foreign_links)
    assert result.links == ("http://example.org/e/next", "http://example.org/a")
    assert result.dropped == (("invalid_url", 1),)


def test_requests_are_made_absolute_and_plain_ones_become_links() -> None:
    result = extracted(handlers.requests)
    assert result.links == ("http://example.org/e/plain",)
    assert result.requests == (
        Request("http://example.org/handled", handler=handlers.nothing, data={"row": [1, 2]}),
        Request("http://example.org/post", method="POST", body=b"x", headers={"A": "b"}, accept="image/*"),
    )
    assert result.dropped == (("invalid_url", 3),)


def test_what_a_request_carries_comes_back_on_its_page() -> None:
    request = Request(URL, method="POST", data={"row": 1}, handler=handlers.data_back)
    result = extracted(handlers.nothing, request=request)
    assert result.items == ({"data": {"row": 1}, "method": "POST", "type": "text/html; charset=utf-8"},)


def test_follow_makes_requests_with_their_handler() -> None:
    (request,) = extracted(handlers.follows).requests
    assert request == Request("http://example.org/e/1", handler=handlers.follows, data={"from": URL}, priority=2)


def test_a_handler_that_raises_loses_all_items_of_its_page() -> None:
    failure = failed(handlers.raises)
    assert (failure.stage, failure.reason, failure.retryable) == (Stage.EXTRACT, "handler_raised", False)
    line = handlers.raises.__code__.co_firstlineno + 2
    assert failure.detail == f"ValueError: a message of two lines at handlers.py:{line}"


def test_the_place_is_the_handlers_own_line_and_the_detail_has_a_bound() -> None:
    detail = failed(handlers.raises_in_a_library).detail
    assert detail.startswith("ValueError: ")
    assert len(detail) <= 501


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (handlers.exits, "SystemExit: 3 at "),
        (handlers.recurses, "RecursionError: "),
        (handlers.raises_unspeakably, "Unspeakable: "),
    ],
)
def test_whatever_a_handler_raises_fails_its_page_alone(handler: Callable[..., Any], said: str) -> None:
    failure = failed(handler)
    assert failure.reason == "handler_raised"
    assert said in failure.detail


def test_an_interrupt_is_no_failure_of_a_page() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(handlers.interrupts)


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (handlers.yields_text, "yielded a str"),
        (handlers.yields_none, "yielded a NoneType"),
        (handlers.returns_text, "returned a str"),
        (handlers.returns_number, "returned a int"),
    ],
)
def test_what_is_neither_item_nor_request_is_refused(handler: Callable[..., Any], said: str) -> None:
    failure = failed(handler)
    assert (failure.stage, failure.reason) == (Stage.EXTRACT, "bad_yield")
    assert said in failure.detail
    assert "dicts, dataclasses" in failure.detail


def test_an_item_that_is_not_plain_says_where() -> None:
    failure = failed(handlers.yields_bytes_in_an_item)
    assert failure.reason == "item_not_plain"
    assert "its ['a'][0]['b'] is a bytes" in failure.detail
    assert failed(handlers.yields_data_that_is_not_plain).reason == "item_not_plain"


def test_a_handler_that_yields_items_without_end_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "MAX_ITEMS", 100)
    failure = failed(handlers.yields_items_without_end)
    assert failure.reason == "endless_handler"
    assert "more than 100 items" in failure.detail


def test_a_handler_that_yields_requests_without_end_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "MAX_YIELDS", 100)
    failure = failed(handlers.yields_requests_without_end)
    assert failure.reason == "endless_handler"
    assert "more than 100 values" in failure.detail


def test_links_beyond_the_bound_are_counted_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "MAX_LINKS", 10)
    result = extracted(handlers.yields_many_links)
    assert len(result.links) == 9
    assert len(result.requests) == 1
    assert result.dropped == (("too_many_links", 12),)


def test_a_million_links_are_too_many() -> None:
    body = b"".join(b"<a href=%d>" % number for number in range(150_000))
    result = extracted("scraper.parse.outline:outline", body=body, parser="lexbor")
    assert len(result.links) == extract.MAX_LINKS
    assert result.items[0]["links"] == 150_000
    assert result.dropped == (("too_many_links", 50_000),)


def test_selectors_on_a_parser_without_them_fail_by_name() -> None:
    failure = failed(handlers.selects, parser="html.parser")
    assert (failure.stage, failure.reason) == (Stage.EXTRACT, "selector_unsupported")
    assert "lxml, lexbor and bs4 have them" in failure.detail
    assert failed(handlers.misuses_a_selector).reason == "selector_unsupported"


@pytest.mark.parametrize("parser", ["lxml", "lexbor"])
def test_a_page_that_nests_too_deep_fails_in_the_parser(parser: ParserName) -> None:
    failure = failed(handlers.selects, parser=parser, body=b"<div>" * 5_000)
    assert (failure.stage, failure.reason) == (Stage.PARSE, "nesting_too_deep")
    assert "html.parser and bs4" in failure.detail


def test_a_parser_that_raises_fails_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    from scraper.parse.lxml_ import LxmlParser

    def break_down(self: LxmlParser, source: object) -> None:
        raise MemoryError("no more")

    monkeypatch.setattr(LxmlParser, "parse", break_down)
    failure = failed(handlers.selects)
    assert (failure.stage, failure.reason) == (Stage.PARSE, "parse_failed")
    assert failure.detail == "lxml: MemoryError: no more"
    assert extracted(handlers.body_length).items == ({"bytes": len(BODY)},)


@pytest.mark.parametrize("handler", [handlers.coroutine, handlers.async_generator])
def test_an_async_handler_is_refused_at_the_start(handler: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="is async: a handler is a plain function"):
        run(handler)


@pytest.mark.parametrize("handler", [handlers.returns_coroutine, handlers.returns_async_generator])
def test_a_handler_that_turns_out_async_fails_its_page(handler: Callable[..., Any]) -> None:
    assert failed(handler).reason == "handler_async"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tests.parse.handlers:nonesuch", "handler_not_importable"),
        ("no.such.module:handler", "handler_not_importable"),
        ("tests.parse.handlers:not_callable", "handler_not_importable"),
        ("tests.parse.handlers:coroutine", "handler_async"),
    ],
)
def test_a_requests_handler_that_cannot_be_had_fails_its_page(name: str, reason: str) -> None:
    failure = failed(handlers.nothing, request=Request(URL, handler=name))
    assert (failure.stage, failure.reason) == (Stage.EXTRACT, reason)


def test_a_default_handler_or_parser_that_cannot_be_had_is_refused_at_the_start() -> None:
    with pytest.raises(HandlerNotImportable):
        extractor("lxml", "tests.parse.handlers:nonesuch")
    with pytest.raises(InvalidOption, match="parser 'html5lib' is unknown"):
        extractor("html5lib", "tests.parse.handlers:nothing")  # type: ignore[arg-type]


def test_one_extractor_takes_pages_of_many_handlers() -> None:
    work = extractor("lxml", name_of(handlers.nothing))
    response = Response(URL, 200, (), BODY, len(BODY), 0.1)
    for handler in (handlers.body_length, handlers.raises, handlers.body_length, None):
        result, _ = decode_result(work(encode_task(Request(URL, handler=handler), response)))
        assert isinstance(result, Failure) == (handler is handlers.raises)


def test_what_crosses_the_border_is_flat() -> None:
    """Instances of classes cost a hundred times more to pickle than builtins."""

    def builtins_only(value: object) -> bool:
        if isinstance(value, tuple | list):
            return type(value) in (tuple, list) and all(builtins_only(each) for each in value)
        if isinstance(value, dict):
            return type(value) is dict and builtins_only([*value, *value.values()])
        return type(value) in (str, bytes, int, float, bool, type(None))

    response = Response(URL, 200, (("A", "b"),), BODY, len(BODY), 0.1)
    for handler in (handlers.requests, handlers.several, handlers.own_links, handlers.raises):
        payload = encode_task(Request(URL, handler=handler, data={"a": [1]}), response)
        assert builtins_only(payload)
        assert builtins_only(extractor("bs4", name_of(handler))(payload))


def test_a_page_shows_itself(capsys: pytest.CaptureFixture[str]) -> None:
    page = Page.from_bytes(b"<p>", url=URL)
    assert repr(page) == "<Page http://example.org/d/page 200, 3 bytes, lxml, not parsed>"
    assert page.title is None
    assert repr(page).endswith("lxml, parsed>")


def test_a_long_base_does_not_make_a_small_page_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each link is joined to the base: a page of 1 MB could lead to 800 MB of addresses."""
    monkeypatch.setattr(urls, "MAX_TOTAL_CHARS", 50_000)
    links = "".join(f"<a href={number}>" for number in range(1_000))
    body = f"<base href='/{'x' * 990}/'>{links}".encode()
    result = extracted(handlers.own_links, body=body)
    assert sum(map(len, result.links)) <= 50_000
    assert len(result.links) == 49
    assert result.dropped == (("invalid_url", 951),)


def test_a_handler_cannot_repeat_long_links_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "MAX_TOTAL_CHARS", 100)
    result = extracted(handlers.own_links_ten_times, body=b"<a href=1><a href=2>")
    assert result.links == ("http://example.org/d/1", "http://example.org/d/2") * 3
    assert result.dropped == (("too_many_links", 14),)


@pytest.mark.parametrize("parser", PARSERS)
def test_no_meta_refresh_is_followed(parser: ParserName) -> None:
    """So none can make a loop: whoever wants one yields a request for it."""
    body = b"<meta http-equiv=refresh content='0; url=/d/page'><meta http-equiv=refresh content='0; url=/next'>"
    result = extracted("scraper.parse.outline:outline", parser=parser, body=body)
    assert result.links == ()
    assert result.items[0]["links"] == 0
