"""The values that stages exchange: frozen, picklable, and free of behaviour.

Those that are made once a page are named tuples: a frozen dataclass takes five times as long to make, and a page
makes five of them on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from scraper.handlers import name_of

if TYPE_CHECKING:
    import sqlite3  # for a type alone: workers import this module, and have no database

Item = dict[str, Any]
"""An extracted record, as plain data: text, numbers, bools, None, and lists and dicts of these."""


class Headers(Mapping[str, str]):
    """Header fields in the order they came; names compare without case, a repeated field's first value wins."""

    __slots__ = ("_first", "pairs")

    def __init__(self, pairs: tuple[tuple[str, str], ...] = ()) -> None:
        self.pairs = pairs
        self._first: dict[str, str] = {}
        for name, value in pairs:
            self._first.setdefault(name.lower(), value)

    def __getitem__(self, name: str) -> str:
        return self._first[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)

    def __len__(self) -> int:
        return len(self._first)

    def all(self, name: str) -> list[str]:
        """Every value of a repeated field, in order."""
        return [value for key, value in self.pairs if key.lower() == name.lower()]

    def __repr__(self) -> str:
        return f"Headers({dict(self._first)!r})"

    def __eq__(self, other: object) -> bool:
        return self.pairs == other.pairs if isinstance(other, Headers) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.pairs)

    def __reduce__(self) -> tuple[type[Headers], tuple[tuple[tuple[str, str], ...]]]:
        return Headers, (self.pairs,)


class Stage(StrEnum):
    """Where a page spends its time, and where it can fail."""

    QUEUE = "queue"  # leased, fetched, and waiting for a worker
    FETCH = "fetch"
    HANDOFF = "handoff"  # towards the worker: encoding, copying, waking it
    PARSE = "parse"
    EXTRACT = "extract"  # the user's handler, without the parsing it triggered
    RETURN = "return"  # back to the event loop
    COMMIT = "commit"  # sinks and frontier


