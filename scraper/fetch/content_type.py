"""Which answers are read: HTML and XML, and whatever else a request accepts."""

from __future__ import annotations

import re

_MARKUP = frozenset({"text/html", "application/xhtml+xml", "application/xml", "text/xml"})

# What a document without a type begins with, after white space, when it is HTML or XML: WHATWG MIME Sniffing
# section 7.1. A byte order mark may stand before it.
_LOOKS_LIKE_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*<(?:"
    rb"(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|!--)[ >]|\?xml)",
    re.IGNORECASE,
)


def essence(content_type: str) -> str:
    """The type and subtype of a Content-Type, without parameters; empty where it names none."""
    text = content_type.partition(";")[0].strip().lower()
    return text if "/" in text else ""


def is_wanted(media_type: str, accept: tuple[str, ...]) -> bool:
    """Whether a page of this type is read.

    Args:
        media_type: as `essence` gives it.
        accept: types beyond HTML and XML: exact, such as "image/*", or "*/*".
    """
    if media_type in _MARKUP or media_type.endswith("+xml"):
        return True
    return any(_matches(media_type, pattern.strip().lower()) for pattern in accept)


def looks_like_markup(body: bytes) -> bool:
    """Whether bytes that came without a type begin as HTML or XML does."""
    return _LOOKS_LIKE_MARKUP.match(body) is not None


def _matches(media_type: str, pattern: str) -> bool:
    if pattern.endswith("/*"):
        return pattern == "*/*" or media_type.startswith(pattern[:-1])
    return media_type == pattern
