"""What a user can set: small frozen groups, each checked once, when it is made."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import urlsplit

from scraper.addresses import AddressRules, is_ip_address
from scraper.errors import InvalidOption

ParserName = Literal["lxml", "lexbor", "html.parser", "bs4"]
ExecutorName = Literal["auto", "inline", "thread", "process", "interpreter"]
ScopeName = Literal["prefix", "host", "domain", "any"]
SynchronousName = Literal["normal", "full"]
CacheModeName = Literal["replay", "revalidate", "only"]

PARSERS: tuple[ParserName, ...] = get_args(ParserName)
EXECUTORS: tuple[ExecutorName, ...] = get_args(ExecutorName)
SCOPES: tuple[ScopeName, ...] = get_args(ScopeName)
SYNCHRONOUS: tuple[SynchronousName, ...] = get_args(SynchronousName)
CACHE_MODES: tuple[CacheModeName, ...] = get_args(CacheModeName)

DEFAULT_USER_AGENT = "scraper/0.1 (Python asyncio crawler)"

# Without what would end the comment of a User-Agent (RFC 9110, section 5.6.5), and without a password.
_CONTACT_URL = re.compile(r"https?://[!-'*-;=?A-\[\]-~]{1,200}")
_MAIL_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


def available_cpus() -> int:
    """CPUs that this process may use, which is what workers default to."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises InvalidOption unless the value is one of the choices."""
    if value not in choices:
        raise InvalidOption(f"{name} {value!r} is unknown: choose one of {', '.join(choices)}")


def check_positive(name: str, value: float | None) -> None:
    """Raises InvalidOption unless the value is None or a finite number above zero."""
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise InvalidOption(f"{name} must be more than 0, not {value}")


