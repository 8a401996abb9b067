"""What may be stored and used again, as RFC 9111 has it for a private cache: pure functions over headers."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from scraper.fetch.cache.answer import Pairs
from scraper.model import Headers

STORABLE_ERRORS = frozenset({404, 405, 410, 414})
"""Those of 4xx and 5xx that say something lasting about a URL (RFC 9110 section 15.1). Others are about the moment."""

# RFC 9110 section 15.1: what may be used for a while although nothing says for how long.
_HEURISTIC = frozenset({200, 203, 204, 300, 301, 308}) | STORABLE_ERRORS
_PARTIAL = 206
# RFC 9111 section 4.2.2 suggests a tenth of the time since the last change. An old page would not be asked for again
# for months, so a day is the most.
_HEURISTIC_SHARE = 0.1
_MAX_HEURISTIC_S = 86_400.0
_MAX_DELTA_S = 2**31  # RFC 9111 section 1.2.2

_DIRECTIVE = re.compile(r"""([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^\s,"]*))?""")

# RFC 9111 section 3.1: fields of the connection. Cookies are the secrets of a session, and a file is no place for them.
_NEVER_STORED = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "set-cookie",
        "set-cookie2",
    },
)
# RFC 9111 section 3.2: what describes the stored body, which a 304 does not bring.
_OF_THE_BODY = frozenset({"content-encoding", "content-length", "content-range", "content-type"})


def directives(headers: Headers) -> dict[str, str]:
    """The Cache-Control directives; of a repeated one the first counts."""
    found: dict[str, str] = {}
    for name, value in _DIRECTIVE.findall(", ".join(headers.all("cache-control"))):
        found.setdefault(name.lower(), value.strip('"'))
    return found


def is_storable_status(status: int) -> bool:
    """Whether an answer says something lasting: a page, a redirect, or that there is no page."""
    if status == _PARTIAL:
        return False
    return 200 <= status < 300 or status in (300, 301, 302, 303, 307, 308) or status in STORABLE_ERRORS


def is_storable(status: int, headers: Headers) -> bool:
    """Whether an answer to a GET or HEAD without credentials may be stored (section 3)."""
    if not is_storable_status(status) or not is_reusable(headers):
        return False
    said = directives(headers)
    return status in _HEURISTIC or "expires" in headers or not said.keys().isdisjoint(("max-age", "public", "private"))


def is_reusable(headers: Headers) -> bool:
    """Whether nothing forbids to store an answer, or to use it for another request."""
    return "no-store" not in directives(headers) and "*" not in vary_names(headers)


def vary_names(headers: Headers) -> tuple[str, ...]:
    """The request headers that an answer was selected by, in lower case and sorted; "*" may be among them."""
    names = ",".join(headers.all("vary")).split(",")
    return tuple(sorted({name.strip().lower() for name in names} - {""}))


def is_fresh(status: int, headers: Headers, requested_s: float, received_s: float, now_s: float) -> bool:
    """Whether a stored answer may be used without asking (section 4.2).

    Args:
        status: of the answer.
        headers: of the answer.
        requested_s: when it was asked for; seconds since the epoch.
        received_s: when it came.
        now_s: the time.
    """
    said = directives(headers)
    if "no-cache" in said or now_s < received_s:  # a clock that was set back says nothing about age
        return False
    date_s = date_of(headers.get("date"))
    if date_s is None:
        date_s = received_s
    age_s = _delta_s(headers.get("age", "0"))
    age_s = max(received_s - date_s, age_s + received_s - requested_s, 0.0) + now_s - received_s
    return _lifetime_s(status, headers, said, date_s) > age_s


def _lifetime_s(status: int, headers: Headers, said: dict[str, str], date_s: float) -> float:
    if "max-age" in said:
        return _delta_s(said["max-age"])
    if "expires" in headers:
        expires_s = date_of(headers["expires"])
        return 0.0 if expires_s is None else expires_s - date_s  # such as "0", which means expired
    changed_s = date_of(headers.get("last-modified"))
    if changed_s is None or status not in _HEURISTIC:
        return 0.0
    return min((date_s - changed_s) * _HEURISTIC_SHARE, _MAX_HEURISTIC_S)


def _delta_s(text: str) -> float:
    """Seconds; 0, which is stale, for what is no number."""
    text = text.strip()
    return float(min(int(text[:12]), _MAX_DELTA_S)) if text.isascii() and text.isdigit() else 0.0


def date_of(text: str | None) -> float | None:
    """Seconds since the epoch of an HTTP date; None if it is none."""
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text)
        return (date.replace(tzinfo=UTC) if date.tzinfo is None else date).timestamp()
    except (ValueError, OverflowError):
        return None


def validators(headers: Headers) -> Pairs:
    """Request headers that ask whether a stored answer still holds (section 4.3.1); none if that cannot be asked."""
    pairs = []
    for field, condition in (("etag", "If-None-Match"), ("last-modified", "If-Modified-Since")):
        value = headers.get(field, "").strip()
        if value and value.isascii() and value.isprintable():
            pairs.append((condition, value))
    return tuple(pairs)


def to_store(pairs: Pairs) -> Pairs:
    """The headers of an answer without those that belong to its connection (section 3.1), and without cookies."""
    listed = {
        name.strip().lower() for name, value in pairs if name.lower() == "connection" for name in value.split(",")
    }
    left_out = _NEVER_STORED | listed
    return tuple(pair for pair in pairs if pair[0].lower() not in left_out)


def updated(stored: Pairs, confirmed: Pairs) -> Pairs:
    """Stored headers with what a 304 has to say (section 3.2)."""
    newer = tuple(pair for pair in to_store(confirmed) if pair[0].lower() not in _OF_THE_BODY)
    names = {name.lower() for name, _ in newer}
    return (*(pair for pair in stored if pair[0].lower() not in names), *newer)
