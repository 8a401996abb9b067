"""What a crawl is observed by: it hears of everything and no stage reads it."""

from scraper.metrics.lag import LagMeter
from scraper.metrics.recorder import Recorder
from scraper.metrics.statistics import LagStatistics, Snapshot, StageStatistics, Statistics, Strategy
from scraper.metrics.verdict import Verdict, judge

__all__ = [
    "LagMeter",
    "LagStatistics",
    "Recorder",
    "Snapshot",
    "StageStatistics",
    "Statistics",
    "Strategy",
    "Verdict",
    "judge",
]
