"""An asyncio crawler that knows where its time goes, and parses where parsing is fastest.

What is named here is public; everything else may change. Names are imported when first used, so that a worker
process which needs only a parser does not load the network stack.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scraper.crawler import Crawler as Crawler
    from scraper.errors import CacheRefused as CacheRefused
    from scraper.errors import FunctionFailed as FunctionFailed
    from scraper.errors import HandlerNotImportable as HandlerNotImportable
    from scraper.errors import InterpretersUnsupported as InterpretersUnsupported
    from scraper.errors import InvalidOption as InvalidOption
    from scraper.errors import InvalidURL as InvalidURL
    from scraper.errors import ItemNotPlain as ItemNotPlain
    from scraper.errors import NestingTooDeep as NestingTooDeep
    from scraper.errors import NotRunning as NotRunning
    from scraper.errors import OutputRefused as OutputRefused
    from scraper.errors import ParseFailed as ParseFailed
    from scraper.errors import ParseTimeout as ParseTimeout
    from scraper.errors import ScraperError as ScraperError
    from scraper.errors import SelectorUnsupported as SelectorUnsupported
    from scraper.errors import SinkError as SinkError
    from scraper.errors import StateError as StateError
    from scraper.errors import StateInDoubt as StateInDoubt
    from scraper.errors import StateRefused as StateRefused
    from scraper.errors import UsageError as UsageError
    from scraper.errors import WorkerCrashed as WorkerCrashed
    from scraper.errors import WorkerError as WorkerError
    from scraper.errors import WorkerStartFailed as WorkerStartFailed
    from scraper.fetch import AioFetcher as AioFetcher
    from scraper.fetch import MockFetcher as MockFetcher
    from scraper.listing import sitemaps as sitemaps
    from scraper.metrics import Snapshot as Snapshot
    from scraper.metrics import Statistics as Statistics
    from scraper.model import Failure as Failure
    from scraper.model import Links as Links
    from scraper.model import Request as Request
    from scraper.model import Response as Response
    from scraper.model import Skip as Skip
    from scraper.offload import OffloadPool as OffloadPool
    from scraper.offload import Result as Result
    from scraper.offload.probe.values import ProbeReport as ProbeReport
    from scraper.options import AddressOptions as AddressOptions
    from scraper.options import CacheOptions as CacheOptions
    from scraper.options import FetchOptions as FetchOptions
    from scraper.options import LimitOptions as LimitOptions
    from scraper.options import OffloadOptions as OffloadOptions
    from scraper.options import OriginOptions as OriginOptions
    from scraper.options import PaceOptions as PaceOptions
    from scraper.options import Resolve as Resolve
    from scraper.options import StateOptions as StateOptions
    from scraper.options import TrapOptions as TrapOptions
    from scraper.options import UrlOptions as UrlOptions
    from scraper.parse.outline import outline as outline
    from scraper.parse.page import Page as Page
    from scraper.probing import probe as probe
    from scraper.probing import probe_now as probe_now
    from scraper.sinks import CsvSink as CsvSink
    from scraper.sinks import JsonLinesSink as JsonLinesSink
    from scraper.sinks import MemorySink as MemorySink
    from scraper.sinks import ParquetSink as ParquetSink
    from scraper.sinks import Resumable as Resumable
    from scraper.sinks import Sink as Sink
    from scraper.sinks import SqliteSink as SqliteSink

__version__ = "0.1.0"

_HOMES = {
    "scraper.crawler": ["Crawler"],
    "scraper.errors": [
        "CacheRefused",
        "FunctionFailed",
        "HandlerNotImportable",
        "InterpretersUnsupported",
        "InvalidOption",
        "InvalidURL",
        "ItemNotPlain",
        "NestingTooDeep",
        "NotRunning",
        "OutputRefused",
        "ParseFailed",
        "ParseTimeout",
        "ScraperError",
        "SelectorUnsupported",
        "SinkError",
        "StateError",
        "StateInDoubt",
        "StateRefused",
        "UsageError",
        "WorkerCrashed",
        "WorkerError",
        "WorkerStartFailed",
    ],
    "scraper.fetch": ["AioFetcher", "MockFetcher"],
    "scraper.listing": ["sitemaps"],
    "scraper.metrics": ["Snapshot", "Statistics"],
    "scraper.model": ["Failure", "Links", "Request", "Response", "Skip"],
    "scraper.offload": ["OffloadPool", "Result"],
    "scraper.options": [
        "AddressOptions",
        "CacheOptions",
        "FetchOptions",
        "LimitOptions",
        "OffloadOptions",
        "OriginOptions",
        "PaceOptions",
        "Resolve",
        "StateOptions",
        "TrapOptions",
        "UrlOptions",
    ],
    "scraper.parse.outline": ["outline"],
    "scraper.parse.page": ["Page"],
    "scraper.offload.probe.values": ["ProbeReport"],
    "scraper.probing": ["probe", "probe_now"],
    "scraper.sinks": ["CsvSink", "JsonLinesSink", "MemorySink", "ParquetSink", "Resumable", "Sink", "SqliteSink"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__"]
__all__ += list(_HOME_OF)


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
