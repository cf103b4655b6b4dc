"""Answers: for each experiment the original's figure, the one measured here, a sentence, verdicts, a figure and tables.

A section of a chapter shows an answer. The table of a chapter, and that of the study's findings, has one row per answer.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from fastresnet.records.record import in_percent
from fastresnet.report.captions import finding
from fastresnet.report.claims import more_accurate, near, quicker
from fastresnet.report.original import EPOCH_IMAGES, EPOCHS
from fastresnet.report.tables import ACCURACY, SETTLED, Sample, average, most_accurate, spread, values
from fastresnet.report.verdicts import Verdict, our_own
from fastresnet.study import Results, Study

Table: TypeAlias = pd.DataFrame | Styler
_OTHER_DATA = "another data set"


@dataclass(frozen=True)
class Answer:
    """The outcome of an experiment beside the original's, and how it is shown."""

    original: str
    """The original's figure, as text."""
    here: str
    difference: str
    """The figure here minus the original's; where the original prints none, the difference of the two figures here."""
    summary: str = ""
    """What came out, in one sentence with its figures. Empty if a variant that it tells of was not run."""
    verdicts: tuple[Verdict, ...] = ()
    figure: Callable[[], Figure] | None = None
    """Draws the figure."""
    tables: Sequence[Table] = ()
    results: tuple[Results, ...] = ()
    """The experiments that the answer rests on, the one that it answers first. `answer` puts them here."""

    @property
    def asked(self) -> list[Verdict]:
        """The verdicts whose variants were run."""
        return [verdict for verdict in self.verdicts if verdict.outcome != "not asked"]

    @property
    def borne_out(self) -> str:
        """Whether our runs bear out what the original claims here: "yes" if every verdict on it is, "partly" if some are, "no" if
        none is and at least one is a no, else "cannot tell". "so far" stands before it if some of these verdicts rest on one or
        two runs. Empty if the original claims nothing, or its variants were not run."""
        outcomes = {verdict.outcome for verdict in self.asked if verdict.claimed}
        words = {"yes" if outcome.endswith("yes") else "no" if outcome != "cannot tell" else outcome for outcome in outcomes}
        word = "".join(words) if len(words) < 2 else "partly" if "yes" in words else "no"
        return f"{'so far ' * any(outcome.startswith('points') for outcome in outcomes)}{word}"

    @property
    def on_fewer_images(self) -> bool:
        """Whether the answer is about accuracies of runs on fewer images than the original's, or on others."""
        return not self.timed and not at_the_reports_scale(self.results[0])

    @property
    def timed(self) -> bool:
        """Whether the answer is about times alone, which are of another machine than the original's."""
        return all(record.step_seconds and record.epochs_trained <= 1 for record in self.results[0].all_records)

    @property
    def sentence(self) -> str:
        """The summary, or else which variants are the best and the worst."""
        return self.summary or finding(self.results[0], "image_seconds" if self.timed else "test_accuracy")


Questions = Mapping[str, tuple[Callable[..., Answer], *tuple[str, ...]]]
"""By experiment: the function that answers it from its results, and further experiments whose results that function takes."""


def answer(study: Study, questions: Questions, experiment: str) -> Answer:
    """The answer to one experiment, from the records that a page shows. Runs on another data set than the original's have no
    figure of the original beside them."""
    answered, *further = questions[experiment]
    results = tuple(study.best_recorded(each) for each in (experiment, *further))
    found = replace(answered(*results), results=results)
    return replace(_all_our_own(found), original=_OTHER_DATA) if results[0].other_data else found


def _all_our_own(answer: Answer) -> Answer:
    return replace(answer, verdicts=tuple(map(our_own, answer.verdicts)))


def tally(answers: Iterable[Answer]) -> str:
    """How many of the original's claims our runs bear out, and how many rest on few runs, on fewer images, or on times of another
    machine, as a clause."""
    claims = [each for each in answers if each.borne_out]
    counts = Counter(each.borne_out.removeprefix("so far ") for each in claims)
    few, small = sum(each.borne_out.startswith("so far") for each in claims), sum(each.on_fewer_images for each in claims)
    other = sum(each.timed for each in claims)
    yes, partly, no, unknown = (counts[word] for word in ("yes", "partly", "no", "cannot tell"))
    said = f"{yes} of {len(claims)} {_are(yes)} borne out, {partly} in part, {no} {_are(no)} not"
    said += f", {unknown} undecided" * (unknown > 0)
    on = ((few, "one or two runs"), (small, "fewer images"), (other, "times of another machine"))
    rest = ", ".join(f"{number} on {what}" for number, what in on if number)
    return f"{said} (of all {len(claims)}, {rest})" if rest else said


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def own(answered: Callable[..., Answer]) -> Callable[..., Answer]:
    """The function whose answer is that of `answered`, to questions that are all our own."""

    return lambda *results: _all_our_own(answered(*results))


