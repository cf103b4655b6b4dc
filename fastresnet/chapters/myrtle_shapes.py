"""What the answers of the chapter on "How to train your ResNet" have in common."""

from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from fastresnet import report
from fastresnet.report import ACCURACY, FASTEST, figures, original, values
from fastresnet.report.answers import Answer, Table, duel, timed
from fastresnet.report.tables import Sample
from fastresnet.report.verdicts import Verdict
from fastresnet.study import Results

TRAINED = 0.2
"""Accuracy above which a run counts as trained: twice chance."""
EPOCH = original.EPOCH_IMAGES["cifar10"]


def median_of(sample: Sample) -> str:
    """The median as text; "none" if no run has a value."""
    median = pd.Series(sample, dtype=float).median()
    return "none" if pd.isna(median) else f"{median:g}"


def beside_seconds(results: Results, printed: dict[str, float]) -> pd.DataFrame:
    """Training seconds beside those that the posts print, and those of the fastest epoch."""
    table = report.beside_original(results, "train_seconds", {name: f"{cost:.0f}" for name, cost in printed.items()}, unit="s")
    return with_fastest_epoch(table, results)


def with_fastest_epoch(table: pd.DataFrame, results: Results) -> pd.DataFrame:
    """A table by variant, with a column for the seconds of the fastest epoch, by which verdicts judge."""
    fastest = {variant: report.spread(values(results, variant, FASTEST), 2) for variant in results.records}
    return table.join(pd.Series(fastest, name="fastest epoch, s"))


def beside_accuracies(results: Results, printed: dict[str, tuple[float, float]]) -> pd.DataFrame:
    """Test accuracies beside those that the posts print."""
    return report.beside_original(
        results, ACCURACY, {name: f"{100 * best:.1f}" for name, (best, _) in printed.items()}, unit="%", scale=100
    )


def by_accuracy(
    results: Results,
    one: str,
    other: str,
    published: str,
    verdicts: tuple[Verdict, ...],
    *,
    figure: partial[Figure] | None = None,
    tables: tuple[Table, ...] = (),
    paired: bool = False,
) -> Answer:
    """Two variants by their accuracy, and by their seconds where the figure shows these."""
    return duel(
        results,
        one,
        other,
        published,
        verdicts,
        figure=figure or partial(figures.accuracy_and_seconds, results),
        tables=tables or (with_fastest_epoch(report.summary(results), results),),
        paired=paired,
    )


def by_time(
    results: Results, one: str, other: str, published: str, verdicts: tuple[Verdict, ...], *, tables: tuple[Table, ...] = ()
) -> Answer:
    """Two variants by the time that an image takes."""
    tables = tables or (report.timed(results, EPOCH),)
    return timed(results, one, other, published, verdicts, figure=partial(figures.parts, results), tables=tables)
