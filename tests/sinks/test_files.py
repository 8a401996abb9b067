"""What every sink that writes a file promises."""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from scraper.errors import NotRunning, OutputRefused, SinkError
from scraper.sinks import CsvSink, JsonLinesSink, ParquetSink, Record, Sink, SqliteSink, sink_for
from tests.sinks.rows import read, records

SUFFIXES = (".jsonl", ".csv", ".sqlite", ".parquet")


async def write(sink: Sink, *batches: Sequence[Record]) -> None:
    await sink.open()
    try:
        for batch in batches:
            await sink.write(batch)
    finally:
        await sink.close()


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == ".parquet":
        pytest.importorskip("pyarrow")
    return tmp_path / f"items{request.param}"


async def test_items_come_back_in_the_order_of_their_batches(path: Path) -> None:
    batches = [records({"n": at}, {"n": at + 1}, url=f"http://site/{at}") for at in range(0, 200, 2)]
    await write(sink_for(path), *batches)
    assert [int(row["n"]) for row in read(path)] == list(range(200))


async def test_text_of_any_script_comes_back_as_it_was(path: Path) -> None:
    texts = ["Grüße", "日本語", "עברית", "🕷️", 'quote " and, comma', "two\r\nlines", "back\\slash", "\x00nul", " edge "]
    await write(sink_for(path), records(*({"n": at, "text": text} for at, text in enumerate(texts))))
    assert [row["text"] for row in read(path)] == texts


async def test_a_lone_surrogate_is_replaced_and_a_pair_is_joined(path: Path) -> None:
    """UTF-8 has no surrogates; text from a page must not stop a crawl because of one."""
    await write(sink_for(path), records({"a\ud800": "x\udc80y", "pair": "\ud83d\ude00", "in": ["\udfff"]}))
    (row,) = read(path)
    assert row["a\ufffd"] == "x\ufffdy"
    assert row["pair"] == "😀"
    assert row["in"] in (["\ufffd"], '["\ufffd"]')


async def test_numbers_that_are_not_finite_become_null(path: Path) -> None:
    values = [float("nan"), float("inf"), float("-inf"), 1.5]
    await write(sink_for(path), records(*({"n": at, "value": value} for at, value in enumerate(values))))
    found = [row["value"] for row in read(path)]
    assert found[:3] in ([None, None, None], ["", "", ""])
    assert float(found[3]) == 1.5


async def test_numbers_inside_of_nested_values_are_finite_too(path: Path) -> None:
    await write(sink_for(path), records({"nested": {"list": [1.0, float("nan"), {"deep": float("inf")}]}}))
    (row,) = read(path)
    nested = row["nested"] if path.suffix == ".jsonl" else json.loads(row["nested"])
    assert nested == {"list": [1.0, None, {"deep": None}]}


async def test_an_integer_of_any_size_is_kept(path: Path) -> None:
    await write(sink_for(path), records({"big": 2**80, "small": -(2**63) + 1}))
    (row,) = read(path)
    assert (int(row["big"]), int(row["small"])) == (2**80, -(2**63) + 1)


async def test_a_crawl_replaces_what_an_earlier_one_wrote(path: Path) -> None:
    await write(sink_for(path), records(*({"old": "x" * 100} for _ in range(50))))
    await write(sink_for(path), records({"new": "y"}))
    assert [row["new"] for row in read(path)] == ["y"]


async def test_opening_and_closing_without_a_write_leaves_a_file_as_it_was(path: Path) -> None:
    """A crawl that is refused before its first request must not cost the result of the one before."""
    await write(sink_for(path), records({"old": "kept"}))
    before = path.read_bytes()
    await write(sink_for(path))
    assert path.read_bytes() == before


async def test_opening_and_closing_without_a_write_leaves_no_new_file(path: Path) -> None:
    await write(sink_for(path))
    assert list(path.parent.iterdir()) == []


async def test_a_crawl_without_items_leaves_an_empty_output_that_can_be_read(path: Path) -> None:
    await write(sink_for(path), records({"old": "x"}))
    await write(sink_for(path), [])
    assert read(path) == []