def sentence(text: str, *samples: Sample) -> str:
    """A sentence about some samples; empty if one of them has no value, since its variant was not run or diverged."""
    return text if all(pd.Series(sample, dtype=float).notna().any() for sample in samples) else ""


def percent(accuracies: Sample) -> str:
    """Accuracies in [0, 1] as "75.4 ± 0.2 %", mean and standard deviation; says how many runs have none, since they diverged. A
    dash if there was no run."""
    known = pd.Series(accuracies, dtype=float)
    diverged = int(known.isna().sum())
    if diverged == len(known):
        return "diverged" if diverged else "—"
    return f"{spread(100 * known, 1)} %" + f" ({diverged} of {len(known)} diverged)" * bool(diverged)


def mean(accuracies: Sample) -> str:
    """Mean of accuracies in [0, 1] as "75.5 %"; "diverged" if none has a value."""
    known = average(accuracies)
    return "diverged" if math.isnan(known) else in_percent(known, 1)


def seconds(durations: Sample) -> str:
    """Seconds as "16.4 ± 0.2 s", mean and standard deviation."""
    return f"{spread(durations, 1)} s"


def milliseconds(durations: Sample) -> str:
    """Mean of some seconds as "2.31 ms"."""
    return f"{1e3 * average(durations):.2f} ms"


def points(one: Sample, other: Sample) -> str:
    """Mean of some accuracies minus the mean of others, as text in percentage points."""
    change = average(one) - average(other)
    return "—" if math.isnan(change) else f"{100 * change:+.2f} points"


def to_report(results: Results, ours: Sample, printed: float) -> str:
    """How far the mean of some accuracies lies above or below the one that the report prints, as text in percentage points.
    Runs on other images than the report's, on fewer, or of other epochs are not compared."""
    if results.other_data:
        return _OTHER_DATA
    if not at_the_reports_scale(results):
        return "fewer images"
    if not comparable(results):
        return "other epochs"
    change = 100 * (average(ours) - printed)
    return "—" if math.isnan(change) else f"{change:+.2f} points against the report"


def at_the_reports_scale(results: Results) -> bool:
    """Whether all runs trained on the report's images, and on as many."""
    records = results.all_records
    return not results.other_data and all(
        record.data and record.data.train_images == EPOCH_IMAGES.get(record.config.data.name) for record in records
    )


def comparable(results: Results) -> bool:
    """Whether all runs trained on the report's images, and for its epochs, so that their ends can stand beside its own."""
    epochs = {record.config.train.epochs for record in results.all_records}
    return at_the_reports_scale(results) and epochs == {EPOCHS.get(results.all_records[0].config.data.name)}


def near_printed(results: Results, printed: Mapping[str, float]) -> tuple[Verdict, ...]:
    """Whether variants end within a point of the accuracies that the original prints, by variant; nothing of runs on other images
    than the original's, or of other epochs."""
    return tuple(near(results, variant, accuracy) for variant, accuracy in printed.items() if comparable(results))


def times(one: Sample, other: Sample, what: str = " the time") -> str:
    """Geometric mean of one sample over that of another, by which verdicts judge, as "1.25 times the time"; a dash if it is not
    known."""
    quotient = math.exp(average(np.log(one)) - average(np.log(other)))
    return "—" if math.isnan(quotient) else f"{quotient:.{2 if quotient < 10 else 0}f} times{what}"


def beside(show: Callable[[Sample], str], samples: Mapping[str, Sample]) -> str:
    """The figures of some variants as text, each after its name; variants without runs are left out."""
    return "; ".join(f"{variant}: {show(sample)}" for variant, sample in samples.items() if sample)


