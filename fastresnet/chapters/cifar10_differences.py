"""Why the report's figures for CIFAR-10 differ from ours: which settings or slips would make such figures."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fastresnet.chapters.cifar10_curve import END, READ_ANEW, distances
from fastresnet.records.record import as_printed
from fastresnet.report import SETTLED, as_table, average, figures, generalisation, original, spread, style, values
from fastresnet.report.answers import Answer, beside, comparable, mean, near_printed, percent, points, sentence, to_report
from fastresnet.report.verdicts import difference, ratio
from fastresnet.study import Results

DECAYED, GAP = 0.70, 0.14
"""The report's C6, "barely 70 %", and how far training accuracy ends above validation accuracy in its C5."""


def small_batches_at_a_constant_rate(c6_batch: Results) -> Answer:
    """C6-batch: whether small batches explain the report's figures for C5 and C6, at a constant rate."""
    c5_large, c5_small, c6_large, c6_small = c6_batch.records
    large, small = (values(c6_batch, variant, SETTLED) for variant in (c6_large, c6_small))
    wide, near = (_gaps(c6_batch, variant) for variant in (c5_large, c5_small))
    theirs = "" if not comparable(c6_batch) else f'; the report says "barely 70 %", and {100 * GAP:.0f} points'
    above = [f"{100 * average(gaps):.0f}" for gaps in (wide, near)]
    said = (
        f"“{c6_large}” comes to {mean(large)} and “{c6_small}” to {mean(small)} (last five epochs). As a mean over all epochs, "
        f"training accuracy is {above[0]} points above test accuracy with “{c5_large}” and {above[1]} with “{c5_small}”{theirs}."
    )
    question = "Does the small batch at least halve how far {} lies from the report's?"
    verdicts = [
        ratio(question.format(what), "It lies {} as far from it", _away(ours, printed), _away(others, printed), below=0.5)
        for what, ours, others, printed in (("C6's accuracy", small, large, DECAYED), ("C5's gap", near, wide, GAP))
    ]
    return Answer(
        original='"barely 70 %"',
        here=beside(percent, {c6_large: large, c6_small: small}),
        difference=to_report(c6_batch, small, DECAYED),
        summary=sentence(said, large, small, wide, near),
        verdicts=tuple(verdicts) if theirs else (),
        figure=partial(figures.dots, c6_batch, SETTLED),
        tables=(_gap_table(c6_batch),),
    )


def _gap_table(results: Results) -> pd.DataFrame:
    """One row per variant: training accuracy as a mean over all epochs, test accuracy of the last five, and the gap."""
    rows = {
        variant: {
            "training accuracy, mean of all epochs, %": spread(100 * (np.array(gaps) + tested), 2),
            "test accuracy, last 5 epochs, %": spread(100 * np.array(tested), 2),
            "gap, points": spread(100 * np.array(gaps), 2),
            "runs": len(tested),
        }
        for variant in results.records
        for gaps, tested in [(_gaps(results, variant), values(results, variant, SETTLED))]
    }
    return as_table(rows)


def _gaps(results: Results, variant: str) -> list[float]:
    """By run: its training accuracy, as a mean over all epochs, less its test accuracy over the last five."""
    return [
        float(np.mean([epoch.train_accuracy for epoch in record.epochs])) - (record.settled_accuracy or np.nan)
        for record in results.records.get(variant, ())
    ]


def _away(ours: Sequence[float], printed: float) -> list[float]:
    return [max(abs(each - printed), 1e-4) for each in ours]  # one test image at least, for the logarithm


def moved_once_an_epoch(c9_epochs: Results) -> Answer:
    """C9-epochs: whether a schedule moved on once per epoch explains the report's curve."""
    slow = values(c9_epochs, "moved per epoch", "test_accuracy")
    theirs = f"; the report prints {as_printed(END)}" * comparable(c9_epochs)
    question = "Does a schedule moved on once per epoch end within two points of the report's accuracy?"
    return Answer(
        original=as_printed(END),
        here=percent(slow),
        difference=to_report(c9_epochs, slow, END),
        summary=sentence(f"Moved on once per epoch, the schedule leads to {mean(slow)}{theirs}.", slow),
        verdicts=(difference(question, "It ends {} {above|below} it", slow, END, within=0.02),) if theirs else (),
        figure=partial(figures.train_and_test, c9_epochs, original=READ_ANEW, train_mark="x"),
    )


STATISTICS = {"test_accuracy": "running statistics", "test_accuracy_by_batch": "each batch's own"}
"""Columns of test accuracies by the statistics that batch norm uses."""


