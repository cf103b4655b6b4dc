"""Verdicts: whether the records confirm a claim, with the interval that the answer rests on.

All tests use the 95 % confidence interval of a difference of means: Welch's for two independent samples, the paired one for
runs that share their seeds, the one-sample one for a mean against a number. A claim is `confirmed` if the whole interval lies
on its side of the margin, `not confirmed` if the whole interval lies on the other side, and `cannot tell` otherwise. A claim
of *more*, without a margin, is also `not confirmed` if the interval holds no difference that would matter: half a point of
accuracy, or a twentieth of the time. One or two runs have no interval: their mean `points to yes` or `points to no`.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler
from scipy import stats

from fastresnet.report.captions import without_tags

Status = Literal["confirmed", "not confirmed", "cannot tell", "points to yes", "points to no"]
MIN_RUNS = 3
CONFIDENCE = 0.95
SMALLEST_DIFFERENCE = 0.005
"""The smallest difference of two accuracies that would matter to somebody who chooses between them."""
SMALLEST_RATIO = 1.05
"""The smallest ratio of two times, or other costs, that would matter."""


@dataclass(frozen=True)
class Verdict:
    """A claim, the answer, and the figures that the answer rests on."""

    claim: str
    status: Status
    evidence: str

    def _repr_markdown_(self) -> str:
        return without_tags(f"**Verdict: {self.status}.** {self.claim} {self.evidence}")


@dataclass(frozen=True)
class VerdictList:
    """Several verdicts, shown as a list."""

    verdicts: tuple[Verdict, ...]

    def _repr_markdown_(self) -> str:
        return "\n".join(f"- {verdict._repr_markdown_()}" for verdict in self.verdicts)


def as_list(verdicts: Sequence[Verdict]) -> VerdictList:
    """Shows verdicts as one list in a notebook."""
    return VerdictList(tuple(verdicts))


def overview(answers: Mapping[str, Verdict | VerdictList]) -> Styler:
    """Table of a chapter's verdicts, one row per claim, under its id; a notebook shows it in full."""
    rows = [
        {"": name, "claim, as tested": verdict.claim.replace("*", ""), "verdict": verdict.status}
        for name, answer in answers.items()
        for verdict in (answer.verdicts if isinstance(answer, VerdictList) else (answer,))
    ]
    return pd.DataFrame(rows, columns=["", "claim, as tested", "verdict"]).style.hide(axis="index")


def higher(claim: str, high: Sequence[float], low: Sequence[float], *, margin: float = 0.0, paired: bool = False) -> Verdict:
    """Tests that the mean of `high` is larger by more than `margin`. Values are fractions, shown in percentage points.

    A negative margin tests that the mean is not smaller by more than that. `paired` pairs the values in order.
    """
    test = _compare(high, low, paired=paired)
    status = test.above(margin, or_at_least=0.0 if margin else SMALLEST_DIFFERENCE)
    matters = f"margin {100 * margin:+.1f}" if margin else f"{100 * SMALLEST_DIFFERENCE:g} would matter"
    return test.verdict(claim, status, f"Difference {test.points}", f"{test.interval} ({matters}; {test.in_words})")


def equivalent(claim: str, one: Sequence[float], other: Sequence[float], *, margin: float) -> Verdict:
    """Tests that two means differ by less than `margin` either way. Values are fractions, shown in percentage points."""
    test = _compare(one, other)
    interval = f"{test.interval} (margin ±{100 * margin:.1f}; {test.in_words})"
    return test.verdict(claim, test.inside(margin), f"Difference {test.points}", interval)


def within(claim: str, differences: Sequence[float], *, margin: float) -> Verdict:
    """Tests that a mean difference lies within `margin` either way. Values are fractions, shown in percentage points."""
    test = _compare(differences, 0.0)
    interval = f"{test.interval} (margin ±{100 * margin:.1f}; {test.name}, {test.counts})"
    return test.verdict(claim, test.inside(margin), f"Mean difference {test.points}", interval)


