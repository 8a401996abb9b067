"""What goes to one origin and to no other: its headers, its credentials, its proxy."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from yarl import URL

from scraper import urls
from scraper.errors import InvalidOption, InvalidURL
from scraper.options import FetchOptions, OriginOptions


class Proxy(NamedTuple):
    """Where a proxy is, and what it wants to know.

    Args:
        url: without user and password, which an error could tell.
        headers: for the proxy alone.
    """

    url: URL
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def host_port(self) -> tuple[str | None, int | None]:
        return self.url.raw_host, self.url.port


class _Origin(NamedTuple):
    start: str
    end: str
    is_one: bool
    headers: tuple[tuple[str, str], ...]
    proxy: Proxy | None


class Origins:
    """What the options say for each origin.

    Raises:
        InvalidOption: an origin is none.
    """

    def __init__(self, options: FetchOptions) -> None:
        self._proxy = _proxy(options.proxy)
        self._origins = [self._read(entry) for entry in options.origins]
        self._kept: dict[str, tuple[str, str]] = {}

    def keep(self, url: str) -> None:
        """Knows the credentials in a canonical URL from here on as its origin's, unless the options give others."""
        authorization = authorization_of(url)
        if authorization is not None:
            self._kept[urls.origin(url)] = "Authorization", authorization

    def forget(self) -> None:
        """What `keep` was given."""
        self._kept.clear()

    def headers(self, url: str) -> tuple[tuple[str, str], ...]:
        """Headers for the origin of a canonical URL alone."""
        found = self._find(url)
        headers = () if found is None else found.headers
        if self._kept and (kept := self._kept.get(urls.origin(url))) is not None and not has(headers, kept[0]):
            return (*headers, kept)
        return headers

    def proxy(self, url: str) -> Proxy | None:
        """The proxy that a canonical URL is asked for through."""
        found = self._find(url)
        return self._proxy if found is None else found.proxy

    def _find(self, url: str) -> _Origin | None:
        if not self._origins:
            return None
        origin = urls.origin(url)
        for entry in self._origins:
            if origin == entry.start if entry.is_one else origin.startswith(entry.start) and origin.endswith(entry.end):
                return entry
        return None

    def _read(self, entry: OriginOptions) -> _Origin:
        scheme, _, authority = entry.origin.partition("://")
        host = authority.removeprefix("*.")
        try:
            url = urls.canonical(f"{scheme}://{host}")
        except InvalidURL:
            url = ""
        is_one = host == authority
        name = urls.host_port(url).rpartition(":")[0] if url else ""
        is_name = bool(name) and not name.endswith("]") and not name.rpartition(".")[2].isdigit()
        if not url or "*" in host or url != f"{urls.origin(url)}/" or not (is_one or is_name):
            raise InvalidOption(
                "an origin has a scheme, a host and perhaps a port, and no path: "
                "write one such as https://example.org or https://*.example.org"
            )
        headers = tuple(entry.headers.items())
        if entry.auth is not None:
            headers = (*headers, ("Authorization", basic(*(part.encode() for part in entry.auth))))
        origin = urls.origin(url)
        start, end = (origin, "") if is_one else (f"{scheme.lower()}://", f".{origin.partition('://')[2]}")
        return _Origin(start, end, is_one, headers, _proxy(entry.proxy) or self._proxy)


def basic(user: bytes, password: bytes) -> str:
    """Basic authentication, RFC 7617."""
    return f"Basic {base64.b64encode(user + b':' + password).decode()}"


def authorization_of(url: str) -> str | None:
    """Basic authentication with the user and password of a canonical URL; None if it has neither."""
    userinfo = url.partition("://")[2].partition("/")[0].rpartition("@")[0] if "@" in url else ""
    if not userinfo:
        return None
    user, _, password = userinfo.partition(":")
    # A canonical URL has what is not ASCII as UTF-8, percent-encoded.
    return basic(unquote_to_bytes(user), unquote_to_bytes(password))


def has(headers: Iterable[tuple[str, str]], wanted: str) -> bool:
    """Whether there is a header of this name."""
    return any(name.lower() == wanted.lower() for name, _ in headers)


def _proxy(text: str | None) -> Proxy | None:
    if text is None:
        return None
    url = URL(text)
    if url.user is None and url.password is None:
        return Proxy(url)
    authorization = basic((url.user or "").encode(), (url.password or "").encode())
    return Proxy(url.with_user(None), (("Proxy-Authorization", authorization),))
