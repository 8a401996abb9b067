"""One attempt at getting bytes, safely. The only part of the project that imports aiohttp."""

from scraper.fetch.aio import AioFetcher
from scraper.fetch.mock import MockFetcher
from scraper.fetch.protocol import Fetcher, Gate, IsNamed, OpenGate

__all__ = ["AioFetcher", "Fetcher", "Gate", "IsNamed", "MockFetcher", "OpenGate"]
