"""One page through one handler, inside a worker.

    encode_task ─► payload ─► [worker: Page ─► handler ─► plain data] ─► raw ─► decode_result

What crosses between processes is flat and made of builtins. Failures of a page travel as data.
"""

from __future__ import annotations

import inspect
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from traceback import walk_tb
from typing import Any

from scraper import urls
from scraper.errors import (
    HandlerMisuse,
    HandlerNotImportable,
    ItemNotPlain,
    NestingTooDeep,
    ParseFailed,
    SelectorUnsupported,
    UsageError,
)
from scraper.handlers import resolve
from scraper.model import Extraction, Failure, Headers, Links, Request, Response, Stage
from scraper.options import ParserName
from scraper.parse.page import Page
from scraper.parse.parsers import make_parser
from scraper.parse.plain import is_record, to_plain

Handler = Callable[[Page], Any]
Seconds = tuple[float, float, float, float]

# A body of 10 MB, the default bound, has room for a million links; no site that is worth its memory has a page
# with more than these. What is beyond is counted as dropped.
MAX_LINKS = 100_000

# Each item takes some hundred bytes of a page at least. A handler that yields more than this, or than the second
# number of values of any kind, is taken to have no end.
MAX_ITEMS = 100_000
MAX_YIELDS = 2_000_000

# Long enough for a sentence with a path, short enough for a table of failures.
_MAX_DETAIL_CHARS = 500


def encode_task(request: Request, response: Response) -> tuple[Any, ...]:
    """What a worker needs of a fetched page."""
    return (
        request.url if request.is_plain else request.to_tuple(),
        response.url,
        response.status,
        response.headers,
        response.body,
    )


def decode_result(raw: tuple[Any, ...]) -> tuple[Extraction | Failure, Seconds]:
    """What a worker's answer means, and what it took: wall and CPU seconds of the parser, then of the handler."""
    *found, seconds = raw
    if len(found) == 3:
        stage, reason, detail = found
        return Failure(Stage(stage), reason, detail), seconds
    items, links, requests, dropped = found
    extraction = Extraction(
        tuple(items),
        tuple(links.split("\n")) if links else (),
        tuple([Request.from_tuple(fields) for fields in requests]),
        dropped,
    )
    return extraction, seconds


def extractor(
    parser_name: ParserName, default_handler: str, product_token: str | None = None
) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """What a worker calls once in each of its threads, to get the function that pages go through.

    Args:
        parser_name: made and warmed here, before any of the user's code runs in the thread.
        default_handler: name of the handler for requests that name none.
        product_token: the crawler's name (see `scraper.robots.product_token`), if pages are to be heard that say
            `nofollow`: what they lead to is left out. None: they are not.

    Raises:
        HandlerNotImportable: no such function.
        UsageError: the handler is async, or no parser has this name.
    """
    return _Extractor(parser_name, default_handler, product_token)


def load_handler(name: str) -> Handler:
    """The handler of a name.

    Raises:
        HandlerNotImportable: no such function.
        UsageError: it is async.
    """
    handler = resolve(name)
    if inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler):
        raise UsageError(f"{name!r} is async: a handler is a plain function, because fetching is the crawler's part")
    return handler


class _Extractor:
    def __init__(self, parser_name: ParserName, default_handler: str, product_token: str | None) -> None:
        self._parser = make_parser(parser_name)
        self._default = load_handler(default_handler)
        self._product_token = product_token
        self._others: dict[str, Handler] = {}

    def __call__(self, payload: tuple[Any, ...]) -> tuple[Any, ...]:
        fields, url, status, headers, body = payload
        wall_s, cpu_s = time.perf_counter(), time.thread_time()
        request = Request.plain(fields) if isinstance(fields, str) else Request.from_tuple(fields)
        page = Page(request=request, url=url, status=status, headers=Headers(headers), body=body, parser=self._parser)
        found = _Found(page)
        failure = self._run(request, page, found)
        seconds = (
            page.parse_s,
            page.parse_cpu_s,
            time.perf_counter() - wall_s - page.parse_s,
            time.thread_time() - cpu_s - page.parse_cpu_s,
        )
        if failure is not None:
            return (*failure, seconds)
        return (found.items, "\n".join(found.links), found.requests, found.dropped(), seconds)

    def _run(self, request: Request, page: Page, found: _Found) -> tuple[str, str, str] | None:
        try:
            handler = self._handler(request.handler)
        except UsageError as error:
            missing = isinstance(error, HandlerNotImportable)
            return _failure(Stage.EXTRACT, "handler_not_importable" if missing else "handler_async", str(error))
        return _run(handler, page, found, self._product_token)

    def _handler(self, name: str | None) -> Handler:
        if name is None:
            return self._default
        handler = self._others.get(name)
        if handler is None:
            handler = self._others[name] = load_handler(name)
        return handler


