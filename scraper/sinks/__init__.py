"""Where items go: files, standard output, a list, or anything with the three methods of `Sink`.

`Resumable` is what a crawl with a durable state asks for beyond that, so that each item is in the output once.
"""

from scraper.sinks.choose import SUFFIXES as SUFFIXES
from scraper.sinks.choose import sink_for as sink_for
from scraper.sinks.csv_file import CsvSink as CsvSink
from scraper.sinks.items_table import EnclosedRows as EnclosedRows
from scraper.sinks.json_lines import JsonLinesSink as JsonLinesSink
from scraper.sinks.memory import MemorySink as MemorySink
from scraper.sinks.parquet import ParquetSink as ParquetSink
from scraper.sinks.protocol import Record as Record
from scraper.sinks.protocol import Resumable as Resumable
from scraper.sinks.protocol import Sink as Sink
from scraper.sinks.protocol import warnings_of as warnings_of
from scraper.sinks.sqlite import SqliteSink as SqliteSink
