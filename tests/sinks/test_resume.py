"""What every sink promises that goes on where a killed crawl left it."""

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from scraper.errors import NotRunning, OutputRefused, SinkError
from scraper.sinks import (
    CsvSink,
    JsonLinesSink,
    MemorySink,
    ParquetSink,
    Record,
    Resumable,
    SqliteSink,
    sink_for,
    warnings_of,
)
from tests.sinks.killed import BATCHES, crawl, sink_at
from tests.sinks.rows import read, records

SUFFIXES = (".jsonl", ".csv", ".sqlite", ".parquet")
FIRST, SECOND, THIRD = (records(*({"n": n, "text": "é" * n} for n in range(at, at + 3))) for at in (0, 3, 6))


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == ".parquet":
        pytest.importorskip("pyarrow")
    return tmp_path / f"items{request.param}"


def content(path: Path) -> dict[str, bytes]:
    """Every file below."""
    return {str(file): file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}


def abandon(sink: Resumable) -> None:
    """As a kill leaves it: closed by the operating system alone."""
    if isinstance(sink, SqliteSink):
        assert sink._database is not None
        sink._database.close()
        return
    assert isinstance(sink, JsonLinesSink | CsvSink | ParquetSink)
    file = sink._target._rows if isinstance(sink, ParquetSink) else sink._file  # type: ignore[union-attr]
    if file is not None and file._raw is not None:
        file._raw.close()


async def commit(sink: Resumable, batch: Sequence[Record] = ()) -> str:
    await sink.write(batch)
    sink.committed(sink.position)
    return sink.position


async def begun(path: Path, *batches: Sequence[Record]) -> tuple[Resumable, str]:
    """A sink that has begun anew and committed these batches, and its position."""
    sink = sink_at(path)
    await sink.resume(None)
    sink.committed(sink.position)
    for batch in batches:
        await commit(sink, batch)
    return sink, sink.position


async def left(path: Path, *batches: Sequence[Record]) -> str:
    """The position of an output that was closed with these batches."""
    sink, position = await begun(path, *batches)
    await sink.close()
    return position


async def continued(path: Path, position: str | None, *batches: Sequence[Record]) -> None:
    """An output goes on from there to its end."""
    sink = sink_at(path)
    await sink.resume(position)
    sink.committed(sink.position)
    for batch in batches:
        await commit(sink, batch)
    await sink.finish()
    sink.committed(sink.position)
    await sink.close()


def numbers(path: Path) -> list[int]:
    return [int(row["n"]) for row in read(path)]


async def refusal(path: Path, position: str | None, like: str) -> None:
    """The output is refused and left as it is."""
    before = content(path)
    sink = sink_at(path)
    with pytest.raises(OutputRefused, match=like) as caught:
        await sink.resume(position)
    assert "\n" not in str(caught.value)
    await sink.close()
    assert content(path) == before


def test_every_sink_of_ours_can_be_resumed() -> None:
    for sink in (*(sink_for(f"items{suffix}") for suffix in SUFFIXES), sink_for("-"), MemorySink()):
        assert isinstance(sink, Resumable)


async def test_what_was_not_committed_is_cut_and_the_rest_goes_on(path: Path, tmp_path: Path) -> None:
    sink, position = await begun(path, FIRST)
    await sink.write(SECOND)
    abandon(sink)
    await continued(path, position, THIRD)
    undisturbed = tmp_path / "undisturbed" / path.name
    undisturbed.parent.mkdir()
    await continued(undisturbed, None, FIRST, THIRD)
    assert read(path) == read(undisturbed)
    assert numbers(path) == [0, 1, 2, 6, 7, 8]


async def test_a_position_is_short_text_that_tells_batches_apart(path: Path) -> None:
    sink, position = await begun(path, FIRST)
    assert await commit(sink, SECOND) != position
    assert len(position) < 200
    json.loads(position)
    await sink.close()


async def test_an_output_without_an_item_can_go_on(path: Path) -> None:
    position = await left(path)
    await continued(path, position, FIRST)
    assert numbers(path) == [0, 1, 2]


async def test_a_crawl_killed_in_its_first_batch_can_go_on(path: Path) -> None:
    sink, position = await begun(path)
    await sink.write(FIRST)
    abandon(sink)
    await continued(path, position, SECOND)
    assert numbers(path) == [3, 4, 5]


