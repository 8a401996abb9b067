"""The gallery: all behaviours on one page, with what a client must do with each, and the same as JSON."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from fixtures_server.behaviours import BEHAVIOURS, GROUPS
from fixtures_server.behaviours.ends import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fixtures_server.behaviours.behaviour import Behaviour, Group
    from fixtures_server.exchange import Exchange, Handler

FAULTS_PREFIX = "/faults/"
_LISTING = "index.json"

# What a server cannot do to a client, and a client must bear all the same.
_NOT_HERE = (
    "A name with a public and a private address, and one whose address changes after it was checked.",
    "A redirect from https to http: this server speaks no TLS.",
    "A handler of the user's that never returns, allocates without end, crashes, raises, or yields without end.",
    "A crawl that is killed, at any moment, or whose clock jumps.",
    "A disk that is full or broken, a state file that is damaged, two crawls on one state file.",
)

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h2 { margin: 2.5rem 0 .5rem; border-bottom: 1px solid #ccc; }
dt { margin-top: 1.25rem; font-weight: 600; }
dd { margin: .25rem 0 0 1.5rem; }
dd p { margin: .25rem 0; }
ul { margin: .25rem 0; padding-left: 1.25rem; }
li { overflow-wrap: anywhere; }
code { background: #f2f2f2; padding: 0 .25em; border-radius: 3px; }
table { border-collapse: collapse; } td { padding: .125rem 1rem .125rem 0; vertical-align: top; }
@media (prefers-color-scheme: dark) {
  body { background: #1b1b1b; color: #ddd; } a { color: #8ab4f8; } code { background: #333; }
}
"""


def fault_handler(path: str) -> Handler | None:
    """What answers below `/faults/`, or None where nothing does."""
    name, slash, _ = path.removeprefix(FAULTS_PREFIX).partition("/")
    if path == FAULTS_PREFIX.rstrip("/"):
        return _to_index
    if not name:
        return _index if path == FAULTS_PREFIX else None
    if name == _LISTING and not slash:
        return _listing
    behaviour = BEHAVIOURS.get(name)
    return behaviour.run if behaviour is not None and (behaviour.has_paths or not slash) else None


async def _to_index(exchange: Exchange) -> None:
    await exchange.respond(b"", status=301, headers=(("Location", FAULTS_PREFIX),))


async def _index(exchange: Exchange) -> None:
    await exchange.respond("".join(_page()))


async def _listing(exchange: Exchange) -> None:
    """Each case as an object: name, group, summary, path, the ends that are right, and whether it has no link."""
    cases = [
        {
            "name": behaviour.name,
            "group": group.name,
            "summary": behaviour.summary,
            "path": FAULTS_PREFIX + behaviour.path(case.query),
            "expected": case.ends,
            "apart": case.is_apart,
        }
        for group in GROUPS
        for behaviour in group.behaviours
        for case in behaviour.cases
    ]
    await exchange.respond(json.dumps(cases, indent=1) + "\n", headers=(("Content-Type", "application/json"),))


def _page() -> Iterator[str]:
    yield (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Faults</title>\n'
        f"<style>{_STYLE}</style></head>\n<body><h1>Faults</h1>\n"
        "<p>Ways in which servers misbehave, and some in which they behave unusually well, to try a crawler on. Each "
        "link is a request to make; behind it stands how it must end. Parameters in the text go into the query; in "
        "brackets is what they are by default. A crawl that begins on this page meets every link, and must come to "
        "its end: each request in one state, every connection freed, everything else crawled as ever. What stands "
        "here without a link would stop that for long, and is to be asked for alone.</p>\n"
        f'<p>The same for programs: <a href="{_LISTING}">{_LISTING}</a>.</p>\n<ul class="contents">\n'
    )
    for group in GROUPS:
        yield f'<li><a href="#group-{group.name}">{escape(group.title)}</a></li>\n'
    yield "</ul>\n"
    for group in GROUPS:
        yield from _group(group)
    yield '<h2 id="ends">How requests end</h2>\n<table>\n'
    for end, meaning in MEANINGS.items():
        yield f"<tr><td><code>{end}</code></td><td>{escape(meaning)}</td></tr>\n"
    yield (
        "</table>\n<p>Nothing of what failed or was skipped is handed on: no part of a page is a page. Where several "
        'ends are named, the first is the best.</p>\n<h2 id="not-here">Not served here</h2>\n<ul>\n'
    )
    for line in _NOT_HERE:
        yield f"<li>{escape(line)}</li>\n"
    yield "</ul>\n</body></html>\n"


def _group(group: Group) -> Iterator[str]:
    yield f'<h2 id="group-{group.name}">{escape(group.title)}</h2>\n<p>{escape(group.about)}</p>\n<dl>\n'
    for behaviour in group.behaviours:
        yield from _behaviour(behaviour)
    yield "</dl>\n"


def _behaviour(behaviour: Behaviour) -> Iterator[str]:
    yield f'<dt id="{behaviour.name}">{behaviour.name}</dt>\n'
    yield f"<dd><p>{_marked(behaviour.summary)}</p>\n<p>{_marked(behaviour.advice)}</p>\n<ul>\n"
    for case in behaviour.cases:
        address = escape(behaviour.path(case.query))
        ends = " or ".join(f"<code>{end}</code>" for end in case.ends)
        link = f"<code>{address}</code> (no link)" if case.is_apart else f'<a href="{address}">{address}</a>'
        yield f"<li>{link}: {ends}</li>\n"
    yield "</ul></dd>\n"


def _marked(text: str) -> str:
    """Text whose words in backquotes are code."""
    parts = escape(text, quote=False).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
