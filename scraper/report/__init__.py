"""What people look at: reports as HTML files, and tables, summaries and progress in a terminal."""

from scraper.report.comparison_page import render_comparison as render_comparison
from scraper.report.crawl_page import render_crawl as render_crawl
from scraper.report.progress import ProgressDisplay as ProgressDisplay
from scraper.report.terminal import console_for as console_for
from scraper.report.terminal import print_comparison as print_comparison
from scraper.report.terminal import print_summary as print_summary
from scraper.report.terminal import result_line as result_line
from scraper.report.values import ComparisonReport as ComparisonReport
from scraper.report.values import ComparisonRow as ComparisonRow
from scraper.report.values import CrawlReport as CrawlReport
from scraper.report.values import FailedPage as FailedPage
from scraper.report.values import TimePoint as TimePoint
