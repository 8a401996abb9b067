"""Plain data as text: one rule for what JSON, UTF-8 and tables cannot hold, the same for every output.

A number that is not finite becomes null, because JSON has none (RFC 8259, section 6). A surrogate without its
partner becomes U+FFFD, because UTF-8 has none (RFC 3629, section 3).
"""

from __future__ import annotations

import json
import math
from typing import Any

from scraper.errors import SinkError

Cell = None | bool | int | float | str
"""What one cell of a table holds."""

_strict = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def json_text(value: Any) -> str:
    """Valid JSON on one line.

    Raises:
        SinkError: the value is not plain data, or is nested too deeply to encode.
    """
    try:
        try:
            text = _strict.encode(value)
        except ValueError:  # a number that is not finite; a second pass is rare enough to be slow
            text = _strict.encode(_finite(value))
    except (TypeError, ValueError, RecursionError) as exc:
        raise SinkError(f"an item has no JSON form: {exc}") from exc
    return well_formed(text)


def well_formed(text: str) -> str:
    """The text with every surrogate pair joined and every lone surrogate replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def cell(value: Any) -> Cell:
    """A value as a table holds it: bools and numbers of 64 bits as they are, anything else as JSON text.

    Raises:
        SinkError: as for `json_text`.
    """
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or (isinstance(value, int) and value.bit_length() < 64):
        return value
    return json_text(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_finite(key): _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return value