def reaches(claim: str, values: Sequence[float], target: float) -> Verdict:
    """Tests that a mean is at least a target. Values are fractions, shown in percentage points."""
    test, mean = _compare(values, target), pd.Series(values, dtype=float).mean()
    estimate = f"Mean {100 * mean:.2f} %, {test.points} from the target"
    return test.verdict(claim, test.above(0.0), estimate, f"{test.interval} ({test.in_words})")


def faster(claim: str, fast: Sequence[float], slow: Sequence[float], *, by: float = 1.0) -> Verdict:
    """Tests that `slow` takes more than `by` times the seconds of `fast`. Being about a ratio, the test is on logarithms.

    With `by` below 1 it tests that `fast` takes at most 1/by times the seconds of `slow`.
    """
    return times_larger(claim, slow, fast, by=by, what="seconds")


def times_larger(claim: str, large: Sequence[float], small: Sequence[float], *, by: float = 1.0, what: str) -> Verdict:
    """Tests that the positive values of `large` are more than `by` times those of `small`. The test is on logarithms.

    `what` names the values in the evidence. With `by` below 1 it tests that `small` is at most 1/by times `large`.
    """
    test = _compare(large, small, log=True)
    status = test.above(math.log(by), or_at_least=math.log(SMALLEST_RATIO) if by == 1 else 0.0)
    matters = f"{SMALLEST_RATIO:g} would matter" if by == 1 else f"margin {by:.2f}"
    interval = f"95 % interval {np.exp(test.lower):.2f} to {np.exp(test.upper):.2f} ({matters}; {test.in_words})"
    if test.lower == test.upper:
        interval = f"the same in every run ({matters}; {test.counts})"
    return test.verdict(claim, status, f"Ratio of {what} {np.exp(test.difference):.2f}", interval)


def beyond(claim: str, values: Sequence[float], limit: float, *, below: bool = False, what: str) -> Verdict:
    """Tests that the geometric mean of positive values lies above a limit, or `below` it. The test is on logarithms.

    `what` names the values in the evidence."""
    test = _compare(values, limit, log=True)
    mean, lower, upper = limit * np.exp([test.difference, test.lower, test.upper])
    interval = f"95 % interval {lower:.2f} to {upper:.2f} (limit {limit:.2f}; {test.in_words})"
    return test.verdict(claim, test.below(0.0) if below else test.above(0.0), f"Mean {what} {mean:.2f}", interval)


def exact(claim: str, measured: Sequence[float], expected: Sequence[float], *, tolerance: float) -> Verdict:
    """Tests that measured values without noise equal the expected ones, with a relative error of at most `tolerance`."""
    error = float(np.max(np.abs(np.asarray(measured) / np.asarray(expected) - 1)))
    evidence = f"Largest relative error {error:.1e} over {len(measured)} values, {tolerance:.0e} allowed."
    return Verdict(claim, "confirmed" if error <= tolerance else "not confirmed", evidence)


def interval(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float] | None:
    """Difference of two samples' means and both ends of its 95 % interval (Welch); None if a sample has too few runs."""
    test = _compare(one, other)
    return (test.difference, test.lower, test.upper) if min(test.runs) >= MIN_RUNS else None


