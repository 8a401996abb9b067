"""What to fetch next, when, and never twice."""

from scraper.frontier.durable import SUSPECTED_AFTER, DurableFrontier
from scraper.frontier.memory import MemoryFrontier
from scraper.frontier.protocol import Frontier, FrontierStatistics
from scraper.frontier.state.values import OutputPart

__all__ = ["SUSPECTED_AFTER", "DurableFrontier", "Frontier", "FrontierStatistics", "MemoryFrontier", "OutputPart"]
