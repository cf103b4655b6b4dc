"""Verdicts: whether the records answer a question with yes or no, what was measured, and how sure that is.

All tests use the 95 % confidence interval of a difference of means, or of a ratio of geometric means: Welch's for two independent
samples, the paired one for runs that share their seeds, the one-sample one for a mean against a number. The answer is `yes` if
the whole interval lies on the asked side of the limit, `no` if it lies on the other side, and `cannot tell` otherwise. A question
about *more* or *less*, without a margin, is also answered if nothing that would matter is left: half a point of accuracy, or a
twentieth of the time. One or two runs have no interval: their mean `points to yes`, if by as much, or `points to no`.
"""

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from fastresnet.report.captions import without_tags
from fastresnet.report.tables import Sample

Outcome = Literal["yes", "no", "no difference that matters", "cannot tell", "points to yes", "points to no", "not asked"]
MIN_RUNS = 3
CONFIDENCE = 0.95
SMALLEST_DIFFERENCE = 0.005
"""The smallest difference of two accuracies that would matter to somebody who chooses between them."""
SMALLEST_RATIO = 1.05
"""The smallest ratio of two times, or other costs, that would matter."""
_ROUNDING = 1e-9
"""Differences below this one are of rounding alone: a value at a limit is not beyond it."""
_MANY_RUNS = 200
"""Numbers of runs above this one are not spelled out when a verdict says what it would take to tell."""


@dataclass(frozen=True)
class Verdict:
    """A question, the answer, what was measured in one sentence, and the statistics that the answer rests on."""

    question: str
    outcome: Outcome
    found: str
    statistics: str
    claimed: bool = True
    """Whether the original claims that the answer is yes. Otherwise the question is ours alone."""

    def _repr_markdown_(self) -> str:
        return without_tags(f"{self.question} **{self.outcome.capitalize()}.** {self.found}")


@dataclass(frozen=True)
class VerdictList:
    """Several verdicts, shown as a list without those whose variants were not run. Where some are on what the original claims,
    those that are not say so."""

    verdicts: tuple[Verdict, ...]

    def _repr_markdown_(self) -> str:
        asked = [verdict for verdict in self.verdicts if verdict.outcome != "not asked"]
        mixed = len({verdict.claimed for verdict in asked}) > 1
        ours = "*A question of our own:* "
        return "\n".join(f"- {ours * (mixed and not verdict.claimed)}{verdict._repr_markdown_()}" for verdict in asked)


def our_own(verdict: Verdict) -> Verdict:
    """The verdict on a question of which the original claims nothing."""
    return replace(verdict, claimed=False)


def difference(
    question: str,
    found: str,
    one: Sample,
    other: Sample | float,
    *,
    above: float = 0.0,
    within: float | None = None,
    matters: float = SMALLEST_DIFFERENCE,
    paired: bool = False,
) -> Verdict:
    """Tests whether the mean of `one` minus that of `other`, or minus a number, lies `above` a limit or `within` it either way.

    Values are fractions, shown in percentage points. `found` says what was measured, with `{}` for the size of the difference and
    words for both directions, as in "*a* is {} {more|less} accurate than *b*". Without a limit, a difference below `matters` does
    not count. `paired` pairs the values in order.
    """
    test = _compare(one, other, paired=paired)
    if within is None:
        matters = 0.0 if above else matters
        outcome, missed = test.above(above, matters=matters)
        limit = f"more than {100 * above:+g} points" + f", {100 * matters:g} points would matter" * (matters > 0)
    else:
        outcome, missed = test.inside(within)
        limit = f"within ±{100 * within:g} points"
    low, high = 100 * test.lower, 100 * test.upper
    few = min(test.runs) < MIN_RUNS
    said = _in_points(found, test, within or above or matters * few)
    return test.verdict(question, outcome, said, f"asked: {limit}; 95 % interval {low:+.2f} to {high:+.2f} points", missed)


def ratio(
    question: str, found: str, one: Sample, other: Sample | float, *, below: float | None = None, above: float | None = None
) -> Verdict:
    """Tests whether the ratio of two geometric means, or of one to a number, lies `below` or `above` a limit.

    The test is on logarithms; values are positive. `found` says what was measured, with `{}` for the ratio, as in "an epoch with
    *a* takes {} as long as with *b*".
    """
    test = _compare(one, other, log=True)
    limit = below or above or 1.0
    matters = math.log(SMALLEST_RATIO) if limit == 1 else 0.0
    judge = test.below if below else test.above
    outcome, missed = judge(math.log(limit), matters=matters)
    times, low, high = np.exp([test.difference, test.lower, test.upper])
    digits = _digits(2, limit, low, high)
    shown = f" ({_times(low, digits)} to {_times(high, digits)}" if low < high else " (the same in every run"
    said = found.replace("{}", f"{_times(times, _digits(2, limit, times))} times") + (
        shown if min(test.runs) >= MIN_RUNS else " ("
    )
    asked = f"asked: {'below' if below else 'above'} {limit:g}" + f", {SMALLEST_RATIO:g} would matter" * bool(matters)
    return test.verdict(question, outcome, said, f"{asked}; 95 % interval {low:.3f} to {high:.3f}", missed)


