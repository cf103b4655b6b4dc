"""Why the report's figures for CIFAR-10 differ from ours: how the curve that it prints for C9 can be read, and which settings or
slips would make such a curve, or its fast model's accuracy."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fastresnet.records.record import RunRecord, as_printed
from fastresnet.report import SETTLED, figures, generalisation, original, spread, style, values
from fastresnet.report.answers import (
    Answer,
    at_the_reports_scale,
    beside,
    mean,
    near_printed,
    percent,
    points,
    sentence,
    to_report,
)
from fastresnet.report.verdicts import difference, ratio
from fastresnet.study import Results, Study

END = original.C9[-1].test_accuracy
DECAYED, GAP = 0.70, 0.14
"""The report's C6, "barely 70 %", and how far training accuracy ends above validation accuracy in its C5."""
PRINTED = [row.train_accuracy for row in original.C9 if row.train_accuracy is not None]


def of_single_epochs(means: Sequence[float]) -> list[float]:
    """The values of single epochs, from their means over all epochs so far."""
    return [epoch * now - (epoch - 1) * before for epoch, (before, now) in enumerate(pairwise((0.0, *means)), start=1)]


READ_ANEW = tuple(
    row._replace(train_accuracy=accuracy) for row, accuracy in zip(original.C9, of_single_epochs(PRINTED), strict=True)
)
"""The report's C9 with training accuracies of single epochs, if those that it prints are means over all epochs so far."""


def curve() -> Figure:
    """The report's accuracies by epoch: on the test set, in training as printed, and in training as read anew."""
    figure, ax = style.panels(3.4)
    lines: dict[str, tuple[list[float | None], str]] = {
        "test": ([row.test_accuracy for row in READ_ANEW], "k."),
        "training, printed": ([row.train_accuracy for row in original.C9], "ko"),
        "training, read anew": ([row.train_accuracy for row in READ_ANEW], "kx"),
    }
    ends = {}
    for name, (accuracies, mark) in lines.items():
        percents = 100 * pd.Series(accuracies, index=range(1, len(accuracies) + 1), dtype=float)
        ax.plot(percents, mark, markersize=6 if mark == "k." else 4, fillstyle="full" if mark == "k." else "none")
        ends[name] = float(percents.iloc[-1]), "black"
    figures.name_lines(ax, ends)
    ax.set_xlabel("epoch")
    ax.set_ylabel("accuracy, %")
    key = "Dots: test; rings: training as printed; crosses: training read anew"
    return style.title(figure, "The report's C9: training accuracy as printed and read anew", key)


def curve_finding(study: Study) -> str:
    """What single epochs of the report's C9 come to, and whether our runs could be read in the same way, as one Markdown
    paragraph."""
    read = of_single_epochs(PRINTED)
    falls = "never falls" if read == sorted(read) else "falls somewhere"
    said = (
        f"**Finding.** Read as means over all epochs so far, the report's figures make a training accuracy that {falls}. It "
        f"begins at {mean(read[:1])} and ends at {mean(read[-1:])}, {100 * (read[-1] - END):.0f} points above the test accuracy."
    )
    as_long = [record for record in _at_scale(study) if len(record.epochs) == len(PRINTED)]
    ours = [of_single_epochs([epoch.train_accuracy for epoch in record.epochs]) for record in as_long]
    if not ours:
        return said
    too_high, falling = sum(max(epochs) > 1 for epochs in ours), sum(epochs != sorted(epochs) for epochs in ours)
    return (
        f"{said} Ours are of single epochs. Read in the same way, they exceed 100 % in {too_high} of our {len(ours)} runs of "
        f"{len(PRINTED)} epochs on all images, and fall somewhere in {falling}."
    )


def first_epochs(study: Study) -> pd.DataFrame:
    """One row per batch size: accuracies after one epoch, from the least to the most accurate run of C9's network on images of
    its size, and the number of runs. The report's are the last row."""
    base = next(iter(study.experiment("C9").variants.values()))
    runs = pd.DataFrame(
        {
            "batch": record.config.data.batch_size,
            "training accuracy, %": 100 * record.epochs[0].train_accuracy,
            "test accuracy, %": 100 * record.epochs[0].test_accuracy,
        }
        for record in _at_scale(study)
        if (record.config.model, record.config.data.image_size) == (base.model, base.data.image_size)
        and record.epochs[0].test_accuracy is not None
    )
    if runs.empty:
        return runs
    by_batch = runs.groupby("batch")
    ranges = by_batch.agg(lambda column: f"{column.min():.1f} to {column.max():.1f}")
    table = ranges.assign(runs=by_batch.size()).sort_index(ascending=False).rename(index="batch {}".format)
    table.loc["the report"] = [f"{100 * PRINTED[0]:.1f}", f"{100 * original.C9[0].test_accuracy:.1f}", 1]
    return table.rename_axis(None)


def _at_scale(study: Study) -> list[RunRecord]:
    """Every recorded run of the study on as many images as the report's. Runs that experiments share count once."""
    recorded = [results for results in map(study.recorded, study.experiments) if results and at_the_reports_scale(results)]
    return list({(record.config_hash, record.seed): record for results in recorded for record in results.all_records}.values())