async def test_an_empty_batch_adds_nothing(path: Path) -> None:
    await write(sink_for(path), [], records({"n": 1}), [], records({"n": 2}), [])
    assert [int(row["n"]) for row in read(path)] == [1, 2]


async def test_an_item_without_keys_does_no_harm(path: Path) -> None:
    await write(sink_for(path), records({}), records({"n": 1}), records({}))
    assert 1 in [int(row["n"]) for row in read(path) if row.get("n")]


async def test_a_missing_folder_is_refused(path: Path) -> None:
    with pytest.raises(OutputRefused, match="its folder does not exist"):
        await sink_for(path.parent / "missing" / path.name).open()


async def test_a_directory_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(OutputRefused, match="it is a directory"):
        await sink_for(path).open()


async def test_a_folder_that_may_not_be_written_is_refused(path: Path) -> None:
    path.parent.chmod(0o500)
    try:
        if os.access(path.parent, os.W_OK):
            pytest.skip("this user may write anywhere")
        with pytest.raises(OutputRefused, match="permission denied"):
            await sink_for(path).open()
    finally:
        path.parent.chmod(0o700)


@pytest.mark.parametrize("make", [JsonLinesSink, CsvSink, ParquetSink, SqliteSink])
async def test_a_place_that_nobody_may_write_is_refused(make: Callable[[str], Sink]) -> None:
    """For the user who may write anywhere else, too."""
    if not Path("/sys/kernel").is_dir():
        pytest.skip("no such place here")
    with pytest.raises(OutputRefused, match="permission denied"):
        await make("/sys/items").open()


@pytest.mark.parametrize("make", [JsonLinesSink, CsvSink, ParquetSink])
async def test_a_full_disk_is_an_error_that_names_the_file_and_says_so(make: Callable[[str], Sink]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(SinkError, match=r"output /dev/full .*no space left on the disk"):
        await write(make("/dev/full"), records({"n": 1}))


async def test_writing_before_open_or_after_close_is_refused(path: Path) -> None:
    sink = sink_for(path)
    with pytest.raises(NotRunning):
        await sink.write(records({"n": 1}))
    await write(sink, records({"n": 1}))
    with pytest.raises(NotRunning):
        await sink.write(records({"n": 2}))


async def test_closing_twice_or_unopened_does_nothing(path: Path) -> None:
    sink = sink_for(path)
    await sink.close()
    await write(sink, records({"n": 1}))
    await sink.close()
    assert len(read(path)) == 1


@pytest.mark.parametrize("make", [JsonLinesSink, CsvSink, ParquetSink, SqliteSink])
async def test_a_value_that_is_not_plain_is_an_error_that_says_so(make: Callable[[Path], Sink], tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="bytes is not JSON serializable"):
        await write(make(tmp_path / "items"), records({"value": b"bytes"}))


async def test_a_value_nested_beyond_encoding_is_an_error(path: Path) -> None:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(SinkError):
        await write(sink_for(path), records({"deep": deep}))
    while deep:  # taking it apart level by level: freeing it at once would recurse as deeply
        deep = deep.pop()


async def test_closing_waits_for_a_write_whose_task_was_cancelled(tmp_path: Path) -> None:
    """A cancelled task leaves its thread at work; closing the file under it would tear a batch."""
    pipe = tmp_path / "items.jsonl"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    sink = JsonLinesSink(pipe)
    await sink.open()
    many = records(*({"n": at, "text": "x" * 1000} for at in range(1_000)))  # more than any pipe holds
    writing = asyncio.create_task(sink.write(many))
    got = await asyncio.to_thread(os.read, reader, 1)  # the write has begun, and must wait for this reader
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    closing = asyncio.create_task(sink.close())
    while chunk := await asyncio.to_thread(os.read, reader, 1_000_000):
        got += chunk
    await closing
    os.close(reader)
    assert [json.loads(line)["n"] for line in got.splitlines()] == list(range(1_000))
