"""Parsers by name. Only the one that is asked for is imported: a worker loads nothing else."""

from __future__ import annotations

from typing import assert_never

from scraper.options import PARSERS, ParserName, check_choice
from scraper.parse.protocol import Parser


def make_parser(name: ParserName) -> Parser:
    """A parser for the calling thread.

    Raises:
        InvalidOption: no parser has this name.
    """
    check_choice("parser", name, PARSERS)
    match name:
        case "lxml":
            from scraper.parse.lxml_ import LxmlParser  # noqa: PLC0415

            return LxmlParser()
        case "lexbor":
            from scraper.parse.lexbor import LexborParser  # noqa: PLC0415

            return LexborParser()
        case "html.parser":
            from scraper.parse.stdlib import StdlibParser  # noqa: PLC0415

            return StdlibParser()
        case "bs4":
            from scraper.parse.soup import SoupParser  # noqa: PLC0415

            return SoupParser()
        case _:
            assert_never(name)