def _check_not_negative(name: str, value: float) -> None:
    if not (value >= 0 and math.isfinite(value)):
        raise InvalidOption(f"{name} must not be negative, and not {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """Sends one host and port to a fixed address, whatever the name service says.

    Args:
        host, port: as they stand in URLs.
        address: an IP address.
    """

    host: str
    port: int
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressOptions:
    """Which addresses may be connected to beside public ones, and beside the hosts and ports that the user named.

    An entry of a list is a network ("10.0.0.0/8"), an address, or a host ("intranet.example") on any port, wherever
    it leads.

    Args:
        allow_private: every address.
        allow: networks and hosts that may be connected to.
        deny: networks and hosts that may not, whatever else permits them.
        trust_seeds: whether the hosts and ports of seeds count as named by the user. A service that crawls what
            strangers ask for must not let them name its own network.
    """

    allow_private: bool = False
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    trust_seeds: bool = True

    def __post_init__(self) -> None:
        self.rules()

    def rules(self) -> AddressRules:
        return AddressRules(allow_private=self.allow_private, allow=self.allow, deny=self.deny)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """Answers that are kept in a file, so that a site is not asked for them again.

    Only answers without credentials are kept: a request with an Authorization or a Cookie passes the cache by.

    Args:
        path: of the file; made where there is none. Several crawlers may share it.
        mode: `replay` gives what is there, however old, and fetches and keeps the rest: a handler can be developed
            while the site is asked for each page once. `revalidate` is for crawls that come again: it keeps what RFC
            9111 lets a browser's cache keep, and asks the site whether what is stale still holds. `only` asks no site
            at all, so what is not there fails as `not_cached`.
        max_bytes: what the file may grow to; then what was not used for longest makes room. None is no bound.
    """

    path: str | os.PathLike[str]
    mode: CacheModeName = "replay"
    max_bytes: int | None = 10_000_000_000

    def __post_init__(self) -> None:
        check_choice("cache-mode", self.mode, CACHE_MODES)
        check_positive("cache max-bytes", self.max_bytes)
        if not os.fspath(self.path):
            raise InvalidOption("cache has no path: name a file")


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginOptions:
    """What goes with every request to an origin, also in the middle of redirects, and to no other.

    Of several entries for an origin the first counts. What a request brings itself, as a header or as user and password
    in its URL, goes before; what the crawl sends to all goes behind.

    Args:
        origin: scheme, host and port, such as "https://example.org" or "http://127.0.0.1:8080", so that no page can
            lead a secret to another port, or out of TLS. "https://*.example.org" is every host below example.org.
        headers: sent with its requests.
        auth: user name and password, for basic authentication.
        proxy: as for all, for this origin.
    """

    origin: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.auth is not None and ":" in self.auth[0]:  # RFC 7617, section 2
            raise InvalidOption(f"auth for {self.origin}: a user name cannot hold a colon")
        _check_proxy(self.proxy)


def _check_proxy(proxy: str | None) -> None:
    """Raises InvalidOption unless it is None or says where a proxy is. It may hold a password, so it is never shown."""
    if proxy is None:
        return
    try:
        parts = urlsplit(proxy)
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    else:
        is_address = is_address and parts.scheme == "http" and parts.path in ("", "/") and not parts.query
    if not is_address:
        raise InvalidOption("proxy must be a URL such as http://proxy.example:3128")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """One attempt at getting bytes.

    Args:
        timeout_s: for the whole attempt, redirects included. What the crawler itself is late by does not count: a busy
            event loop, and waiting for a redirect's turn, a free connection or a thread.
        connect_timeout_s: to open one connection; the same does not count.
        max_body_bytes: after unpacking; the packed body may not be larger either.
        max_redirects: hops that are followed.
        user_agent: what the crawler calls itself. Its first word, up to the slash, is the name that robots.txt knows.
        contact: the URL of a page about the crawler, or a mail address, for those whose sites it visits. It is put
            behind the user agent, and a mail address into the header From (RFC 9110, section 10.1.2) as well.
        headers: sent with every request. Authorization, Cookie and Proxy-Authorization are left out once a redirect
            leads to another origin; yet they go to every host that the crawl visits, so secrets belong into `origins`.
        origins: what goes to some origins alone.
        proxy: URL of an HTTP proxy that everything goes through, with user and password if it wants them. It looks
            names up and connects, so private addresses are kept away from by the proxy or not at all: checked here
            are only IP addresses in URLs, and hosts on the deny list. Proxies of the environment are not used.
        cookies: whether cookies are kept, for as long as the crawler is open, and sent back to the sites that set them.
            Without, every page is what a visitor sees who comes for the first time. Either way, cookies may be given
            as a header, of a request too; they go before what was kept under the same names.
        resolve: hosts whose address is given here. That alone does not permit a private one.
        addresses: which addresses may be connected to.
        cache: answers that are kept; None keeps none.
    """

    timeout_s: float = 30.0
    connect_timeout_s: float = 10.0
    max_body_bytes: int = 10_000_000
    max_redirects: int = 10
    user_agent: str = DEFAULT_USER_AGENT
    contact: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    origins: tuple[OriginOptions, ...] = ()
    proxy: str | None = field(default=None, repr=False)
    cookies: bool = False
    resolve: tuple[Resolve, ...] = ()
    addresses: AddressOptions = AddressOptions()
    cache: CacheOptions | None = None

    def __post_init__(self) -> None:
        check_positive("timeout", self.timeout_s)
        check_positive("connect timeout", self.connect_timeout_s)
        check_positive("max-body", self.max_body_bytes)
        _check_not_negative("max-redirects", self.max_redirects)
        if self.cookies and self.cache is not None:
            raise InvalidOption("cookies and a cache exclude each other: a page that cookies had a part in is not kept")
        _check_proxy(self.proxy)
        if self.contact is not None and not (_CONTACT_URL.fullmatch(self.contact) or self.mail_address):
            raise InvalidOption(
                "contact must be a URL such as https://example.org/bot or a mail address such as bot@example.org"
            )
        for entry in self.resolve:
            if not is_ip_address(entry.address):  # a name would be looked up after its check
                raise InvalidOption(f"resolve {entry.host}:{entry.port}: {entry.address!r} is not an IP address")

    @property
    def mail_address(self) -> str | None:
        """The contact, if it is one."""
        is_one = self.contact is not None and _MAIL_ADDRESS.fullmatch(self.contact) is not None
        return self.contact if is_one else None

    @property
    def agent(self) -> str:
        """What sites get to see as the crawler's name: the user agent, unless a header says otherwise."""
        given = (value for name, value in self.headers.items() if name.lower() == "user-agent")
        return next(given, self.user_agent)

    @property
    def full_user_agent(self) -> str:
        """The user agent with the contact behind it, as it is sent."""
        return self.user_agent if self.contact is None else f"{self.user_agent} (+{self.contact})"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceOptions:
    """How fast, and how often again.

    Args:
        concurrency: requests under way in all.
        per_host: requests under way to one host and port; fewer while the host answers slower for it, or asks for it.
        delay_s: between the end of one request to a host and the next; more than 0 means one at a time.
        rate_per_s: requests that are started in a second, over all hosts; None is no bound.
        robots: whether robots.txt is asked for and kept to. None: yes, unless the crawl has a fetcher of your own.
        max_crawl_delay_s: a site's Crawl-delay is kept to up to here.
        retries: attempts after the first.
        backoff_s: mean wait before the first retry; doubles with each further one.
        max_backoff_s: no mean wait is longer.
        max_retry_after_s: a server's Retry-After is honoured up to here.
        host_patience_s: pages of a host that answered before, and is out of reach, wait; when it has been for so long,
            they fail.
    """

    concurrency: int = 32
    per_host: int = 8
    delay_s: float = 0.0
    rate_per_s: float | None = None
    robots: bool | None = None
    max_crawl_delay_s: float = 60.0
    retries: int = 2
    backoff_s: float = 0.5
    max_backoff_s: float = 60.0
    max_retry_after_s: float = 600.0
    host_patience_s: float = 120.0

    def __post_init__(self) -> None:
        check_positive("concurrency", self.concurrency)
        check_positive("per-host", self.per_host)
        _check_not_negative("delay", self.delay_s)
        check_positive("rate", self.rate_per_s)
        _check_not_negative("max-crawl-delay", self.max_crawl_delay_s)
        _check_not_negative("retries", self.retries)
        _check_not_negative("backoff", self.backoff_s)
        check_positive("max-backoff", self.max_backoff_s)
        check_positive("max-retry-after", self.max_retry_after_s)
        check_positive("host-patience", self.host_patience_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions:
    """Where the crawl ends.

    Args:
        scope: `prefix` the seed's folder, `host` its host and port, `domain` its registrable domain, `any`.
        max_pages: pages that came to an end, done or failed.
        max_pages_per_host: requests that are fetched from one host and port; the others are skipped.
        max_depth: links followed from a seed; 0 fetches the seeds alone.
        max_time_s: then the crawl stops as if asked to.
        respect_nofollow: links of pages that say `nofollow` of themselves, by X-Robots-Tag or `<meta name="robots">`,
            are left out.
    """

    scope: ScopeName = "host"
    max_pages: int | None = None
    max_pages_per_host: int | None = None
    max_depth: int | None = None
    max_time_s: float | None = None
    respect_nofollow: bool = False

    def __post_init__(self) -> None:
        check_choice("scope", self.scope, SCOPES)
        check_positive("max-pages", self.max_pages)
        check_positive("max-pages-per-host", self.max_pages_per_host)
        check_positive("max-time", self.max_time_s)
        if self.max_depth is not None:
            _check_not_negative("max-depth", self.max_depth)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlOptions:
    """How URLs are rewritten before they are compared and fetched, beyond their canonical form. By default not at all.

    Args:
        sort_query: parameters are put in the order of their names; those of one name keep their order.
        drop_parameters: names of parameters that are left out, in which `*` stands for any text; case does not matter.
        drop_tracking: those are left out that say where a visitor came from, such as `utm_source` and `gclid`; see
            `scraper.url_form.TRACKING_PARAMETERS`.
        drop_session_ids: those of servlets, PHP, ASP and ASP.NET, ColdFusion and some shops are left out.
    """

    sort_query: bool = False
    drop_parameters: tuple[str, ...] = ()
    drop_tracking: bool = False
    drop_session_ids: bool = False

    def __post_init__(self) -> None:
        for name in self.drop_parameters:
            if not name.strip("*"):
                raise InvalidOption(
                    f"drop-params {name!r} would leave out every parameter: write a name, or part of one"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrapOptions:
    """From where on URLs are taken to be made by a site without end. See `scraper.traps` for what each limit means.

    Args:
        max_url_chars: characters of a URL.
        max_segments: segments of a path.
        max_parameters: parameters of a query.
        max_combinations: pages of one address whose parameters combine the same few values.
        max_dates: pages that differ in a date alone.
        years_ahead: years from now to a date in a URL; what is twenty years further is taken for something else.
        max_pages_per_pattern: pages of one address, whatever they differ in: numbers, dates and values of parameters
            are one pattern. None is no bound, because an honest site has a million of `/product/123`.
    """

    max_url_chars: int = 2_083
    max_segments: int = 30
    max_parameters: int = 64
    max_combinations: int = 10_000
    max_dates: int = 100_000
    years_ahead: int = 30
    max_pages_per_pattern: int | None = None

    def __post_init__(self) -> None:
        check_positive("max-url-chars", self.max_url_chars)
        check_positive("max-segments", self.max_segments)
        check_positive("max-parameters", self.max_parameters)
        check_positive("max-combinations", self.max_combinations)
        check_positive("max-dates", self.max_dates)
        _check_not_negative("years-ahead", self.years_ahead)
        check_positive("max-pages-per-pattern", self.max_pages_per_pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateOptions:
    """A crawl that survives its process: everything it knows is in one SQLite file.

    Args:
        path: of the file; made where there is none, and gone on with where there is one.
        join: works on a file together with other crawlers that joined; without it a file is one crawler's alone.
        retry_failed: pages that failed wait again, as if they had never been tried.
        synchronous: `normal` loses nothing when the process is killed; `full` also waits for the disk at each commit,
            and so loses nothing when the power fails.
    """

    path: str | os.PathLike[str]
    join: bool = False
    retry_failed: bool = False
    synchronous: SynchronousName = "normal"

    def __post_init__(self) -> None:
        check_choice("synchronous", self.synchronous, SYNCHRONOUS)
        if not os.fspath(self.path):
            raise InvalidOption("state has no path: name a file")


@dataclass(frozen=True, slots=True, kw_only=True)
class OffloadOptions:
    """Where functions run, and in what portions.

    Args:
        executor: inline, thread, process, interpreter, or auto.
        workers: threads, processes or interpreters; None is one for each CPU that this process may use.
        batch_items: at most so many in one portion. 16 makes the fixed cost of a hand-off small beside the
            work; more would only lengthen the wait of the first in a portion.
        batch_bytes: a portion is closed when it holds so many; four typical pages of 250 KB.
        batch_s: a portion that has run so long gives back its results, and the rest of it to other workers.
        start_timeout_s: a worker process that is not ready by then counts as failed.
        deadline_s: a payload that has run so long is given up: its worker process is killed, its thread left
            behind. None lets it run for ever.
        memory_bytes: what a worker process may take for its data; what asks for more gets a MemoryError. 2 GB are
            far more than any page needs, and little enough that one page does not take the machine. None: no bound.
        recycle_items: a worker process ends after so many payloads and another takes its place; None: never.
        recycle_bytes: the same when its resident memory has grown so large between two portions.
    """

    executor: ExecutorName = "auto"
    workers: int | None = None
    batch_items: int = 16
    batch_bytes: int = 1_000_000
    batch_s: float = 0.1
    start_timeout_s: float = 30.0
    deadline_s: float | None = 30.0
    memory_bytes: int | None = 2_000_000_000
    recycle_items: int | None = None
    recycle_bytes: int | None = 1_000_000_000

    def __post_init__(self) -> None:
        check_choice("executor", self.executor, EXECUTORS)
        check_positive("workers", self.workers)
        check_positive("batch-items", self.batch_items)
        check_positive("batch-bytes", self.batch_bytes)
        check_positive("batch-s", self.batch_s)
        check_positive("start-timeout", self.start_timeout_s)
        check_positive("deadline", self.deadline_s)
        check_positive("memory-bytes", self.memory_bytes)
        check_positive("recycle-items", self.recycle_items)
        check_positive("recycle-bytes", self.recycle_bytes)

    @property
    def worker_count(self) -> int:
        return self.workers or available_cpus()
