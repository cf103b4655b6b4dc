"""Verdicts on claims about two variants of one experiment: a chapter states the claim, this module looks up the runs."""

from fastresnet.report import values, verdicts
from fastresnet.report.verdicts import Verdict
from fastresnet.study import Results


def more_accurate(
    claim: str, results: Results, one: str, other: str, *, margin: float = 0.0, column: str = "test_accuracy"
) -> Verdict:
    """Tests that variant `one` ends more accurate than `other` by more than `margin`, as `verdicts.higher` does.

    `column` names accuracies in `Results.frame()`, which are fractions.
    """
    return verdicts.higher(claim, values(results, one, column), values(results, other, column), margin=margin)


def quicker(claim: str, results: Results, one: str, other: str, *, by: float = 1.0, column: str = "image_seconds") -> Verdict:
    """Tests that variant `other` takes more than `by` times the seconds of `one`, as `verdicts.faster` does.

    `column` names seconds in `Results.frame()`.
    """
    return verdicts.faster(claim, fast=values(results, one, column), slow=values(results, other, column), by=by)
