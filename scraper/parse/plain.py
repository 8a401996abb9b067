"""Items as plain data: what can cross a process border, and be written by any sink."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from scraper.errors import ItemNotPlain

# Python refuses to write longer numbers as text (4,300 digits), and so would every output.
_MAX_INT_BITS = 14_000

_ATOMS = frozenset({int, float, bool, type(None)})


def to_plain(value: Any) -> Any:
    """A value as text, numbers, bools, None, and lists and dicts of these.

    Dataclasses, pydantic models and msgspec structs become dicts; dates and times ISO text; `Decimal`, `UUID` and
    paths text; an `Enum` its value; a tuple a list. Subclasses of text and numbers lose their class, which often
    drags a parse tree along. Lone surrogates, which no file can hold, become U+FFFD.

    Raises:
        ItemNotPlain: it holds anything else; the message says what and where.
    """
    try:
        return _plain(value)
    except _Odd as odd:
        place = "".join(f"[{key!r}]" for key in reversed(odd.keys))
        kind = f"{type(odd.value).__module__}.{type(odd.value).__qualname__}".removeprefix("builtins.")
        raise ItemNotPlain(f"{f'its {place}' if place else 'it'} is a {kind}, which has no plain form") from None
    except RecursionError:
        raise ItemNotPlain("it holds itself, or is nested too deep") from None


def is_record(value: Any) -> bool:
    """Whether a value becomes a dict."""
    kind = type(value)
    return (
        kind is dict
        or isinstance(value, Mapping)
        or dataclasses.is_dataclass(kind)
        or hasattr(kind, "model_dump")
        or _is_struct(kind)
    )


class _Odd(Exception):
    """Something without a plain form, and the keys that lead to it, innermost first."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value
        self.keys: list[Any] = []


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _scalar_values(value)
    if kind is int and value.bit_length() > _MAX_INT_BITS:
        raise _Odd(value)
    if kind in _ATOMS:
        return value
    if kind is dict:
        return _plain_dict(value)
    if kind is list or kind is tuple:
        return _plain_list(value)
    return _plain_object(value)


def _plain_dict(value: Mapping[Any, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, each in value.items():
        try:
            result[key if type(key) is str and key.isascii() else _key(key)] = _plain(each)
        except _Odd as odd:
            odd.keys.append(key)
            raise
    return result


def _plain_list(value: list[Any] | tuple[Any, ...]) -> list[Any]:
    result: list[Any] = []
    for each in value:
        try:
            result.append(_plain(each))
        except _Odd as odd:
            odd.keys.append(len(result))
            raise
    return result


def _key(key: Any) -> str:
    plain = _plain(key)
    if not isinstance(plain, str | int | float):
        raise _Odd(key)
    return str(plain)


def _plain_object(value: Any) -> Any:
    match value:
        case Enum():
            return _plain(value.value)
        case str():
            return _scalar_values(str.__str__(value))
        case int():
            return int(value)
        case float():
            return float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal() | UUID() | PurePath():
            return str(value)
        case list() | tuple():
            return _plain_list(value)
        case Mapping():
            return _plain_dict(value)
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        return _plain_dict({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if hasattr(kind, "model_dump"):
        return _plain(value.model_dump(mode="json"))
    if _is_struct(kind):
        return _plain(sys.modules["msgspec"].to_builtins(value, str_keys=True))
    raise _Odd(value)


def _is_struct(kind: type) -> bool:
    return hasattr(kind, "__struct_fields__") and "msgspec" in sys.modules


def _scalar_values(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
