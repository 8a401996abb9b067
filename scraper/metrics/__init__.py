"""What a crawl is observed by: it hears of everything and no stage reads it."""

from scraper.metrics.lag import LagMeter
from scraper.metrics.live import LiveVerdict
from scraper.metrics.recorder import Recorder
from scraper.metrics.statistics import LagStatistics, Snapshot, StageStatistics, Statistics, Strategy
from scraper.metrics.usage import Usage
from scraper.metrics.verdict import Load, Verdict, judge

__all__ = [
    "LagMeter",
    "LagStatistics",
    "LiveVerdict",
    "Load",
    "Recorder",
    "Snapshot",
    "StageStatistics",
    "Statistics",
    "Strategy",
    "Usage",
    "Verdict",
    "judge",
]
