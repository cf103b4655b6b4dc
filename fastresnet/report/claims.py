"""Claims about two variants of one experiment, as verdicts: a chapter says what is claimed, the runs are looked up here."""

from fastresnet.report import values, verdicts
from fastresnet.report.verdicts import Verdict
from fastresnet.study import Results


def more_accurate(
    claim: str, results: Results, one: str, other: str, *, margin: float = 0.0, column: str = "test_accuracy"
) -> Verdict:
    """Tests that the runs of `one` end more accurate than those of `other`, by more than `margin`, as `verdicts.higher` does.

    `column` of `Results.frame()` is an accuracy, a fraction.
    """
    return verdicts.higher(claim, values(results, one, column), values(results, other, column), margin=margin)


def quicker(claim: str, results: Results, one: str, other: str, *, by: float = 1.0, column: str = "image_seconds") -> Verdict:
    """Tests that the runs of `other` take more than `by` times the seconds of `one`, as `verdicts.faster` does.

    `column` of `Results.frame()` is a time.
    """
    return verdicts.faster(claim, fast=values(results, one, column), slow=values(results, other, column), by=by)