async def test_a_crawl_killed_before_its_first_commit_can_begin_again(path: Path) -> None:
    sink = sink_at(path)
    await sink.resume(None)
    abandon(sink)
    await continued(path, None, FIRST)
    assert numbers(path) == [0, 1, 2]


async def test_a_finished_output_can_be_read_and_go_on(path: Path) -> None:
    sink, _ = await begun(path, FIRST)
    await sink.finish()
    position = sink.position
    sink.committed(position)
    await sink.close()
    assert numbers(path) == [0, 1, 2]
    await continued(path, position, SECOND)
    assert numbers(path) == [0, 1, 2, 3, 4, 5]


async def test_a_finished_output_without_items_can_be_read(path: Path) -> None:
    await continued(path, None)
    assert read(path) == []


async def test_closing_cuts_back_to_what_was_committed(path: Path) -> None:
    """A commit that failed: the output holds what the state says."""
    sink, position = await begun(path, FIRST)
    before = content(path)
    await sink.write(SECOND)
    await sink.finish()
    await sink.close()
    if path.suffix == ".sqlite":
        assert numbers(path) == [0, 1, 2]
    else:
        assert content(path) == before
    await continued(path, position)
    assert numbers(path) == [0, 1, 2]


@pytest.mark.parametrize("committed", [(), (FIRST,)])
async def test_a_sink_that_was_closed_can_be_resumed(path: Path, committed: Sequence[Sequence[Record]]) -> None:
    """A commit that failed and is tried again with other pages."""
    sink, position = await begun(path, *committed)
    await sink.write(SECOND)
    for _ in range(2):
        await sink.close()
        await sink.resume(position)
        assert sink.position == position
        await sink.write(THIRD)
    await sink.finish()
    sink.committed(sink.position)
    await sink.close()
    undisturbed = path.with_stem("undisturbed")
    await continued(undisturbed, None, *committed, THIRD)
    assert read(path) == read(undisturbed)
    assert numbers(path)[-3:] == [6, 7, 8]


async def test_a_new_sink_that_was_closed_can_begin_again(path: Path) -> None:
    sink = sink_at(path)
    for batch in (FIRST, SECOND):
        await sink.resume(None)
        await sink.write(batch)
        await sink.close()
    await sink.resume(None)
    await commit(sink, THIRD)
    await sink.finish()
    sink.committed(sink.position)
    await sink.close()
    assert numbers(path) == [6, 7, 8]


async def test_a_new_output_of_which_nothing_was_committed_goes_again(path: Path) -> None:
    sink = sink_at(path)
    await sink.resume(None)
    await sink.write(FIRST)
    await sink.close()
    assert list(path.parent.iterdir()) == []


async def test_an_empty_file_that_was_there_is_empty_again(path: Path) -> None:
    if path.suffix == ".parquet":
        path.mkdir()
    else:
        path.touch()
    sink = sink_at(path)
    await sink.resume(None)
    await sink.write(FIRST)
    await sink.close()
    assert path.exists()
    if path.suffix != ".sqlite":
        assert not any(content(path).values())
    await continued(path, None, SECOND)
    assert numbers(path) == [3, 4, 5]


async def test_an_output_that_the_state_does_not_know_is_refused(path: Path) -> None:
    await continued(path, None, FIRST)
    await refusal(path, None, r"is there already and this crawl's state does not know it: move it away")


async def test_an_output_that_is_missing_is_refused(path: Path) -> None:
    position = await left(path, FIRST)
    path.rename(path.with_name("moved"))
    await refusal(path, position, r"is missing, and the crawl's state counts on it: put it back")
    assert not path.exists()


async def test_an_output_that_was_changed_is_refused(path: Path) -> None:
    position = await left(path, FIRST)
    change(path)
    await refusal(path, position, r"changed after the crawl had written it: put it back")


def change(path: Path) -> None:
    """Alters one committed thing, at the same length."""
    if path.suffix == ".sqlite":
        import sqlite3
        from contextlib import closing

        with closing(sqlite3.connect(path)) as database, database:
            database.execute("DELETE FROM items WHERE n = 1")
        return
    file = path / "_rows-00001.jsonl" if path.suffix == ".parquet" else path
    file.write_bytes(file.read_bytes().replace(b"1", b"7", 1))


