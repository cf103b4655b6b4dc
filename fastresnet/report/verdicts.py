"""Does the record bear out a claim? Three answers, each from an interval that is printed beside it.

All tests compare two samples of runs by the 95 % confidence interval of a difference of means: Welch's for runs with
nothing in common, the paired one for runs that share their seeds. A claim is `confirmed` if the whole interval lies on
its side of the margin, `not confirmed` if the whole interval lies on the other, and otherwise it cannot be told.
"""

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler
from scipy import stats

Status = Literal["confirmed", "not confirmed", "cannot tell"]
MIN_RUNS = 3
CONFIDENCE = 0.95


def without_tags(markdown: str) -> str:
    """Markdown in which nothing is HTML: names come from parameters and records, and Markdown passes HTML on to the page."""
    return re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", markdown)


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
    """The answers of a chapter by the claim's id, as a table that a notebook shows in full."""
    rows = [
        {"": name, "claim, as tested": verdict.claim.replace("*", ""), "verdict": verdict.status}
        for name, answer in answers.items()
        for verdict in (answer.verdicts if isinstance(answer, VerdictList) else (answer,))
    ]
    return pd.DataFrame(rows, columns=["", "claim, as tested", "verdict"]).style.hide(axis="index")


def higher(claim: str, high: Sequence[float], low: Sequence[float], *, margin: float = 0.0, paired: bool = False) -> Verdict:
    """Tests that `high` has the larger mean, by more than `margin`, both as fractions shown in percentage points.

    A negative margin tests that it is not smaller by more than that. `paired` pairs the values in order.
    """
    high, low, note = _with_values(high, low, paired)
    too_few = _too_few(claim, high, low)
    if too_few:
        return too_few
    difference, lower, upper, p, effect = _compare(high, low, paired)
    name = "paired t-test" if paired else "Welch's t-test"
    evidence = (
        f"Difference {100 * difference:+.2f} points, 95 % interval {100 * lower:+.2f} to {100 * upper:+.2f} "
        f"(margin {100 * margin:+.1f}; {name}, {_p(p)}, effect size {effect:.1f}, n = {len(high)} and {len(low)}){note}."
    )
    return Verdict(claim, _status(lower, upper, margin), evidence)


def faster(claim: str, fast: Sequence[float], slow: Sequence[float], *, by: float = 1.0) -> Verdict:
    """Tests that `slow` takes more than `by` times the seconds of `fast`, on the logarithm, as ratios want.

    With `by` below 1 it tests that `fast` takes at most 1/by times the seconds of `slow`.
    """
    return times_larger(claim, slow, fast, by=by, what="seconds")


def times_larger(claim: str, large: Sequence[float], small: Sequence[float], *, by: float = 1.0, what: str) -> Verdict:
    """Tests that positive values of one sample are more than `by` times those of the other, on the logarithm.

    `what` they are is named in the evidence. With `by` below 1 it tests that `small` is at most 1/by times `large`.
    """
    small, large, note = _with_values(small, large)
    too_few = _too_few(claim, small, large)
    if too_few:
        return too_few
    difference, lower, upper, p, effect = _compare(np.log(large).tolist(), np.log(small).tolist(), paired=False)
    sure = f"95 % interval {np.exp(lower):.2f} to {np.exp(upper):.2f} "
    test = f"Welch's t-test on the logarithm, {_p(p)}, effect size {effect:.1f}, "
    if lower == upper:
        sure, test = "the same in every run ", ""
    evidence = (
        f"Ratio of {what} {np.exp(difference):.2f}, {sure}(margin {by:.2f}; {test}n = {len(large)} and {len(small)}){note}."
    )
    return Verdict(claim, _status(lower, upper, float(np.log(by))), evidence)


def beyond(claim: str, values: Sequence[float], limit: float, *, below: bool = False, what: str) -> Verdict:
    """Tests that positive values lie above a limit, or below it, in their geometric mean: on the logarithm, as ratios want.

    `what` they are is named in the evidence."""
    kept, _, note = _with_values(values, [])
    too_few = _too_few(claim, kept, kept)
    if too_few:
        return too_few
    test = stats.ttest_1samp(np.log(kept), np.log(limit))
    interval = test.confidence_interval(CONFIDENCE)
    lower, upper = float(np.exp(interval.low)), float(np.exp(interval.high))
    evidence = (
        f"Mean {what} {np.exp(np.mean(np.log(kept))):.2f}, 95 % interval {lower:.2f} to {upper:.2f} "
        f"(limit {limit:.2f}; one-sample t-test on the logarithm, {_p(float(test.pvalue))}, n = {len(kept)}){note}."
    )
    return Verdict(claim, _status(-upper, -lower, -limit) if below else _status(lower, upper, limit), evidence)


def equivalent(claim: str, one: Sequence[float], other: Sequence[float], *, margin: float) -> Verdict:
    """Tests that two means differ by less than `margin` either way, as fractions shown in percentage points."""
    one, other, note = _with_values(one, other)
    too_few = _too_few(claim, one, other)
    if too_few:
        return too_few
    difference, lower, upper, p, effect = _compare(one, other, paired=False)
    inside, outside = -margin < lower and upper < margin, lower > margin or upper < -margin
    status: Status = "confirmed" if inside else "not confirmed" if outside else "cannot tell"
    evidence = (
        f"Difference {100 * difference:+.2f} points, 95 % interval {100 * lower:+.2f} to {100 * upper:+.2f} "
        f"(margin ±{100 * margin:.1f}; Welch's t-test, {_p(p)}, effect size {effect:.1f}, "
        f"n = {len(one)} and {len(other)}){note}."
    )
    return Verdict(claim, status, evidence)


