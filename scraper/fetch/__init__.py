"""One attempt at getting bytes, safely. The only part of the project that imports aiohttp."""

from scraper.fetch.aio import AioFetcher
from scraper.fetch.mock import MockFetcher
from scraper.fetch.protocol import Fetcher, Gate

__all__ = ["AioFetcher", "Fetcher", "Gate", "MockFetcher"]
