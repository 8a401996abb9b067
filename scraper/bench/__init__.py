"""Comparing parser strategies with statistics that can be trusted.

    pages ─► plan ─► [round ─► measurement ─► sample]… ─► cells ─► verdict, comparison
                └► probe, machine ─► prediction ───────────┘

Pages come from a local site, a folder or a site of the user's. A plan takes every strategy once a round, in random
order. A measurement starts workers of its own, waits until they are in full swing, and counts from one delivery to
another. A cell is the median of a strategy's rounds with its interval, beside what the roofline predicts.
"""

from scraper.bench.bench import Bench as Bench
from scraper.bench.bench import Progress as Progress
from scraper.bench.comparison import Change as Change
from scraper.bench.comparison import Comparison as Comparison
from scraper.bench.comparison import compare as compare
from scraper.bench.pages import Pages as Pages
from scraper.bench.pages import fetched_pages as fetched_pages
from scraper.bench.pages import read_folder as read_folder
from scraper.bench.pages import saved_pages as saved_pages
from scraper.bench.pages import synthetic_pages as synthetic_pages
from scraper.bench.plan import MODES as MODES
from scraper.bench.plan import BenchOptions as BenchOptions
from scraper.bench.plan import cases_of as cases_of
from scraper.bench.plan import forecast_s as forecast_s
from scraper.bench.results import BenchResult as BenchResult
from scraper.bench.results import Cell as Cell
from scraper.bench.results import read_cells as read_cells
from scraper.bench.results import to_json as to_json
from scraper.bench.verdict import judge as judge

__all__ = [
    "MODES",
    "Bench",
    "BenchOptions",
    "BenchResult",
    "Cell",
    "Change",
    "Comparison",
    "Pages",
    "Progress",
    "cases_of",
    "compare",
    "fetched_pages",
    "forecast_s",
    "judge",
    "read_cells",
    "read_folder",
    "saved_pages",
    "synthetic_pages",
    "to_json",
]
