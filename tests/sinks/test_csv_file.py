import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from scraper.model import Item
from scraper.sinks import CsvSink, Record, warnings_of


def page(url: str, *items: Item) -> list[Record]:
    return [Record(f"{url}#{at}", url, at, item) for at, item in enumerate(items)]


async def rows_of(sink: CsvSink, path: Path, *batches: Sequence[Record]) -> list[list[str]]:
    await sink.open()
    for batch in batches:
        await sink.write(batch)
    await sink.close()
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "items.csv"


async def test_the_columns_are_the_keys_of_the_first_page_with_items(path: Path) -> None:
    first = page("http://a/", {"x": 1}, {"y": 2, "x": 3})
    second = page("http://b/", {"z": 4})
    rows = await rows_of(CsvSink(path), path, [], first + second)
    assert rows == [["x", "y"], ["1", ""], ["3", "2"], ["", ""]]


async def test_a_second_page_at_the_same_address_is_not_the_first(path: Path) -> None:
    """Requests that differ in their body alone have one URL; ordinals start again with each."""
    rows = await rows_of(CsvSink(path), path, page("http://a/", {"x": 1}) + page("http://a/", {"y": 2}))
    assert rows[0] == ["x"]


async def test_named_columns_are_written_even_without_an_item(path: Path) -> None:
    assert await rows_of(CsvSink(path, columns=["b", "a"]), path, []) == [["b", "a"]]


async def test_named_columns_decide_what_is_written(path: Path) -> None:
    rows = await rows_of(CsvSink(path, columns=["b", "a"]), path, page("http://a/", {"a": 1, "b": 2, "c": 3}))
    assert rows == [["b", "a"], ["2", "1"]]


async def test_values_without_a_column_are_counted_and_told_by_name(path: Path) -> None:
    sink = CsvSink(path)
    await rows_of(sink, path, page("http://a/", {"x": 1}), page("http://b/", {"late": 1}, {"late": 2, "later": 3}))
    (warning,) = warnings_of(sink)
    assert "3 values ('late', 'later')" in warning


async def test_no_warning_where_everything_has_a_column(path: Path) -> None:
    sink = CsvSink(path)
    await rows_of(sink, path, page("http://a/", {"x": 1}))
    assert warnings_of(sink) == ()


async def test_keys_made_up_by_pages_do_not_fill_the_memory(path: Path) -> None:
    sink = CsvSink(path)
    await rows_of(sink, path, page("http://a/", {"x": 1}), page("http://b/", *({f"k{n}": n} for n in range(3_000))))
    (warning,) = warnings_of(sink)
    assert "3,000 values" in warning
    assert len(warning) < 500


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
async def test_text_that_a_spreadsheet_would_run_is_disarmed(path: Path, start: str) -> None:
    formula = f'{start}HYPERLINK("http://evil/","x")'
    rows = await rows_of(CsvSink(path), path, page("http://a/", {"x": formula, formula: 1}))
    assert rows == [["x", f"'{formula}"], [f"'{formula}", "1"]]


async def test_negative_numbers_stay_numbers(path: Path) -> None:
    rows = await rows_of(CsvSink(path), path, page("http://a/", {"x": -5, "y": -0.5}))
    assert rows[1] == ["-5", "-0.5"]


async def test_escaping_can_be_left_out(path: Path) -> None:
    rows = await rows_of(CsvSink(path, escape_formulas=False), path, page("http://a/", {"x": "=1+1"}))
    assert rows[1] == ["=1+1"]


async def test_bools_null_and_nested_values_have_one_form(path: Path) -> None:
    item = {"yes": True, "no": False, "none": None, "list": [1, "ü"], "dict": {"a": None}}
    rows = await rows_of(CsvSink(path), path, page("http://a/", item))
    assert rows[1] == ["true", "false", "", '[1,"ü"]', '{"a":null}']


async def test_lines_end_as_the_standard_says_and_breaks_in_values_are_quoted(path: Path) -> None:
    await rows_of(CsvSink(path), path, page("http://a/", {"x": "a\rb", "y": "c\nd"}))
    assert path.read_bytes() == b'x,y\r\n"a\rb","c\nd"\r\n'


async def test_the_committed_length_is_known_after_every_batch(path: Path) -> None:
    sink = CsvSink(path)
    await sink.open()
    await sink.write(page("http://a/", {"x": 1}))
    assert sink.length_bytes == path.stat().st_size
    await sink.write(page("http://b/", {"x": 2}))
    assert sink.length_bytes == path.stat().st_size
    await sink.close()
