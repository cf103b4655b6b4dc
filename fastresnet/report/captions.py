"""Captions and sentences of a chapter: results or records in, Markdown and text out."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Literal

import pandas as pd

from fastresnet.records.record import Origin, RunRecord, in_percent
from fastresnet.report.tables import spread
from fastresnet.study import Results

Measure = Literal["test_accuracy", "settled_accuracy", "image_seconds"]
MEASURES: dict[Measure, tuple[str, str, str, float]] = {
    "test_accuracy": ("highest test accuracy", "lowest", "%", 100),
    "settled_accuracy": ("highest mean test accuracy over the last five epochs", "lowest", "%", 100),
    "image_seconds": ("longest time per image", "shortest", "ms", 1000),
}
"""By column of `Results.frame()`: names for its largest and smallest value, the unit to show, and the factor to that unit."""


def without_tags(markdown: str) -> str:
    """Escapes the HTML tags in a Markdown text, since names from parameters and records could otherwise put HTML on the page."""
    return re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", markdown)


def fold(summary: str, lines: Iterable[str]) -> str:
    """HTML of a collapsible section with a list of Markdown sentences, each without its emphasis."""
    items = "".join(f"<li>{escape(line.replace('*', ''))}</li>" for line in lines)
    return f'<details class="runs"><summary>{summary}</summary><ul>{items}</ul></details>'


def provenance(results: Results) -> str:
    """Edition, scale, hardware, versions and revision of the runs shown, as one sentence."""
    records = results.all_records
    origins = [origin for record in records for origin in record.origins]
    return (
        f"{results.experiment.id}, {results.edition} edition: {records[0].config.data.name}, trained on {_scale(results)}; "
        f"{_any_of(hardware(each) for each in origins)}; "
        f"torch {_any_of(each.versions['torch'] for each in origins)}; "
        f"revision {_any_of(each.source_revision for each in origins)}."
    )


def brief(results: Results) -> str:
    """Edition and scale of the runs shown, and their data set if it is not the original's, as one Markdown paragraph."""
    return without_tags(f"*{results.edition} edition{results.other_data and f' on {results.other_data}'}: {_scale(results)}.*")


def _scale(results: Results) -> str:
    records = results.all_records
    seeds, wanted = len(results.seeds), len(results.experiment.seeds)
    recorded = f"{seeds} seed{'s' * (seeds != 1)}" if seeds == wanted else f"{seeds} of {wanted} seeds"
    images = {record.data.train_images for record in records if record.data}
    tested = {record.data.test_images for record in records if record.data}
    batches = {record.config.data.batch_size for record in records}
    epochs = {record.config.train.epochs for record in records}
    return (
        f"{_numbers(images)} training images in batches of {_numbers(batches)}, {_numbers(epochs)} epoch{'s' * (epochs != {1})}, "
        f"{_numbers(tested)} test images, {recorded} per variant"
    )


def finding(results: Results, column: Measure) -> str:
    """The variants with the highest and the lowest mean of a column, in a sentence, and those of which every run diverged."""
    most, least, unit, scale = MEASURES[column]
    runs = results.frame().astype({column: float}).groupby("variant", sort=False)[column]
    means, counts = (scale * runs.mean()).dropna(), runs.count()
    diverged = ", ".join(f"“{variant}”" for variant in counts.index[counts == 0])
    fewest, largest = (int(each) for each in (counts.where(counts > 0, counts.max()).min(), counts.max()))
    said = [f"Every run of {diverged} diverged."] * bool(diverged)
    count = f"{fewest} to {largest}" if fewest < largest else f"{fewest}"
    if len(means) == 1:
        of = "in one run" if largest == 1 else f"the mean of {count} runs"
        said.insert(0, f"The {most.partition(' ')[2]} of “{means.index[0]}” is {means.iloc[0]:.2f} {unit}, {of}.")
    elif len(means):
        said.insert(
            0,
            f"The {most} is {means.max():.2f} {unit} (“{means.idxmax()}”), the {least} {means.min():.2f} {unit} "
            f"(“{means.idxmin()}”), as means of {count} run{'s' * (largest > 1)} each.",
        )
    return " ".join(said)


