"""Which encoding a body is in, as the HTML Standard decides it, and its text.

The order is the standard's (https://html.spec.whatwg.org/#determining-the-character-encoding): byte order mark,
the header's charset, a `<meta>` near the beginning, then a guess. Labels are those of the Encoding Standard.
"""

from __future__ import annotations

import re
from functools import lru_cache

import webencodings

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16be"), (b"\xff\xfe", "utf-16le"))

# The prescan looks at 1,024 bytes; a tree builder still obeys a later <meta>. The second search stands for that,
# and its bound covers heads that begin with scripts or long comments.
_PRESCAN_BYTES, _HEAD_BYTES = 1_024, 16_384

# ASCII bytes mean something else here, or nothing.
_NOT_ASCII = frozenset({"utf-16le", "utf-16be", "iso-2022-jp", "replacement"})

_MARKUP = re.compile(rb"<(?:(?P<comment>!--)|(?P<meta>meta)[\s/]|/?[a-z][^\s/>]*+|(?P<other>[!/?]))", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    rb"[\s/]*+(?P<name>[^\s/>][^\s/>=]*+)"
    rb"(?:\s*+=\s*+(?:\"(?P<double>[^\"]*+)\"|'(?P<single>[^']*+)'|(?P<unclosed>[\"'])|(?P<bare>[^\s>]*+)))?"
)
# A quote without its partner, or no value at all, ends the search: what may follow does not count.
_META_CHARSET = re.compile(rb"charset\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|[\"']|([^\s;]*))", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"\s*<\?xml[^>]*?\sencoding\s*=\s*[\"']([^\"'>]*)[\"']")
_HEADER_CHARSET = re.compile(r";\s*charset\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^;\s]*))", re.IGNORECASE)


def sniff(body: bytes, content_type: str) -> str:
    """The name of a body's encoding, in the Encoding Standard's spelling.

    Where nothing is declared, a body that is valid UTF-8 beyond ASCII is taken as that, any other as
    windows-1252, the standard's default for most locales; XML's default is UTF-8.

    Args:
        body: unpacked bytes.
        content_type: the header's value; empty if there was none.
    """
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return encoding
    return charset_of(content_type) or _declared(body, is_xml=is_xml(content_type)) or _guessed(body)


def is_xml(content_type: str) -> bool:
    """Whether a media type is XML: text/xml, application/xml, or one that ends with +xml."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type.endswith(("/xml", "+xml"))


@lru_cache(maxsize=256)  # a crawl meets a handful of spellings; their number must not grow with hostile servers
def charset_of(content_type: str) -> str | None:
    """The encoding that a Content-Type header names, if it is one of the Encoding Standard's."""
    match = _HEADER_CHARSET.search(content_type)
    return None if match is None else _lookup(match[1] or match[2] or match[3])


def decode(body: bytes, encoding: str) -> str:
    """The text of a body without its byte order mark; what is invalid becomes U+FFFD."""
    text: str = webencodings.decode(body, encoding, errors="replace")[0]
    return text


def to_utf8(body: bytes, encoding: str) -> bytes:
    """The body in UTF-8 without a byte order mark; as it is, invalid bytes included, if it is UTF-8 already."""
    if encoding == "utf-8":
        return body.removeprefix(_BOMS[0][0])
    if encoding not in _NOT_ASCII and body.isascii():
        return body
    return decode(body, encoding).encode()


def _lookup(label: str) -> str | None:
    found = webencodings.lookup(label) if label.isascii() else None
    return None if found is None else str(found.name)


def _declared(body: bytes, *, is_xml: bool) -> str | None:
    match = _XML_ENCODING.match(body, 0, _PRESCAN_BYTES)
    declared = None if match is None else _from_markup(match[1])
    if is_xml:
        return declared or "utf-8"
    return _prescan(body[:_PRESCAN_BYTES]) or declared or _prescan(body[:_HEAD_BYTES])


def _from_markup(label: bytes) -> str | None:
    found = _lookup(label.decode("latin-1"))
    # Markup that could be read as ASCII was not UTF-16; the other is the standard's exception, too.
    return {"utf-16le": "utf-8", "utf-16be": "utf-8", "x-user-defined": "windows-1252"}.get(found or "", found)


def _guessed(body: bytes) -> str:
    if body.isascii():
        return "windows-1252"
    try:
        body.decode()
    except UnicodeDecodeError:
        return "windows-1252"
    return "utf-8"


def _prescan(head: bytes) -> str | None:
    """The standard's "prescan a byte stream to determine its encoding"."""
    if b"charset" not in head.lower():
        return None
    position = 0
    while markup := _MARKUP.search(head, position):
        position = markup.end()
        if markup["comment"]:
            end = head.find(b"-->", position - 2)
            position = end + 3
        elif markup["other"]:
            end = head.find(b">", position - 1)
            position = end + 1
        else:
            attributes, end = _attributes(head, position)
            if end >= 0 and markup["meta"] and (encoding := _of_meta(attributes)):
                return encoding
            position = end
        if end < 0:
            return None
    return None


def _attributes(head: bytes, position: int) -> tuple[dict[bytes, bytes], int]:
    """The attributes of a tag and the place of its ">", -1 if the text ends before it."""
    attributes: dict[bytes, bytes] = {}
    while match := _ATTRIBUTE.match(head, position):
        position = match.end()
        if match["unclosed"]:
            return attributes, -1
        value = match["double"] or match["single"] or match["bare"] or b""
        attributes.setdefault(match["name"].lower(), value)
    return attributes, head.find(b">", position)


def _of_meta(attributes: dict[bytes, bytes]) -> str | None:
    if b"charset" in attributes:
        return _from_markup(attributes[b"charset"])
    if attributes.get(b"http-equiv", b"").lower() != b"content-type":
        return None
    match = _META_CHARSET.search(attributes.get(b"content", b""))
    return None if match is None else _from_markup(match[1] or match[2] or match[3] or b"")
