"""The project's only URL code: pure functions over text.

A URL is *canonical* when it is an absolute http or https URL as the WHATWG URL Standard serialises it
(https://url.spec.whatwg.org/#url-serializing), without its fragment: scheme and host in lower case, the host in
Punycode, the default port left out, dot segments resolved, unsafe characters percent-encoded. Nothing else is
changed: a trailing slash, the order of the query and the case of percent-encodings may matter to a server.

can_ada is used because it is the fastest binding of a conforming parser: 1.2 µs for a join, for which ada_url
takes 3.6, yarl 4.0 and urllib 9.0; the last two follow other rules. It still refuses ASCII hosts with invalid
Punycode, which the standard has accepted since 2025; those rare ones go to `scraper.ada`, as does everything in a
sub-interpreter, where can_ada does not load.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any

try:
    import can_ada
except ImportError:
    from scraper import ada as can_ada  # type: ignore[no-redef]

from scraper.errors import InvalidURL
from scraper.model import Request
from scraper.options import ScopeName

# Servers need not take more than 8,000 octets (RFC 9110, 4.1). What is longer is a trap or data, not an address.
MAX_URL_CHARS = 8_192

# A short reference becomes long when its base is: 100,000 links on a base of 8,000 characters, which are a page of
# 1 MB, would take 800 MB. No page has room for more honest links than this, and a bound on each does not help.
MAX_TOTAL_CHARS = 20_000_000

_HTTP = ("http://", "https://")


def join(base: str, reference: str) -> str | None:
    """The canonical URL that a reference stands for, or None if it is none.

    Args:
        base: absolute URL of the document, or of its `<base>`.
        reference: absolute or relative, as it stands in the document.
    """
    return _canonical(_resolve(base, reference))


def canonical(url: str) -> str:
    """The canonical form of an absolute URL.

    Raises:
        InvalidURL: no absolute URL, another scheme than http and https, or longer than `MAX_URL_CHARS`.
    """
    href = _resolve(None, url)
    found = _canonical(href)
    if found is not None:
        return found
    shown = repr(url.rpartition("@")[2][:200])  # a password must not reach a log, however badly it is written
    if href is None:
        raise InvalidURL(f"{shown} is not an absolute URL: write one such as https://example.org/page")
    if not href.startswith(_HTTP):
        raise InvalidURL(f"{shown} has the scheme {href.partition(':')[0]}: only http and https can be fetched")
    raise InvalidURL(f"{shown} … has {len(href):,} characters: a URL may have {MAX_URL_CHARS:,}")


def join_all(base: str, references: Iterable[str]) -> tuple[list[str], int]:
    """The distinct canonical URLs behind many references, in the order of their first appearance.

    Each distinct reference is joined once, and the base is parsed once.

    Returns:
        The URLs, and how many distinct references were refused as malformed or too long, be it alone or together
        with those before them (`MAX_TOTAL_CHARS`). References of other schemes, such as mailto, are in neither.
    """
    distinct = dict.fromkeys([_cut_fragment(text) if "#" in text else text for text in references])
    parsed: Any = None  # a base that can_ada does not take leads to `_resolve` below
    with suppress(ValueError, TypeError):
        parsed = can_ada.parse(base)
    found: dict[str, None] = {}
    chars = refused = 0
    for reference in distinct:
        try:
            href = (parsed + reference).href
        except (ValueError, TypeError):
            href = _resolve(base, reference)
        url = _canonical(href)
        if url is not None:
            chars += len(url)
            if chars <= MAX_TOTAL_CHARS:
                found[url] = None
            else:
                refused += 1
        elif href is None or href.startswith(_HTTP):
            refused += 1
    return list(found), refused


def _cut_fragment(reference: str) -> str:
    head, _, _ = reference.partition("#")
    # White space at the end of a reference is ignored; in front of a fragment it is not at the end.
    return reference if head and head[-1] <= " " else head


def _canonical(href: str | None) -> str | None:
    if href is None or not href.startswith(_HTTP):
        return None
    if "#" in href:
        href = href.partition("#")[0]
    if "^" in href:  # which can_ada leaves in a path, and the standard has encoded there since 2024
        path, mark, query = href.partition("?")
        href = path.replace("^", "%5E") + mark + query
    return href if len(href) <= MAX_URL_CHARS else None


def _resolve(base: str | None, reference: str) -> str | None:
    try:
        url = can_ada.parse(reference) if base is None else can_ada.parse(base) + reference
    except ValueError:
        return _resolve_newer(base, reference)
    except TypeError:  # lone surrogates; the standard takes text as scalar values
        return _resolve(base and _scalar_values(base), _scalar_values(reference))
    return str(url.href)


def _resolve_newer(base: str | None, reference: str) -> str | None:
    if "xn--" not in f"{base} {reference}".lower():
        return None
    from scraper import ada  # noqa: PLC0415 - rarely needed

    try:
        return (ada.parse(reference) if base is None else ada.parse(base) + reference).href
    except ValueError:
        return None


def _scalar_values(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def host_port(url: str) -> str:
    """Host and port of a canonical URL as "host:port", the default port filled in: the key of politeness."""
    host = _authority(url)
    if host.rpartition(":")[2].isdigit():
        return host
    return f"{host}:443" if url.startswith("https:") else f"{host}:80"


def origin(url: str) -> str:
    """Scheme, host and port of a canonical URL, such as "https://example.org:8443"."""
    return f"{url.partition(':')[0]}://{_authority(url)}"


def folder(url: str) -> str:
    """A canonical URL up to the last slash of its path."""
    path_end = url.find("?")
    return url[: url.rindex("/", 0, path_end if path_end >= 0 else len(url)) + 1]


def without_credentials(url: str) -> str:
    """A canonical URL without its user name and password, as it may be shown and stored."""
    if "@" not in url:
        return url
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def is_same_site(one: str, other: str) -> bool:
    """Whether two canonical URLs differ in host and port by no more than a leading "www.", or http by https."""
    return _authority(one).removeprefix("www.") == _authority(other).removeprefix("www.")


def fingerprint(request: Request) -> str:
    """What makes two requests the same: their `dedup_key`, else method, canonical URL and body.

    For a plain GET it is the canonical URL itself, so that URLs found in pages are their own keys.

    Raises:
        InvalidURL: the request's URL has no canonical form.
    """
    if request.dedup_key is not None:
        return request.dedup_key
    url = canonical(request.url)
    if request.method == "GET" and request.body is None:
        return url
    digest = "" if request.body is None else hashlib.blake2b(request.body, digest_size=16).hexdigest()
    return f"{request.method} {url} {digest}"  # no canonical URL holds a space


def _authority(url: str) -> str:
    """Host and port as they stand in a canonical URL, which always has a path."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]


