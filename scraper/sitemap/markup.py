"""Sitemaps and feeds in XML, piece by piece, by expat.

expat keeps nothing but the open elements. lxml's pull parser is a quarter slower here, keeps a tree that grows with
whatever is not cleared in time, and leaves every name that a site invents in its thread's dictionary.

What expat 2.5 does not bound of itself is bounded here. Declarations are refused where they begin, so that no entity
is ever expanded or fetched. Different names are kept for good, so they may have 16,384 characters in all. A piece of
markup that does not end is read again from its start with each new piece, so it may be 128 KB long.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from xml.parsers import expat

from scraper.sitemap.collecting import Collector
from scraper.sitemap.values import Form, SitemapLimits, Stopped

_MAX_NAMES_CHARS = 16_384
_MAX_MARKUP_BYTES = 131_072

_HEAD_CHARS = 1_024
_HTML = re.compile(r"<(?:!doctype\s+)?html\b", re.IGNORECASE)


class _Vocabulary(NamedTuple):
    """What elements mean under a root, by local names in lower case.

    Args:
        form: of the file.
        entries: which elements are entries, and of which form.
        location: the child of an entry that has the address.
        moments: the children that have the date, the best first.
    """

    form: Form
    entries: Mapping[str, Form]
    location: str
    moments: tuple[str, ...]


# Some sites list sitemaps in a urlset, or pages in an index: the entry's own name tells.
_LISTED = {"url": Form.URLSET, "sitemap": Form.INDEX}
_RSS = _Vocabulary(Form.RSS, {"item": Form.RSS}, "link", ("pubdate", "date"))
_ROOTS = {
    "urlset": _Vocabulary(Form.URLSET, _LISTED, "loc", ("lastmod",)),
    "sitemapindex": _Vocabulary(Form.INDEX, _LISTED, "loc", ("lastmod",)),
    "rss": _RSS,
    "rdf": _RSS,  # version 1.0
    "feed": _Vocabulary(Form.ATOM, {"entry": Form.ATOM}, "link", ("updated", "published")),
}


class _Name(NamedTuple):
    prefix: str
    local: str


class _Names(dict[str, _Name]):
    """Names as they stand in tags, taken apart once each. Namespaces are too often wrong to be looked at."""

    def __missing__(self, raw: str) -> _Name:
        prefix, _, local = raw.rpartition(":")
        name = self[raw] = _Name(prefix, local.lower())
        return name


class MarkupReader:
    """Reads text piece by piece.

    Args:
        collector: gets the entries.
        limits: of which `xml_depth` and `text_chars` count here.
    """

    def __init__(self, collector: Collector, limits: SitemapLimits) -> None:
        self._collector = collector
        self._limits = limits
        self._interned: dict[str, str] = {}
        self._names = _Names()
        self._vocabulary: _Vocabulary | None = None
        self._head = ""
        self._fed_bytes = 0
        self._depth = 0
        # The entry that is open, and the child of it whose text is wanted.
        self._form: Form | None = None
        self._prefix = ""
        self._field_depth = 0
        self._field: str | None = None
        self._loc: str | None = None
        self._fault = "no_loc"
        self._moments: dict[str, str] = {}
        self._text: list[str] = []
        self._text_chars = 0
        self._is_whole = True
        parser = expat.ParserCreate("utf-8", intern=self._interned)
        parser.buffer_text = True
        if hasattr(parser, "SetReparseDeferralEnabled"):  # Python 3.13, and the later ones of 3.11 and 3.12
            # expat 2.6 would put off reading what is not complete: entries would come late, and the bound be vague.
            parser.SetReparseDeferralEnabled(False)
        parser.StartDoctypeDeclHandler = self._on_doctype
        parser.SkippedEntityHandler = self._on_unknown_entity
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        self._parser = parser

    @property
    def form(self) -> Form | None:
        return None if self._vocabulary is None else self._vocabulary.form

    def read(self, text: str) -> None:
        """Raises Stopped where the markup is broken, forbidden, or no sitemap's."""
        self._head = self._head or text[:_HEAD_CHARS]
        self._parse(text.encode(), is_last=False)
        # Among them is None, for what a DOCTYPE leaves out.
        if sum(map(len, filter(None, self._interned))) > _MAX_NAMES_CHARS:
            raise Stopped("too_many_names", f"the names of its tags have more than {_MAX_NAMES_CHARS:,} characters")
        begun_at = self._parser.CurrentByteIndex  # -1 where it was put off after all
        if 0 <= begun_at < self._fed_bytes - _MAX_MARKUP_BYTES:
            raise Stopped("markup_too_long", f"a tag or comment of it has more than {_MAX_MARKUP_BYTES:,} bytes")

    def finish(self) -> None:
        """Raises Stopped if the markup ends too early."""
        self._parse(b"", is_last=True)

    def _parse(self, utf8: bytes, *, is_last: bool) -> None:
        self._fed_bytes += len(utf8)
        try:
            self._parser.Parse(utf8, is_last)
        except expat.ExpatError as exc:
            if self._vocabulary is None and _HTML.search(self._head):
                raise _html() from exc
            raise Stopped("truncated" if is_last else "broken_xml", f"its XML is broken: {exc}") from exc

    def _on_doctype(self, name: str, _system: str | None, _public: str | None, has_declarations: int) -> None:
        if name.lower() == "html":
            raise _html()
        if has_declarations:
            raise Stopped("declarations", "it declares entities or other markup of its own, which no sitemap needs")

    def _on_unknown_entity(self, _name: str, _is_parameter: bool) -> None:
        self._is_whole = False

    def _on_start(self, raw: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > self._limits.xml_depth:
            raise Stopped("too_deep", f"its elements are nested deeper than {self._limits.xml_depth}")
        name = self._names[raw]
        if self._form is not None:
            if self._depth == self._field_depth:
                self._open_field(name, attributes)
        elif self._vocabulary is None:
            self._open_root(name.local)
        elif (form := self._vocabulary.entries.get(name.local)) is not None:
            self._form, self._prefix, self._field_depth = form, name.prefix, self._depth + 1

    def _open_root(self, local: str) -> None:
        if local == "html":
            raise _html()
        self._vocabulary = _ROOTS.get(local)
        if self._vocabulary is None:
            raise Stopped("not_a_sitemap", f"its XML is neither a sitemap nor a feed: the root is {local[:40]!r}")

    def _open_field(self, name: _Name, attributes: dict[str, str]) -> None:
        vocabulary = self._vocabulary
        assert vocabulary is not None  # an entry is open
        if name.local == vocabulary.location:
            if name.prefix != self._prefix:
                return  # another vocabulary's, such as atom:link in RSS
            if vocabulary.form is Form.ATOM:
                if attributes.get("rel", "alternate") == "alternate":
                    self._set_loc(attributes.get("href", ""))
                return
        elif name.local not in vocabulary.moments:
            return
        self._field = name.local
        self._text_chars = 0
        self._is_whole = True
        self._parser.CharacterDataHandler = self._on_text

    def _on_text(self, text: str) -> None:
        self._text_chars += len(text)
        if self._text_chars <= self._limits.text_chars:
            self._text.append(text)

    def _on_end(self, _raw: str) -> None:
        if self._form is not None:
            if self._depth == self._field_depth:
                if self._field is not None:
                    self._close_field(self._field)
            elif self._depth < self._field_depth:
                self._close_entry(self._form)
        self._depth -= 1

    def _close_field(self, field: str) -> None:
        self._parser.CharacterDataHandler = None
        self._field = None
        text = "".join(self._text)
        self._text.clear()
        is_location = self._vocabulary is not None and field == self._vocabulary.location
        if not is_location:
            self._moments.setdefault(field, text if self._text_chars <= self._limits.text_chars else "too long")
        elif not self._is_whole:
            self._fault = "undecodable"
        elif self._text_chars > self._limits.text_chars:
            self._fault = "loc_too_long"
        else:
            self._set_loc(text)

    def _set_loc(self, loc: str) -> None:
        if self._loc is None:
            self._loc = loc
        else:
            self._collector.left_out["extra_loc"] += 1

    def _close_entry(self, form: Form) -> None:
        loc, moments = self._loc, self._moments
        self._form = self._loc = None
        if loc is not None:
            lastmod = ""
            if moments:
                assert self._vocabulary is not None  # an entry was open
                lastmod = next(
                    (text for name in self._vocabulary.moments if (text := moments.get(name, "").strip())), ""
                )
                moments.clear()
            self._collector.add(form, loc, lastmod)
        else:
            moments.clear()
            self._collector.refuse(self._fault)
        self._fault = "no_loc"


def _html() -> Stopped:
    return Stopped("html", "it is an HTML page, as sites send one for what they do not have")
