"""Extraction for those who measure it: a page that fails is not as good as any other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scraper.errors import FunctionFailed
from scraper.options import ParserName
from scraper.parse.extract import extractor

# Stage, reason, detail and seconds; see `extract.decode_result`.
_FAILED_FIELDS = 4


def strict_extractor(parser_name: ParserName, default_handler: str) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """The same as `extractor`, but the function raises FunctionFailed where a page fails."""
    extract = extractor(parser_name, default_handler)

    def extract_or_raise(payload: tuple[Any, ...]) -> tuple[Any, ...]:
        raw = extract(payload)
        if len(raw) == _FAILED_FIELDS:
            raise FunctionFailed(f"{raw[1]}: {raw[2]}")
        return raw

    return extract_or_raise
