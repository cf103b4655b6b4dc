"""Tables and captions of a chapter: results in, DataFrames and sentences out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import pandas as pd

from fastresnet.records.record import RunRecord
from fastresnet.report.original import OriginalEpoch
from fastresnet.report.verdicts import without_tags
from fastresnet.study import Results


def caption(results: Results) -> str:
    """Edition, scale, hardware, versions and revision of the runs shown, as one Markdown paragraph."""
    records = [record for group in results.records.values() for record in group]
    first = records[0]
    seeds = len(results.experiment.seeds)
    images = {record.data.train_images for record in records if record.data}
    tested = {record.data.test_images for record in records if record.data}
    epochs = {record.config.train.epochs for record in records}
    return without_tags(
        f"*{results.experiment.id}, **{results.edition} edition**: {first.config.data.name}, trained on "
        f"{_numbers(images)} images for {_numbers(epochs)} epoch{'s' * (epochs != {1})}, tested on "
        f"{_numbers(tested)}; {seeds} seed{'s' * (seeds != 1)} a variant; "
        f"{_join(_unique(hardware(record) for record in records))}; "
        f"torch {_join(_unique(record.versions['torch'] for record in records))}; "
        f"revision {_join(_unique(record.source_revision for record in records))}.*"
    )


def hardware(record: RunRecord) -> str:
    """The graphics card a run was trained on, or else the processor and its threads."""
    machine = record.machine
    return machine.gpu or f"{machine.processor}, {machine.threads} thread{'s' * (machine.threads != 1)}"


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _join(values: Sequence[str]) -> str:
    return " or ".join(values)


def _numbers(values: Iterable[float]) -> str:
    """Each of a few numbers, the ends of many."""
    ordered = [f"{value:,}" if isinstance(value, int) else f"{value:.3g}" for value in sorted(values)]
    return _join(ordered) if len(ordered) <= 3 else f"{ordered[0]} to {ordered[-1]}"


Measure = Literal["test_accuracy", "image_seconds"]
MEASURES: dict[Measure, tuple[str, str, str, float]] = {
    "test_accuracy": ("highest test accuracy", "lowest", "%", 100),
    "image_seconds": ("longest time an image", "shortest", "ms", 1000),
}
"""What a sentence calls the largest and the smallest of them, their unit, and its number in one of `Results.frame()`."""


def finding(results: Results, column: Measure) -> str:
    """Which variants have the highest and the lowest mean of a column, as one Markdown paragraph; "" without two to compare."""
    most, least, unit, scale = MEASURES[column]
    runs = results.frame().dropna(subset=column).groupby("variant")[column]
    means, fewest, largest = scale * runs.mean().astype(float), int(runs.count().min()), int(runs.count().max())
    if len(means) < 2:
        return ""
    high, low = means.idxmax(), means.idxmin()
    count = f"{fewest} to {largest}" if fewest < largest else f"{fewest}"
    return (
        f"**Finding.** The {most} is {means[high]:.2f} {unit}, of *{high}*; the {least}, {means[low]:.2f} {unit}, of *{low}* "
        f"(means of {count} run{'s' * (largest > 1)} a variant)."
    )


def describe_run(record: RunRecord) -> str:
    """Outcome, accuracy, cost and machine of one run, a line each."""
    seconds = record.seconds
    lines = [
        f"{record.outcome.status}{f': {record.outcome.reason}' if record.outcome.reason else ''}",
        f"test accuracy {'-' if record.test_accuracy is None else f'{record.test_accuracy:.2%}'}, seed {record.seed}",
        f"training {seconds.train:.1f} s ({record.training_flops / 1e12:.2f} TFLOP, "
        f"{record.training_flops / max(seconds.train, 1e-9) / 1e9:.0f} GFLOP/s), evaluation {seconds.evaluate:.1f} s, "
        f"data {seconds.prepare:.1f} s, network {seconds.build:.1f} s",
        f"peak memory {record.peak_memory_bytes / 2**30:.2f} GiB, {record.parameters:,} parameters",
        f"on {record.machine.gpu or record.machine.processor}, {record.machine.threads} threads, "
        f"torch {record.versions['torch']}, data from {record.data.source if record.data else '-'}",
    ]
    return "\n".join(lines)


def describe_briefly(record: RunRecord) -> str:
    """Seed, outcome, accuracy and seconds of one run, on one line."""
    accuracy = "-" if record.test_accuracy is None else f"{record.test_accuracy:.2%}"
    seconds = record.seconds
    return (
        f"seed {record.seed}: {record.outcome.status}, test accuracy {accuracy}, training {seconds.train:.2f} s, "
        f"evaluation {seconds.evaluate:.2f} s"
    )


def describe_runs(records: Sequence[RunRecord]) -> str:
    """Accuracy, seconds, operations, precision, hardware and versions of runs of one configuration, as one sentence."""
    accuracy = pd.Series([record.test_accuracy for record in records], dtype=float)
    seconds = pd.Series([record.seconds.train for record in records])
    evaluation = pd.Series([record.seconds.evaluate for record in records])
    flops = sum(record.training_flops for record in records) / len(records)
    digits = 2 if seconds.median() < 10 else 0
    digits_evaluated = 2 if evaluation.median() < 0.5 else digits
    trained, evaluated = spread(seconds, digits), spread(evaluation, digits_evaluated)
    remark = ""
    if seconds.max() > 2 * seconds.median():  # a mean would be neither of the one nor of the others
        trained, evaluated = f"{seconds.median():.{digits}f}", f"{evaluation.median():.{digits_evaluated}f}"
        remark = f" (medians; {seconds.max():.1f} s in the slowest run: the first of a process has kernels made)"
    return (
        f"{spread(100 * accuracy, 2)} % (n = {len(records)}) after {trained} s of training and "
        f"{evaluated} s of evaluation{remark}, {teraflop(flops)} TFLOP; "
        f"{records[0].config.train.precision} on {_join(_unique(hardware(record) for record in records))}, "
        f"torch {_join(_unique(record.versions['torch'] for record in records))}."
    )


def teraflop(operations: float) -> str:
    """A number of operations in units of 1e12: with three digits, or all before the point."""
    return f"{operations / 1e12:.3g}" if operations < 1e15 else f"{operations / 1e12:,.0f}"


def summary(results: Results) -> pd.DataFrame:
    """A row a variant: final test accuracy, seconds an epoch and images a second, each as mean ± standard deviation."""
    frame = results.frame()
    rows = {}
    for variant in results.records:
        runs = frame[frame["variant"] == variant]
        rows[variant] = {
            "test accuracy, %": spread(100 * runs["test_accuracy"].astype(float), 2),
            "seconds an epoch": spread(runs["epoch_seconds"], 2),
            "images a second": spread(runs["images_per_second"], 0),
            "runs": len(runs),
        }
        if (runs["outcome"] != "finished").any():
            rows[variant]["outcome"] = ", ".join(sorted(set(runs["outcome"])))
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="variant")


def timed(results: Results, epoch_images: int) -> pd.DataFrame:
    """A row a variant whose runs timed the parts of their steps: milliseconds an image by part, steps timed, and the seconds
    that an epoch of `epoch_images` would take at that rate; mean ± standard deviation."""
    rows = {}
    for variant, records in results.records.items():
        parts = step_parts(records)
        rows[variant] = {
            **{f"{part}, ms": spread(1e3 * parts[part], 2) for part in parts},
            "steps": sum(steps_trained(record) for record in records),
            "images a second": spread(1 / parts.sum(axis=1), 0),
            "seconds an epoch, extrapolated": spread(epoch_images * parts.sum(axis=1), 1),
            "runs": len(records),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="variant")


def step_parts(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row a run that timed the parts of its steps, a column a part: seconds an image."""
    timed_runs = [record for record in records if record.step_seconds]
    return pd.DataFrame(
        {part: seconds / record.images_trained for part, seconds in record.step_seconds.model_dump().items()}
        for record in timed_runs
        if record.step_seconds
    )