@pytest.mark.parametrize("path", [".jsonl", ".csv", ".parquet"], indirect=True)
async def test_an_output_that_is_shorter_is_refused(path: Path) -> None:
    position = await left(path, FIRST)
    file = path / "_rows-00001.jsonl" if path.suffix == ".parquet" else path
    os.truncate(file, file.stat().st_size - 1)
    await refusal(path, position, r"is shorter than the crawl left it \(\d+ bytes, not \d+\): put it back")


@pytest.mark.parametrize("path", [".jsonl", ".csv", ".sqlite"], indirect=True)
async def test_an_output_deleted_while_it_is_written_is_noticed(path: Path) -> None:
    sink, _ = await begun(path, FIRST)
    path.unlink()
    with pytest.raises(SinkError, match="was deleted while the crawl wrote to it"):
        await sink.write(SECOND)
    await sink.close()


@pytest.mark.parametrize("path", [".jsonl", ".csv", ".sqlite"], indirect=True)
async def test_an_output_replaced_while_it_is_written_is_noticed(path: Path) -> None:
    sink, _ = await begun(path, FIRST)
    path.with_name("mine").write_text("mine")
    path.with_name("mine").replace(path)
    with pytest.raises(SinkError, match="was deleted while the crawl wrote to it"):
        await sink.write(SECOND)
    await sink.close()
    assert path.read_text() == "mine"


@pytest.mark.parametrize("path", [".jsonl", ".csv", ".parquet"], indirect=True)
@pytest.mark.parametrize("is_synced", [False, True])
async def test_a_batch_is_on_the_disk_before_the_write_returns_where_that_is_asked_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, is_synced: bool
) -> None:
    synced: list[tuple[int, int]] = []

    def sync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synced.append((status.st_ino, status.st_size))

    monkeypatch.setattr(os, "fsync", sync)
    sink = sink_at(path)
    await sink.resume(None, is_synced=is_synced)
    await sink.write(FIRST)
    file = path / "_rows-00001.jsonl" if path.suffix == ".parquet" else path
    status = file.stat()
    assert ((status.st_ino, status.st_size) in synced) is is_synced
    assert (file.parent.stat().st_ino in [inode for inode, _ in synced]) is is_synced
    assert (path.parent.stat().st_ino in [inode for inode, _ in synced]) is is_synced
    await sink.close()


async def test_each_crawler_has_a_part_of_its_own(path: Path) -> None:
    sink = sink_at(path)
    assert sink.part(1) is sink
    second = sink.part(2)
    assert isinstance(second, Resumable)
    assert second.output == str(path.with_name(f"items.2{path.suffix}"))
    await second.resume(None)
    second.committed(await commit(second, FIRST))
    await second.finish()
    second.committed(second.position)
    await second.close()
    assert numbers(Path(second.output)) == [0, 1, 2]
    assert not path.exists()


async def test_writing_and_finishing_need_an_open_output(path: Path) -> None:
    sink = sink_at(path)
    with pytest.raises(NotRunning):
        await sink.write(FIRST)
    if path.suffix == ".sqlite":
        with pytest.raises(NotRunning):
            await sink.finish()


@pytest.mark.parametrize("path", [".jsonl", ".csv", ".sqlite"], indirect=True)
async def test_a_crawl_without_state_is_as_ever(path: Path) -> None:
    await left(path, FIRST)
    sink = sink_at(path)
    await sink.open()
    await sink.write(SECOND)
    await sink.close()
    assert numbers(path) == [3, 4, 5]


async def test_a_batch_that_fails_does_not_move_the_position(path: Path) -> None:
    sink, position = await begun(path, FIRST)
    with pytest.raises(SinkError):
        await sink.write(records({"n": 3}, {"n": b"not plain"}))
    assert sink.position == position
    await sink.close()
    await continued(path, position, THIRD)
    assert numbers(path) == [0, 1, 2, 6, 7, 8]


