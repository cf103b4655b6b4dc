"""Figures: results in, Axes out. Nothing here reads a file or shows a window.

Each variant has its own colour, marker and dash, so that a figure survives black-and-white print.
"""

import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from fastresnet import report
from fastresnet.report import style
from fastresnet.report.original import OriginalEpoch
from fastresnet.report.style import COLOURS, RULE
from fastresnet.report.tables import ACCURACY, FASTEST, SETTLED
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


def curves(results: Results, **marks: float) -> Figure:
    """Test accuracy by epoch: per variant a line of the means of the seeds, named at its end, and a band of their range. Grey
    lines show the accuracies in `marks`, fractions by name."""
    figure, ax = style.panels(3.4)
    ends = accuracy_by_epoch(results, ax)
    for name, accuracy in marks.items():
        ax.axhline(100 * accuracy, color=RULE, linewidth=1)
        ends[name] = 100 * accuracy, RULE
    name_lines(ax, ends)
    return titled(figure, results, bands(results))


def dots(results: Results, column: str = ACCURACY) -> Figure:
    """Test accuracies at the end, or `SETTLED` ones, in %: a row per variant, a dot per run, and a bar at their mean."""
    figure, ax = style.panels(0.9 + 0.3 * len(results.records))
    when = {ACCURACY: "at the end", SETTLED: "mean of the last five epochs"}[column]
    runs_by_variant(results, column, ax, label=f"test accuracy, {when}, %", scale=100)
    return titled(figure, results)


def accuracy_and_seconds(results: Results, column: str = FASTEST, *, label: str = "seconds of the fastest epoch") -> Figure:
    """Test accuracy and, below it, seconds of a column of `Results.frame()`: a row per variant, dots for runs, bars for means."""
    figure, (above, below) = style.panels(1.4 + 0.6 * len(results.records), 2)
    runs_by_variant(results, "test_accuracy", above, label="test accuracy, %", scale=100)
    runs_by_variant(results, column, below, label=label)
    return titled(figure, results)


def parts(results: Results) -> Figure:
    """Where the time of an image goes in a training step: a stacked bar per variant."""
    figure, ax = style.panels(max(1.9, 1.2 + 0.3 * len(results.records)))
    step_parts(results, ax)
    return titled(figure, results)


def train_and_test(results: Results, *, original: Sequence[OriginalEpoch] = (), train_mark: str = "o") -> Figure:
    """Test and training accuracy by epoch, and the original's if it prints them, training as rings ("o") or crosses ("x")."""
    original = () if results.other_data else original
    figure, ax = style.panels(3.6)
    name_lines(ax, {**train_and_test_accuracy(results, ax), **original_epochs(original, ax, train_mark=train_mark)})
    key = "Full lines: test; dashed: training"
    marks = {"o": "rings", "x": "crosses"}[train_mark]
    return titled(figure, results, key + f"; black: the report, with {marks} for training" * bool(original))


def bands(results: Results) -> str:
    """The key to lines with bands; "" for one seed, which has no band."""
    return "Lines: mean of the seeds; bands: their range" if len(results.seeds) > 1 else ""


def titled(figure: Figure, results: Results, key: str = "") -> Figure:
    """Puts the question of an experiment above its figure, and the `key` to marks and lines below that."""
    return style.title(figure, f"{results.experiment.id}: {results.experiment.question}", key)


Ends = dict[str, tuple[float, str]]
"""By line: its last value and its colour."""


def accuracy_by_epoch(results: Results, ax: Axes) -> Ends:
    """Test accuracy against epochs: the mean of the seeds as a line, their range as a band."""
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _accuracy(results, results.epochs(), ax, by="epoch", label="epoch")


def _accuracy(results: Results, epochs: pd.DataFrame, ax: Axes, *, by: str, label: str) -> Ends:
    ends: Ends = {}
    for variant, mark in zip(results.records, styles(), strict=False):
        end = mean_and_range(ax, epochs[epochs["variant"] == variant], "test_accuracy", by=by, scale=100, markersize=4, **mark)
        if end is not None:  # not every run diverged
            ends[variant] = end, str(mark["color"])
    ax.set_xlabel(label)
    ax.set_ylabel("test accuracy, %")
    return ends


def mean_and_range(
    ax: Axes, epochs: pd.DataFrame, column: str, *, by: str = "epoch", scale: float = 1.0, **mark: Any
) -> float | None:
    """Draws a column of `Results.epochs()`, times `scale`, by epoch or another column: the mean of the runs as a line, their
    range as a band. Returns the last mean; None if there is no value. `mark` are arguments of `Axes.plot`, with the colour."""
    rows = scale * epochs.dropna(subset=column).groupby(by)[column].agg(["mean", "min", "max"]).astype(float)
    if rows.empty:
        return None
    ax.plot(rows["mean"], **mark)
    ax.fill_between(rows.index, rows["min"], rows["max"], color=mark["color"], alpha=0.15, linewidth=0)
    return float(rows["mean"].iloc[-1])


