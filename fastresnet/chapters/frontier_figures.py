"""Figures of the frontier chapter: results in, matplotlib axes out."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, median
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import ScalarFormatter

from fastresnet.chapters.frontier_page import Final, Published, target
from fastresnet.config.recipes import RECIPES
from fastresnet.records.record import RunRecord
from fastresnet.report.figures import styles
from fastresnet.report.style import BLACK, COLOURS, INK, RULE, text_colour
from fastresnet.study import Results

_LINE = 11.5
"""Points between the names of published results above each other."""


def frontier(
    results: Mapping[str, Results],
    published: Sequence[Published],
    ax: Axes,
    *,
    cost: Callable[[RunRecord], float],
    published_cost: str,
    label: str,
) -> Axes:
    """Test error against cost, both on logarithmic axes: a mark per run of ours, and a dot per published result, whose cost is
    its field `published_cost`. Where ours cost less than others at the same error, our name stands to the left and theirs to
    the right; else the other way round. Theirs hang on lines above their dots."""
    dots = [(value, point) for point in published if (value := getattr(point, published_cost)) is not None]
    coloured = (mark for mark in styles() if mark["color"] != BLACK)  # the published dots are nearly black
    ours = {}
    for (name, found), mark in zip(results.items(), coloured, strict=False):
        records = [record for record in found.all_records if record.test_accuracy is not None]
        if not records:
            continue
        costs, errors = [cost(record) for record in records], [100 * (1 - (record.test_accuracy or 0)) for record in records]
        ax.plot(costs, errors, mark["marker"], color=mark["color"], alpha=0.7, markersize=6, label=name)
        level = _level(RECIPES[name].target)
        ours[level] = median(costs)
        rivals = [value for value, point in dots if _level(point.accuracy) == level] or [value for value, _ in dots]
        edge, shift, side = (min(costs), -6, "right") if ours[level] < median(rivals) else (max(costs), 6, "left")
        _name(ax, name, (edge, mean(errors)), (shift, 0), ha=side, va="center", color=text_colour(mark["color"]))
    # of those at one level, the one whose name passes over all others has the longest line
    levels: Counter[int] = Counter()
    for value, point in sorted(dots, key=lambda dot: abs(math.log(dot[0] / ours.get(_level(dot[1].accuracy), 1))), reverse=True):
        level, error = _level(point.accuracy), 100 * (1 - point.accuracy)
        levels[level] += 1
        ax.plot(value, error, ".", color=INK, markersize=5)
        right = value > ours.get(level, 0)
        line = {"arrowstyle": "-", "color": INK, "linewidth": 0.5, "relpos": (1 - right, 0), "shrinkA": 0, "shrinkB": 0}
        side, name = "left" if right else "right", point.name.split(" (")[0]
        _name(ax, name, (value, error), (0, _LINE * levels[level]), ha=side, va="bottom", color=INK, arrowprops=line)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.yaxis.set_minor_formatter(ScalarFormatter())
    ax.margins(x=0.5, y=0.12)
    ax.set_xlabel(label)
    ax.set_ylabel("test error, %")
    return ax


def _level(accuracy: float) -> int:
    return round(100 * (1 - accuracy))


def _name(ax: Axes, name: str, at: tuple[float, float], shift: tuple[float, float], **options: Any) -> None:
    ax.annotate(name, at, shift, textcoords="offset points", **options)


def growth(measured: pd.DataFrame, ax: Axes) -> Axes:
    """Seconds per epoch against the factor on one quantity: a dot per run, a line per quantity through the means, and thin lines
    for growth by the factor and by its square."""
    for (what, runs), mark in zip(measured.groupby("what", sort=False), styles(), strict=False):
        ax.plot(runs["factor"], runs["epoch_seconds"], mark["marker"], color=mark["color"], alpha=0.5, markersize=5)
        ax.plot(runs.groupby("factor")["epoch_seconds"].mean(), mark["linestyle"], color=mark["color"], label=what)
    once = measured.loc[measured["factor"] == 1, "epoch_seconds"].mean()
    factors = sorted(measured["factor"].unique())
    for power, name in ((1, "as the factor"), (2, "as its square")):
        reached = [factor for factor in factors if factor**power <= 64]
        ax.plot(reached, [once * factor**power for factor in reached], color=RULE, linewidth=0.8)
        ax.annotate(name, (reached[-1], once * reached[-1] ** power), (3, 0), textcoords="offset points")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("multiplied by")
    ax.set_ylabel("seconds per epoch")
    ax.legend()
    return ax


def beside_report(finals: Mapping[str, Final], ax: Axes) -> Axes:
    """Seconds of the report's final models (hollow squares) and of the recipes for the same accuracies (a dot per run, a bar at
    the mean). There is one row per accuracy, on a logarithmic axis, with the seconds beside the marks."""
    for position, final in enumerate(finals.values()):
        seconds, theirs = final.seconds, final.published.seconds or math.nan
        middle = mean(seconds)
        ax.plot([middle, theirs], [position] * 2, color=RULE, linewidth=1, zorder=1)
        ax.plot(seconds, [position] * len(seconds), "o", color=COLOURS[0], alpha=0.5, markersize=7)
        ax.vlines(middle, position - 0.22, position + 0.22, color=COLOURS[0], linewidth=2)
        ax.plot(theirs, position, "s", markeredgecolor=COLOURS[1], markerfacecolor="white", markersize=8)
        for text, at, offset, side in ((middle, min(seconds), -8, "right"), (theirs, theirs, 10, "left")):
            label = f"{text:.{int(text < 10)}f} s"
            ax.annotate(label, (at, position), (offset, 0), textcoords="offset points", ha=side, va="center")
    ax.set_yticks(range(len(finals)), [target(name) for name in finals])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.margins(x=0.25, y=0.15)
    ax.set_xlabel("seconds (logarithmic)")
    return ax
