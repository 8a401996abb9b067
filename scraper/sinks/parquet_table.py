"""Rows that are gathered, and the columns with types that they make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from scraper.model import Item
from scraper.sinks.left_out import LeftOut
from scraper.sinks.values import Cell, cell, json_text, well_formed

# A row group is what a reader decodes at once, and what the writer keeps in memory until it is full. Small
# ones make Parquet slow to read; the bound in bytes keeps memory flat where items hold whole pages of text.
GROUP_ROWS = 10_000
_GROUP_CHARACTERS = 16_000_000
# Every column costs each row group a header, and a table that wide comes from keys that are data.
_MAX_COLUMNS = 1_000
_REST = "_other"
_PLACEHOLDER = "url"  # so that a crawl without items leaves a table, too
_EXACT_IN_DOUBLE = 2**53


class Group:
    """Rows that wait until they are many enough to be written together."""

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self.items: list[Item] = []
        self._characters = 0

    def add(self, item: Item, characters: int) -> None:
        self.items.append(item)
        self._characters += characters

    @property
    def is_full(self) -> bool:
        return len(self.items) >= self._max_rows or self._characters >= _GROUP_CHARACTERS

    def take(self) -> list[Item]:
        items, self.items, self._characters = self.items, [], 0
        return items


class Table:
    """The schema that the first rows decide, and later rows made to fit it."""

    def __init__(self, pyarrow: Any, types: dict[str, type], rest: str) -> None:
        self._pyarrow = pyarrow
        self.left_out = LeftOut()
        self._types = types
        self.rest = rest
        arrow_types = _arrow_types(pyarrow)
        fields = [(name, arrow_types[kind]) for name, kind in types.items()]
        self.schema = pyarrow.schema([*fields, (rest, pyarrow.string())])

    @classmethod
    def decided_by(cls, pyarrow: Any, first: Iterable[Item]) -> Table:
        types: dict[str, set[type]] = {}
        for item in first:
            for key, value in item.items():
                name = well_formed(str(key))
                if name in types or len(types) < _MAX_COLUMNS:
                    types.setdefault(name, set()).add(type(cell(value)))
        kinds = {name: _column_type(seen - {type(None)}) for name, seen in types.items()} or {_PLACEHOLDER: str}
        rest = _REST
        while rest in kinds:
            rest = f"_{rest}"
        return cls(pyarrow, kinds, rest)

    @classmethod
    def with_schema(cls, pyarrow: Any, schema: Any) -> Table:
        """The table that an earlier crawl had, whose last column is that of the rest."""
        kinds = {str(arrow_type): kind for kind, arrow_type in _arrow_types(pyarrow).items()}
        *fields, rest = schema
        return cls(pyarrow, {field.name: kinds[str(field.type)] for field in fields}, rest.name)

    def of(self, items: Sequence[Item]) -> Any:
        """A pyarrow table of these rows."""
        columns: dict[str, list[Cell]] = {name: [None] * len(items) for name in (*self._types, self.rest)}
        for at, item in enumerate(items):
            rest: Item = {}
            for key, value in item.items():
                name, held = well_formed(str(key)), cell(value)
                kind = self._types.get(name)
                if kind is None or not _fits(held, kind):
                    rest[name] = value
                elif kind is str and held is not None and not isinstance(held, str):
                    columns[name][at] = json_text(held)
                else:
                    columns[name][at] = held
            if rest:
                columns[self.rest][at] = json_text(rest)
                self.left_out.add(rest)
        return self._pyarrow.table(columns, schema=self.schema)


def _arrow_types(pyarrow: Any) -> dict[type, Any]:
    return {bool: pyarrow.bool_(), int: pyarrow.int64(), float: pyarrow.float64(), str: pyarrow.string()}


def _column_type(seen: set[type]) -> type:
    if seen in ({bool}, {int}):
        return seen.pop()
    return float if seen and seen <= {int, float} else str


def _fits(held: Cell, kind: type) -> bool:
    if held is None or kind is str:
        return True
    if kind is float:
        return type(held) is float or (type(held) is int and abs(held) <= _EXACT_IN_DOUBLE)
    return type(held) is kind
