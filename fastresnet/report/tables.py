"""Tables of a chapter: results in, DataFrames out. Also the values of runs that verdicts rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from statistics import fmean
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from fastresnet.records.record import RunRecord, in_percent
from fastresnet.report.original import OriginalEpoch
from fastresnet.study import Results

ACCURACY: Final = "test_accuracy"
SETTLED: Final = "settled_accuracy"
FASTEST: Final = "fastest_epoch_seconds"
"""Columns of `Results.frame()`: the test accuracy at the end, the mean of the last five epochs, and the shortest epoch."""


Sample = Sequence[float] | np.ndarray


def average(sample: Sample) -> float:
    """Mean of the values there are; NaN if there is none."""
    return float(pd.Series(sample, dtype=float).mean())


def spread(sample: Sample, digits: int) -> str:
    """Mean ± standard deviation of the values there are, as text: the value alone if there is one, a dash if there is none."""
    values = pd.Series(sample, dtype=float).dropna()
    if len(values) < 2:
        return f"{values.iloc[0]:.{digits}f}" if len(values) else "—"
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def _by_variant(results: Results) -> dict[str, pd.DataFrame]:
    """The rows of `Results.frame()` by variant, in the order of declaration."""
    return {str(variant): runs for variant, runs in results.frame().groupby("variant", sort=False)}


def as_table(rows: Mapping[str, Mapping[str, object]], each: str = "variant") -> pd.DataFrame:
    """A table of named rows, which says in its corner what a row stands for."""
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns=each)


def summary(results: Results) -> pd.DataFrame:
    """One row per variant: final test accuracy, seconds per epoch and images per second, each as mean ± standard deviation; and
    how many runs diverged, if any did."""
    diverged = results.frame()["outcome"] == "diverged"
    rows = {}
    for variant, runs in _by_variant(results).items():
        rows[variant] = {
            "test accuracy, %": spread(100 * runs["test_accuracy"].astype(float), 2),
            "seconds per epoch": spread(runs["epoch_seconds"], 2),
            "images per second": spread(runs["images_per_second"], 0),
            "runs": len(runs),
            **({"diverged": int(diverged[runs.index].sum())} if diverged.any() else {}),
        }
    return as_table(rows)


def timed(results: Results, epoch_images: int) -> pd.DataFrame:
    """One row per variant, for runs that timed the parts of their steps: the seconds of an epoch of `epoch_images` at the rate
    measured, images per second, milliseconds per image and part, and the steps timed. Figures are mean ± standard deviation. A
    part that takes no time in any variant is left out."""
    parts_of = {variant: step_parts(records) for variant, records in results.records.items()}
    means = pd.DataFrame({variant: 1e3 * parts.mean() for variant, parts in parts_of.items()})
    shown = [str(part) for part in means.index[(means >= 0.005).any(axis=1)]]
    rows = {}
    for variant, parts in parts_of.items():
        seconds = parts.sum(axis=1)
        rows[variant] = {
            "seconds per epoch, extrapolated": spread(epoch_images * seconds, 1),
            "images per second": spread(1 / seconds, 0),
            **{f"{part}, ms": spread(1e3 * parts[part], 2) for part in shown},
            "steps": sum(record.steps for record in results.records[variant]),
            "runs": len(results.records[variant]),
        }
    return as_table(rows)


def step_parts(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Seconds per image and part of a step: one row per run that timed these parts, one column per part."""
    return pd.DataFrame(
        {part: seconds / record.images_trained for part, seconds in record.step_seconds.model_dump().items()}
        for record in records
        if record.step_seconds
    )


def beside_original(
    results: Results, column: str, original: Mapping[str, str], *, unit: str, scale: float = 1.0, digits: int = 2
) -> pd.DataFrame:
    """One row per variant: what the original prints, if the runs have its data set, and mean ± standard deviation of a column of
    `Results.frame()` here."""

    def theirs(variant: str) -> dict[str, str]:
        return {} if results.other_data else {f"original, {unit}": original.get(variant, "not printed")}

    return as_table(
        {
            variant: {
                **theirs(variant),
                f"here, {unit}": spread(scale * runs[column].astype(float), digits),
                "runs": runs[column].count(),
            }
            for variant, runs in _by_variant(results).items()
        }
    )


class _EpochFigure(NamedTuple):
    """A quantity reported per epoch: its label, its columns in the original's tables and in the records, and its format."""

    label: str
    original: str
    recorded: str
    scale: float
    digits: int


_EPOCH_FIGURES = (
    _EpochFigure("test accuracy, %", "test_accuracy", "test_accuracy", scale=100, digits=1),
    _EpochFigure("training accuracy, %", "train_accuracy", "train_accuracy", scale=100, digits=1),
    _EpochFigure("seconds", "seconds", "train_seconds", scale=1, digits=2),
)


def epochs_beside_original(results: Results, original: Mapping[str, Sequence[OriginalEpoch]]) -> pd.DataFrame:
    """One row per epoch that was run. For each variant: test accuracy, training accuracy and seconds, as the original prints them
    and as mean ± standard deviation here. A figure that the original prints for no variant is left out, and what it prints if the
    runs have another data set."""
    epochs = results.epochs()
    printed = {
        variant: pd.DataFrame(rows, columns=OriginalEpoch._fields).set_index("epoch") for variant, rows in original.items()
    }
    shown = [figure for figure in _EPOCH_FIGURES if any(table[figure.original].notna().any() for table in printed.values())]
    columns = {}
    for variant, figure in product(results.records, shown):
        if variant in printed and not results.other_data:
            theirs = figure.scale * printed[variant][figure.original]
            columns[variant, figure.label, "original"] = theirs.map("{:.2f}".format)
        ours = figure.scale * epochs[epochs["variant"] == variant].set_index("epoch")[figure.recorded]
        columns[variant, figure.label, "here"] = ours.groupby("epoch").apply(spread, figure.digits)
    missing = {column: "—" if column[-1] == "here" else "not printed" for column in columns}
    table = pd.DataFrame(columns).fillna(missing).rename_axis("epoch")
    return table[table.index.isin(epochs["epoch"])]


