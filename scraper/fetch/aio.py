"""The fetcher over aiohttp: one session for all requests, redirects followed here, one attempt a call."""

from __future__ import annotations

import io
import re
from functools import partial
from itertools import chain
from types import TracebackType
from typing import Self

import aiohttp
import anyio
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from scraper import urls
from scraper.errors import InvalidOption, NotRunning
from scraper.fetch.address_check import AddressCheck
from scraper.fetch.body import discard_body, read_body
from scraper.fetch.cache import Answer, HopCache, Pairs
from scraper.fetch.connector import Connector, Exchange, exchange
from scraper.fetch.content_type import essence, is_wanted, looks_like_markup
from scraper.fetch.cookies import CookieJar
from scraper.fetch.deadline import TimeLimit
from scraper.fetch.decoding import ACCEPT_ENCODING
from scraper.fetch.failures import FOREIGN, failure_of, http_failure
from scraper.fetch.origins import Origins, has
from scraper.fetch.protocol import Gate, IsNamed
from scraper.fetch.redirects import CREDENTIALS, REDIRECTS, Hop, hop_to, next_hop
from scraper.fetch.refused import Refused
from scraper.fetch.stalls import LoopClock
from scraper.model import CacheCounts, Failure, Request, Response, Skip
from scraper.options import FetchOptions, available_cpus

_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

# A Content-Security-Policy of more than aiohttp's 8 KB is common on the web. 128 fields of 32 KB are 4 MB, which as
# many connections as a crawl has may hold for a moment; more than browsers take of a whole header goes no further.
_MAX_FIELD_BYTES = 32_768
_MAX_FIELDS = 128
_MAX_HEADER_BYTES = 262_144

# aiohttp warns of larger bodies that are given as bytes.
_LARGE_BODY_BYTES = 1_000_000

# RFC 9110: token, and field-value without the control characters that could end a field.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\ud7ff\ue000-\U0010ffff]*")

# RFC 9110 section 9.2.2: sending these twice is like sending them once.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


