"""Which exchanges the cache answers, which it lets through, and what it keeps of them."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from hashlib import blake2b

from scraper import urls
from scraper.fetch.cache.answer import Answer, Pairs
from scraper.fetch.cache.file import CacheFile, Damaged, Kept
from scraper.fetch.cache.off_loop import OffLoop
from scraper.fetch.cache.policy import (
    directives,
    is_fresh,
    is_reusable,
    is_storable,
    is_storable_status,
    to_store,
    updated,
    validators,
    vary_names,
)
from scraper.fetch.redirects import CREDENTIALS, Hop
from scraper.model import CacheCounts, Failure, Headers, Stage
from scraper.options import CacheOptions

_log = logging.getLogger("scraper")

# A request that has one of these asks for something of its own, which no other request's answer is.
_PASS_BY = CREDENTIALS | {"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"}
_READING = ("GET", "HEAD")
_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")  # RFC 9110 section 9.2.1
# When an answer was used last is written down no more often: it decides what goes first when the file is full.
_USED_GRAIN_S = 3_600.0

_ROBOTS_COUNTS_S = 24 * 3_600.0

_NOT_CACHED = Failure(Stage.FETCH, "not_cached", "it is not in the cache, and the site is not to be asked")


class HopCache:
    """Answers exchanges from a file where it can, and keeps what the network answers.

    What goes wrong with the file costs nothing but the cache: the site is asked instead, and nothing more is stored.

    Args:
        options: the file, and the mode.
        sent: headers that go along with every request.
        now_s: seconds since the epoch.
    """

    def __init__(
        self,
        options: CacheOptions,
        sent: Mapping[str, str],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._mode = options.mode
        self._sent = {name.lower(): value for name, value in sent.items()}
        self._now_s = now_s
        self._file = CacheFile(options.path, options.max_bytes)
        self._off_loop = OffLoop(self._file, self._cannot_store)
        self._is_storing = options.mode != "only"
        self._replayed = self._revalidated = self._stored = 0
        self._trouble: str | None = None

    def __repr__(self) -> str:
        return f"<HopCache {self._file.name}, {self._mode}: {self.counts}>"

    @property
    def counts(self) -> CacheCounts:
        """Since it was made."""
        return CacheCounts(self._replayed, self._revalidated, self._stored, self._trouble)

    async def open(self) -> None:
        """Opens the file, and makes it where there is none.

        Raises:
            CacheRefused: it is no cache, or cannot be used.
        """
        await self._off_loop.open(must_exist=self._mode == "only")

    async def aclose(self) -> None:
        """Writes what waits, and closes the file."""
        await self._off_loop.aclose()

    async def answer(
        self,
        hop: Hop,
        headers: Pairs,
        reads: Callable[[Pairs], bool],
        ask: Callable[[Hop], Awaitable[Answer]],
        max_body_bytes: int,
    ) -> Answer | Failure:
        """The answer to a hop, stored or new.

        Args:
            hop: what is asked.
            headers: of the hop, and what else goes to its origin.
            reads: whether the body of a page with such headers is wanted; without it only its headers are stored.
            ask: asks the network.
            max_body_bytes: a larger body is refused, as it would be on the network.

        Returns:
            The answer, or the failure `not_cached`.

        Raises:
            Refused: a stored body is larger than it may be. Beside it, what `ask` raises.
        """
        sent = _by_name(headers)
        if not self._is_cacheable(hop, sent):
            return await self._past(hop, ask)
        sent = {**self._sent, **sent}
        request = _digest(hop)
        kept = await self._find(request, sent, max_body_bytes)
        if kept is not None and _lacks_its_body(kept.answer, reads):
            kept = None
        if self._mode == "only" and kept is None:
            return _NOT_CACHED
        condition: Pairs = ()
        if kept is not None:
            if not self._is_outdated(kept, hop.url) and (self._mode != "revalidate" or self._is_fresh(kept, sent)):
                return await self._replay(kept)
            stored = Headers(kept.answer.headers)
            condition = validators(stored) if is_reusable(stored) else ()
        requested_s = self._now_s()
        answer = await ask(hop._replace(headers=(*hop.headers, *condition)) if condition else hop)
        if kept is not None and condition and answer.status == 304:
            return await self._confirm(kept, answer, requested_s)
        await self._store(request, hop.url, sent, answer, requested_s)
        return answer

    def _is_cacheable(self, hop: Hop, sent: Mapping[str, str]) -> bool:
        if not sent.keys().isdisjoint(_PASS_BY) or "no-store" in _directives(sent):
            return False
        return hop.method in _READING or (hop.method == "POST" and self._mode != "revalidate")

    async def _past(self, hop: Hop, ask: Callable[[Hop], Awaitable[Answer]]) -> Answer | Failure:
        """An exchange that nothing is stored of."""
        if self._mode == "only":
            return _NOT_CACHED
        answer = await ask(hop)
        if self._mode == "revalidate" and hop.method not in _SAFE and answer.status < 400 and self._is_storing:
            # RFC 9111 section 4.4: what was there may have been changed.
            for method in _READING:
                old = _digest(hop._replace(method=method, body=None))
                await self._off_loop.write(partial(CacheFile.forget, request=old))
        return answer

    async def _find(self, request: bytes, sent: Mapping[str, str], max_body_bytes: int) -> Kept | None:
        try:
            return await self._off_loop.read(lambda file: file.find(request, sent, max_body_bytes))
        except Damaged as damage:
            number = damage.number
            if self._is_storing:
                await self._off_loop.write(lambda file: file.drop(number))
            return None
        except sqlite3.Error as error:
            self._tell(f"{self._file.name} could not be read: {error}")
            return None

    def _is_outdated(self, kept: Kept, url: str) -> bool:
        """What a site permits counts for a day, in every mode in which the site may be asked for pages (RFC 9309)."""
        is_robots = urls.origin(url) + "/robots.txt" == url
        return is_robots and self._mode != "only" and self._now_s() - kept.received_s > _ROBOTS_COUNTS_S

    def _is_fresh(self, kept: Kept, sent: Mapping[str, str]) -> bool:
        asked = _directives(sent)
        if "no-cache" in asked or asked.get("max-age") == "0":
            return False
        headers = Headers(kept.answer.headers)
        return is_reusable(headers) and is_fresh(
            kept.answer.status, headers, kept.requested_s, kept.received_s, self._now_s()
        )

    async def _replay(self, kept: Kept) -> Answer:
        self._replayed += 1
        now_s = self._now_s()
        if self._is_storing and now_s - kept.used_s > _USED_GRAIN_S:
            await self._off_loop.write(lambda file: file.use(kept.number, now_s))
        return kept.answer

    async def _confirm(self, kept: Kept, answer: Answer, requested_s: float) -> Answer:
        self._revalidated += 1
        headers = updated(kept.answer.headers, answer.headers)
        received_s = self._now_s()
        if self._is_storing:
            await self._off_loop.write(lambda file: file.confirm(kept.number, headers, requested_s, received_s))
        return kept.answer._replace(headers=headers, latency_s=answer.latency_s)

    async def _store(
        self, request: bytes, url: str, sent: Mapping[str, str], answer: Answer, requested_s: float
    ) -> None:
        headers = Headers(answer.headers)
        status = answer.status
        may_be = is_storable_status(status) if self._mode == "replay" else is_storable(status, headers)
        if not (may_be and self._is_storing):
            return
        self._stored += 1
        names = tuple(name for name in vary_names(headers) if name != "*")
        stored = answer._replace(headers=to_store(answer.headers))
        received_s = self._now_s()

        def put(file: CacheFile) -> None:
            file.put(request, names, sent, url=url, answer=stored, requested_s=requested_s, received_s=received_s)

        await self._off_loop.write(put, len(answer.body or b""))

    def _cannot_store(self, error: BaseException) -> None:
        self._is_storing = False
        cause = str(error) or type(error).__name__
        self._tell(f"{self._file.name} cannot be written: {cause}; nothing more is stored in this run")

    def _tell(self, trouble: str) -> None:
        """Once: whatever follows is of the same kind."""
        if self._trouble is None:
            self._trouble = trouble
            _log.warning("%s", trouble)


def _lacks_its_body(answer: Answer, reads: Callable[[Pairs], bool]) -> bool:
    """Whether the request wants a body that an earlier one did not."""
    return answer.body is None and 200 <= answer.status < 300 and reads(answer.headers)


def _by_name(pairs: Pairs) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        found[key] = f"{found[key]}, {value.strip()}" if key in found else value.strip()
    return found


def _directives(sent: Mapping[str, str]) -> dict[str, str]:
    value = sent.get("cache-control")
    return {} if value is None else directives(Headers((("cache-control", value),)))


def _digest(hop: Hop) -> bytes:
    """A digest of the request without its headers."""
    digest = blake2b(json.dumps((hop.method, hop.url)).encode(), digest_size=16)
    digest.update(hop.body or b"")
    return digest.digest()