def exact(question: str, found: str, measured: Sample, expected: Sample, *, tolerance: float) -> Verdict:
    """Tests whether measured values without noise equal the expected ones, with a relative error of at most `tolerance`.

    `found` says what was measured, with `{}` for the largest relative error."""
    error = float(np.max(np.abs(np.asarray(measured) / np.asarray(expected) - 1)))
    shown = f"{error:.1e}" if error else "0"
    statistics = f"Asked: a relative error of at most {tolerance:.0e}, over {len(measured)} values."
    return Verdict(question, "yes" if error <= tolerance else "no", found.replace("{}", shown), statistics)


def interval(one: Sample, other: Sample, *, paired: bool = False) -> tuple[float, float, float] | None:
    """Difference of two samples' means and both ends of its 95 % interval, by Welch's or the paired t-test; None if a sample has
    too few runs."""
    test = _compare(one, other, paired=paired)
    return (test.difference, test.lower, test.upper) if min(test.runs) >= MIN_RUNS else None


def _times(ratio: float, digits: int = 2) -> str:
    """A ratio with `digits` decimals, or with fewer if it is 10 or more."""
    return f"{ratio:,.{digits if ratio < 10 else int(ratio < 100)}f}" if math.isfinite(ratio) else "—"


def _digits(digits: int, limit: float, *bounds: float) -> int:
    """Number of decimals: `digits`, or more if a bound would otherwise round to a `limit` that it does not equal; at most 4, or 2
    for a limit of 0."""
    while digits < (4 if limit else 2) and any(round(bound, digits) == round(limit, digits) != bound for bound in bounds):
        digits += 1
    return digits


