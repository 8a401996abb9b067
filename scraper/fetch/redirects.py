"""Where a redirect leads, and what goes along: WHATWG Fetch, "HTTP-redirect fetch", and RFC 9110 section 15.4."""

from __future__ import annotations

import re
from typing import NamedTuple

from scraper import urls
from scraper.fetch.origins import authorization_of, has
from scraper.fetch.refused import Refused

REDIRECTS = frozenset({301, 302, 303, 307, 308})

# Headers that open doors, and so never follow a redirect to another origin.
CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
_OF_THE_BODY = frozenset(
    {
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-type",
        "transfer-encoding",
    },
)
_STRAY_BYTE = re.compile("[\udc80-\udcff]")
_SCHEME = re.compile(r"[\x00-\x20]*([a-zA-Z][a-zA-Z0-9+.\-]*):")


class Hop(NamedTuple):
    """One HTTP request on the way.

    Args:
        url: canonical and without credentials.
        method: HTTP method.
        headers: beside those that every request has.
        body: request body.
    """

    url: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None


def hop_to(url: str, method: str, headers: tuple[tuple[str, str], ...], body: bytes | None) -> Hop:
    """A hop whose URL may hold credentials: they become basic authentication, unless a header has it already."""
    url = url.partition("#")[0]
    if (authorization := authorization_of(url)) is not None:
        url = urls.without_credentials(url)
        if not has(headers, "authorization"):
            headers = (*headers, ("Authorization", authorization))
    return Hop(url, method, headers, body)


def next_hop(hop: Hop, status: int, location: str | None) -> Hop:
    """The hop that a redirect asks for.

    Args:
        hop: the one that was answered.
        status: 301, 302, 303, 307 or 308.
        location: the header as it came, resolved against the hop's URL.

    Raises:
        Refused: it leads nowhere, or out of http and https.
    """
    if location is None:
        raise Refused("bad_redirect", f"status {status} without a Location")
    scheme = _SCHEME.match(location)
    if scheme is not None and scheme[1].lower() not in ("http", "https"):
        raise Refused("redirect_scheme", f"a redirect to {scheme[1].lower()[:20]}: was not followed")
    # aiohttp marks bytes that are no UTF-8 as surrogates. They stay the bytes they are, as in browsers.
    location = _STRAY_BYTE.sub(lambda stray: f"%{ord(stray[0]) - 0xDC00:02X}", location)
    url = urls.join(hop.url, location)
    if url is None:
        raise Refused("bad_redirect", "the Location is no URL")
    method, headers, body = hop.method, hop.headers, hop.body
    becomes_get = method == "POST" if status in (301, 302) else status == 303 and method not in ("GET", "HEAD")
    if becomes_get:
        method, body = "GET", None
        headers = tuple(pair for pair in headers if pair[0].lower() not in _OF_THE_BODY)
    if urls.origin(url) != urls.origin(hop.url):
        headers = tuple(pair for pair in headers if pair[0].lower() not in CREDENTIALS)
    return hop_to(url, method, headers, body)
