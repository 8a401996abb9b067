"""Cookies as browsers keep them: RFC 6265 in the revised form of draft-ietf-httpbis-rfc6265bis, sections 5.6 to 5.8.

Left out is what only browsers have use for: SameSite, HttpOnly, and cookies of scripts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import count
from math import inf
from typing import NamedTuple

from publicsuffixlist import PublicSuffixList

from scraper import urls

# What the draft asks for at least is what it lets a site have at most here.
_MOST_COOKIE_BYTES = 4_096
_MOST_ATTRIBUTE_BYTES = 1_024
_MOST_OF_SITE = 50
_MOST = 3_000
_LONGEST_S = 400 * 86_400.0

# Tabs aside. Lone surrogates are bytes that are no UTF-8, which no header of a request can carry.
_REFUSED = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")

_DATE_DELIMITERS = re.compile(r"[\t\x20-/;-@\[-`{-~]+")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_DAY = re.compile(r"([0-9]{1,2})(?![0-9])")
_YEAR = re.compile(r"([0-9]{2,4})(?![0-9])")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@cache
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()  # 30 ms


class _Key(NamedTuple):
    """What makes two cookies the same."""

    name: str
    domain: str
    is_host_only: bool
    path: str


@dataclass(slots=True)
class _Cookie:
    key: _Key
    value: str
    is_secure: bool
    expires_s: float
    made: int
    used: int


class CookieJar:
    """The cookies of one crawl, in memory alone. What it holds is shown nowhere.

    A site, here, is a registrable domain by the public suffix list, or an IP address. It may have 50 cookies, and all
    sites together 3,000; the one that was used longest ago makes way, so a site with many hosts cannot drive out what
    others have set.

    Args:
        time_s: seconds since 1970.
    """

    def __init__(self, time_s: Callable[[], float] = time.time) -> None:
        self._time_s = time_s
        self._suffixes = _public_suffixes()
        self._sites: dict[str, dict[_Key, _Cookie]] = {}  # the site that was used last comes last
        self._count = 0
        self._steps = count()

    def __repr__(self) -> str:
        return f"<CookieJar {self._count} cookies of {len(self._sites)} sites>"

    def __len__(self) -> int:
        return self._count

    def take(self, url: str, fields: Iterable[str]) -> None:
        """Keeps what an answer sets.

        Args:
            url: that was answered: canonical, without credentials.
            fields: the values of its Set-Cookie headers. What is wrong with one is wrong with that one alone.
        """
        for field in fields:
            cookie = self._read(url, field)
            if cookie is not None:
                self._keep(url, cookie)

    def header(self, url: str, own: str = "") -> str:
        """The Cookie header of a request, empty if there is none.

        Args:
            url: canonical, without credentials.
            own: what the request's own Cookie header says; it goes first, and instead of cookies of the same names.
        """
        host = _host(url)
        site = self._site(host)
        cookies = self._sites.get(site)
        if cookies is None:
            return own
        now_s = self._time_s()
        own_names = {pair.partition("=")[0].strip() for pair in own.split(";")} if own else ()
        path, is_secure = _path(url), url.startswith("https:")
        found = [
            cookie
            for key, cookie in cookies.items()
            if (host == key.domain if key.is_host_only else _is_within(host, key.domain))
            and _is_below(path, key.path)
            and (is_secure or not cookie.is_secure)
            and cookie.expires_s > now_s
            and key.name not in own_names
        ]
        if not found:
            return own
        self._sites[site] = self._sites.pop(site)
        step = next(self._steps)
        for cookie in found:
            cookie.used = step
        found.sort(key=lambda cookie: (-len(cookie.key.path), cookie.made))
        pairs = [f"{cookie.key.name}={cookie.value}" if cookie.key.name else cookie.value for cookie in found]
        return "; ".join([own, *pairs] if own else pairs)

    def _read(self, url: str, field: str) -> _Cookie | None:
        if _REFUSED.search(field) is not None:
            return None
        pair, *attributes = field.split(";")
        name, equals, value = pair.partition("=")
        if not equals:
            name, value = "", pair
        name, value = name.strip(" \t"), value.strip(" \t")
        if not (name or value) or len(name.encode()) + len(value.encode()) > _MOST_COOKIE_BYTES:
            return None
        said = _attributes(attributes)
        host = _host(url)
        domain = said.get("domain", "").removeprefix(".").lower()
        if domain and domain != host and (not _is_within(host, domain) or self._suffixes.is_public(domain)):
            return None
        # A public suffix that is a host, and an IP address, may have cookies, of itself alone.
        is_host_only = not domain or _is_ip_address(host) or self._suffixes.is_public(domain)
        path = said.get("path", "")
        if not path.startswith("/"):
            path = _path(url).rpartition("/")[0] or "/"
        is_secure = "secure" in said
        if is_secure and not url.startswith("https:"):
            return None
        # In any case, because servers may not tell them apart; and in the value, where it could be taken for a name.
        prefix = (name or value).lower()
        if prefix.startswith("__secure-") and not (name and is_secure):
            return None
        if prefix.startswith("__host-") and not (
            name and is_secure and is_host_only and not domain and said.get("path") == "/"
        ):
            return None
        key = _Key(name, host if is_host_only else domain, is_host_only, path)
        step = next(self._steps)
        return _Cookie(key, value, is_secure, self._expires_s(said), step, step)

    def _expires_s(self, said: dict[str, str]) -> float:
        """When a cookie ends; without a time, it lives as long as the crawl."""
        now_s = self._time_s()
        age = said.get("max-age", "")
        if re.fullmatch(r"-?[0-9]+", age) is not None:
            return now_s + min(float(age), _LONGEST_S)
        date_s = _date_s(said.get("expires", ""))
        return inf if date_s is None else min(date_s, now_s + _LONGEST_S)

    def _keep(self, url: str, cookie: _Cookie) -> None:
        site = self._site(_host(url))
        key = cookie.key
        if not url.startswith("https:") and _hides_another(key, self._sites.get(site, {}).values()):
            return
        cookies = self._sites.pop(site, {})
        old = cookies.pop(key, None)
        if old is not None:
            cookie.made = old.made
            self._count -= 1
        if cookie.expires_s > self._time_s():
            cookies[key] = cookie
            self._count += 1
        if cookies:
            self._sites[site] = cookies
        if len(cookies) > _MOST_OF_SITE:
            self._evict(site)
        elif self._count > _MOST:
            self._evict(next(iter(self._sites)))

    def _evict(self, site: str) -> None:
        """One that has ended, or that was used longest ago."""
        cookies = self._sites[site]
        now_s = self._time_s()
        oldest = min(cookies.values(), key=lambda cookie: (cookie.expires_s > now_s, cookie.used))
        del cookies[oldest.key]
        self._count -= 1
        if not cookies:
            del self._sites[site]

    def _site(self, host: str) -> str:
        return host if _is_ip_address(host) else self._suffixes.privatesuffix(host.rstrip(".")) or host


def _hides_another(key: _Key, cookies: Iterable[_Cookie]) -> bool:
    """Whether there is a secure cookie that this one, which anybody on the way may have set, could be taken for."""
    return any(
        other.is_secure
        and other.key.name == key.name
        and (_is_within(key.domain, other.key.domain) or _is_within(other.key.domain, key.domain))
        and _is_below(key.path, other.key.path)
        for other in cookies
    )


def _attributes(texts: Iterable[str]) -> dict[str, str]:
    """Names in lower case; of several the last counts."""
    said: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        value = value.strip(" \t")
        if len(value.encode()) <= _MOST_ATTRIBUTE_BYTES:
            said[name.strip(" \t").lower()] = value
    return said


def _date_s(text: str) -> float | None:
    """Seconds since 1970 of a cookie's date, in whatever form; None if it is none (section 5.1.1)."""
    clock = day = month = year = None
    for token in _DATE_DELIMITERS.split(text):
        if clock is None and (found := _TIME.match(token)) is not None:
            clock = found
        elif day is None and (found := _DAY.match(token)) is not None:
            day = found
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (found := _YEAR.match(token)) is not None:
            year = found
    if clock is None or day is None or month is None or year is None:
        return None
    number = int(year[1])
    if number < 100:
        number += 1900 if number >= 70 else 2000
    hour, minute, second = map(int, clock.groups())
    try:
        date = datetime(number, month, int(day[1]), hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return date.timestamp() if number >= 1601 else None


def _host(url: str) -> str:
    return urls.host_port(url).rpartition(":")[0]


def _path(url: str) -> str:
    return url[len(urls.origin(url)) :].partition("?")[0]


def _is_ip_address(host: str) -> bool:
    """In canonical form a host whose last label is a number is an IPv4 address, one in brackets IPv6."""
    return host.endswith("]") or host.rpartition(".")[2].isdigit()


def _is_within(host: str, domain: str) -> bool:
    return host == domain or (host.endswith(f".{domain}") and not _is_ip_address(host))


def _is_below(path: str, folder: str) -> bool:
    return path == folder or (path.startswith(folder) and (folder.endswith("/") or path[len(folder)] == "/"))