def _in_points(found: str, test: "_Test", limit: float) -> str:
    """Fills the sentence `found` with a difference in percentage points and the ends of its interval, worded by the sign of the
    difference; its bracket stays open. The difference is judged by `limit`, a fraction."""
    sign = -100.0 if test.difference < 0 else 100.0
    low, high = sorted((sign * test.lower, sign * test.upper))
    fine = high - low if high > low else abs(100 * test.difference)  # a single run has no interval
    digits = _digits(2 if 0 < fine < 1 else 1, 100 * abs(limit), abs(low), abs(high), abs(100 * test.difference))
    words = re.search(r"\{(\w+)\|(\w+)\}", found)
    this, that = (words.groups() if sign > 0 else words.groups()[::-1]) if words else ("", "")
    if round(abs(100 * test.difference), digits) == 0:
        found = found.replace("{} {more|less} accurate", "equally accurate")
    said = re.sub(r"\{\w+\|\w+\}", this, found).replace("{}", f"{sign * test.difference:.{digits}f} points")
    if min(test.runs) < MIN_RUNS:
        return f"{said} ("
    if low < 0 and words:
        return f"{said} (from {-low:.{digits}f} {that} to {high:.{digits}f} {this}"
    return f"{said} ({low:.{digits}f} to {high:.{digits}f}"


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
    spread: float = math.nan
    """Standard deviation of the runs within a sample."""

    def above(self, limit: float, *, matters: float) -> tuple[Outcome, float]:
        """Whether the interval lies above a limit, and the half-width of an interval that would decide it. Also decided is an
        interval that ends at most `matters` above the limit."""
        missed = max(self.difference - limit, limit + matters - self.difference)
        # a single run that is ahead by less than matters points to nothing
        if self.lower > limit + matters * (min(self.runs) < MIN_RUNS) + _ROUNDING:
            return "yes", missed
        if self.upper > limit + matters + _ROUNDING:
            return "cannot tell", missed
        return ("no difference that matters" if matters and self.lower >= limit - matters - _ROUNDING else "no"), missed

    def below(self, limit: float, *, matters: float) -> tuple[Outcome, float]:
        """Whether the interval lies below a limit, like `above`."""
        turned = replace(self, difference=-self.difference, lower=-self.upper, upper=-self.lower)
        return turned.above(-limit, matters=matters)

    def inside(self, margin: float) -> tuple[Outcome, float]:
        """Whether the interval lies within a margin either way, and the half-width of an interval that would decide it."""
        missed = abs(margin - abs(self.difference))
        if self.lower > margin or self.upper < -margin:
            return "no", missed
        return ("yes" if -margin < self.lower and self.upper < margin else "cannot tell"), missed

    @property
    def counts(self) -> str:
        return f"n = {' and '.join(map(str, dict.fromkeys(self.runs)))}"

    def verdict(self, question: str, outcome: Outcome, found: str, statistics: str, missed: float) -> Verdict:
        """The verdict whose sentence is `found` (its last bracket still open), completed by the number of runs. With too few
        runs, it says which way their mean points."""
        fewest = min(self.runs)
        if not fewest:
            return Verdict(question, "not asked", "There is no run to compare.", "")
        some = "1 run without a value is" if self.dropped == 1 else f"{self.dropped} runs without a value are"
        left_out = f" {some} left out." * (self.dropped > 0)
        if fewest < MIN_RUNS:
            said = f"{found}{self.counts}: too few for an interval).{left_out}"
            return Verdict(question, "points to yes" if outcome == "yes" else "points to no", said, "")
        said = f"{found}; {self.counts}).{left_out}"
        if outcome == "cannot tell" and (self.lower > 0 or self.upper < 0):
            said += " That there is a difference is clear; on which side of the limit it lies is open."
        if outcome == "cannot tell":
            said += f" {self._would_take(missed)}"
        if not self.spread:
            return Verdict(question, outcome, said, f"{self.name}, {statistics.partition(';')[0]}; the same in every run.")
        p = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}"
        effect = f", effect size {self.difference / self.spread:.1f}" if len(self.runs) > 1 else ""
        return Verdict(question, outcome, said, f"{self.name}, {statistics}, {p} for no difference{effect}.")

    def _would_take(self, missed: float) -> str:
        """How many runs would decide a question, if mean and spread stay what they are."""
        samples = 2 if self.name.startswith("Welch") else 1
        runs = np.arange(min(self.runs) + 1, _MANY_RUNS + 1)
        widths = stats.t.ppf((1 + CONFIDENCE) / 2, samples * (runs - 1)) * self.spread * np.sqrt(samples / runs)
        enough = runs[widths < missed]
        number = f"about {enough[0]}" if enough.size else f"more than {_MANY_RUNS}"
        return f"It would take {number} runs{' of each' * (samples == 2)} to tell."


def _compare(one: Sample, other: Sample | float, *, paired: bool = False, log: bool = False) -> _Test:
    """Tests two samples, independent or paired, or one sample against a number; on logarithms with `log`."""
    first, second = (np.log(sample) if log else np.asarray(sample, float) for sample in (one, other))
    if second.ndim == 0:
        name, sides, samples = "One-sample t-test", 1, [first - second]
    elif paired:
        name, sides, samples = "Paired t-test", 2, [np.array([a - b for a, b in zip(first, second, strict=True)])]
    else:
        name, sides, samples = "Welch's t-test", 1, [first, second]
    kept = [sample[~np.isnan(sample)] for sample in samples]
    runs = sides * tuple(map(len, kept))
    dropped = sum(int(np.isnan(each).sum()) for each in (first, second))
    name += " on the logarithm" * log
    if min(runs) >= MIN_RUNS:
        return _Test(name, runs, dropped, *_t_test(kept))
    difference = _difference(kept) if min(runs) else math.nan
    return _Test(name, runs, dropped, difference, difference, difference)


def _difference(samples: Sequence[np.ndarray]) -> float:
    return float(samples[0].mean() - sum(sample.mean() for sample in samples[1:]))


def _t_test(samples: Sequence[np.ndarray]) -> tuple[float, float, float, float, float]:
    """Difference of two means, or one mean; both ends of its interval, the two-sided p-value and the spread within a sample."""
    difference = _difference(samples)
    spread = float(np.sqrt(np.mean([sample.var(ddof=1) for sample in samples])))
    if spread < 1e-12:  # equal up to rounding: the t statistic is undefined, and nothing is uncertain
        return difference, difference, difference, float(difference == 0), 0.0
    with warnings.catch_warnings():
        # scipy mistakes a sample of equal values for a loss of precision; the test rests on the other sample's spread
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        test = stats.ttest_1samp(*samples, 0) if len(samples) == 1 else stats.ttest_ind(*samples, equal_var=False)
        interval = test.confidence_interval(CONFIDENCE)
    return difference, float(interval.low), float(interval.high), float(test.pvalue), spread