def small_batches_at_a_constant_rate(c6_batch: Results) -> Answer:
    """C6-batch: whether small batches explain the report's figures for C5 and C6, at a constant rate."""
    c5_large, c5_small, c6_large, c6_small = c6_batch.records
    large, small = (values(c6_batch, variant, SETTLED) for variant in (c6_large, c6_small))
    wide, near = (_gaps(c6_batch, variant) for variant in (c5_large, c5_small))
    theirs = "" if c6_batch.other_data else f'; the report says "barely 70 %", and {100 * GAP:.0f} points'
    above = [f"{100 * pd.Series(gaps, dtype=float).mean():.0f}" for gaps in (wide, near)]
    said = (
        f"“{c6_large}” comes to {mean(large)} and “{c6_small}” to {mean(small)} (last five epochs). As a mean over all epochs, "
        f"training accuracy is {above[0]} points above that with “{c5_large}” and {above[1]} with “{c5_small}”{theirs}."
    )
    question = "Does the small batch at least halve how far {} lies from the report's?"
    verdicts = [
        ratio(question.format(what), "It lies {} as far from it", _away(ours, printed), _away(others, printed), below=0.5)
        for what, ours, others, printed in (("C6's accuracy", small, large, DECAYED), ("C5's gap", near, wide, GAP))
    ]
    return Answer(
        (c6_batch,),
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
            "training accuracy, mean of all epochs, %": spread(100 * (pd.Series(gaps) + pd.Series(tested)), 2),
            "test accuracy, last 5 epochs, %": spread(100 * pd.Series(tested), 2),
            "gap, points": spread(100 * pd.Series(gaps), 2),
            "runs": len(tested),
        }
        for variant in results.records
        for gaps, tested in [(_gaps(results, variant), values(results, variant, SETTLED))]
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="variant")


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
    theirs = "" if c9_epochs.other_data else f", not to the report's {as_printed(END)}"
    question = "Does a schedule moved on once per epoch end within two points of the report's accuracy?"
    return Answer(
        (c9_epochs,),
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
        (c9_norm,),
        original="not tried",
        here=beside(percent, {"running": running, "own": batch}),
        difference=points(batch, running),
        summary=sentence(said, running, batch),
        verdicts=(difference(question, "They {raise|lower} it by {}", batch, running, above=0.1, paired=True),),
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
    nearest = min(others, key=lambda variant: np.mean(apart[variant] or [np.inf]))
    ends = values(c9_batch, nearest, "test_accuracy")
    points_apart = {variant: f"{100 * np.mean(runs or np.nan):.1f} points" for variant, runs in apart.items()}
    said = (
        f"Over all epochs, the accuracies of “{nearest}” lie {points_apart[nearest]} from the report's (root mean square), "
        f"and those of our run with its settings {points_apart[told]}. The former end at {mean(ends)}, the report at "
        f"{as_printed(END)}."
    )
    question = f"Is the curve of “{nearest}” at most half as far from the report's as that of our run with its settings?"
    return Answer(
        (c9_batch,),
        original=as_printed(END),
        here=beside(percent, {nearest: ends}),
        difference=to_report(c9_batch, ends, END),
        summary=said if all(apart.values()) else "",
        verdicts=(ratio(question, "It lies {} as far from it", apart[nearest], apart[told], below=0.5),),
        figure=partial(figures.train_and_test, c9_batch, original=READ_ANEW, train_mark="x"),
        tables=(generalisation(c9_batch),),
    )


def distances(results: Results, variant: str) -> list[float]:
    """How far each run of a variant is from the report's C9, with its training accuracies read anew: the root mean square of the
    differences in accuracy, over epochs, training and test. In [0, 1]; empty for another data set."""
    return [] if results.other_data else [_distance(record) for record in results.records.get(variant, ())]


def _distance(record: RunRecord) -> float:
    ours = [accuracy for epoch in record.epochs for accuracy in (epoch.train_accuracy, epoch.test_accuracy)]
    theirs = [accuracy for row in READ_ANEW for accuracy in (row.train_accuracy, row.test_accuracy)]
    pairs = [(one, other) for one, other in zip(ours, theirs, strict=False) if one is not None and other is not None]
    return float(np.sqrt(np.mean([(one - other) ** 2 for one, other in pairs])))


def image_sizes(network: str, sizes: Results) -> Answer:
    """C12-size and C13-size: whether enlarged images explain that one of the report's networks is more accurate than ours."""
    printed, _ = original.C13[network]
    ends = {variant: values(sizes, variant, "test_accuracy") for variant in sizes.records}
    *_, enlarged = ends
    theirs = "" if sizes.other_data else f"; the report prints {as_printed(printed)}"
    return Answer(
        (sizes,),
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
    said = f"At the same maxima and seeds, the runs in {one} end at {mean(samples[one])} on average, those in {other} at "
    return Answer(
        (c12,),
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
