"""The document around a report, and the parts that reports share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources

from scraper import __version__
from scraper.report.markup import Child, Html, tag


def document(*, kind: str, title: str, command: str, sections: Sequence[Html | None]) -> str:
    """A whole HTML file, which needs nothing else: neither a network nor a script."""
    style = resources.files("scraper.report").joinpath("style.css").read_text("utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        # Nothing may be loaded, should anything ever slip through.
        tag("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        tag("title", f"{title} · {kind}"),
        Html(f"<style>{style}</style>"),
    )
    header = tag(
        "header",
        tag("p", kind, class_="kicker"),
        tag("h1", title),
        tag("pre", tag("code", command), class_="command") if command else None,
    )
    footer = tag("footer", f"scraper {__version__}")
    body = tag("body", tag("main", header, sections, footer))
    return f"<!doctype html>\n{tag('html', head, body, lang='en').text}\n"


def card(title: str, *children: Child, note: str = "", width: str = "full") -> Html:
    """A titled part of the page; `width` is full, half or third, where the screen allows it."""
    return tag(
        "section",
        tag("h2", title),
        tag("p", note, class_="card-note") if note else None,
        children,
        class_=f"card {width}",
    )


def tiles(figures: Sequence[tuple[str, str, str]]) -> Html:
    """Headline numbers: name, figure, and a word beneath."""
    return tag(
        "dl",
        (
            tag("div", tag("dt", name), tag("dd", figure), tag("dd", beneath, class_="beneath") if beneath else None)
            for name, figure, beneath in figures
        ),
        class_="tiles",
    )


def legend(entries: Sequence[tuple[str, str]]) -> Html:
    """Names of tones: (name, tone)."""
    return tag(
        "ul",
        (tag("li", tag("span", class_=f"swatch {tone}", aria_hidden="true"), name) for name, tone in entries),
        class_="legend",
    )


def table(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Child]], *, caption: str) -> Html:
    """A table: columns are (heading, "text", "word" or "number"), the first cell of a row is its heading."""
    kinds = [kind for _, kind in columns]
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption),
            tag("thead", tag("tr", (tag("th", name, scope="col", class_=kind) for name, kind in columns))),
            tag("tbody", (_row(row, kinds) for row in rows)),
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def _row(cells: Sequence[Child], kinds: Sequence[str]) -> Html:
    return tag(
        "tr",
        (
            tag("td" if at else "th", cell, class_=kind, scope=None if at else "row")
            for at, (cell, kind) in enumerate(zip(cells, kinds, strict=True))
        ),
    )


def facts(environment: Mapping[str, str]) -> Html:
    """Name and value pairs, such as versions."""
    return tag(
        "dl", (tag("div", tag("dt", name), tag("dd", value)) for name, value in environment.items()), class_="facts"
    )
