"""HTML and SVG as values: what is not made by `tag` is text, and is escaped. There is no way around it."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass

from scraper.report.clean import one_line

# Elements that have no content and no end tag: HTML standard, section 13.1.2.
_VOID = frozenset({"meta", "link", "br", "hr"})

# More than the path of a whole chart, and less than what makes a report slow to open.
_MOST_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Html:
    """Markup that may stand in a document as it is."""

    text: str


Child = Html | str | int | float | None | Iterable["Child"]


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """An element.

    Args:
        name: of the element, from our own code.
        children: elements, text, None for nothing, or iterables of these.
        attributes: None leaves one out; a trailing underscore is dropped and others become hyphens.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children).text}</{name}>")


def join(children: Iterable[Child]) -> Html:
    """Several as one."""
    return Html("".join(_written(child) for child in children))


def _written(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child.text
    if isinstance(child, (str, int, float)):
        return html.escape(_plain(child), quote=False)
    return join(child).text


def _plain(value: str | float) -> str:
    if isinstance(value, float):  # two decimals of a pixel or a percent are more than a screen shows
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return one_line(value, at_most=_MOST_CHARACTERS)
