"""Verdicts on two variants of one experiment: questions and sentences are worded here, the runs are looked up in the results."""

from fastresnet.records.record import as_printed
from fastresnet.report import ACCURACY, FASTEST, values
from fastresnet.report.verdicts import Verdict, difference, ratio
from fastresnet.study import Results


def more_accurate(
    results: Results, one: str, other: str, *, margin: float = 0.0, paired: bool = False, column: str = ACCURACY
) -> Verdict:
    """Tests whether variant `one` is more accurate on the test set than `other`, by more than `margin`, a fraction: at the end,
    or with `SETTLED` as `column` over the last five epochs.

    A negative margin asks whether it is at most that much less accurate. `paired` compares runs of equal seeds."""
    points = f"{100 * abs(margin):g} point{'s' * (abs(margin) != 0.01)}"
    how = f"more than {points} more" if margin > 0 else f"at most {points} less" if margin else "more"
    ours, theirs = (values(results, variant, column) for variant in (one, other))
    found = f"“{one}” is {{}} {{more|less}} accurate"
    return difference(f"Is “{one}” {how} accurate than “{other}”?", found, ours, theirs, above=margin, paired=paired)


def equally_accurate(
    results: Results, one: str, other: str, *, margin: float, paired: bool = False, column: str = ACCURACY
) -> Verdict:
    """Tests whether two variants are within `margin` of each other, a fraction, on the test set. `paired` and `column` are those
    of `more_accurate`."""
    points = f"{100 * margin:g} point{'s' * (margin != 0.01)}"
    ours, theirs = (values(results, variant, column) for variant in (one, other))
    found = f"“{one}” is {{}} {{more|less}} accurate"
    return difference(f"Are “{one}” and “{other}” within {points}?", found, ours, theirs, within=margin, paired=paired)


def near(results: Results, variant: str, printed: float, column: str = ACCURACY) -> Verdict:
    """Tests whether a variant ends within a point, either way, of the test accuracy that the original prints, in [0, 1]. `column`
    is that of `more_accurate`."""
    question = f"Does “{variant}” end within a point of the report's {as_printed(printed)}?"
    return difference(question, "It ends {} {above|below}", values(results, variant, column), printed, within=0.01)


def fits_better(results: Results, one: str, other: str) -> Verdict:
    """Tests whether variant `one` ends with a higher accuracy on the training images than `other`."""
    ours, theirs = (values(results, variant, "train_accuracy") for variant in (one, other))
    found = f"On these images “{one}” ends {{}} {{higher|lower}}"
    return difference(f"Does “{one}” fit the training images better than “{other}”?", found, ours, theirs)


def overfits(results: Results, variant: str) -> Verdict:
    """Tests whether a variant's training accuracy ends above its test accuracy by more than ten points."""
    train, test = (values(results, variant, f"{part}_accuracy") for part in ("train", "test"))
    question = f"Does training accuracy end more than 10 points above test accuracy (“{variant}”)?"
    return difference(question, "It ends {} {above|below}", train, test, above=0.1, paired=True)


def quicker(
    results: Results, one: str, other: str, *, what: str = "an image", column: str = "image_seconds", at_most: float = 1.0
) -> Verdict:
    """Tests whether variant `one` takes less time than `other`, or less than `at_most` times as long.

    `what` takes the time; `column` names its seconds in `Results.frame()`."""
    ours, theirs = (values(results, variant, column) for variant in (one, other))
    question = (
        f"Does {what} take less time with “{one}” than with “{other}”?"
        if at_most == 1
        else f"Does {what} take at most {at_most:g} times as long with “{one}” as with “{other}”?"
    )
    return ratio(question, "It takes {} as long", ours, theirs, below=at_most)


def sooner(results: Results, one: str, other: str, *, at_most: float = 1.0) -> Verdict:
    """Tests whether an epoch is shorter with variant `one`, or less than `at_most` times as long, by the fastest epoch of
    each run, since other load can only slow one down."""
    return quicker(results, one, other, what="an epoch", column=FASTEST, at_most=at_most)