def describe_run(record: RunRecord) -> str:
    """Outcome, accuracy, cost and machine of one run, one per line."""
    seconds = record.seconds
    lines = [
        f"{record.outcome.status}{f': {record.outcome.reason}' if record.outcome.reason else ''}",
        f"test accuracy {in_percent(record.test_accuracy)}, seed {record.seed}",
        f"training {seconds.train:.1f} s ({record.training_flops / 1e12:.2f} TFLOP, "
        f"{record.training_flops / max(seconds.train, 1e-9) / 1e9:.0f} GFLOP/s), evaluation {seconds.evaluate:.1f} s, "
        f"data {seconds.prepare:.1f} s, network {seconds.build:.1f} s",
        f"peak memory {record.peak_memory_bytes / 2**30:.2f} GiB, {record.parameters:,} parameters",
        f"on {hardware(record)}, torch {record.versions['torch']}, data from {record.data.source if record.data else '-'}",
    ]
    return "\n".join(lines)


def describe_briefly(record: RunRecord) -> str:
    """Seed, outcome, accuracy and seconds of one run, on one line."""
    seconds = record.seconds
    return (
        f"seed {record.seed}: {record.outcome.status}, test accuracy {in_percent(record.test_accuracy)}, "
        f"training {seconds.train:.2f} s, evaluation {seconds.evaluate:.2f} s"
    )


def describe_runs(records: Sequence[RunRecord]) -> str:
    """Accuracy, seconds, operations, precision, hardware and versions of runs of one configuration, as one sentence. It says how
    many diverged, and leaves them out."""
    finished = [record for record in records if record.outcome.status == "finished"]
    lost = f", {len(records) - len(finished)} of {len(records)} diverged" * (len(finished) < len(records))
    records = finished or records
    accuracy = pd.Series([record.test_accuracy for record in records], dtype=float)
    seconds = pd.Series([record.seconds.train for record in records])
    evaluation = pd.Series([record.seconds.evaluate for record in records])
    flops = sum(record.training_flops for record in records) / len(records)
    origins = [origin for record in records for origin in record.origins]
    digits = 2 if seconds.median() < 10 else 0
    digits_evaluated = 2 if evaluation.median() < 0.5 else digits
    trained, evaluated = spread(seconds, digits), spread(evaluation, digits_evaluated)
    remark = ""
    if seconds.max() > 2 * seconds.median():  # a mean would describe neither the slow run nor the others
        trained, evaluated = f"{seconds.median():.{digits}f}", f"{evaluation.median():.{digits_evaluated}f}"
        remark = f" (medians; {seconds.max():.1f} s in the slowest run)"
    return (
        f"{spread(100 * accuracy, 2)} % (n = {len(finished)}{lost}) after {trained} s of training and "
        f"{evaluated} s of evaluation{remark}, {teraflop(flops)} TFLOP; "
        f"{records[0].config.train.precision} on {_any_of(hardware(each) for each in origins)}, "
        f"torch {_any_of(each.versions['torch'] for each in origins)}."
    )


def hardware(trained: RunRecord | Origin) -> str:
    """The GPU that a run was trained on, or else the processor and its number of threads."""
    machine = trained.machine
    return machine.gpu or f"{machine.processor}, {machine.threads} thread{'s' * (machine.threads != 1)}"


def teraflop(operations: float) -> str:
    """A number of operations in units of 1e12: to three significant digits, or to a whole number from 1,000 on."""
    return f"{operations / 1e12:#.3g}".rstrip(".") if operations < 0.9995e15 else f"{operations / 1e12:,.0f}"


def _any_of(values: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(values))


def _numbers(values: Iterable[float]) -> str:
    """Up to three numbers one by one; of more, the smallest and the largest."""
    ordered = [f"{value:,}" if isinstance(value, int) else f"{value:.3g}" for value in sorted(values)]
    return " or ".join(ordered) if len(ordered) <= 3 else f"{ordered[0]} to {ordered[-1]}"
