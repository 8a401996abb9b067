import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scraper.errors import OutputRefused
from scraper.model import Item
from scraper.sinks import ParquetSink, Record, warnings_of


async def write(sink: ParquetSink, *batches: Sequence[Item]) -> None:
    await sink.open()
    try:
        for batch in batches:
            await sink.write([Record(str(at), "http://site/", at, item) for at, item in enumerate(batch)])
    finally:
        await sink.close()


@pytest.fixture
def parquet() -> Any:
    return pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "items.parquet"


async def test_columns_have_the_type_of_their_values(path: Path, parquet: Any) -> None:
    first = {"flag": True, "count": 1, "price": 10, "text": "a", "tags": ["x"], "none": None, "mixed": 1}
    second = {"flag": None, "count": 2, "price": 10.5, "text": "b", "tags": None, "none": None, "mixed": "two"}
    await write(ParquetSink(path), [first, second])
    schema = parquet.read_schema(path)
    assert {name: str(schema.field(name).type) for name in first} == {
        "flag": "bool",
        "count": "int64",
        "price": "double",
        "text": "string",
        "tags": "string",
        "none": "string",
        "mixed": "string",
    }
    rows = parquet.read_table(path).to_pylist()
    assert [row["mixed"] for row in rows] == ["1", "two"]
    assert [row["tags"] for row in rows] == ['["x"]', None]


async def test_small_batches_are_gathered_into_bounded_row_groups(path: Path, parquet: Any) -> None:
    await write(ParquetSink(path), *([{"n": n}] for n in range(12_000)))
    groups = parquet.ParquetFile(path).metadata
    assert [groups.row_group(at).num_rows for at in range(groups.num_row_groups)] == [10_000, 2_000]


async def test_items_of_much_text_make_smaller_row_groups(path: Path, parquet: Any) -> None:
    """Ten thousand whole pages in memory would be gigabytes."""
    await write(ParquetSink(path), *([{"text": "x" * 1_000_000}] for _ in range(40)))
    groups = parquet.ParquetFile(path).metadata
    assert groups.num_row_groups >= 2
    assert groups.num_rows == 40


async def test_what_comes_later_and_fits_no_column_is_kept_as_json(path: Path, parquet: Any) -> None:
    sink = ParquetSink(path)
    late = {"n": "not a number", "new": [1, 2], "flag": 1}
    await write(sink, [{"n": n, "flag": True} for n in range(10_000)], [late, {"n": 7}])
    rows = parquet.read_table(path).to_pylist()[10_000:]
    assert (rows[0]["n"], rows[0]["flag"]) == (None, None)
    assert json.loads(rows[0]["_other"]) == late
    assert (rows[1]["n"], rows[1]["_other"]) == (7, None)
    assert "3 values ('n', 'new', 'flag')" in warnings_of(sink)[0]


async def test_an_integer_that_a_double_cannot_hold_is_not_rounded(path: Path, parquet: Any) -> None:
    await write(ParquetSink(path), [{"x": 0.5}, {"x": 2**53 + 1}])
    rows = parquet.read_table(path).to_pylist()
    assert json.loads(rows[1]["_other"]) == {"x": 2**53 + 1}


async def test_an_item_may_have_a_key_with_the_name_of_the_last_column(path: Path, parquet: Any) -> None:
    await write(ParquetSink(path), [{"_other": "mine"}])
    assert parquet.read_table(path).to_pylist() == [{"_other": "mine", "__other": None}]


async def test_without_pyarrow_the_refusal_names_the_extra(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OutputRefused, match=r"pip install pyarrow"):
        await ParquetSink(path).open()
    assert not path.exists()
