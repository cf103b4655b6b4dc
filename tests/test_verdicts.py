"""Verdicts say what the numbers say, and nothing where there are too few of them."""

import pytest
from scipy import stats

from fastresnet.report import verdicts
from fastresnet.report.verdicts import difference, ratio

HIGH, LOW = [0.90, 0.91, 0.905], [0.80, 0.81, 0.805]
CLOSE = ([0.801, 0.803, 0.802], [0.800, 0.802, 0.801])
ONE, TWO = [1.0, 1.01, 0.99], [2.0, 2.02, 1.98]
ACCURATE, LONG = "*a* is {} {more|less} accurate", "It takes {} as long"


@pytest.mark.parametrize(
    ("one", "other", "options", "outcome"),
    [
        (HIGH, LOW, {}, "yes"),
        (LOW, HIGH, {}, "no"),
        (HIGH, LOW, {"above": 0.2}, "no"),
        (LOW, LOW, {"above": -0.05}, "yes"),
        ([0.70, 0.90, 0.95], LOW, {}, "cannot tell"),
        (*CLOSE, {}, "no difference that matters"),
        (*CLOSE, {"above": 0.001}, "cannot tell"),
        (*CLOSE, {"matters": 0.0}, "cannot tell"),
        ([0.790, 0.792, 0.791], [0.793, 0.796, 0.794], {}, "no"),
        (HIGH, HIGH, {"within": 0.05}, "yes"),
        (HIGH, LOW, {"within": 0.05}, "no"),
        (HIGH, LOW, {"within": 0.1}, "cannot tell"),
        (HIGH, 0.8, {}, "yes"),
        (HIGH, 0.905, {"within": 0.02}, "yes"),
        (HIGH[:2], LOW, {}, "points to yes"),
        (LOW[:1], HIGH, {}, "points to no"),
        (LOW[:1], HIGH, {"above": -0.2}, "points to yes"),
        ([], LOW, {}, "not asked"),
    ],
)
def test_difference(one, other, options, outcome):
    assert difference("?", "It is {} {more|less}", one, other, **options).outcome == outcome


def test_as_many_runs_as_are_said_to_be_enough_decide():
    spread = [0.80, 0.82, 0.84]
    verdict = difference("?", "It is {} {more|less}", spread, [value - 0.02 for value in spread])
    assert verdict.outcome == "cannot tell"
    assert "about 9 runs of each" in verdict.found
    for runs, outcome in ((8, "cannot tell"), (9, "yes")):
        deviation = 0.02 * ((runs - 1) / runs) ** 0.5  # so that the larger sample has the spread of the small one
        more = [0.82 + deviation * (-1) ** place for place in range(runs)]
        assert difference("?", "{}", more, [value - 0.02 for value in more]).outcome == outcome
    behind = difference("?", "{}", spread, [value + 0.002 for value in spread])
    assert "about 64 runs of each" in behind.found  # an interval that ends below what would matter decides, too
    hopeless = difference("?", "{}", [0.7, 0.8, 0.9], [0.6995, 0.7995, 0.8995], within=0.001)
    assert "It would take more than 200 runs" in hopeless.found


def test_interval_and_p_value_are_those_of_scipy():
    interval = stats.ttest_ind(HIGH, LOW, equal_var=False).confidence_interval(0.95)
    expected = f"interval {100 * interval.low:+.2f} to {100 * interval.high:+.2f} points"
    assert expected in difference("?", "{}", HIGH, LOW).statistics
    assert verdicts.interval(HIGH, LOW) == pytest.approx((0.1, interval.low, interval.high))
    assert verdicts.interval(HIGH[:2], LOW) is None
    close = difference("?", "{}", *CLOSE, matters=0)
    assert close.statistics.endswith(", p = 0.288 for no difference, effect size 1.0.")


def test_pairing_finds_what_the_spread_between_seeds_hides():
    one, other = [0.70, 0.80, 0.90], [0.691, 0.790, 0.889]
    assert difference("?", "{}", one, other).outcome == "cannot tell"
    assert difference("?", "{}", one, other, paired=True).outcome == "yes"


