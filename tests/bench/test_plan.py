"""What is measured and in which order."""

from collections import Counter

import pytest

from scraper.bench.pages import evenly
from scraper.bench.plan import BenchOptions, Case, cases_of, forecast_s, rounds_of
from scraper.errors import UsageError


def test_every_strategy_is_a_case_and_in_line_is_one_only() -> None:
    options = BenchOptions(parsers=("lxml", "bs4"), executors=("inline", "thread"), workers=(1, 2), modes=("parse",))
    cases = cases_of(options)
    assert cases[:3] == [
        Case("parse", "lxml", "inline", 1),
        Case("parse", "lxml", "thread", 1),
        Case("parse", "lxml", "thread", 2),
    ]
    assert len(cases) == 6


def test_a_round_has_every_case_once_in_an_order_of_its_own() -> None:
    cases = cases_of(BenchOptions(workers=(1, 2)))
    rounds = rounds_of(cases, 5, seed=1)
    assert len(rounds) == 5
    for order in rounds:
        assert Counter(order) == Counter(cases)
    assert len({tuple(order) for order in rounds}) == 5


def test_a_seed_stands_for_one_order() -> None:
    cases = cases_of(BenchOptions(workers=(1, 2)))
    assert rounds_of(cases, 3, seed=7) == rounds_of(cases, 3, seed=7)
    assert rounds_of(cases, 3, seed=7) != rounds_of(cases, 3, seed=8)


def test_the_forecast_grows_with_what_is_measured() -> None:
    few = BenchOptions(workers=(1,), rounds=2)
    many = BenchOptions(workers=(1, 2), rounds=6)
    assert forecast_s(cases_of(few), few) < forecast_s(cases_of(many), many)


def test_the_default_takes_two_or_three_minutes_on_two_cores() -> None:
    options = BenchOptions(workers=(1, 2))
    assert 90 < forecast_s(cases_of(options), options) < 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"parsers": ("lxml", "libxml")},
        {"executors": ("fork",)},
        {"modes": ("fetch",)},
        {"workers": (0,)},
        {"rounds": 1},
        {"seconds": 0.0},
        {"parsers": ()},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        BenchOptions(**wrong)  # type: ignore[arg-type]


def test_every_stretch_of_pages_has_all_sizes() -> None:
    """A slow parser gets through ten pages in its time; they have to stand for all of them."""
    sizes = list(range(300))
    order = evenly(sizes)
    assert sorted(order) == sizes
    for start in range(290):
        stretch = order[start : start + 10]
        assert 110 < sum(stretch) / 10 < 190
        assert min(stretch) < 60
        assert max(stretch) > 240
