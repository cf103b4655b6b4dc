"""Figures: results in, Axes out. Nothing here reads a file or shows a window.

Each variant has a colour of the style's, and a marker and a dash of its own as well, so that a figure survives
black-and-white print.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import ScalarFormatter

from fastresnet import report
from fastresnet.chapters.frontier_page import Published, total_seconds
from fastresnet.records.record import RunRecord
from fastresnet.report.style import COLOURS, INK, RULE
from fastresnet.study import Results

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//", "\\\\", "..", "xx")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))


def styles() -> itertools.cycle:
    """Keyword arguments that tell one variant from the next."""
    return itertools.cycle(
        {"color": colour, "marker": marker, "linestyle": dash}
        for colour, marker, dash in zip(COLOURS, MARKERS, DASHES, strict=True)
    )


def accuracy_by_epoch(results: Results, ax: Axes) -> Axes:
    """Test accuracy against epochs: the mean of the seeds as a line, their range as a band."""
    return _curves(results, ax, against="epoch", label="epoch")


def train_and_test_accuracy(results: Results, ax: Axes) -> Axes:
    """Test accuracy against epochs as full lines, training accuracy as dashed ones: means of the seeds, and their range.

    The legend names the variants; the key to the dashes is the caller's."""
    epochs = results.epochs()
    for variant, style in zip(results.records, styles(), strict=False):
        runs = epochs[epochs["variant"] == variant]
        for column, label, dash in (("test_accuracy", variant, "-"), ("train_accuracy", None, "--")):
            rows = 100 * runs.dropna(subset=column).groupby("epoch")[column].agg(["mean", "min", "max"]).astype(float)
            ax.plot(rows["mean"], dash, color=style["color"], label=label)
            ax.fill_between(rows.index, rows["min"], rows["max"], color=style["color"], alpha=0.15, linewidth=0)
    ax.set_xlabel("epoch")
    ax.set_ylabel("accuracy, %")
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
    """One dot a run, one bar a mean, a row a variant: `column` of `Results.frame()`, times `scale`."""
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
    """Milliseconds an image spends in each part of a training step, stacked: a bar a variant, the mean of its runs."""
    names = list(results.records)
    means = pd.DataFrame([report.step_parts(records).mean() for records in results.records.values()], index=names) * 1e3
    left = pd.Series(0.0, index=names)
    for part, colour, hatch in zip(means, COLOURS, HATCHES, strict=False):
        ax.barh(names, means[part], left=left, color=colour, hatch=hatch, edgecolor="white", linewidth=0.5, label=part)
        left += means[part]
    ax.invert_yaxis()
    ax.set_xlabel("milliseconds an image")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))  # the bars leave no room inside
    return ax


def accuracy_against_seconds(results: Results, ax: Axes, *, column: str = "epoch_seconds", label: str) -> Axes:
    """Final test accuracy against cost, on a logarithmic axis; one dot a run and a larger one the mean."""
    frame = results.frame()
    for variant, style in zip(results.records, styles(), strict=False):
        rows = frame[frame["variant"] == variant]
        seconds, accuracy = rows[column], 100 * rows["test_accuracy"].astype(float)
        ax.plot(seconds, accuracy, style["marker"], color=style["color"], alpha=0.45, markersize=5)
        ax.plot(seconds.mean(), accuracy.mean(), style["marker"], color=style["color"], markersize=10, label=variant)
    ax.set_xscale("log")
    for axis_formatter in (ax.xaxis.set_major_formatter, ax.xaxis.set_minor_formatter):
        axis_formatter(ScalarFormatter())
    ax.set_xlabel(label)
    ax.set_ylabel("test accuracy, %")
    ax.legend()
    return ax