@dataclass(frozen=True)
class _Test:
    """Difference of a mean from another mean or from a number, with the results of a t-test. With too few runs for a test, both
    ends of the interval are the difference itself; without any run all three are NaN."""

    name: str
    runs: tuple[int, ...]
    """Number of runs with a value, per sample."""
    dropped: int
    """Number of runs without a value: they diverged, and their value is NaN."""
    difference: float = math.nan
    lower: float = math.nan
    upper: float = math.nan
    p: float = math.nan
    """Two-sided p-value."""
    effect: float = math.nan
    """Effect size: the difference in standard deviations of the samples."""

    def above(self, margin: float, *, or_at_least: float = 0.0) -> Status:
        """Whether the interval lies above a margin: not confirmed if it ends at most `or_at_least` above the margin."""
        return "confirmed" if self.lower > margin else "not confirmed" if self.upper <= margin + or_at_least else "cannot tell"

    def below(self, margin: float) -> Status:
        return "confirmed" if self.upper < margin else "not confirmed" if self.lower >= margin else "cannot tell"

    def inside(self, margin: float) -> Status:
        if self.lower > margin or self.upper < -margin:
            return "not confirmed"
        return "confirmed" if -margin < self.lower and self.upper < margin else "cannot tell"

    @property
    def points(self) -> str:
        return f"{100 * self.difference:+.2f} points"

    @property
    def interval(self) -> str:
        return f"95 % interval {100 * self.lower:+.2f} to {100 * self.upper:+.2f}"

    @property
    def counts(self) -> str:
        return "n = " + " and ".join(map(str, self.runs))

    @property
    def in_words(self) -> str:
        p = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}"
        effect = f"effect size {self.effect:.1f}, " if len(self.runs) > 1 else ""
        return f"{self.name}, {p}, {effect}{self.counts}"

    def verdict(self, claim: str, status: Status, estimate: str, interval: str) -> Verdict:
        """The verdict with its evidence. With too few runs for an interval, it says which way their mean points."""
        fewest = min(self.runs)
        left_out = f"; {self.dropped} runs without a value left out" * (self.dropped > 0)
        if fewest >= MIN_RUNS:
            return Verdict(claim, status, f"{estimate}, {interval}{left_out}.")
        if not fewest:
            return Verdict(claim, "cannot tell", f"There is no run to compare{left_out}.")
        few = f"{estimate}, of {fewest} run{'s' * (fewest != 1)}: too few for an interval{left_out}."
        return Verdict(claim, "points to yes" if status == "confirmed" else "points to no", few)


def _compare(one: Sequence[float], other: Sequence[float] | float, *, paired: bool = False, log: bool = False) -> _Test:
    """Tests two samples, independent or paired, or one sample against a number; on logarithms with `log`."""
    first, second = (np.log(sample) if log else np.asarray(sample, float) for sample in (one, other))
    if second.ndim == 0:
        name, sides, samples = "one-sample t-test", 1, [first - second]
    elif paired:
        name, sides, samples = "paired t-test", 2, [np.array([a - b for a, b in zip(first, second, strict=True)])]
    else:
        name, sides, samples = "Welch's t-test", 1, [first, second]
    kept = [sample[~np.isnan(sample)] for sample in samples]
    runs = sides * tuple(map(len, kept))
    dropped = sides * sum(map(len, samples)) - sum(runs)
    name += " on the logarithm" * log
    if min(runs) >= MIN_RUNS:
        return _Test(name, runs, dropped, *_t_test(kept))
    difference = _difference(kept) if min(runs) else math.nan
    return _Test(name, runs, dropped, difference, difference, difference)


def _difference(samples: Sequence[np.ndarray]) -> float:
    return float(samples[0].mean() - sum(sample.mean() for sample in samples[1:]))


def _t_test(samples: Sequence[np.ndarray]) -> tuple[float, float, float, float, float]:
    """Difference of two means, or one mean; both ends of its interval, the two-sided p-value and the effect size."""
    difference = _difference(samples)
    spread = float(np.sqrt(np.mean([sample.var(ddof=1) for sample in samples])))
    if spread < 1e-12:  # equal up to rounding: the t statistic is undefined, and nothing is uncertain
        return difference, difference, difference, float(difference == 0), math.inf if difference else 0.0
    with warnings.catch_warnings():
        # scipy mistakes a sample of equal values for a loss of precision; the test rests on the other sample's spread
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        test = stats.ttest_1samp(*samples, 0) if len(samples) == 1 else stats.ttest_ind(*samples, equal_var=False)
        interval = test.confidence_interval(CONFIDENCE)
    return difference, float(interval.low), float(interval.high), float(test.pvalue), difference / spread