def _run(handler: Handler, page: Page, found: _Found, product_token: str | None) -> tuple[str, str, str] | None:
    try:
        found.take(handler(page))
        if product_token is not None and found.leads_on and page.says_nofollow(product_token):
            found.drop_what_it_leads_to("nofollow")
    except NestingTooDeep as error:
        return _failure(Stage.PARSE, "nesting_too_deep", str(error))
    except ParseFailed as error:
        return _failure(Stage.PARSE, "parse_failed", str(error))
    except _Refused as refused:
        return _failure(Stage.EXTRACT, refused.reason, str(refused))
    except HandlerMisuse as error:
        return _failure(Stage.EXTRACT, _MISUSES.get(type(error), "handler_misuse"), _with_place(error, handler))
    except (KeyboardInterrupt, MemoryError):  # whoever runs this has a name for it, and memory to free
        raise
    except BaseException as error:  # noqa: BLE001 - the boundary to the user's code, which may panic as Rust does
        return _failure(Stage.EXTRACT, "handler_raised", _with_place(error, handler))
    return None


_MISUSES: dict[type[HandlerMisuse], str] = {
    SelectorUnsupported: "selector_unsupported",
    ItemNotPlain: "item_not_plain",
}


class _Refused(Exception):
    """What a handler yielded cannot be used; its page fails."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class _Found:
    """What a handler has yielded so far, in plain form."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.items: list[dict[str, Any]] = []
        self.links: list[str] = []
        self.requests: list[tuple[Any, ...]] = []
        self._dropped: Counter[str] = Counter()
        self._link_chars = 0

    def take(self, result: Any) -> None:
        """What a handler returned: nothing, one value, or an iterable of values."""
        if result is None:
            return
        if isinstance(result, Request | Links) or is_record(result):
            self._add(result)
            return
        if inspect.isawaitable(result) or hasattr(result, "__aiter__"):
            if inspect.iscoroutine(result):
                result.close()
            raise _Refused("handler_async", "the handler is async: write a plain function")
        if isinstance(result, str | bytes) or not isinstance(result, Iterable):
            raise _Refused("bad_yield", f"the handler returned a {type(result).__name__}: {_EXPECTED}")
        for count, value in enumerate(result):
            if count >= MAX_YIELDS:
                raise _Refused("endless_handler", f"it yielded more than {MAX_YIELDS:,} values")
            self._add(value)

    def _add(self, value: Any) -> None:
        if isinstance(value, Links):
            self._add_links(value)
        elif isinstance(value, Request):
            self._add_request(value)
        elif is_record(value):
            if len(self.items) >= MAX_ITEMS:
                raise _Refused("endless_handler", f"it yielded more than {MAX_ITEMS:,} items from one page")
            self.items.append(to_plain(value))
        else:
            hint = "write Request(url) to follow a URL; " if isinstance(value, str) else ""
            raise _Refused("bad_yield", f"the handler yielded a {type(value).__name__}: {hint}{_EXPECTED}")

    def _add_links(self, links: Links) -> None:
        found: Sequence[str] = links.urls
        if not self._page.vouches_for(links.urls):
            found, refused = urls.join_all(self._page.base_url, found)
            self._dropped["invalid_url"] += refused
        kept = found[: self._room()]
        self._dropped["too_many_links"] += len(found) - len(kept)
        self._link_chars += sum(map(len, kept))
        self.links.extend(kept)

    def _add_request(self, request: Request) -> None:
        url = self._page.join(request.url)
        if url is None:
            self._dropped["invalid_url"] += 1
            return
        if not self._room():
            self._dropped["too_many_links"] += 1
            return
        self._link_chars += len(url)
        if request.is_plain:
            self.links.append(url)
        else:
            _, handler, method, headers, body, data, *rest = request.to_tuple()
            self.requests.append((url, handler, method, headers, body, to_plain(data), *rest))

    @property
    def leads_on(self) -> bool:
        """Whether there are links or requests."""
        return bool(self.links or self.requests)

    def drop_what_it_leads_to(self, reason: str) -> None:
        """Leaves out all links and requests."""
        self._dropped[reason] += len(self.links) + len(self.requests)
        self.links.clear()
        self.requests.clear()

    def _room(self) -> int:
        if self._link_chars > urls.MAX_TOTAL_CHARS:  # a handler may yield the same long ones again and again
            return 0
        return MAX_LINKS - len(self.links) - len(self.requests)

    def dropped(self) -> tuple[tuple[str, int], ...]:
        """Reasons and counts of what was left out."""
        self._dropped["invalid_url"] += self._page.refused_links
        return tuple((reason, count) for reason, count in self._dropped.items() if count)


_EXPECTED = "it may yield dicts, dataclasses, pydantic models, msgspec structs, Request and Links"


def _failure(stage: Stage, reason: str, detail: str) -> tuple[str, str, str]:
    line = " ".join(detail.split())
    return stage.value, reason, line if len(line) <= _MAX_DETAIL_CHARS else f"{line[:_MAX_DETAIL_CHARS]}…"


def _with_place(error: BaseException, handler: Handler) -> str:
    """What went wrong, and the line of the handler's file where it did."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - the user's exception, whose __str__ may raise as well
        said = "(its message cannot be shown)"
    code = getattr(inspect.unwrap(handler), "__code__", None)
    frames = list(walk_tb(error.__traceback__))
    own = [pair for pair in frames if code is not None and pair[0].f_code.co_filename == code.co_filename]
    frame, line = (own or frames)[-1]
    return f"{type(error).__name__}{f': {said}' if said else ''} at {Path(frame.f_code.co_filename).name}:{line}"
