"""Text of strangers, made harmless to look at.

URLs, titles and reasons come from pages and servers. A terminal obeys the control characters in them, and both
terminals and browsers let bidirectional controls show a text in another order than it is (CVE-2021-42574).
"""

from __future__ import annotations

import re

_BREAKS = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: escape sequences begin here
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional marks, overrides and isolates
    r"\ufeff\ufff9-\ufffb]"
)
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def one_line(text: object, *, at_most: int = 500) -> str:
    """The text on one line, without control characters, cut to a length in characters."""
    line = _SURROGATES.sub("\ufffd", _CONTROLS.sub("", _BREAKS.sub(" ", str(text)[: 2 * at_most])))
    return line if len(line) <= at_most else f"{line[: at_most - 1]}…"