MORE_STEPS = {".jsonl": (), ".csv": (), ".sqlite": ("half",), ".parquet": ("half", "part")}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_killed_at_any_step_and_at_the_first_of_the_next_life(path: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir()
    whole.mkdir()
    await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.sinks.killed", str(killed), path.name],
        cwd=root,
        check=True,
        timeout=50,
    )
    await crawl(whole / path.name)
    expected = read(whole / path.name)
    assert [int(row["n"]) for row in expected] == list(range(sum(map(len, BATCHES))))
    lives = sorted(killed.iterdir())
    steps = [(life / "steps.txt").read_text().split() for life in lives]
    assert [step for step in steps[-1] if step in ("write", "written")][:2] == ["write", "written"]
    assert {step for of_life in steps for step in of_life} == {"write", "written", "cut", *MORE_STEPS[path.suffix]}
    for life in lives:
        assert read(life / path.name) == expected, life.name
        if path.suffix == ".parquet":
            assert {file.name for file in (life / path.name).iterdir()} == {
                file.name for file in (whole / path.name).iterdir()
            }


# Standard output, pipes, lists


async def test_standard_output_begins_anew_and_holds_no_position() -> None:
    script = (
        "import asyncio\nfrom scraper.sinks import Record, sink_for\n"
        "async def main():\n"
        "    sink = sink_for('-')\n"
        '    await sink.resume(\'{"bytes": 5, "crc": 7}\', is_synced=True)\n'
        "    await sink.write([Record('a', 'u', 0, {'n': 1})])\n"
        "    assert sink.position == '' and sink.output == '-' and sink.part(2) is sink\n"
        "    sink.committed('')\n"
        "    await sink.finish()\n"
        "    await sink.close()\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], capture_output=True, check=True, timeout=30
    )
    assert done.stdout == b'{"n":1}\n'


@pytest.mark.parametrize("make", [JsonLinesSink, CsvSink, ParquetSink])
async def test_a_device_is_no_output_to_go_on_with(make: Callable[[str], Resumable]) -> None:
    if make is ParquetSink:
        pytest.importorskip("pyarrow")
    sink = make("/dev/null")
    await sink.resume(None, is_synced=True)
    await sink.write(FIRST)
    assert sink.position == ""
    assert sink.part(2) is sink
    sink.committed("")
    await sink.finish()
    await sink.close()
    await sink.resume(sink.position)
    await sink.write(FIRST)
    await sink.close()


async def test_memory_is_resumed_like_opened() -> None:
    sink = MemorySink()
    await sink.resume(None)
    await sink.write(FIRST)
    assert sink.position == ""
    sink.committed("")
    await sink.finish()
    assert sink.part(2) is sink
    await sink.close()
    assert sink.records == FIRST


# Comma-separated values


async def test_a_table_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    position = await left(path, records({"b": 1, "a": "=x"}))
    sink = CsvSink(path)
    await sink.resume(position)
    await sink.write(records({"a": 2, "b": 3, "c": 4}))
    sink.committed(sink.position)
    await sink.close()
    assert path.read_bytes() == b"b,a\r\n1,'=x\r\n3,2\r\n"
    assert "('c')" in warnings_of(sink)[0]


async def test_other_columns_than_the_table_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    position = await left(path, records({"b": 1, "a": 2}))
    sink = CsvSink(path, columns=["a", "b"])
    with pytest.raises(OutputRefused, match="has the columns b, a, and this crawl names others"):
        await sink.resume(position)
    same = CsvSink(path, columns=["b", "a"])
    await same.resume(position)
    await same.close()
    assert path.read_bytes() == b"b,a\r\n1,2\r\n"


