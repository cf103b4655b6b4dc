"""Answers: for each experiment the original's figure, the one measured here, their difference, and the verdicts.

Each section of a chapter ends with an answer. The table of the study's findings has one row per answer.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from pandas.io.formats.style import Styler

from fastresnet.report.captions import without_tags
from fastresnet.report.tables import most_accurate, spread, values
from fastresnet.report.verdicts import Verdict, higher
from fastresnet.study import Results, Study


@dataclass(frozen=True)
class Answer:
    """The outcome of an experiment beside the original's: both figures as text, their difference, and verdicts."""

    results: Results
    """The runs that the answer rests on."""
    original: str
    here: str
    difference: str
    """The figure here minus the original's; where the original prints none, the difference of the two figures here."""
    verdicts: tuple[Verdict, ...]

    def _repr_markdown_(self) -> str:
        return "\n".join(f"- {verdict._repr_markdown_()}" for verdict in self.verdicts)


Questions = Mapping[str, tuple[Callable[..., Answer], tuple[str, ...]]]
"""By experiment: the function that answers it, and the experiments whose results that function takes."""


def answer(study: Study, questions: Questions, experiment: str) -> Answer:
    """The answer to one experiment, from the records that a page shows."""
    answered, rests_on = questions[experiment]
    return answered(*(study.best_recorded(each) for each in rests_on))


def percent(accuracies: Sequence[float]) -> str:
    """Accuracies in [0, 1] as "75.45 ± 0.20 %", mean and standard deviation."""
    return f"{spread(100 * pd.Series(accuracies, dtype=float), 2)} %"


def seconds(durations: Sequence[float]) -> str:
    """Seconds as "16.4 ± 0.2 s", mean and standard deviation."""
    return f"{spread(pd.Series(durations, dtype=float), 1)} s"


def milliseconds(durations: Sequence[float]) -> str:
    """Seconds as "2.31 ± 0.05 ms", mean and standard deviation."""
    return f"{spread(1e3 * pd.Series(durations, dtype=float), 2)} ms"


def points(one: Sequence[float], other: Sequence[float]) -> str:
    """Mean of some accuracies minus the mean of others, as text in percentage points."""
    difference = pd.Series(one, dtype=float).mean() - pd.Series(other, dtype=float).mean()
    return "—" if pd.isna(difference) else f"{100 * difference:+.2f} points"


def times(one: Sequence[float], other: Sequence[float]) -> str:
    """Mean of some seconds over the mean of others, as text."""
    ratio = pd.Series(one, dtype=float).mean() / pd.Series(other, dtype=float).mean()
    return "—" if pd.isna(ratio) else f"{ratio:.2f} times the time"


def choice(results: Results, chosen: str, original: str, verdicts: Iterable[Verdict] = ()) -> Answer:
    """Whether the variant that the original chose is at most one point less accurate than the best other one. `verdicts` on
    further claims are added."""
    rival = most_accurate(results, besides=chosen)
    ours, theirs = (values(results, variant, "test_accuracy") for variant in (chosen, rival))
    claim = f"*{chosen}* is at most one point less accurate than the best other ({rival or 'none'})."
    verdict = higher(claim, ours, theirs, margin=-0.01)
    return Answer(results, original, beside(percent, {chosen: ours, rival: theirs}), points(ours, theirs), (verdict, *verdicts))


def beside(show: Callable[[Sequence[float]], str], samples: Mapping[str, Sequence[float]]) -> str:
    """The figures of some variants as text, each after its name; variants without runs are left out."""
    return "; ".join(f"{variant}: {show(sample)}" for variant, sample in samples.items() if sample)


def table(answers: Mapping[str, Answer]) -> Styler:
    """One row per answer, as a table that a notebook shows in full."""
    rows = [
        {
            "": name,
            "asked": answer.results.experiment.question,
            "the report": answer.original,
            "here": answer.here,
            "difference": answer.difference,
            "verdict": statuses(answer.verdicts),
            "runs": scale(answer.results),
        }
        for name, answer in answers.items()
    ]
    left = [{"selector": "th", "props": "text-align: left"}]
    return pd.DataFrame(rows).map(without_tags).style.hide(axis="index").set_table_styles(left)


def statuses(verdicts: Sequence[Verdict]) -> str:
    """The statuses of some verdicts as text, with the count of each if there are several verdicts."""
    counts = pd.Series([verdict.status for verdict in verdicts], dtype=object).value_counts(sort=False)
    return ", ".join(f"{status}" if len(verdicts) == 1 else f"{count} {status}" for status, count in counts.items())


def scale(results: Results) -> str:
    """Training images, epochs and number of seeds, as "50,000 x 20, n = 3"; the largest if variants differ."""
    records = [record for group in results.records.values() for record in group]
    images = max(record.data.train_images for record in records if record.data)
    epochs = max(record.config.train.epochs for record in records)
    return f"{images:,} x {epochs:g}, n = {len(results.seeds)}"