class AioFetcher:
    """Fetches over HTTP/1.1 with aiohttp.

    Args:
        options: deadlines, caps, headers, cookies, fixed addresses, permitted addresses.
        gate: asked for every redirect hop, and before a request is sent once more.
        connections: in use at once; as many as there are calls of `fetch` at a time.
        is_named: asked for every connection that is used; what it knows may be at a private address. None: every
            host and port counts as named, and only `options.addresses.deny` refuses.

    Raises:
        InvalidOption: a header that HTTP cannot carry.
    """

    def __init__(self, options: FetchOptions, gate: Gate, connections: int, is_named: IsNamed | None = None) -> None:
        own = [pair for entry in options.origins for pair in entry.headers.items()]
        for name, value in (("User-Agent", options.user_agent), *options.headers.items(), *own):
            if (fault := _fault_of_header(name, value)) is not None:
                raise InvalidOption(fault)
        self._options = options
        self._gate = gate
        self._connections = connections
        self._origins = Origins(options)
        self._check = AddressCheck(options.addresses, is_named)
        # These go along request by request, so that a redirect can drop them.
        self._credentials = tuple(pair for pair in options.headers.items() if pair[0].lower() in CREDENTIALS)
        self._session: aiohttp.ClientSession | None = None
        self._cookies: CookieJar | None = None
        self._cache: HopCache | None = None

    @property
    def cache_counts(self) -> CacheCounts | None:
        """What the cache did since the fetcher was opened; None without one."""
        return None if self._cache is None else self._cache.counts

    def __repr__(self) -> str:
        state = "closed" if self._session is None else "open"
        return f"<AioFetcher {state}, at most {self._connections} connections>"

    async def __aenter__(self) -> Self:
        options = self._options
        own = {"User-Agent": options.full_user_agent, "Accept": _ACCEPT, "Accept-Encoding": ACCEPT_ENCODING}
        if options.mail_address is not None:
            own["From"] = options.mail_address
        headers = CIMultiDict(own)
        headers.update([pair for pair in options.headers.items() if pair not in self._credentials])
        self._cookies = CookieJar() if options.cookies else None
        if options.cache is not None:
            self._cache = HopCache(options.cache, headers)
            await self._cache.open()
        # Unpacking is CPU-bound: more threads than CPUs would only take turns.
        self._threads = anyio.CapacityLimiter(available_cpus())
        self._clock = LoopClock()
        self._time_limit = TimeLimit(self._options.timeout_s, self._clock)
        self._session = aiohttp.ClientSession(
            connector=Connector(
                self._connections, options.resolve, self._check, self._time_limit, options.connect_timeout_s
            ),
            cookie_jar=aiohttp.DummyCookieJar(),  # aiohttp's own would send a cookie of Domain=co.uk to all of co.uk
            headers=headers,
            # An attempt has one deadline, over all its redirects and in a time of its own; aiohttp counts each request
            # anew, and the crawl's own waiting too.
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            max_field_size=_MAX_FIELD_BYTES,
            max_headers=_MAX_FIELDS,
        )
        # It would send a request a second time also on a new connection, unseen by pace and by the count of attempts.
        self._session._retry_connection = False  # noqa: SLF001
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes every connection; attempts under way end as failures."""
        session, self._session = self._session, None
        if session is not None:
            self._time_limit.close()  # closing a connection does not wake who reads a body from it
            await session.close()
            self._clock.close()
            self._origins.forget()
            if self._cache is not None:
                await self._cache.aclose()

    async def fetch(self, request: Request, *, max_body_bytes: int | None = None) -> Response | Failure | Skip:
        """One attempt, redirects included.

        Args:
            request: its URL in canonical form; a user and password in it become basic authentication.
            max_body_bytes: another cap than that of the options.

        Returns:
            The unpacked answer if its status is in 2xx and the request wants its content type. A Skip of reason
            `content_type`, or what the gate refused with. Otherwise a Failure of a reason in
            `scraper.fetch.failures`.

        Raises:
            NotRunning: outside of `async with`.
        """
        session = self._session
        if session is None:
            raise NotRunning("the fetcher is not open")
        clock = self._clock
        clock.start()
        under_way = Exchange(clock.now_s())
        try:
            with self._time_limit:
                max_bytes = self._options.max_body_bytes if max_body_bytes is None else max_body_bytes
                return await self._follow(request, self._first_hop(request), session, under_way, max_bytes)
        except FOREIGN as exc:
            error = Refused("closed", "the fetcher was closed meanwhile") if session.closed else exc
            return failure_of(error, clock.now_s() - under_way.began_s)
        finally:
            clock.stop()

    def keep_credentials(self, url: str) -> str:
        """Sends user and password of a seed's URL with every request to its origin, as long as this fetcher is open.

        So the crawl need not carry them: they stay out of its state, its outputs and what it tells.

        Args:
            url: canonical.

        Returns:
            The URL without them.
        """
        self._origins.keep(url)
        return urls.without_credentials(url)

    def _first_hop(self, request: Request) -> Hop:
        headers = request.headers
        if headers:
            for name, value in headers:
                if (fault := _fault_of_header(name, value)) is not None:
                    raise Refused("bad_header", fault)
        if request.accept and not has(headers, "accept"):
            headers = (*headers, ("Accept", ",".join((*request.accept, _ACCEPT))))
        if _TOKEN.fullmatch(request.method) is None:
            raise Refused("bad_header", "the method is none that HTTP allows")
        hop = hop_to(request.url, request.method, headers, request.body)
        if self._credentials:
            given = (*hop.headers, *self._origins.headers(hop.url))
            more = [pair for pair in self._credentials if not has(given, pair[0])]
            hop = hop._replace(headers=(*hop.headers, *more))
        return hop

    async def _follow(
        self, request: Request, hop: Hop, session: aiohttp.ClientSession, under_way: Exchange, max_bytes: int
    ) -> Response | Failure | Skip:
        been = {self._step(hop)}
        while True:
            answer = await self._answer(request, hop, session, under_way, max_bytes)
            if isinstance(answer, Failure):
                return answer
            status = answer.status
            if 200 <= status < 300:
                return _received(request, hop, answer)
            if status not in REDIRECTS:
                return http_failure(status, answer.phrase, _first(answer.headers, "retry-after"), answer.latency_s)
            left_url = hop.url
            hop = next_hop(hop, status, answer.location)
            step = self._step(hop)
            if step in been:
                raise Refused("redirect_loop", f"redirected to {hop.url} again")
            if len(been) > self._options.max_redirects:
                raise Refused("too_many_redirects", f"more than {self._options.max_redirects} redirects")
            been.add(step)
            self._gate.left(left_url)
            with self._time_limit.paused():
                refusal = await self._gate.hop(request, hop.url)
            if refusal is not None:
                return refusal

    async def _send(self, hop: Hop, session: aiohttp.ClientSession, under_way: Exchange) -> aiohttp.ClientResponse:
        url = _target(hop.url)
        headers, proxy = self._headers(hop), self._origins.proxy(hop.url)
        proxy_headers: tuple[tuple[str, str], ...] = ()
        if proxy is not None:
            if url.raw_host and url.port and (refusal := self._check.refusal_of_name(url.raw_host, url.port)):
                raise refusal
            if url.scheme == "https":  # through a tunnel, of whose opening the site sees nothing
                proxy_headers = proxy.headers
            elif not has(headers, hdrs.PROXY_AUTHORIZATION):
                headers = (*headers, *proxy.headers)
        under_way.proxy = None if proxy is None else proxy.host_port
        may_repeat = hop.method in _IDEMPOTENT
        while True:
            exchange.set(under_way)  # each time, because the gate may have fetched something in this task
            under_way.began_s = self._clock.now_s()
            under_way.was_reused = False
            body = hop.body
            data = io.BytesIO(body) if body is not None and len(body) > _LARGE_BODY_BYTES else body
            try:
                return await session.request(
                    hop.method,
                    url,
                    headers=headers or None,
                    data=data,
                    allow_redirects=False,
                    proxy=None if proxy is None else proxy.url,
                    proxy_headers=proxy_headers or None,
                )
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError):
                # A server may close an idle connection at the moment it is used again. Then the request is repeated,
                # once: RFC 9112 section 9.3.1.
                if not (may_repeat and under_way.was_reused):
                    raise
                may_repeat = False
            self._gate.left(hop.url)
            with self._time_limit.paused():
                await self._gate.again(hop.url)

    async def _answer(
        self, request: Request, hop: Hop, session: aiohttp.ClientSession, under_way: Exchange, max_bytes: int
    ) -> Answer | Failure:
        """From the cache or the network."""
        if self._cache is None:
            return await self._ask(request, session, under_way, max_bytes, hop)
        ask = partial(self._ask, request, session, under_way, max_bytes)
        answer = await self._cache.answer(hop, self._headers(hop), partial(_is_read, request), ask, max_bytes)
        if answer.latency_s is None:
            self._gate.replayed(hop.url)
        return answer

    async def _ask(
        self, request: Request, session: aiohttp.ClientSession, under_way: Exchange, max_bytes: int, hop: Hop
    ) -> Answer:
        response = await self._send(hop, session, under_way)
        try:
            latency_s = self._clock.now_s() - under_way.began_s
            if self._cookies is not None:
                self._cookies.take(hop.url, response.headers.getall(hdrs.SET_COOKIE, ()))
            if sum(map(len, chain.from_iterable(response.raw_headers))) > _MAX_HEADER_BYTES:
                raise Refused("header_too_large", f"the header is larger than the cap of {_MAX_HEADER_BYTES} bytes")
            status, headers = response.status, _pairs(response.raw_headers)
            body, wire_bytes = None, 0
            if 200 <= status < 300 and _wants(request, response.headers.get(hdrs.CONTENT_TYPE, "")):
                body, wire_bytes = await read_body(response, max_bytes, self._threads, self._time_limit)
            else:
                await discard_body(response)
        finally:
            if not response.closed:  # it is, once the body was read to its end
                response.close()
        location = response.headers.get(hdrs.LOCATION)
        return Answer(status, response.reason or "", headers, location, body, wire_bytes, latency_s)

    def _step(self, hop: Hop) -> tuple[str, str, str]:
        """What a chain of redirects does once. With a new cookie, a page may be asked for again."""
        return hop.method, hop.url, "" if self._cookies is None else self._cookies.header(hop.url)

    def _headers(self, hop: Hop) -> tuple[tuple[str, str], ...]:
        """What a hop carries, and what is its host's alone and so never becomes a part of the hop."""
        headers = hop.headers
        if of_origin := self._origins.headers(hop.url):
            headers = (*headers, *(pair for pair in of_origin if not has(headers, pair[0])))
        if self._cookies is not None:
            own = "; ".join([value for name, value in headers if name.lower() == "cookie"])
            if (cookies := self._cookies.header(hop.url, own)) != own:
                headers = (*(pair for pair in headers if pair[0].lower() != "cookie"), ("Cookie", cookies))
        return headers