class State(StrEnum):
    """The end of a request; `WAITING` is the one that is not an end."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    WAITING = "waiting"


class _RequestFields(NamedTuple):
    url: str
    handler: str | None
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    data: Any
    priority: int
    dedup_key: str | None
    accept: tuple[str, ...]


# What stands behind the URL in a request whose URL says everything.
_PLAIN = (None, "GET", (), None, None, 0, None, ())


_LARGEST_PRIORITY = 2**53


def _check_type(name: str, value: object, wanted: Any) -> None:
    if not isinstance(value, wanted):
        raise TypeError(
            f"{name} of a request must be {getattr(wanted, '__name__', wanted)}, not {type(value).__name__}"
        )


class Request(_RequestFields):
    """One thing to fetch, and the handler that its page goes to.

    Args:
        url: absolute http or https URL; `page.join()` makes one of a relative reference.
        handler: a top-level function or its name; None stands for the crawl's own handler.
        method: HTTP method.
        headers: fields to send beside the crawl's own.
        body: request body.
        data: JSON-able value that comes back as `page.data`.
        priority: higher is fetched earlier; from -2⁵³ to 2⁵³, which is what a state file can keep exactly.
        dedup_key: what makes two requests the same; by default method, canonical URL and body.
        accept: content types beyond HTML and XML that the handler wants, such as "application/json" or "image/*".

    Raises:
        HandlerNotImportable: the handler has no name that a worker could import.
        TypeError: an argument of another type, such as a body that is text.
        ValueError: a priority out of its range.
    """

    __slots__ = ()

    def __new__(
        cls,
        url: str,
        *,
        handler: Callable[..., Any] | str | None = None,
        method: str = "GET",
        headers: Mapping[str, str] | tuple[tuple[str, str], ...] = (),
        body: bytes | None = None,
        data: Any = None,
        priority: int = 0,
        dedup_key: str | None = None,
        accept: tuple[str, ...] | list[str] | str = (),
    ) -> Self:
        pairs = tuple(headers.items()) if isinstance(headers, Mapping) else tuple(headers)
        types = (accept,) if isinstance(accept, str) else tuple(accept)
        # What is wrong shows here, in the handler that made it, and not later in the crawl that carries it.
        _check_type("url", url, str | None)  # None is what `page.join` gives for a link to nowhere; it is dropped
        _check_type("method", method, str)
        _check_type("body", body, bytes | None)
        _check_type("priority", priority, int)
        _check_type("dedup_key", dedup_key, str | None)
        if abs(priority) > _LARGEST_PRIORITY:
            raise ValueError(f"priority of a request must be between -2**53 and 2**53, not {priority}")
        for text in (*types, *(part for pair in pairs for part in pair)):
            _check_type("each header and accepted type", text, str)
        name = None if handler is None else name_of(handler)
        return tuple.__new__(cls, (url, name, method.upper(), pairs, body, data, priority, dedup_key, types))

    def __reduce__(self) -> tuple[Callable[[tuple[Any, ...]], Request], tuple[tuple[Any, ...]]]:
        return Request.from_tuple, (tuple(self),)

    @property
    def is_plain(self) -> bool:
        """Whether the URL alone says everything: such requests travel as text."""
        return self[1:] == _PLAIN

    def to_tuple(self) -> tuple[Any, ...]:
        """Flat and cheap to pickle; `from_tuple` is its inverse."""
        return tuple(self)

    def with_url(self, url: str) -> Self:
        """The same request for a URL in another form."""
        return self if url == self.url else self.from_tuple((url, *self[1:]))

    @classmethod
    def plain(cls, url: str) -> Self:
        """`Request(url)`, several times faster: a crawl makes one of every page it visits."""
        return tuple.__new__(cls, (url, *_PLAIN))

    @classmethod
    def from_tuple(cls, fields: tuple[Any, ...]) -> Self:
        return tuple.__new__(cls, fields)


@dataclass(frozen=True, slots=True)
class Links:
    """Many plain requests in one value: what a handler yields to follow whole lists of URLs cheaply.

    Args:
        urls: absolute URLs in canonical form, as `page.links()` gives them.
    """

    urls: tuple[str, ...]


class Lease(NamedTuple):
    """A request that may be fetched now. Its host's slot is taken until it is fetched, and it is the crawl's until
    its outcome is committed.

    Args:
        request: what to fetch.
        key: what the frontier knows the request by.
        depth: links followed from a seed, by the shortest way known.
        attempt: 1 for the first.
        crashes: how often a crawler died while it had this request.
    """

    request: Request
    key: str
    depth: int
    attempt: int
    crashes: int = 0


class Response(NamedTuple):
    """A complete answer with a status in 2xx, unpacked.

    Args:
        url: of the last hop, canonical.
        status: HTTP status.
        headers: of the last hop.
        body: unpacked bytes.
        wire_bytes: body bytes as they came over the network.
        latency_s: of the last hop, from its request on an open connection to the end of the answer's header; without
            what the crawl itself was late by. None if the cache gave it.
    """

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    wire_bytes: int
    latency_s: float | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request failed, as data.

    Args:
        stage: where.
        reason: a short stable word that statistics count by, such as `http_404`, `timeout` or `handler_raised`.
        detail: a sentence for the person who reads the failures.
        retryable: whether a later attempt may succeed.
        retry_after_s: how long the server asked to wait.
        latency_s: seconds from the last request, or from the beginning of its connection, until the failure showed;
            without what the crawl itself was late by. None where the network had no part in it.
        is_attempt: whether it uses up an attempt. False where a request was only put off, and comes again in any case.
    """

    stage: Stage
    reason: str
    detail: str = ""
    retryable: bool = False
    retry_after_s: float | None = None
    latency_s: float | None = None
    is_attempt: bool = True


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a request was not carried through although nothing failed, such as `content_type`."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """What a cache did. Redirects count as answers of their own.

    Args:
        replayed: answers that were given without asking a site.
        revalidated: answers that were given after the site had said that they still hold.
        stored: answers that were new.
        trouble: what went wrong with the file, in a sentence; None if nothing did.
    """

    replayed: int = 0
    revalidated: int = 0
    stored: int = 0
    trouble: str | None = None

    def since(self, earlier: CacheCounts) -> CacheCounts:
        """What was added since then."""
        return CacheCounts(
            self.replayed - earlier.replayed,
            self.revalidated - earlier.revalidated,
            self.stored - earlier.stored,
            self.trouble,
        )


class Extraction(NamedTuple):
    """What a handler made of a page, as plain data.

    Args:
        items: records in the order they were yielded.
        links: URLs to follow with the crawl's own handler; absolute and canonical.
        requests: further requests.
        dropped: reason and count of what the handler yielded and the extraction left out.
    """

    items: tuple[Item, ...] = ()
    links: tuple[str, ...] = ()
    requests: tuple[Request, ...] = ()
    dropped: tuple[tuple[str, int], ...] = ()


class Outcome(NamedTuple):
    """How a lease ended, with everything that is committed together.

    Args:
        lease: which.
        state: done, failed, skipped, or waiting again when the frontier will try it later.
        end: the failure or skip; None when done.
        final_url: canonical URL behind redirects; None if no answer came.
        items, links, requests: what the page gave; empty unless done.
        latency_s: the site's, which its pace is judged by.
        dropped: reason and count of what the extraction left out.
        wire_bytes: body bytes as they came over the network.
    """

    lease: Lease
    state: State
    end: Failure | Skip | None = None
    final_url: str | None = None
    items: tuple[Item, ...] = ()
    links: tuple[str, ...] = ()
    requests: tuple[Request, ...] = ()
    latency_s: float | None = None
    dropped: tuple[tuple[str, int], ...] = ()
    wire_bytes: int = 0


class Delivery(NamedTuple):
    """What the outputs made of a batch of outcomes, for the frontier to commit together with them.

    Args:
        positions: name and position of each output that can be cut back to it.
        inserts: what writes items into the state file itself, inside the transaction of the commit.
    """

    positions: tuple[tuple[str, str], ...] = ()
    inserts: tuple[Callable[[sqlite3.Connection], None], ...] = ()
