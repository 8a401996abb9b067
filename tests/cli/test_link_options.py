"""What the command line says of links becomes options."""

from __future__ import annotations

import argparse

import pytest

from scraper.cli import arguments
from scraper.errors import InvalidOption
from scraper.options import TrapOptions, UrlOptions


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    arguments.add_limits(parser)
    arguments.add_urls(parser)
    return parser.parse_args(words)


def test_by_default_urls_stay_and_traps_are_looked_for() -> None:
    assert arguments.url_options(parsed()) == UrlOptions()
    assert arguments.trap_options(parsed()) == TrapOptions()
    limits = arguments.limit_options(parsed())
    assert (limits.max_pages_per_host, limits.respect_nofollow) == (None, False)


def test_each_option_is_taken() -> None:
    told = parsed(
        "--sort-query", "--drop-params", "a,b*", "--drop-params", "c", "--drop-tracking", "--drop-session-ids"
    )
    assert arguments.url_options(told) == UrlOptions(
        sort_query=True, drop_parameters=("a", "b*", "c"), drop_tracking=True, drop_session_ids=True
    )
    assert arguments.trap_options(parsed("--no-traps")) is None
    limits = arguments.limit_options(parsed("--max-pages-per-host", "7", "--respect-nofollow"))
    assert (limits.max_pages_per_host, limits.respect_nofollow) == (7, True)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidOption, match="max-pages-per-host must be more than 0"):
        arguments.limit_options(parsed("--max-pages-per-host", "0"))
    with pytest.raises(InvalidOption, match="every parameter"):
        arguments.url_options(parsed("--drop-params", "a,*"))
