import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest

from scraper.errors import NotRunning, OutputRefused
from scraper.sinks import (
    CsvSink,
    JsonLinesSink,
    MemorySink,
    ParquetSink,
    Record,
    Sink,
    SqliteSink,
    sink_for,
    warnings_of,
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jsonl", JsonLinesSink),
        ("a.ndjson", JsonLinesSink),
        ("-", JsonLinesSink),
        ("a.CSV", CsvSink),
        ("folder.x/a.sqlite", SqliteSink),
        ("a.b.parquet", ParquetSink),
    ],
)
def test_the_suffix_chooses_the_format(name: str, kind: type) -> None:
    assert isinstance(sink_for(name), kind)
    if name != "-":
        assert isinstance(sink_for(Path(name)), kind)


@pytest.mark.parametrize("name", ["items", "items.xml", "items.json", ".jsonl", "", "jsonl", "-.txt"])
def test_an_unknown_format_is_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(OutputRefused, match=r"\.jsonl, \.ndjson, \.csv, \.sqlite, \.parquet, or -") as caught:
        sink_for(name)
    assert "\n" not in str(caught.value)


async def test_memory_keeps_the_records_in_order() -> None:
    sink = MemorySink()
    with pytest.raises(NotRunning):
        await sink.write([])
    await sink.open()
    batch = [Record("a", "http://site/", 0, {"n": 1}), Record("b", "http://site/", 1, {"n": 2})]
    await sink.write(batch)
    await sink.close()
    assert sink.records == batch
    assert sink.items == [{"n": 1}, {"n": 2}]
    assert warnings_of(sink) == ()


async def test_any_class_with_the_three_methods_is_a_sink() -> None:
    class Counting:
        count = 0

        async def open(self) -> None: ...

        async def write(self, records: Sequence[Record]) -> None:
            self.count += len(records)

        async def close(self) -> None: ...

    mine = Counting()
    sink: Sink = mine
    await sink.open()
    await sink.write([Record("a", "http://site/", 0, {})])
    await sink.close()
    assert mine.count == 1
    assert warnings_of(sink) == ()


def test_a_record_survives_pickling() -> None:
    record = Record("a", "http://site/", 0, {"n": [1, None]})
    assert pickle.loads(pickle.dumps(record)) == record