@pytest.mark.parametrize(
    ("one", "other", "limits", "outcome"),
    [
        (ONE, TWO, {"below": 1}, "yes"),
        (TWO, ONE, {"below": 1}, "no"),
        (ONE, TWO, {"below": 0.3}, "no"),
        (ONE, ONE, {"below": 1.1}, "yes"),
        ([1.2, 1.21, 1.19], ONE, {"below": 1.1}, "no"),
        ([1.00, 1.01, 1.02], [1.01, 1.02, 1.03], {"below": 1}, "no difference that matters"),
        (TWO, ONE, {"above": 1}, "yes"),
        (TWO, ONE, {"above": 2.5}, "no"),
        (TWO, ONE, {"above": 2}, "cannot tell"),
        ([1.2, 1.3, 1.25], 1.0, {"above": 1}, "yes"),
        ([1.2, 1.3, 1.25], 1.0, {"below": 2}, "yes"),
        ([1.2, 1.3, 1.25], 1.0, {"above": 2}, "no"),
        ([1.2, 1.3], 1.0, {"above": 1}, "points to yes"),
        ([], 1.0, {"above": 1}, "not asked"),
        ([0.1] * 3, [0.2] * 3, {"above": 0.5}, "no"),  # at the limit, whichever way a quotient is rounded
        ([1.5] * 3, [0.3] * 3, {"above": 5}, "no"),
    ],
)
def test_ratio(one, other, limits, outcome):
    assert ratio("?", "It takes {} as long", one, other, **limits).outcome == outcome


@pytest.mark.parametrize(
    ("verdict", "outcome", "start"),
    [
        (difference("?", ACCURATE, LOW, HIGH), "no", "*a* is 10.0 points less accurate (8.9 to 11.1; n = 3)."),
        (difference("?", ACCURATE, HIGH, LOW, above=0.2), "no", "*a* is 10.0 points more accurate (8.9 to 11.1; n = 3)."),
        (
            difference("?", ACCURATE, [0.70, 0.90, 0.95], LOW),
            "cannot tell",
            "*a* is 4.5 points more accurate (from 28.3 less to 37.3 more; n = 3). It would take about",
        ),
        (
            difference("?", ACCURATE, LOW[:1], HIGH),
            "points to no",
            "*a* is 10.5 points less accurate (n = 1 and 3: too few for an interval).",
        ),
        (difference("?", ACCURATE, *CLOSE), "no difference that matters", "*a* is 0.10 points more accurate"),
        (ratio("?", LONG, ONE, TWO, below=1), "yes", "It takes 0.50 times as long (0.49 to 0.51; n = 3)."),
        # what decides is not rounded to the limit
        (
            ratio("?", LONG, [1.057, 1.07, 1.083], [1.0] * 3, below=1.1),
            "cannot tell",
            "It takes 1.07 times as long (1.038 to 1.103; n = 3)",
        ),
        (
            difference("?", ACCURATE, [0.0040, 0.0090, 0.0065], 0.0, matters=0),
            "yes",
            "*a* is 0.65 points more accurate (0.03 to 1.27; n = 3)",
        ),
        (ratio("?", LONG, [1.1004], [1.0], below=1.1), "points to no", "It takes 1.1004 times"),
        (difference("?", ACCURATE, [0.80498], [0.8]), "points to no", "*a* is 0.498 points more accurate"),
        # no more digits than mean something
        (ratio("?", LONG, [40.0, 50.0, 2000.0], [1.0, 1.1, 0.9], above=5), "cannot tell", "It takes 159 times"),
    ],
)
def test_what_was_measured_is_told(verdict, outcome, start):
    assert verdict.outcome == outcome
    assert verdict.found == start if start.endswith(".") else verdict.found.startswith(start)


def test_exact():
    assert verdicts.exact("?", "{}", [1.0, 2.0], [1.0, 2.0], tolerance=1e-9).outcome == "yes"
    verdict = verdicts.exact("?", "It is {}.", [1.0, 2.1], [1.0, 2.0], tolerance=1e-2)
    assert (verdict.outcome, verdict.found) == ("no", "It is 5.0e-02.")


def test_runs_without_a_value_are_left_out_in_pairs_and_counted():
    nan = float("nan")
    paired = difference("?", "{}", [*HIGH, nan, 0.9], [*LOW, 0.8, nan], paired=True)
    assert paired.found.endswith("n = 3). 2 runs without a value are left out.")
    assert "1 run without a value is left out" in difference("?", "{}", [*HIGH, nan], LOW).found


def test_values_without_spread_need_no_test():
    assert difference("?", "{}", [0.9] * 3, [0.8] * 3).outcome == "yes"
    assert ratio("?", "{}", [4.0] * 3, [2.0] * 3, above=1.5).found == "2.00 times (the same in every run; n = 3)."


@pytest.mark.filterwarnings("error")
def test_one_sample_without_spread_is_compared_without_a_warning():
    assert ratio("?", "{}", [3.0, 3.0, 3.0], [0.03, 0.3, 0.03], above=5).outcome == "cannot tell"


def test_verdicts_whose_variants_were_not_run_are_not_shown():
    asked, not_asked = difference("Higher?", "It is {}", HIGH, LOW), difference("Lower?", "It is {}", [], LOW)
    shown = verdicts.VerdictList((asked, not_asked))._repr_markdown_()
    assert shown == "- Higher? **Yes.** It is 10.0 points (8.9 to 11.1; n = 3)."
