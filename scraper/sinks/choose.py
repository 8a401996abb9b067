"""From a file name to the sink that writes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from scraper.errors import OutputRefused
from scraper.sinks.csv_file import CsvSink
from scraper.sinks.json_lines import JsonLinesSink
from scraper.sinks.parquet import ParquetSink
from scraper.sinks.protocol import Sink
from scraper.sinks.sqlite import SqliteSink

SUFFIXES: Mapping[str, Callable[[str], Sink]] = MappingProxyType(
    {
        ".jsonl": JsonLinesSink,
        ".ndjson": JsonLinesSink,
        ".csv": CsvSink,
        ".sqlite": SqliteSink,
        ".parquet": ParquetSink,
    }
)


def sink_for(path: str | os.PathLike[str]) -> Sink:
    """The sink for a file name, by its suffix, in either case; "-" is JSON lines on standard output.

    Raises:
        OutputRefused: no format has that suffix; the message lists those that there are.
    """
    name = os.fspath(path)
    if name == "-":
        return JsonLinesSink(name)
    suffix = Path(name).suffix
    make = SUFFIXES.get(suffix.lower())
    if make is None:
        told = f"has the unknown suffix {suffix}" if suffix else "has no suffix that would tell its format"
        known = ", ".join(SUFFIXES)
        raise OutputRefused(f"output {name!r} {told}: choose one of {known}, or - for JSON lines on standard output")
    return make(name)