def _is_read(request: Request, headers: Pairs) -> bool:
    """Whether the body of a page with such headers is read; where they name no type, it decides itself."""
    return _wants(request, _first(headers, "content-type") or "")


def _wants(request: Request, content_type: str) -> bool:
    media_type = essence(content_type)
    return not media_type or is_wanted(media_type, request.accept)


def _received(request: Request, hop: Hop, answer: Answer) -> Response | Skip:
    media_type = essence(_first(answer.headers, "content-type") or "")
    body = answer.body
    if body is None or (media_type and not is_wanted(media_type, request.accept)):
        return Skip("content_type", media_type[:80].encode("ascii", "replace").decode())
    if body and not media_type and not is_wanted("", request.accept) and not looks_like_markup(body):
        return Skip("content_type", "none given, and the body does not begin like HTML or XML")
    return Response(hop.url, answer.status, answer.headers, body, answer.wire_bytes, answer.latency_s)


def _target(url: str) -> URL:
    try:
        target = URL(url, encoded=True)  # it is canonical, so nothing is left to quote
        if target.scheme in ("http", "https") and target.raw_host and target.port:
            return target
    except ValueError as exc:
        raise Refused("bad_url", "the URL cannot be asked for") from exc
    raise Refused("bad_url", "the URL is not one of http or https with a host and a port")


def _pairs(raw: tuple[tuple[bytes, bytes], ...]) -> Pairs:
    """Header fields as text: UTF-8 where it is that, Latin-1 as it once was (RFC 9110 section 5.5)."""
    try:
        return tuple([(name.decode(), value.decode()) for name, value in raw])
    except UnicodeDecodeError:
        return tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw])


def _first(headers: Pairs, wanted: str) -> str | None:
    for name, value in headers:
        if name.lower() == wanted:
            return value
    return None


def _fault_of_header(name: str, value: str) -> str | None:
    if _TOKEN.fullmatch(name) is None:
        # Only its beginning: somebody may have written "Name: secret".
        beginning = _TOKEN.match(name)
        return f"a header name that begins with {beginning[0][:40] if beginning else ''!r} is not one that HTTP allows"
    if _FIELD_VALUE.fullmatch(value) is None:
        return f"the value of the header {name} holds characters that HTTP does not allow"
    return None
