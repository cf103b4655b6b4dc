"""Verdicts say what the numbers say, and nothing where there are too few of them."""

import pytest
from scipy import stats

from fastresnet.report import verdicts

HIGH, LOW = [0.90, 0.91, 0.905], [0.80, 0.81, 0.805]


@pytest.mark.parametrize(
    ("high", "low", "margin", "status"),
    [
        (HIGH, LOW, 0.0, "confirmed"),
        (LOW, HIGH, 0.0, "not confirmed"),
        (HIGH, LOW, 0.2, "not confirmed"),
        (LOW, LOW, -0.05, "confirmed"),
        ([0.70, 0.90, 0.95], LOW, 0.0, "cannot tell"),
        (HIGH[:2], LOW, 0.0, "points to yes"),
        (LOW[:1], HIGH, 0.0, "points to no"),
        (LOW[:1], HIGH, -0.2, "points to yes"),
        ([], LOW, 0.0, "cannot tell"),
    ],
)
def test_higher(high, low, margin, status):
    assert verdicts.higher("claim", high, low, margin=margin).status == status


def test_one_run_has_a_difference_and_no_interval():
    assert verdicts.higher("claim", [0.9], LOW).evidence == "Difference +9.50 points, of 1 run: too few for an interval."


def test_more_is_not_confirmed_where_nothing_that_would_matter_is_left():
    one, other = [0.801, 0.803, 0.802], [0.800, 0.802, 0.801]
    assert verdicts.higher("claim", one, other).status == "not confirmed"
    assert verdicts.higher("claim", one, other, margin=0.001).status == "cannot tell"
    assert verdicts.faster("claim", [1.00, 1.01, 1.02], [1.01, 1.02, 1.03]).status == "not confirmed"


def test_interval_is_that_of_scipy():
    interval = stats.ttest_ind(HIGH, LOW, equal_var=False).confidence_interval(0.95)
    expected = f"interval {100 * interval.low:+.2f} to {100 * interval.high:+.2f}"
    assert expected in verdicts.higher("claim", HIGH, LOW).evidence
    assert verdicts.interval(HIGH, LOW) == pytest.approx((0.1, interval.low, interval.high))
    assert verdicts.interval(HIGH[:2], LOW) is None


def test_pairing_finds_what_the_spread_between_seeds_hides():
    one, other = [0.70, 0.80, 0.90], [0.691, 0.790, 0.889]
    assert verdicts.higher("claim", one, other).status == "cannot tell"
    assert verdicts.higher("claim", one, other, paired=True).status == "confirmed"


@pytest.mark.parametrize(
    ("fast", "slow", "by", "status"),
    [
        ([1.0, 1.01, 0.99], [2.0, 2.02, 1.98], 1.0, "confirmed"),
        ([1.0, 1.01, 0.99], [2.0, 2.02, 1.98], 3.0, "not confirmed"),
        ([1.0, 1.01, 0.99], [1.0, 1.01, 0.99], 1 / 1.1, "confirmed"),
        ([1.2, 1.21, 1.19], [1.0, 1.01, 0.99], 1 / 1.1, "not confirmed"),
    ],
)
def test_faster(fast, slow, by, status):
    assert verdicts.faster("claim", fast, slow, by=by).status == status


def test_equivalent():
    assert verdicts.equivalent("claim", HIGH, HIGH, margin=0.05).status == "confirmed"
    assert verdicts.equivalent("claim", HIGH, LOW, margin=0.05).status == "not confirmed"
    assert verdicts.equivalent("claim", HIGH, LOW, margin=0.1).status == "cannot tell"


def test_exact():
    assert verdicts.exact("claim", [1.0, 2.0], [1.0, 2.0], tolerance=1e-9).status == "confirmed"
    assert verdicts.exact("claim", [1.0, 2.1], [1.0, 2.0], tolerance=1e-2).status == "not confirmed"


def test_runs_without_a_value_are_left_out_in_pairs_and_counted():
    nan = float("nan")
    verdict = verdicts.higher("claim", [*HIGH, nan, 0.9], [*LOW, 0.8, nan], paired=True)
    assert "n = 3 and 3); 4 runs without a value left out." in verdict.evidence
    assert "; 1 runs without a value left out" in verdicts.higher("claim", [*HIGH, nan], LOW).evidence


def test_values_without_spread_need_no_test():
    assert verdicts.higher("claim", [0.9] * 3, [0.8] * 3).status == "confirmed"


def test_target_is_reached_when_the_whole_interval_lies_above_it():
    assert verdicts.reaches("A claim.", [0.81, 0.82, 0.83], 0.79).status == "confirmed"
    assert verdicts.reaches("A claim.", [0.81, 0.82, 0.83], 0.82).status == "cannot tell"
    assert verdicts.reaches("A claim.", [0.81, 0.82, 0.83], 0.85).status == "not confirmed"
    assert verdicts.reaches("A claim.", [0.81, 0.82], 0.80).status == "points to yes"
    assert "+2.00 points" in verdicts.reaches("A claim.", [0.81, 0.82, 0.83], 0.80).evidence


def test_overview_has_a_row_a_verdict():
    one, other = verdicts.Verdict("*a* is", "confirmed", "e"), verdicts.Verdict("b", "cannot tell", "e")
    table = verdicts.overview({"M1": one, "M2": verdicts.as_list([one, other])})
    assert table.data.values.tolist() == [
        ["M1", "a is", "confirmed"],
        ["M2", "a is", "confirmed"],
        ["M2", "b", "cannot tell"],
    ]


@pytest.mark.parametrize(
    ("values", "limit", "below", "status"),
    [
        ([1.2, 1.3, 1.25], 1.0, False, "confirmed"),
        ([1.2, 1.3, 1.25], 1.0, True, "not confirmed"),
        ([1.2, 1.3, 1.25], 2.0, True, "confirmed"),
        ([1.2, 1.3, 1.25], 2.0, False, "not confirmed"),
        ([0.8, 1.3, 1.25], 1.0, False, "cannot tell"),
        ([1.2, 1.3], 1.0, False, "points to yes"),
    ],
)
def test_beyond_a_limit_is_the_whole_interval(values, limit, below, status):
    assert verdicts.beyond("claim", values, limit, below=below, what="ratio").status == status


@pytest.mark.filterwarnings("error")
def test_one_sample_without_spread_is_compared_without_a_warning():
    verdict = verdicts.times_larger("claim", [3.0, 3.0, 3.0], [0.03, 0.3, 0.03], by=5, what="rates")
    assert verdict.status == "cannot tell"


def test_runs_that_are_all_the_same_have_no_interval():
    verdict = verdicts.times_larger("Twice.", [4.0] * 3, [2.0] * 3, by=1.5, what="epochs")
    assert verdict.status == "confirmed"
    assert verdict.evidence == "Ratio of epochs 2.00, the same in every run (margin 1.50; n = 3 and 3)."