def frontier(
    results: Mapping[str, Results],
    published: Sequence[Published],
    ax: Axes,
    *,
    cost: Callable[[RunRecord], float],
    published_cost: str,
    label: str,
    legend: bool = True,
) -> Axes:
    """Test error against cost, both on logarithmic axes: a dot a run of ours, and a numbered dot for what others have
    published, whose cost is the field `published_cost`. The legend, if there is one, stands beside the panel."""
    for (name, found), style in zip(results.items(), styles(), strict=False):
        records = [record for group in found.records.values() for record in group if record.test_accuracy is not None]
        costs, errors = [cost(record) for record in records], [100 * (1 - (record.test_accuracy or 0)) for record in records]
        ax.plot(costs, errors, style["marker"], color=style["color"], alpha=0.7, markersize=6, label=name)
    for number, point in enumerate(published, 1):  # numbered, because several lie too close for their names
        value, error = getattr(point, published_cost), 100 * (1 - point.accuracy)
        if value is not None:
            ax.plot(value, error, ".", color=INK, markersize=5, label=f"{number} {point.name}")
            # neighbours in the list are neighbours in the plot, too close for numbers side by side
            shift, alignment = (4, "bottom") if number % 2 else (-4, "top")
            ax.annotate(
                str(number), (value, error), (0, shift), textcoords="offset points", fontsize=8, ha="center", va=alignment
            )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.yaxis.set_minor_formatter(ScalarFormatter())
    ax.set_xlabel(label)
    ax.set_ylabel("test error, %")
    if legend:
        ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def growth(measured: pd.DataFrame, ax: Axes) -> Axes:
    """Seconds an epoch against the factor by which one thing was multiplied, a dot a run and a line a thing through the means,
    with thin lines for growth by the factor and by its square."""
    for (what, runs), style in zip(measured.groupby("what", sort=False), styles(), strict=False):
        ax.plot(runs["factor"], runs["epoch_seconds"], style["marker"], color=style["color"], alpha=0.5, markersize=5)
        ax.plot(runs.groupby("factor")["epoch_seconds"].mean(), style["linestyle"], color=style["color"], label=what)
    once = measured.loc[measured["factor"] == 1, "epoch_seconds"].mean()
    factors = sorted(measured["factor"].unique())
    for power, name in ((1, "the factor"), (2, "its square")):
        reached = [factor for factor in factors if factor**power <= 64]
        ax.plot(reached, [once * factor**power for factor in reached], color=RULE, linewidth=0.8)
        ax.annotate(name, (reached[-1], once * reached[-1] ** power), (3, 0), textcoords="offset points", fontsize=8)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("multiplied by")
    ax.set_ylabel("seconds an epoch")
    ax.legend()
    return ax


def gradient_scale(measured: pd.DataFrame, ax: Axes) -> Axes:
    """Gradient norm against weight scale, both relative, one line a layer, and the line that theory draws."""
    for _, rows in measured.groupby("layer", sort=False):
        ax.plot(rows["scale"], rows["gradient"], "o", color=COLOURS[0], alpha=0.4, markersize=6)
    scales = sorted(measured["scale"].unique())
    ax.plot(scales, [1 / scale for scale in scales], "--", color=COLOURS[1], label="1 / r")
    ax.plot(scales, scales, ":", color=COLOURS[2], label="r")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.set_xlabel("factor r on the weights")
    ax.set_ylabel("factor on the gradient's norm")
    ax.legend()
    return ax


def beside_report(finals: Mapping[str, tuple[Published, Results]], ax: Axes) -> Axes:
    """Seconds of the report's final models, hollow, and of the recipes for the same accuracies, a dot a run with a bar at the
    mean, a row an accuracy; logarithmic, with the figures beside them."""
    for position, (published, found) in enumerate(finals.values()):
        seconds = [total_seconds(record) for records in found.records.values() for record in records]
        theirs, mean = published.seconds or float("nan"), sum(seconds) / len(seconds)
        ax.plot([mean, theirs], [position] * 2, color=RULE, linewidth=1, zorder=1)
        ax.plot(seconds, [position] * len(seconds), "o", color=COLOURS[0], alpha=0.5, markersize=7)
        ax.vlines(mean, position - 0.22, position + 0.22, color=COLOURS[0], linewidth=2)
        ax.plot(theirs, position, "s", markeredgecolor=COLOURS[1], markerfacecolor="white", markersize=8)
        for text, at, offset, side in ((mean, min(seconds), -8, "right"), (theirs, theirs, 10, "left")):
            label = f"{text:.{int(text < 10)}f} s"
            ax.annotate(label, (at, position), (offset, 0), textcoords="offset points", ha=side, va="center")
    ax.set_yticks(range(len(finals)), list(finals))
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.margins(x=0.14, y=0.15)
    ax.set_xlabel("seconds (logarithmic)")
    return ax