def running_statistics(c9_norm: Results) -> Answer:
    """C9-norm: whether test accuracy falls in mid-run because batch norm evaluates with statistics from earlier steps."""
    epochs = c9_norm.epochs().astype(dict.fromkeys(STATISTICS, float)).dropna(subset=list(STATISTICS))
    peak = epochs.loc[epochs.groupby("seed")["lr"].idxmax()]
    running, batch = (peak[column].tolist() for column in STATISTICS)
    question = "In the epoch of the highest rate, do the batches' own statistics raise test accuracy by more than ten points?"
    said = f"In the epoch of the highest rate, the running statistics give {mean(running)}, and the batches' own {mean(batch)}."
    return Answer(
        original="not tried",
        here=beside(percent, {"running": running, "own": batch}),
        difference=points(batch, running),
        summary=sentence(said, running, batch),
        verdicts=(difference(question, "With them it is {} {higher|lower}", batch, running, above=0.1, paired=True),),
        figure=partial(_statistics_figure, c9_norm),
    )


def _statistics_figure(c9_norm: Results) -> Figure:
    figure, ax = style.panels(3.4)
    epochs = c9_norm.epochs()
    ends = {}
    for (column, name), mark in zip(STATISTICS.items(), figures.styles(), strict=False):
        end = figures.mean_and_range(ax, epochs, column, scale=100, markersize=4, **mark)
        if end is not None:  # not every run diverged
            ends[name] = end, str(mark["color"])
    if not c9_norm.other_data:
        ends |= figures.original_epochs([row._replace(train_accuracy=None) for row in original.C9], ax)
    figures.name_lines(ax, ends)
    ax.set_xlabel("epoch")
    ax.set_ylabel("test accuracy, %")
    return figures.titled(figure, c9_norm)


def small_batches_without_flips(c9_batch: Results) -> Answer:
    """C9-batch: whether small batches without flips explain the report's curve."""
    told, *others = c9_batch.records
    apart = {variant: distances(c9_batch, variant) for variant in c9_batch.records}
    nearest = min(others, key=lambda variant: np.mean(apart[variant] or np.inf))
    ends = values(c9_batch, nearest, "test_accuracy")
    points_apart = {variant: f"{100 * np.mean(runs or np.nan):.1f} points" for variant, runs in apart.items()}
    said = (
        f"Over all epochs, the accuracies of “{nearest}” lie {points_apart[nearest]} from the report's (root mean square), "
        f"and those of our run with its settings {points_apart[told]}. The former end at {mean(ends)}, the report at "
        f"{as_printed(END)}."
    )
    question = f"Is the curve of “{nearest}” at most half as far from the report's as that of our run with its settings?"
    return Answer(
        original=as_printed(END),
        here=beside(percent, {nearest: ends}),
        difference=to_report(c9_batch, ends, END),
        summary=said if comparable(c9_batch) and all(apart.values()) else "",
        verdicts=(ratio(question, "It lies {} as far from it", apart[nearest], apart[told], below=0.5),) * comparable(c9_batch),
        figure=partial(figures.train_and_test, c9_batch, original=READ_ANEW, train_mark="x"),
        tables=(generalisation(c9_batch),),
    )


def image_sizes(network: str, sizes: Results) -> Answer:
    """C12-size and C13-size: whether enlarged images explain that one of the report's networks is more accurate than ours."""
    printed, _ = original.C13[network]
    ends = {variant: values(sizes, variant, "test_accuracy") for variant in sizes.records}
    *_, enlarged = ends
    theirs = f"; the report prints {as_printed(printed)}" * comparable(sizes)
    return Answer(
        original=as_printed(printed),
        here=beside(percent, ends),
        difference=to_report(sizes, ends[enlarged], printed),
        summary=sentence(f"Accuracy by image size: {beside(mean, ends)}{theirs}.", *ends.values()),
        verdicts=near_printed(sizes, dict.fromkeys(ends, printed)),
        figure=partial(figures.curves, sizes, **({"report": printed} if theirs else {})),
        tables=(generalisation(sizes),),
    )


def precisions(c12: Results) -> Answer:
    """C12-precision: whether runs in half precision, as the report's, end as accurate as runs in single precision."""
    one, other = dict.fromkeys(str(record.config.train.precision) for record in c12.all_records)
    samples = {
        precision: [
            value for name in c12.records if name.endswith(f", {precision}") for value in values(c12, name, "test_accuracy")
        ]
        for precision in (one, other)
    }
    pairs = f"In {len(samples[one])} pairs of the same maximum and seed"
    said = f"{pairs}, the runs in {one} end at {mean(samples[one])} on average, those in {other} at "
    return Answer(
        original="trained in fp16",
        here=beside(mean, samples),
        difference=points(samples[other], samples[one]),
        summary=sentence(f"{said}{mean(samples[other])}.", *samples.values()),
        verdicts=(
            difference(
                f"Are runs in {one} and in {other} within half a point on average?",
                f"Runs in {other} are {{}} {{more|less}} accurate",
                samples[other],
                samples[one],
                within=0.005,
                paired=True,
            ),
        ),
        figure=partial(figures.dots, c12),
        tables=(generalisation(c12),),
    )