def steps_trained(record: RunRecord) -> int:
    """Optimiser steps of a run."""
    images = record.data.train_images if record.data else 0
    return round(record.epochs_trained * -(-images // record.config.data.batch_size))


def beside_original(
    results: Results, column: str, original: Mapping[str, str], *, scale: float = 1.0, digits: int = 2
) -> pd.DataFrame:
    """The table "original against here": what the original prints, and mean ± standard deviation of a column here."""
    frame = results.frame()
    return pd.DataFrame(
        {
            "original": [original.get(variant, "not printed") for variant in results.records],
            "here": [
                spread(scale * frame.loc[frame["variant"] == variant, column].astype(float), digits)
                for variant in results.records
            ],
            "runs": [len(records) for records in results.records.values()],
        },
        index=list(results.records),
    ).rename_axis(columns="variant")


def epochs_beside_original(results: Results, original: Mapping[str, Sequence[OriginalEpoch]]) -> pd.DataFrame:
    """A row an epoch; for each variant test accuracy, training accuracy and seconds as far as the original prints them of any
    variant: its figure, and mean ± standard deviation here."""
    epochs = results.epochs()
    printed = {
        variant: pd.DataFrame(rows, columns=OriginalEpoch._fields).set_index("epoch") for variant, rows in original.items()
    }
    columns: dict[tuple[str, str, str], pd.Series] = {}
    for label, theirs, ours, scale, digits in (
        ("test accuracy, %", "test_accuracy", "test_accuracy", 100, 1),
        ("training accuracy, %", "train_accuracy", "train_accuracy", 100, 1),
        ("seconds", "seconds", "train_seconds", 1, 2),
    ):
        if not any(table[theirs].notna().any() for table in printed.values()):
            continue
        for variant in results.records:
            rows = epochs[epochs["variant"] == variant].groupby("epoch")
            if variant in printed:
                columns[variant, label, "original"] = (scale * printed[variant][theirs]).map("{:.2f}".format)
            columns[variant, label, "here"] = rows[ours].apply(lambda values, k=scale, d=digits: spread(k * values, d))
    # sorted by variant as they were declared: the loop above goes by figure
    ordered = sorted(columns, key=lambda key: list(results.records).index(key[0]))
    missing = {key: "not printed" if key[2] == "original" else "—" for key in ordered}
    return pd.DataFrame({key: columns[key] for key in ordered}).fillna(missing).rename_axis("epoch")


def generalisation(results: Results) -> pd.DataFrame:
    """A row a variant: training accuracy in its last epoch, test accuracy, and how far they are apart, in points."""
    frame = results.frame()
    rows = {}
    for variant in results.records:
        runs = frame[frame["variant"] == variant]
        train, test = 100 * runs["train_accuracy"].astype(float), 100 * runs["test_accuracy"].astype(float)
        rows[variant] = {
            "training accuracy, %": spread(train, 2),
            "test accuracy, %": spread(test, 2),
            "gap, points": spread(train - test, 2),
            "runs": len(runs),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="variant")


def values(results: Results, variant: str, column: str) -> list[float]:
    """A column of `Results.frame()` for the runs of one variant, seeds in order, NaN for a run that has none. Empty for a
    variant not run."""
    frame = results.frame()
    return frame.loc[frame["variant"] == variant, column].astype(float).tolist()


def quickest(results: Results, *, besides: str) -> str:
    """The variant with the shortest mean time an image, one left out; "" where there is no other."""
    means = results.frame().groupby("variant")["image_seconds"].mean().drop(besides, errors="ignore")
    return str(means.idxmin()) if len(means) else ""


def most_accurate(results: Results, *, besides: str) -> str:
    """The variant with the highest mean test accuracy, one left out; "" where there is no other."""
    means = results.frame().groupby("variant")["test_accuracy"].mean().drop(besides, errors="ignore").dropna()
    return str(means.idxmax()) if len(means) else ""


def jumps(results: Results, variant: str) -> list[float]:
    """How far test accuracy moves from one epoch to the next, on average, for each run of a variant, in [0, 1]."""
    accuracies = (pd.Series([epoch.test_accuracy for epoch in record.epochs], dtype=float) for record in _runs(results, variant))
    return [float(accuracy.diff().abs().mean()) for accuracy in accuracies]


def _runs(results: Results, variant: str) -> tuple[RunRecord, ...]:
    return results.records.get(variant, ())


def seconds_reached(results: Results, variant: str, accuracy: float) -> list[float]:
    """Training seconds to an accuracy, for the runs of one variant that reach it."""
    reached = (record.seconds_to(accuracy) for record in _runs(results, variant))
    return [seconds for seconds in reached if seconds is not None]


def seconds_to(results: Results, accuracy: float) -> pd.DataFrame:
    """A row a variant: training seconds to an accuracy, and how many runs got there."""
    rows = {}
    for variant, records in results.records.items():
        reached = seconds_reached(results, variant, accuracy)
        rows[variant] = {
            f"seconds to {accuracy:.0%}": spread(pd.Series(reached, dtype=float), 1),
            "runs that reach it": f"{len(reached)} of {len(records)}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="variant")


def spread(values: pd.Series, digits: int) -> str:
    """Mean ± standard deviation; the value alone where there is one; a dash where there is none."""
    values = values.dropna()
    if len(values) < 2:
        return f"{values.iloc[0]:.{digits}f}" if len(values) else "—"
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"
