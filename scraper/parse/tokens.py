"""The standard library's `html.parser`, with tags read as the HTML Standard reads them.

Left alone it loses the links of pages that browsers read well, differently from one patch release to the next: a
stray quote turns a tag into text, `?a=1&copy=2` in an address becomes `?a=1©=2`, `<![if !IE]>` raises, and markup
inside a title, a text area or an iframe counts as elements. What goes on between tags stays the library's.
"""

from __future__ import annotations

import re
from html import unescape
from html.entities import html5
from html.parser import HTMLParser

# At each place only one alternative fits, so a tag that never ends is not tried in every possible division. Groups
# are not possessive because Python before 3.11.5 gets those wrong.
_TAG = re.compile(
    r"""([a-zA-Z][^\s/>]*+)
        ((?: [\s/]++
           | [^\s/>][^\s/>=]*+ (?: \s*+ = \s*+ (?: "[^"]*+" | '[^']*+' | [^\s>"'][^\s>]*+ | (?=>) ) | (?! \s*+ = ) )
         )*)
        >""",
    re.VERBOSE,
)
_COMMENT_END = re.compile(r"--!?>")
_ATTRIBUTE = re.compile(r"""([^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"'][^\s>]*+)?))?""")
_REFERENCE = re.compile(r"&(?:#[0-9]++;?|#[xX][0-9a-fA-F]++;?|[a-zA-Z][a-zA-Z0-9]*+;?)")


def attributes_of(text: str) -> dict[str, str]:
    """The attributes of a start tag, given what follows its name. Of one that stands twice the first counts."""
    attributes: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(text):
        value = double or single or bare
        attributes.setdefault(name.lower(), _REFERENCE.sub(_character, value) if "&" in value else value)
    return attributes


def _character(match: re.Match[str]) -> str:
    """A reference as it counts in an attribute, where `&copy=` and `&copyright` stay as they are.

    See https://html.spec.whatwg.org/#named-character-reference-state.
    """
    reference = match[0]
    if reference[1] == "#":
        return unescape(reference)
    name = reference[1:]
    if name not in html5 or (not name.endswith(";") and match.string[match.end() : match.end() + 1] == "="):
        return reference
    return html5[name]


class TagReader(HTMLParser):
    """Reads a whole document that is fed at once.

    Calls `handle_starttag` with attributes whose values are never None; `<a/>` counts as `<a>`.
    """

    CDATA_CONTENT_ELEMENTS = ("script", "style", "xmp", "iframe", "noembed", "noframes", "textarea", "title")  # type: ignore[misc]

    def start(self, name: str, rest: str) -> None:
        """A start tag; `rest` is what follows its name, for `attributes_of`."""
        self.handle_starttag(name, list(attributes_of(rest).items()))

    def handle_data(self, data: str) -> None:
        """Text. Of the elements whose markup is text, two have character references in it all the same."""
        super().handle_data(unescape(data) if self.cdata_elem in ("textarea", "title") else data)

    def close(self) -> None:
        super().close()
        if self.cdata_elem is not None and self.rawdata:  # a title or a script that never ends
            self.handle_data(self.rawdata)
            self.rawdata = ""

    def parse_starttag(self, i: int) -> int:
        match = _TAG.match(self.rawdata, i + 1)
        if match is None:  # it never ends, and so is none
            return len(self.rawdata)
        self.lasttag = name = match[1].lower()
        self.start(name, match[2])
        if name in self.CDATA_CONTENT_ELEMENTS:
            self.set_cdata_mode(name)
        return match.end()

    def parse_comment(self, i: int, report: bool = True) -> int:
        match = _COMMENT_END.search(self.rawdata, i + 2)
        end, after = match.span() if match else (len(self.rawdata), len(self.rawdata))
        if report:
            self.handle_comment(self.rawdata[i + 4 : end])
        return after

    def parse_html_declaration(self, i: int) -> int:
        if self.rawdata.startswith("<!--", i):
            return self.parse_comment(i)
        end = self.rawdata.find(">", i)
        if end < 0:
            return len(self.rawdata)
        if self.rawdata[i : i + 9].lower() == "<!doctype":
            self.handle_decl(self.rawdata[i + 2 : end])
        return end + 1  # marked sections count as comments outside SVG and MathML

    def updatepos(self, i: int, j: int) -> int:  # noqa: ARG002
        """Nobody asks for line numbers, and counting lines takes a seventh of the time."""
        return j