def generalisation(results: Results) -> pd.DataFrame:
    """One row per variant: training accuracy in its last epoch, test accuracy, and the gap between them, in percentage points."""
    rows = {}
    for variant, runs in _by_variant(results).items():
        train, test = 100 * runs["train_accuracy"].astype(float), 100 * runs["test_accuracy"].astype(float)
        rows[variant] = {
            "training accuracy, %": spread(train, 2),
            "test accuracy, %": spread(test, 2),
            "gap, points": spread(train - test, 2),
            "runs": test.count(),
        }
    return as_table(rows)


def epoch_seconds(timed: Results, epoch_images: int) -> dict[str, float]:
    """By variant: seconds of an epoch of `epoch_images`, or of one image, at the rate of a run's fastest epoch: the mean of the
    runs."""
    return {variant: fmean(seconds) for variant, seconds in _fastest(timed, epoch_images).items() if seconds}


def fastest_epochs(timed: Results, epoch_images: int) -> pd.DataFrame:
    """One row per variant: seconds of an epoch of `epoch_images` at the rate of each run's fastest epoch."""
    column = f"seconds per epoch of {epoch_images:,} images"
    fastest = _fastest(timed, epoch_images)
    return as_table({name: {column: spread(each, 2), "runs": len(each)} for name, each in fastest.items()})


def _fastest(timed: Results, epoch_images: int) -> dict[str, list[float]]:
    return {
        variant: [epoch_images * _fastest_image_seconds(record) for record in records]
        for variant, records in timed.records.items()
    }


def _fastest_image_seconds(record: RunRecord) -> float:
    assert record.data
    return min(epoch.train_seconds for epoch in record.epochs) / record.data.train_images


def values(results: Results, variant: str, column: str) -> list[float]:
    """The values of one variant's runs in a column of `Results.frame()`, by seed; NaN for a run without a value. Empty for a
    variant without runs."""
    frame = results.frame()
    return frame.loc[frame["variant"] == variant, column].astype(float).tolist()


def quickest(results: Results, *, besides: str | list[str]) -> str:
    """The variant other than `besides`, one or several, with the shortest mean time per image; "" if there is no other."""
    means = results.frame().groupby("variant")["image_seconds"].mean().drop(besides, errors="ignore")
    return str(means.idxmin()) if len(means) else ""


def most_accurate(results: Results, *, besides: str, column: str = ACCURACY) -> str:
    """The variant other than `besides` with the highest mean of a column of accuracies; "" if there is no other."""
    means = results.frame().groupby("variant")[column].mean().drop(besides, errors="ignore").dropna()
    return str(means.idxmax()) if len(means) else ""


def jumps(results: Results, variant: str) -> list[float]:
    """Median absolute change of test accuracy from one epoch to the next, in [0, 1], for each run of a variant."""
    accuracies = (pd.Series([epoch.test_accuracy for epoch in record.epochs], dtype=float) for record in _runs(results, variant))
    return [float(accuracy.diff().abs().median()) for accuracy in accuracies]


def _runs(results: Results, variant: str) -> tuple[RunRecord, ...]:
    return results.records.get(variant, ())


def at_pace(results: Results, timed: Results, like: str = "") -> Results:
    """The results as if every training image of a run on one of several cores, which shared its machine with others, had taken as
    long as in the `timed` runs of the same variant, or of the variant `like`, which had the machine to themselves: those on the
    same processor, or else all. Runs with another batch size or in another precision keep their own seconds."""

    def at(variant: str, record: RunRecord) -> RunRecord:
        alike = [each for each in _runs(timed, variant) if _work(each) == _work(record)]
        alone = [each for each in alike if each.machine.processor == record.machine.processor] or alike
        if not (alone and record.data and 1 == record.machine.threads < record.machine.cores):
            return record
        seconds = fmean(map(_fastest_image_seconds, alone)) * record.data.train_images
        shares = [min(1.0, record.epochs_trained - before) for before in range(len(record.epochs))]  # the last may be a part
        epochs = tuple(
            epoch.model_copy(update={"train_seconds": share * seconds})
            for epoch, share in zip(record.epochs, shares, strict=True)
        )
        train = record.seconds.model_copy(update={"train": seconds * sum(shares)})
        return record.model_copy(update={"epochs": epochs, "seconds": train})

    records = {name: tuple(at(like or name, record) for record in runs) for name, runs in results.records.items()}
    return replace(results, records=records)


def _work(record: RunRecord) -> tuple[object, ...]:
    return record.config.data.batch_size, record.config.train.precision


def seconds_reached(results: Results, variant: str, accuracy: float) -> list[float]:
    """Seconds of training to an accuracy in [0, 1], for each run of a variant that reaches it."""
    reached = (record.seconds_to(accuracy) for record in _runs(results, variant))
    return [seconds for seconds in reached if seconds is not None]


def seconds_to(results: Results, accuracy: float) -> pd.DataFrame:
    """One row per variant: seconds of training to an accuracy in [0, 1], and how many runs reach it."""
    rows = {}
    for variant, records in results.records.items():
        reached = seconds_reached(results, variant, accuracy)
        rows[variant] = {
            f"seconds to {in_percent(accuracy, 0)}": spread(reached, 1),
            "runs that reach it": f"{len(reached)} of {len(records)}",
        }
    return as_table(rows)