def reaches(claim: str, values: Sequence[float], target: float) -> Verdict:
    """Tests that a mean is at least a target, both as fractions shown in percentage points."""
    kept, _, note = _with_values(values, [])
    too_few = _too_few(claim, kept, kept)
    if too_few:
        return too_few
    distances = np.asarray(kept) - target
    test = stats.ttest_1samp(distances, 0)
    interval = test.confidence_interval(CONFIDENCE)
    evidence = (
        f"Mean {100 * np.mean(kept):.2f} %, {100 * distances.mean():+.2f} points from the target, 95 % interval "
        f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f} (one-sample t-test, {_p(float(test.pvalue))}, "
        f"n = {len(kept)}){note}."
    )
    return Verdict(claim, _status(float(interval.low), float(interval.high), 0.0), evidence)


def within(claim: str, differences: Sequence[float], *, margin: float) -> Verdict:
    """Tests that a mean difference lies within `margin` either way, as fractions shown in percentage points."""
    kept, _, note = _with_values(differences, [])
    too_few = _too_few(claim, kept, kept)
    if too_few:
        return too_few
    test = stats.ttest_1samp(kept, 0)
    interval = test.confidence_interval(CONFIDENCE)
    lower, upper = float(interval.low), float(interval.high)
    inside, outside = -margin < lower and upper < margin, lower > margin or upper < -margin
    status: Status = "confirmed" if inside else "not confirmed" if outside else "cannot tell"
    evidence = (
        f"Mean difference {100 * np.mean(kept):+.2f} points, 95 % interval {100 * lower:+.2f} to {100 * upper:+.2f} "
        f"(margin ±{100 * margin:.1f}; one-sample t-test, n = {len(kept)}){note}."
    )
    return Verdict(claim, status, evidence)


def exact(claim: str, measured: Sequence[float], expected: Sequence[float], *, tolerance: float) -> Verdict:
    """Tests that measured values equal the expected ones, relative error at most `tolerance`; for what has no noise."""
    error = float(np.max(np.abs(np.asarray(measured) / np.asarray(expected) - 1)))
    evidence = f"Largest relative error {error:.1e} over {len(measured)} values, {tolerance:.0e} allowed."
    return Verdict(claim, "confirmed" if error <= tolerance else "not confirmed", evidence)


def interval(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float] | None:
    """Difference of two samples' means and the ends of its 95 % interval, Welch's; None where a sample is too small for one."""
    one, other, _ = _with_values(one, other)
    return _compare(one, other, paired=False)[:3] if min(len(one), len(other)) >= MIN_RUNS else None


def _compare(one: Sequence[float], other: Sequence[float], paired: bool) -> tuple[float, float, float, float, float]:
    """Difference of means, its interval, two-sided p, and the difference in standard deviations."""
    first, second = np.asarray(one, float), np.asarray(other, float)
    difference = float(first.mean() - second.mean())
    variance = (first - second).var(ddof=1) if paired else (first.var(ddof=1) + second.var(ddof=1)) / 2
    spread = float(np.sqrt(variance))
    if spread < 1e-12:  # equal to rounding: the t statistic is not defined, and there is nothing to be uncertain about
        return difference, difference, difference, float(difference == 0), float("inf") if difference else 0.0
    with warnings.catch_warnings():
        # scipy takes a sample of equal values for a loss of precision; the test stands on the other one's spread
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        test = stats.ttest_rel(first, second) if paired else stats.ttest_ind(first, second, equal_var=False)
        interval = test.confidence_interval(CONFIDENCE)
    return difference, float(interval.low), float(interval.high), float(test.pvalue), difference / spread


def _status(lower: float, upper: float, margin: float) -> Status:
    if lower > margin:
        return "confirmed"
    return "not confirmed" if upper <= margin else "cannot tell"


def _with_values(one: Sequence[float], other: Sequence[float], paired: bool = False) -> tuple[list[float], list[float], str]:
    """Both samples without the runs that have no value (NaN: they diverged), whole pairs if paired; and how many those were."""
    if paired:
        pairs = [pair for pair in zip(one, other, strict=True) if not any(map(math.isnan, pair))]
        kept, rest = [first for first, _ in pairs], [second for _, second in pairs]
    else:
        kept, rest = ([value for value in sample if not math.isnan(value)] for sample in (one, other))
    dropped = len(one) + len(other) - len(kept) - len(rest)
    return kept, rest, f"; {dropped} runs without a value left out" if dropped else ""


def _too_few(claim: str, one: Sequence[float], other: Sequence[float]) -> Verdict | None:
    fewest = min(len(one), len(other))
    if fewest >= MIN_RUNS:
        return None
    return Verdict(claim, "cannot tell", f"n too small: {fewest} run{'s' * (fewest != 1)} a side, {MIN_RUNS} are needed.")


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
