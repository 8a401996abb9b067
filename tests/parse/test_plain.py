from __future__ import annotations

import enum
import json
import sys
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest

from scraper.errors import ItemNotPlain
from scraper.model import Headers
from scraper.parse.page import Page
from scraper.parse.plain import is_record, to_plain


class Colour(enum.Enum):
    RED = "red"
    BOTH = ("red", 2)


class Level(enum.IntEnum):
    HIGH = 3


class Text(str):
    __slots__ = ("tree",)


class Number(float):
    pass


@dataclass
class Inner:
    when: date
    tags: tuple[str, ...] = ()


@dataclass
class Outer:
    inner: Inner
    more: dict[str, Any] = field(default_factory=dict)


Point = namedtuple("Point", "x y")  # noqa: PYI024 - what users have


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("text", "text"),
        (3, 3),
        (1.5, 1.5),
        (True, True),
        (None, None),
        ([1, (2, [3])], [1, [2, [3]]]),
        ({"a": {"b": (1,)}}, {"a": {"b": [1]}}),
        ({1: "x", 2.5: "y", False: "z"}, {"1": "x", "2.5": "y", "False": "z"}),
        ({Colour.RED: 1}, {"red": 1}),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "2026-01-02T03:04:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("a/b"), "a/b"),
        (Colour.RED, "red"),
        (Colour.BOTH, ["red", 2]),
        (Level.HIGH, 3),
        (Text("x"), "x"),
        (Number(1.5), 1.5),
        (Point(1, 2), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (Headers((("A", "b"),)), {"a": "b"}),
        (Inner(date(2026, 1, 2), ("x",)), {"when": "2026-01-02", "tags": ["x"]}),
        (Outer(Inner(date(2026, 1, 2))), {"inner": {"when": "2026-01-02", "tags": []}, "more": {}}),
        ("a\ud800b", "a\ufffdb"),
        ({"\udfff": "\U0001f600"}, {"\ufffd": "\U0001f600"}),
    ],
)
def test_values_with_a_plain_form(value: Any, plain: Any) -> None:
    made = to_plain(value)
    assert made == plain
    json.dumps(made).encode()


@pytest.mark.parametrize("value", [Text("x"), Number(1.5), Level.HIGH, Text("é")])
def test_subclasses_lose_their_class(value: Any) -> None:
    assert type(to_plain(value)) in (str, float, int)


def test_text_of_a_parser_does_not_drag_its_tree_along() -> None:
    page = Page.from_bytes(b"<p>x</p>", url="http://example.org/", parser="bs4")
    assert type(to_plain(page.document.p.string)) is str


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"x", "it is a bytes, which has no plain form"),
        ({"a": [{"b": {1, 2}}]}, r"its \['a'\]\[0\]\['b'\] is a set"),
        (Outer(Inner(object())), r"its \['inner'\]\['when'\] is a object"),  # type: ignore[arg-type]
        ({"a": 1 + 2j}, r"its \['a'\] is a complex"),
        ({None: 1}, "NoneType"),
        ({(1, 2): 1}, "tuple"),
        ({"a": Inner}, "is a type"),
        ({"page": Page}, "is a type"),
    ],
)
def test_what_has_no_plain_form_is_named_with_its_place(value: Any, said: str) -> None:
    with pytest.raises(ItemNotPlain, match=said):
        to_plain(value)


def test_an_item_that_holds_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    with pytest.raises(ItemNotPlain, match="holds itself"):
        to_plain(loop)


def test_pydantic_models() -> None:
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Product", name=(str, ...), when=(date, ...), price=(Decimal, ...))
    product = model(name="tea", when=date(2026, 1, 2), price=Decimal("1.10"))
    assert is_record(product)
    assert to_plain({"all": [product]}) == {"all": [{"name": "tea", "when": "2026-01-02", "price": "1.10"}]}


def test_msgspec_structs() -> None:
    msgspec = pytest.importorskip("msgspec")
    struct = msgspec.defstruct("Product", [("name", str), ("when", date)])
    product = struct("tea", date(2026, 1, 2))
    assert is_record(product)
    assert to_plain([product]) == [{"name": "tea", "when": "2026-01-02"}]


def test_msgspec_is_not_imported_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class LooksLikeOne:
        __struct_fields__ = ("a",)

    monkeypatch.delitem(sys.modules, "msgspec", raising=False)
    with pytest.raises(ItemNotPlain):
        to_plain(LooksLikeOne())
    assert "msgspec" not in sys.modules


@pytest.mark.parametrize("value", ["x", 1, None, [1], (1,), Inner, Colour.RED, object(), {1}.__class__])
def test_other_values_are_no_records(value: Any) -> None:
    assert not is_record(value)


@pytest.mark.parametrize("value", [{}, OrderedDict(), Inner(date(2026, 1, 2)), Headers()])
def test_records(value: Any) -> None:
    assert is_record(value)
