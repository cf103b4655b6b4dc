"""Figures: results in, Axes out. Nothing here reads a file or shows a window.

Each variant has its own colour, marker and dash, so that a figure survives black-and-white print.
"""

import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from fastresnet import report
from fastresnet.report.original import OriginalEpoch
from fastresnet.report.style import COLOURS
from fastresnet.study import Results

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//", "\\\\", "..", "xx")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))


def styles() -> itertools.cycle:
    """Keyword arguments of `Axes.plot` that distinguish the variants: colour, marker and dash, in an endless cycle."""
    return itertools.cycle(
        {"color": colour, "marker": marker, "linestyle": dash}
        for colour, marker, dash in zip(COLOURS, MARKERS, DASHES, strict=True)
    )


def accuracy_by_epoch(results: Results, ax: Axes) -> Axes:
    """Test accuracy against epochs: the mean of the seeds as a line, their range as a band."""
    return _curves(results, ax, against="epoch", label="epoch")


def train_and_test_accuracy(results: Results, ax: Axes) -> Axes:
    """Test accuracy against epochs as full lines, training accuracy as dashed ones: means of the seeds, and their range.

    The legend names the variants; the caller explains the dashes."""
    epochs = results.epochs()
    for variant, style in zip(results.records, styles(), strict=False):
        runs = epochs[epochs["variant"] == variant]
        for column, label, dash in (("test_accuracy", variant, "-"), ("train_accuracy", None, "--")):
            rows = 100 * runs.dropna(subset=column).groupby("epoch")[column].agg(["mean", "min", "max"]).astype(float)
            ax.plot(rows["mean"], dash, color=style["color"], label=label)
            ax.fill_between(rows.index, rows["min"], rows["max"], color=style["color"], alpha=0.15, linewidth=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel("accuracy, %")
    ax.legend()
    return ax


def original_epochs(rows: Sequence[OriginalEpoch], ax: Axes) -> Axes:
    """The original's accuracies against epochs, in black: dots for the test set, rings for training where it prints them."""
    epochs = [row.epoch for row in rows]
    ax.plot(epochs, [100 * row.test_accuracy for row in rows], "k.", label="the report, test")
    if any(row.train_accuracy is not None for row in rows):
        train = [float("nan") if row.train_accuracy is None else 100 * row.train_accuracy for row in rows]
        ax.plot(epochs, train, "ko", markersize=3.5, fillstyle="none", label="the report, training")
    ax.legend()
    return ax


def accuracy_by_seconds(results: Results, ax: Axes) -> Axes:
    """Test accuracy against seconds of training, evaluation not counted."""
    return _curves(results, ax, against="elapsed", label="seconds of training")


def _curves(results: Results, ax: Axes, against: str, label: str) -> Axes:
    epochs = results.epochs()
    epochs["elapsed"] = epochs.groupby(["variant", "seed"])["train_seconds"].cumsum()
    evaluated = epochs.dropna(subset="test_accuracy")
    for variant, style in zip(results.records, styles(), strict=False):
        rows = evaluated[evaluated["variant"] == variant].groupby("epoch")
        position, accuracy = rows[against].mean(), 100 * rows["test_accuracy"].mean()
        ax.plot(position, accuracy, label=variant, markersize=5, **style)
        low, high = 100 * rows["test_accuracy"].min(), 100 * rows["test_accuracy"].max()
        ax.fill_between(position, low, high, color=style["color"], alpha=0.15, linewidth=0)
    ax.set_xlabel(label)
    ax.set_ylabel("test accuracy, %")
    ax.legend()
    return ax


def runs_by_variant(results: Results, column: str, ax: Axes, *, label: str, scale: float = 1.0) -> Axes:
    """`column` of `Results.frame()`, times `scale`: one row per variant, with a dot per run and a bar at their mean."""
    frame = results.frame()
    for position, (variant, style) in enumerate(zip(results.records, styles(), strict=False)):
        values = scale * frame.loc[frame["variant"] == variant, column].astype(float)
        ax.plot(values, [position] * len(values), style["marker"], color=style["color"], alpha=0.7, markersize=6)
        ax.vlines(values.mean(), position - 0.3, position + 0.3, color=style["color"], linewidth=2)
    ax.set_yticks(range(len(results.records)), list(results.records))
    ax.invert_yaxis()
    ax.set_xlabel(label)
    return ax


def step_parts(results: Results, ax: Axes) -> Axes:
    """Milliseconds per image in each part of a training step, stacked: one bar per variant, the mean of its runs."""
    names = list(results.records)
    means = pd.DataFrame([report.step_parts(records).mean() for records in results.records.values()], index=names) * 1e3
    left = pd.Series(0.0, index=names)
    for part, colour, hatch in zip(means, COLOURS, HATCHES, strict=False):
        ax.barh(names, means[part], left=left, color=colour, hatch=hatch, edgecolor="white", linewidth=0.5, label=part)
        left += means[part]
    ax.invert_yaxis()
    ax.set_xlabel("milliseconds per image")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))  # the bars leave no room inside
    return ax


def accuracy_against_seconds(
    results: Results,
    ax: Axes,
    *,
    seconds: Mapping[str, float],
    label: str,
    original: Mapping[str, tuple[float, float | None]] = MappingProxyType({}),
) -> Axes:
    """Final test accuracy against the `seconds` of each variant, on a logarithmic axis: a dot per run, a larger dot at their
    mean, and a ring where the original prints both."""
    for variant, style in zip(results.records, styles(), strict=False):
        accuracy = 100 * pd.Series(report.values(results, variant, "test_accuracy"), dtype=float)
        mark, cost = {"marker": style["marker"], "color": style["color"], "linestyle": ""}, seconds.get(variant, float("nan"))
        ax.plot([cost] * len(accuracy), accuracy, alpha=0.45, markersize=5, **mark)
        ax.plot(cost, accuracy.mean(), markersize=10, label=variant, **mark)
        theirs, their_cost = original.get(variant, (0.0, None))
        if their_cost:
            ax.plot(their_cost, 100 * theirs, markersize=10, fillstyle="none", **mark)
    ax.set_xscale("log")
    for axis_formatter in (ax.xaxis.set_major_formatter, ax.xaxis.set_minor_formatter):
        axis_formatter(ScalarFormatter())
    ax.set_xlabel(label)
    ax.set_ylabel("test accuracy, %")
    ax.legend()
    return ax


def chain(steps: pd.DataFrame, ax: Axes) -> Axes:
    """Accuracy after each step of a chain, from rows of `cifar10_answers.chain`: the original's, ours with its choices, and ours
    with choices by held-out images."""
    percent, places = 100 * steps, range(len(steps))
    ax.plot(places, percent["report"], "k.", markersize=9, label="the report")
    ax.plot(places, percent["here"], "o", color=COLOURS[0], label="here, the report's choice")
    ax.vlines(places, percent["low"], percent["high"], color=COLOURS[0], linewidth=2)
    ax.plot(places, percent["held_out"], "D", color=COLOURS[1], fillstyle="none", label="here, chosen on other images")
    ax.set_xticks(places, list(steps.index))
    ax.set_xlabel("step")
    ax.set_ylabel("test accuracy, %")
    ax.legend()
    return ax