def name_lines(ax: Axes, ends: Ends) -> None:
    """Writes each line's name and last value beside its end, far enough apart to be read."""
    low, high = ax.get_ylim()
    places: list[float] = []
    lines = sorted(ends.items(), key=lambda line: line[1])
    for _, (value, _) in lines:
        places.append(max(value, places[-1] + 0.065 * (high - low)) if places else value)
    lift = sum(place - value for place, (_, (value, _)) in zip(places, lines, strict=True)) / max(len(places), 1)
    for place, (variant, (value, colour)) in zip(places, lines, strict=True):
        ax.text(
            1.02,
            place - lift,
            f"{variant}  {value:.1f}",
            transform=ax.get_yaxis_transform(),
            color=style.text_colour(colour),
            va="center",
            fontsize="small",
        )


def train_and_test_accuracy(results: Results, ax: Axes) -> Ends:
    """Test accuracy against epochs as full lines, training accuracy as dashed ones: means of the seeds, and their range. Returns
    the ends of the full lines."""
    epochs = results.epochs()
    ends: Ends = {}
    for place, (variant, mark) in enumerate(zip(results.records, styles(), strict=False)):
        runs = epochs[epochs["variant"] == variant]
        line = {"color": mark["color"], "linewidth": max(2.5 - 0.5 * place, 1)}  # a line under another one shows at its edges
        mean_and_range(ax, runs, "train_accuracy", scale=100, linestyle="--", **line)
        end = mean_and_range(ax, runs, "test_accuracy", scale=100, **line)
        if end is not None:
            ends[variant] = end, str(mark["color"])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel("accuracy, %")
    return ends


def original_epochs(rows: Sequence[OriginalEpoch], ax: Axes, *, mark: str = ".", train_mark: str = "o") -> Ends:
    """The original's accuracies against epochs, in black, for the test set and for training where it is known: dots and rings,
    or other marks."""
    epochs = [row.epoch for row in rows]
    ax.plot(epochs, [100 * row.test_accuracy for row in rows], f"k{mark}", markersize=6)
    train = [float("nan") if row.train_accuracy is None else 100 * row.train_accuracy for row in rows]
    ax.plot(epochs, train, f"k{train_mark}", markersize=3.5, fillstyle="none")
    return {"the report": (round(100 * rows[-1].test_accuracy, 2), "black")} if rows else {}


def accuracy_by_seconds(results: Results, ax: Axes) -> Ends:
    """Test accuracy against seconds of training, evaluation not counted: means of the seeds, and their range."""
    epochs = results.epochs().astype({"test_accuracy": float})
    epochs["elapsed"] = epochs.groupby(["variant", "seed"])["train_seconds"].cumsum()
    epochs = epochs.dropna(subset="test_accuracy")
    epochs["elapsed"] = epochs.groupby(["variant", "epoch"])["elapsed"].transform("mean")
    return _accuracy(results, epochs, ax, by="elapsed", label="seconds of training")


def runs_by_variant(results: Results, column: str, ax: Axes, *, label: str, scale: float = 1.0) -> Axes:
    """`column` of `Results.frame()`, times `scale`: one row per variant, with a dot per run and a bar at the mean of several."""
    frame = results.frame()
    for position, (variant, mark) in enumerate(zip(results.records, styles(), strict=False)):
        values = scale * frame.loc[frame["variant"] == variant, column].astype(float)
        ax.plot(values, [position] * len(values), mark["marker"], color=mark["color"], alpha=0.7, markersize=6)
        if len(values) > 1:
            ax.vlines(values.mean(), position - 0.3, position + 0.3, color=mark["color"], linewidth=2)
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
    ax.figure.legend(loc="outside lower left", ncols=3)  # the bars leave no room inside
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
    for variant, line in zip(results.records, styles(), strict=False):
        accuracy = 100 * pd.Series(report.values(results, variant, "test_accuracy"), dtype=float)
        mark, cost = {**line, "linestyle": ""}, seconds.get(variant, float("nan"))
        ax.plot([cost] * len(accuracy), accuracy, alpha=0.45, markersize=5, **mark)
        ax.plot(cost, accuracy.mean(), markersize=10, label=variant, **mark)
        theirs, their_cost = original.get(variant, (0.0, None))
        if their_cost and not results.other_data:
            ax.plot(their_cost, 100 * theirs, markersize=10, fillstyle="none", **mark)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(label)
    ax.set_ylabel("test accuracy, %")
    ax.figure.legend(loc="outside lower left", ncols=2)
    return ax


def chain(steps: pd.DataFrame) -> Figure:
    """Accuracy after each step of a chain, from rows of `cifar10_chain.chain`: the original's as printed or said, ours with its
    choices, and ours with choices by held-out images."""
    figure, ax = style.panels(3.8)
    steps = steps.dropna(how="all")
    percent, places = 100 * steps, range(len(steps))
    ax.plot(places, percent["report"], "k.", markersize=9, label="the report")
    ax.plot(places, percent["said"], "ko", markersize=5, fillstyle="none", label="the report, roughly")
    ax.plot(places, percent["here"], "o", color=COLOURS[0], label="here, the report's choice")
    ax.vlines(places, percent["low"], percent["high"], color=COLOURS[0], linewidth=2)
    ax.plot(places, percent["held_out"], "D", color=COLOURS[1], fillstyle="none", label="here, chosen by half of the test images")
    ax.set_xticks(places, list(steps.index))
    ax.set_ylabel("test accuracy, %")
    style.legend(ax)
    return style.title(
        figure,
        f"Accuracy after each step, {steps.index[0]} to {steps.index[-1]}",
        "Bars: range of the seeds" * bool((steps["low"] < steps["high"]).any()),
    )