async def test_named_columns_are_written_once(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    for position in (None, '{"bytes": 0, "crc": 0, "columns": []}'):
        sink = CsvSink(path, columns=["a"])
        await sink.resume(position)
        await sink.write(())
        sink.committed('{"bytes": 0, "crc": 0, "columns": []}')
        if position is not None:
            sink.committed(sink.position)
        await sink.close()
    assert path.read_bytes() == b"a\r\n"


# Parquet


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    pytest.importorskip("pyarrow")
    return tmp_path / "items.parquet"


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def test_full_groups_are_parts_and_the_rest_waits_in_rows(parts: Path) -> None:
    sink, _ = await begun(parts, FIRST + SECOND + THIRD + records({"n": 9}, {"n": 10}, {"n": 11}))
    assert names(parts) == [
        "_rows-00001.jsonl",  # until the state has a position behind them, and then another batch comes
        "_rows-00002.jsonl",
        "_rows-00003.jsonl",
        "part-00001.parquet",
        "part-00002.parquet",
    ]
    await commit(sink)
    await commit(sink, records({"n": 12}))
    assert names(parts) == ["_rows-00003.jsonl", "part-00001.parquet", "part-00002.parquet"]
    assert "keeps its last rows in _rows-00003.jsonl" in warnings_of(sink)[0]
    await sink.finish()
    sink.committed(sink.position)
    assert warnings_of(sink) == ()
    await sink.close()
    assert names(parts) == [f"part-0000{number}.parquet" for number in (1, 2, 3)]
    assert [len(read(parts / name)) for name in names(parts)] == [5, 5, 3]


async def test_later_parts_have_the_columns_of_the_first(parts: Path) -> None:
    position = await left(parts, records(*({"n": n, "x": 0.5} for n in range(5))))
    sink = ParquetSink(parts, group_rows=2)
    await sink.resume(position)
    await commit(sink, records({"n": 5, "x": "no number"}, {"late": 1}))
    await sink.close()
    rows = read(parts)
    assert rows[5] == {"n": 5, "x": None, "_other": '{"x":"no number"}'}
    assert rows[6] == {"n": None, "x": None, "_other": '{"late":1}'}
    assert "('x', 'late')" in warnings_of(sink)[0]


async def test_rows_that_waited_are_what_they_were(parts: Path) -> None:
    items: list[dict[str, Any]] = [
        {"i": 2**63 - 1, "f": 0.1, "b": True, "s": "a\u2028b\u0085c\rd\x00", "l": [1, {"x": None}], "z": None},
        {"i": -1, "f": 1e300, "b": False, "s": "\ud83d\ude00", "l": [], "z": None},
    ]
    position = await left(parts, records(*items))
    await continued(parts, position)
    other = parts.with_stem("other")
    await continued(other, None, records(*items))
    assert read(parts) == read(other)
    assert read(parts)[0]["s"] == items[0]["s"]


@pytest.mark.parametrize("name", ["part-00001.parquet", "part-00002.parquet"])
async def test_a_part_that_is_missing_or_changed_is_refused(parts: Path, name: str) -> None:
    position = await left(parts, FIRST + SECOND + THIRD + FIRST)
    whole = (parts / name).read_bytes()
    (parts / name).write_bytes(whole + b"more")
    await refusal(parts, position, "changed after the crawl had written it")
    (parts / name).unlink()
    await refusal(parts, position, f"{name} is missing")
    (parts / name).write_bytes(whole)
    await continued(parts, position)
    assert len(read(parts)) == 12


async def test_a_file_of_a_crawl_without_state_is_refused(parts: Path) -> None:
    sink = ParquetSink(parts)
    await sink.open()
    await sink.write(FIRST)
    await sink.close()
    await refusal(parts, None, "does not know it: move it away")
    await refusal(parts, '{"part": 1, "bytes": 0, "crc": 0, "parts_bytes": 0}', "is a file and was a directory")


async def test_rows_stay_until_the_state_has_a_position_behind_them(parts: Path) -> None:
    sink, position = await begun(parts, FIRST)
    await sink.write(SECOND)
    await sink.write(THIRD)
    abandon(sink)
    assert (parts / "part-00001.parquet").exists()
    await continued(parts, position, THIRD)
    assert numbers(parts) == [0, 1, 2, 6, 7, 8]


async def test_a_part_that_did_not_become_whole_goes_away(parts: Path) -> None:
    position = await left(parts, FIRST)
    (parts / "_part-00001.parquet").write_text("half of")
    sink = sink_at(parts)
    await sink.resume(position)
    assert names(parts) == ["_rows-00001.jsonl"]
    await sink.close()


async def test_what_others_put_beside_the_parts_stays(parts: Path) -> None:
    sink, position = await begun(parts, FIRST)
    (parts / "_notes.txt").write_text("mine")
    await sink.write(SECOND)
    abandon(sink)
    await continued(parts, position, THIRD)
    assert (parts / "_notes.txt").read_text() == "mine"
    assert numbers(parts) == [0, 1, 2, 6, 7, 8]


async def test_a_refused_output_holds_nothing_open(path: Path) -> None:
    """Warnings are errors here: a file that is not closed would fail this."""
    position = await left(path, FIRST)
    change(path)
    with pytest.raises(OutputRefused):
        await sink_at(path).resume(position)
    gc.collect()
