"""Pages whose words are harmless to read, and not harmless to write into a file, a terminal or a log."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from fixtures_server.behaviours.behaviour import Behaviour, Group, page
from fixtures_server.reply import small_page

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange

_FORMULAS = (
    '=HYPERLINK("http://elsewhere.invalid/","Invoice")',
    "=cmd|'/c calc'!A1",
    "+1+1",
    "-1+1",
    "@SUM(A1:A9)",
    "\t=1+1",
)


async def formulas(exchange: Exchange) -> None:
    """A title and texts that a spreadsheet takes for formulas.

    A table for people's spreadsheets, such as CSV, must say that they are text; data for programs keeps them as they
    are.
    """
    rows = "".join(f"<p>{escape(formula)}</p>\n" for formula in _FORMULAS)
    await exchange.respond(small_page(_FORMULAS[0], rows))


async def line_breaks(exchange: Exchange) -> None:
    """A title with line breaks, and with the codes that colour a terminal or move its cursor.

    In a log or on a terminal they must not be able to write lines of their own, nor erase others.
    """
    await exchange.respond(small_page("one\r\n2026-01-01 ERROR two\u2028three\x1b[2J\x1b[31mfour\x07"))


async def path_names(exchange: Exchange) -> None:
    """A title and links that climb out of a directory: ../../etc/passwd.

    A file whose name comes from a page must stay where it belongs; the links stay below the site's root.
    """
    links = "".join(
        f'<a href="{href}">up</a>\n'
        for href in ("ok?../../../../etc/passwd", "%2e%2e/faults/ok?name=..%2f..%2fetc", "..%5cfaults%5cok", "NUL", "~")
    )
    await exchange.respond(small_page("../../../../etc/passwd", links))


async def credentials_in_links(exchange: Exchange) -> None:
    """A link with a user and a password in it, to /echo on this server.

    The password may be sent to its host, and appears in no log, output or report.
    """
    host = escape(exchange.request.headers.host)
    await exchange.respond(page(exchange, f'<a href="http://user:hunter2@{host}/echo">a link</a>\n'))


GROUP = Group(
    "texts",
    "Words that end up in files and logs",
    "Ordinary pages. What counts is what is written of them.",
    (Behaviour(formulas), Behaviour(line_breaks), Behaviour(path_names), Behaviour(credentials_in_links)),
)
