"""A body on its way to a parser: decoded or encoded at most once, and free of what parsers stumble over."""

from __future__ import annotations

import re
from functools import cached_property
from html import escape

from scraper.parse.encoding import decode, is_xml, sniff, to_utf8

# Elements without content (https://html.spec.whatwg.org/#void-elements), and the obsolete param.
_VOID = re.compile("area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr", re.IGNORECASE)

# `<` ends the search for a quote's partner: well-formed XML has none in a value, and time stays linear.
_EMPTY_TAG = re.compile(r"<([A-Za-z][^\s/<>]*+)((?:\s++(?:[^<>\"'/]++|/(?!>)|\"[^\"<]*+\"|'[^'<]*+')*)?)/>")
_CDATA = "<![CDATA["


class Source:
    """A body and what its Content-Type says of it.

    Args:
        body: unpacked bytes.
        content_type: the header's value; empty if there was none.
    """

    def __init__(self, body: bytes, content_type: str = "") -> None:
        self.body = body
        self.content_type = content_type

    @cached_property
    def encoding(self) -> str:
        return sniff(self.body, self.content_type)

    @cached_property
    def text(self) -> str:
        """The body decoded, nothing else changed."""
        return decode(self.body, self.encoding)

    @cached_property
    def markup(self) -> str:
        """HTML for a parser that takes text. See `markup_utf8`."""
        if is_xml(self.content_type):
            return _html_of_xml(self.text).replace("\0", "\ufffd")
        return self.text.replace("\0", "\ufffd")

    @cached_property
    def markup_utf8(self) -> bytes:
        """HTML for a parser that takes UTF-8.

        NUL becomes U+FFFD, which is what the HTML Standard makes of it nearly everywhere: parsers differ there.
        XML is rewritten so that it means the same when read as HTML: `<script/>` would have no end there.
        """
        if is_xml(self.content_type):
            return self.markup.encode()
        utf8 = to_utf8(self.body, self.encoding)
        return utf8.replace(b"\0", b"\xef\xbf\xbd") if b"\0" in utf8 else utf8


def _html_of_xml(text: str) -> str:
    first, *sections = text.split(_CDATA)
    text = first + "".join(map(_without_cdata, sections))
    return _EMPTY_TAG.sub(
        lambda match: match[0] if _VOID.fullmatch(match[1]) else f"<{match[1]}{match[2]}></{match[1]}>", text
    )


def _without_cdata(text: str) -> str:
    """What follows the start of a CDATA section, with the section's text escaped as HTML."""
    section, end, rest = text.partition("]]>")
    return escape(section, quote=False) + rest if end else _CDATA + text