def choice(
    results: Results,
    chosen: str,
    original: str,
    verdicts: Iterable[Verdict] = (),
    *,
    figure: Callable[[], Figure],
    tables: Sequence[Table] = (),
    column: str = ACCURACY,
) -> Answer:
    """The answer on how the variant that the original chose compares with the best of the others on the test set: whether it is
    at most one point less accurate, at the end or with `SETTLED` as `column` over the last five epochs. `verdicts` on further
    questions are added."""
    rival = most_accurate(results, besides=chosen, column=column)
    ours, theirs = (values(results, variant, column) for variant in (chosen, rival))
    close = more_accurate(results, chosen, rival, margin=-0.01, column=column)
    less = ", less accurate" * (more_accurate(results, rival, chosen, column=column).outcome == "yes")
    few = ", in one run of each" * (len(results.seeds) == 1)
    if average(ours) >= average(theirs):
        said = f"The report's choice, “{chosen}”, did best here, too{few}: {mean(ours)}. Next is “{rival}” with {mean(theirs)}."
    else:
        judged = {
            "yes": ", within a point of it",
            "points to yes": ", within a point of it",
            "cannot tell": f"{less}. These runs cannot tell whether that is within a point of it",
        }.get(close.outcome, ", more than a point below it")
        said = f"“{rival}” did best{few}, with {mean(theirs)}. The report's choice, “{chosen}”, has {mean(ours)}{judged}."
    said += " These are means over the evaluations of the last five epochs." * (column == SETTLED)
    return Answer(
        original=original,
        here=beside(percent, {chosen: ours, rival: theirs}),
        difference=points(ours, theirs),
        summary=sentence(said, ours, theirs),
        verdicts=(close, *verdicts),
        figure=figure,
        tables=tables,
    )


def duel(
    results: Results,
    one: str,
    other: str,
    original: str,
    verdicts: Sequence[Verdict],
    *,
    figure: Callable[[], Figure],
    tables: Sequence[Table],
    paired: bool = False,
) -> Answer:
    """The answer that compares two variants by their accuracy on the test set."""
    ours, theirs = (values(results, variant, "test_accuracy") for variant in (one, other))
    asked, turned = (more_accurate(results, *pair, paired=paired) for pair in ((one, other), (other, one)))
    said = _answering(asked, turned, f"“{one}”", "more accurate", "less accurate")
    said = sentence(f"{said}: {mean(ours)}, against {mean(theirs)} with “{other}”.", ours, theirs)
    here = beside(percent, {one: ours, other: theirs})
    return Answer(original, here, points(ours, theirs), said, tuple(verdicts), figure, tables)


def timed(
    results: Results,
    one: str,
    other: str,
    original: str,
    verdicts: Sequence[Verdict],
    *,
    figure: Callable[[], Figure],
    tables: Sequence[Table],
) -> Answer:
    """The answer that compares two variants by the time that an image takes."""
    ours, theirs = (values(results, variant, "image_seconds") for variant in (one, other))
    said = _answering(quicker(results, one, other), quicker(results, other, one), f"“{one}”", "faster", "slower")
    said = sentence(f"{said}: {milliseconds(ours)} per image, against {milliseconds(theirs)} with “{other}”.", ours, theirs)
    here = f"{beside(milliseconds, {one: ours, other: theirs})} per image"
    return Answer(original, here, times(ours, theirs), said, tuple(verdicts), figure, tables)


def _answering(asked: Verdict, turned: Verdict, subject: str, more: str, less: str) -> str:
    """The beginning of a sentence that answers whether a subject is `more` of something, or `less`, which the `turned` verdict
    says."""
    match asked.outcome:
        case "yes":
            return f"{subject} is {more}"
        case "cannot tell":
            return f"These runs cannot tell whether {subject} is {more}"
        case "points to yes":
            return f"So far {subject} is {more}"
        case "points to no":
            return f"So far {subject} is {less if turned.outcome == 'points to yes' else f'not {more} by an amount that matters'}"
    return f"{subject} is {less if turned.outcome == 'yes' else f'no {more}'}"


def scale(results: Results) -> str:
    """Training images, epochs and number of seeds, as "50,000 x 20, n = 3"; those of the longest run if variants differ."""
    each = [(record.data.train_images, record.config.train.epochs) for record in results.all_records if record.data]
    images, epochs = max(each, key=lambda run: (run[0] * run[1], run[0]))
    return f"{images:,} x {epochs:g}, n = {len(results.seeds)}"
