"""What to fetch next, when, and never twice."""

from scraper.frontier.memory import MemoryFrontier
from scraper.frontier.protocol import Frontier, FrontierStatistics

__all__ = ["Frontier", "FrontierStatistics", "MemoryFrontier"]
