"""What to fetch next, when, and never twice."""

from scraper.frontier.memory import MemoryFrontier
from scraper.frontier.protocol import SUSPECTED_AFTER, Frontier, FrontierStatistics
from scraper.frontier.state.values import OutputPart

__all__ = ["SUSPECTED_AFTER", "Frontier", "FrontierStatistics", "MemoryFrontier", "OutputPart"]
