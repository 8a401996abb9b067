"""What a few measurements say: intervals with known answers, and the rules for differences and noise."""

import math
import random
import statistics

import pytest

from scraper.bench.statistics import Interval, interval_of, judge_noise, overlap, ratio


@pytest.mark.parametrize(
    ("number", "rank"),
    # From the tables of order-statistic intervals of the median at 95 %, such as Conover's or Le Boudec's.
    [(6, 1), (8, 1), (9, 2), (11, 2), (12, 3), (15, 4), (20, 6), (30, 10), (50, 18)],
)
def test_the_interval_is_that_of_the_tables(number: int, rank: int) -> None:
    values = [float(value) for value in range(1, number + 1)]
    found = interval_of(random.Random(1).sample(values, number))
    assert found == Interval(statistics.median(values), values[rank - 1], values[-rank])


def test_few_measurements_have_a_wide_interval() -> None:
    """Two of them cannot hold a median with 95 %: the interval has to reach far beyond them."""
    found = interval_of([100.0, 110.0])
    assert found.low is not None
    assert found.high is not None
    assert found.median == 105.0
    logs = [math.log(100), math.log(110)]
    reach = 12.706 * statistics.stdev(logs) / math.sqrt(2)
    assert found.low == pytest.approx(math.exp(statistics.fmean(logs) - reach))
    assert found.high == pytest.approx(math.exp(statistics.fmean(logs) + reach))


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_no_measurement_of_a_few_lies_outside_of_the_interval(number: int) -> None:
    chance = random.Random(number)
    for _ in range(200):
        values = [chance.uniform(50, 150) for _ in range(number)]
        found = interval_of(values)
        assert found.low is not None
        assert found.high is not None
        assert found.low <= min(values) <= found.median <= max(values) <= found.high


def test_measurements_that_are_all_equal_have_an_interval_without_width() -> None:
    found = interval_of([7.0, 7.0, 7.0])
    assert found.low == pytest.approx(7.0)
    assert found.high == pytest.approx(7.0)


def test_one_measurement_has_no_interval() -> None:
    assert interval_of([5.0]) == Interval(5.0, None, None)


@pytest.mark.parametrize("number", [3, 6, 9, 15])
def test_the_interval_holds_the_true_median_as_often_as_it_says(number: int) -> None:
    """Drawn from a skewed distribution whose median is known."""
    chance = random.Random(number)
    held = 0
    for _ in range(1000):
        found = interval_of([math.exp(chance.gauss(0, 0.3)) for _ in range(number)])
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 1.0 <= found.high
    assert held >= 930


def test_intervals_that_share_a_value_overlap() -> None:
    one = Interval(10, 9, 11)
    assert overlap(one, Interval(12, 11, 13))
    assert overlap(Interval(12, 11, 13), one)
    assert overlap(one, Interval(10, 1, 100))
    assert not overlap(one, Interval(12, 11.5, 13))
    assert overlap(one, Interval(50, None, None))


def test_a_ratio_holds_1_exactly_when_the_intervals_overlap() -> None:
    chance = random.Random(3)
    seen = set()
    for _ in range(500):
        pair = []
        for _ in range(2):
            low, median, high = sorted(chance.uniform(1, 10) for _ in range(3))
            pair.append(Interval(median, low, high))
        found = ratio(pair[0], pair[1])
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.value <= found.high
        assert found.is_real == (not found.low <= 1 <= found.high) == (not overlap(*pair))
        seen.add(found.is_real)
    assert seen == {True, False}


def test_a_ratio_to_something_measured_once_is_never_real() -> None:
    found = ratio(Interval(10, 9, 11), Interval(1, None, None))
    assert (found.value, found.low, found.high, found.is_real) == (10, None, None, False)


def test_a_quiet_machine_is_said_to_be_quiet() -> None:
    noise = judge_noise([1.0, 1.02, 1.01], others_cpus=0.02, stolen_cpus=0.0, cpus=2)
    assert not noise.is_noisy
    assert noise.reference_spread == pytest.approx(0.0198, abs=1e-3)
    assert len(noise.notes) == 1


@pytest.mark.parametrize(
    ("references_s", "others_cpus", "stolen_cpus", "word"),
    [
        ([1.0, 1.3], 0.0, 0.0, "speed"),
        ([1.0, 1.0], 0.5, 0.0, "Other programs"),
        ([1.0, 1.0], 0.0, 0.5, "host"),
    ],
)
def test_what_disturbs_is_named(references_s: list[float], others_cpus: float, stolen_cpus: float, word: str) -> None:
    noise = judge_noise(references_s, others_cpus=others_cpus, stolen_cpus=stolen_cpus, cpus=2)
    assert noise.is_noisy
    assert word in noise.notes[0]
    assert len(noise.notes) == 2


def test_noise_is_judged_without_a_single_round() -> None:
    """An interrupted benchmark may have none."""
    assert not judge_noise([], others_cpus=0.0, stolen_cpus=0.0, cpus=2).is_noisy