class Scope:
    """Which URLs belong to a crawl, seen from its seeds.

    The scheme does not matter: a site that is reached by http and by https is one site, and the two default
    ports count as the same. Credentials in a URL do not matter either.

    Args:
        kind: `prefix` the seeds' folders; `host` their hosts and ports; `domain` their registrable domains by
            the public suffix list, private suffixes such as github.io included, on any port (for an IP address:
            that address); `any` everything.
    """

    def __init__(self, kind: ScopeName) -> None:
        self.kind = kind
        self._seeds: set[str] = set()
        self._named: set[str] = set()
        # Sorted, and none is the beginning of another: so the greatest that is not greater than a URL is the
        # only one which that URL can begin with.
        self._prefixes: list[str] = []
        self._domains: set[str] = set()
        self._domain_of = _domain_finder() if kind == "domain" else None

    def __repr__(self) -> str:
        places = sorted(self._domains) or self._prefixes
        shown = ", ".join(places[:3]) + (" …" if len(places) > 3 else "")
        return f"<Scope {self.kind}{f': {shown}' if shown else ''}>"

    def include(self, seed_url: str) -> None:
        """Widens the scope by a seed, given as a canonical URL."""
        self._named.add(host_port(seed_url))
        self.widen(seed_url)

    def widen(self, seed_url: str) -> None:
        """Widens the scope by a place that a seed moved to: it is a seed, but not one that the user named."""
        self._seeds.add(seed_url)
        if self._domain_of is not None:
            self._domains.add(self._domain_of(_host(seed_url)))
        elif self.kind == "host":
            self._include_prefix(f"{_authority(seed_url)}/")
        elif self.kind == "prefix":
            self._include_prefix(_without_scheme(folder(without_credentials(seed_url))))

    def _include_prefix(self, prefix: str) -> None:
        if self._begins(prefix):
            return
        start = end = bisect_left(self._prefixes, prefix)
        while end < len(self._prefixes) and self._prefixes[end].startswith(prefix):
            end += 1
        del self._prefixes[start:end]
        insort(self._prefixes, prefix)

    def admits(self, url: str) -> bool:
        """Whether a canonical URL is in scope."""
        if self.kind == "any":
            return True
        if self._domain_of is not None:
            return self._domain_of(_host(url)) in self._domains
        text = _without_scheme(url)
        return self._begins(text) or ("@" in text and self._begins(_without_scheme(without_credentials(url))))

    def _begins(self, text: str) -> bool:
        index = bisect_right(self._prefixes, text)
        return index > 0 and text.startswith(self._prefixes[index - 1])

    def is_seed(self, url: str) -> bool:
        """Whether this URL is a seed, or a place that one moved to."""
        return url in self._seeds

    def is_named(self, host_port: str) -> bool:
        """Whether the user named this host and port, as "host:port", by a seed."""
        return host_port in self._named


def _without_scheme(url: str) -> str:
    return url[8:] if url.startswith("https") else url[7:]


def _host(url: str) -> str:
    authority = _authority(url)
    host, _, port = authority.rpartition(":")
    return host if port.isdigit() else authority


def _domain_finder() -> Callable[[str], str]:
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415 - 30 ms that only this scope needs

    suffixes = PublicSuffixList()

    @lru_cache(maxsize=10_000)  # a site links to the same hosts again and again; 10,000 names are about 2 MB
    def domain_of(host: str) -> str:
        # In canonical form a host whose last label is a number is an IPv4 address, one in brackets IPv6.
        if host.endswith("]") or host.rpartition(".")[2].isdigit():
            return host
        name = host.rstrip(".")
        return suffixes.privatesuffix(name) or name

    return domain_of
