"""Figures of the chapter on "How to train your ResNet", from its results and the tables of `fastresnet.chapters.myrtle_page`."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from fastresnet.chapters import myrtle_page
from fastresnet.records.record import in_percent
from fastresnet.report import FASTEST, figures, style
from fastresnet.report.figures import styles
from fastresnet.report.style import COLOURS, RULE
from fastresnet.study import Results

CHANCE = 10.0  # percent accuracy of guessing one of ten classes
_LIFT = 0.25  # share of a cell's height: its number stands above the line through its middle


def recall(results: Results) -> Figure:
    """Loss of the trained network on each tenth of the last epoch's images, in the order in which it saw them."""
    figure, ax = style.panels(3.8)
    _by_place(myrtle_page.measured(results, "recall"), ax, label="tenth of the last epoch, first seen to last", value="loss")
    return figures.titled(figure, results, figures.bands(results))


def backbones(results: Results) -> Figure:
    """Accuracy of each network against the seconds of the fastest epoch of all its runs: other load only slows epochs down."""
    figure, ax = style.panels(4.4)
    fastest = results.frame().groupby("variant")[FASTEST].min()
    figures.accuracy_against_seconds(results, ax, seconds=fastest, label="seconds of the fastest epoch of all runs (logarithmic)")
    return figures.titled(figure, results, "Small: runs; large: their mean")


def surfaces(results: Results, decays: pd.DataFrame, momenta: pd.DataFrame) -> Figure:
    """Plots accuracy over rate and weight decay, and over rate and momentum, from rows of `myrtle_page.settings`."""
    figure, (above, below) = style.panels(6.0, 2)
    surface(decays, "weight_decay", above, label="weight decay")
    surface(momenta, "gain", below, label="1 / (1 - momentum)")
    return figures.titled(figure, results, "Test accuracy in %; dashed: equal products")


def constants(results: Results) -> Figure:
    """Means and deviations of the channels, and the share of an activation that is constant, against depth."""
    figure, (above, below) = style.panels(6.0, 2)
    means, deviations = (myrtle_page.measured(results, f"channel_{name}") for name in ("mean", "std"))
    channels_by_depth(means, deviations, above)
    constant_share_by_depth(myrtle_page.measured(results, "constant_share"), below)
    return figures.titled(figure, results, figures.bands(results))


def _by_place(values: pd.DataFrame, ax: Axes, *, label: str, value: str, log: bool = False) -> Axes:
    """Plots mean and range over the seeds against place, such as a layer's depth, from rows of `myrtle_page.measured`."""
    for (variant, rows), mark in zip(values.groupby("variant", sort=False), styles(), strict=False):
        figures.mean_and_range(ax, rows, "value", by="place", label=variant, markersize=4, **mark)
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("{x:g}")
    ax.set_xlabel(label)
    ax.set_ylabel(value)
    if values["variant"].nunique() > 3:  # more lines leave no room for a legend inside
        ax.figure.legend(loc="outside lower left", ncols=2)
    else:
        style.legend(ax)
    return ax


def channels_by_depth(means: pd.DataFrame, deviations: pd.DataFrame, ax: Axes) -> Axes:
    """Plots absolute means of the channels (full lines) and their deviations (dashed) against depth, from rows of
    `myrtle_page.measured`."""
    for (variant, rows), colour in zip(means.groupby("variant", sort=False), COLOURS, strict=False):
        others = deviations[deviations["variant"] == variant]
        for part, name, dash in ((rows, "mean", "-"), (others, "standard deviation", "--")):
            ax.plot(part.groupby("place")["value"].mean(), dash, color=colour, label=f"{variant}, {name}")
    ax.set_yscale("log")
    ax.set_xlabel("depth, in activations")
    ax.set_ylabel("mean or deviation of a channel")
    style.legend(ax)
    return ax


def constant_share_by_depth(shares: pd.DataFrame, ax: Axes) -> Axes:
    """Plots the share of the activations' mean square that is constant per channel against depth, from rows of
    `myrtle_page.measured`. A line shows the share that a ReLU leaves for standard normal values."""
    _by_place(shares, ax, label="depth, in activations", value="constant share")
    ax.axhline(1 / np.pi, color=RULE, linewidth=0.8)
    ax.annotate("1 / π", (1.0, 1 / np.pi), (3, 0), xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=8)
    ax.set_ylim(0, 1.02)
    return ax


def eigenvalues(results: Results, spectra: pd.DataFrame) -> Figure:
    """Plots the magnitude of the leading eigenvalues against their rank, from rows of `myrtle_page.measured`. Each is a dot,
    hollow if negative, and a line goes through the means of the seeds."""
    figure, ax = style.panels(3.8)
    for (variant, rows), mark in zip(spectra.groupby("variant", sort=False), styles(), strict=False):
        sizes = rows["value"].abs()
        ax.plot(sizes.groupby(rows["place"]).mean(), mark["linestyle"], color=mark["color"], linewidth=1, label=variant)
        for chosen, fill in ((rows["value"] >= 0, mark["color"]), (rows["value"] < 0, "none")):
            ax.scatter(
                rows.loc[chosen, "place"], sizes[chosen], 22, marker=mark["marker"], edgecolor=mark["color"], facecolor=fill
            )
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("rank")
    ax.set_ylabel("absolute value of the eigenvalue")
    style.legend(ax)
    return figures.titled(figure, results, "Dots: runs, hollow where negative; lines: means")


def weight_norms(results: Results) -> Figure:
    """Norm of the convolutions' weights by epoch: mean and range of the seeds, one line per variant."""
    figure, ax = style.panels(4.4)
    epochs = results.epochs().dropna(subset="weight_norm")
    _by_place(
        epochs.rename(columns={"epoch": "place", "weight_norm": "value"}),
        ax,
        label="epoch",
        value="norm of the weights",
        log=True,
    )
    return figures.titled(figure, results, figures.bands(results))


def rate_stress(results: Results, runs: pd.DataFrame) -> Figure:
    """Plots final test accuracy against learning rate, from rows of `myrtle_page.settings`. There is one line per group through
    the means, one dot per run, and a cross at the level of chance per diverged run."""
    figure, ax = style.panels(3.4)
    for (group, rows), mark in zip(runs.groupby("group", sort=False), styles(), strict=False):
        accuracy = (100 * rows["accuracy"]).fillna(CHANCE)
        ax.plot(accuracy.groupby(rows["lr"]).mean(), mark["linestyle"], color=mark["color"], label=group)
        finished = rows["accuracy"].notna()
        ax.plot(rows.loc[finished, "lr"], accuracy[finished], mark["marker"], color=mark["color"], alpha=0.6, markersize=5)
        ax.plot(rows.loc[~finished, "lr"], accuracy[~finished], "x", color=mark["color"], markersize=8)
    ax.axhline(CHANCE, color=RULE, linewidth=0.8)
    ax.set_xscale("log")
    ax.set_xlabel("learning rate")
    ax.set_ylabel("test accuracy, %")
    if runs["group"].nunique() > 1:
        style.legend(ax)
    crosses = "; crosses: runs that diverged" * bool(runs["accuracy"].isna().any())
    return figures.titled(figure, results, f"Dots: runs{crosses}; grey: chance")


def surface(runs: pd.DataFrame, other: str, ax: Axes, *, label: str) -> Axes:
    """Plots mean test accuracy over learning rate and the setting `other`, on logarithmic axes, from rows of
    `myrtle_page.settings`. There is a number per cell and lines of constant product; a cell whose runs all diverged has no
    colour."""
    cells = (100 * runs.groupby([other, "lr"])["accuracy"].mean()).unstack()
    xs, ys = np.log2(cells.columns.to_numpy(float)), np.log2(cells.index.to_numpy(float))
    drawn = ax.pcolormesh(_edges(xs), _edges(ys), cells.to_numpy(), cmap="Blues")
    middle, lift = sum(drawn.get_clim()) / 2, _LIFT * np.diff(_edges(ys))[0]
    for row, column in np.ndindex(cells.shape):
        value = cells.iat[row, column]
        colour = "white" if value > middle else "black"
        text = "diverged" if np.isnan(value) else f"{value:.0f}"
        ax.text(
            xs[column], ys[row] + lift, text, ha="center", va="center", fontsize=8, color="black" if np.isnan(value) else colour
        )
    for product in np.unique(np.round(np.add.outer(ys, xs), 6)):
        ax.axline((xs[0], product - xs[0]), slope=-1, color="0.85", linestyle="--", linewidth=0.8)
    ax.grid(visible=False)
    ax.set_xlim(*_edges(xs)[[0, -1]])
    ax.set_ylim(*_edges(ys)[[0, -1]])
    ax.set_xticks(xs, [f"{value:g}" for value in cells.columns])
    ax.set_yticks(ys, [f"{value:g}" for value in cells.index])
    ax.set_xlabel("learning rate")
    ax.set_ylabel(label)
    return ax


def _edges(centres: np.ndarray) -> np.ndarray:
    """The edges of cells with these centres; the outer cells are as wide as their neighbours."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    between = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - between[0]], between, [2 * centres[-1] - between[-1]]])


def ladder(results: Results, steps: pd.DataFrame, target: float) -> Figure:
    """Plots seconds and operations to the target after each step, and published seconds, from rows of `myrtle_page.ladder`. Each
    is divided by its value at the first step; the axis is logarithmic. A step has no point if half of its runs never reach the
    target."""
    figure, ax = style.panels(4.6)
    columns = {"seconds": "seconds, here", "TFLOP": "operations, here", "published seconds": "seconds, published"}
    for (column, name), mark in zip(columns.items(), styles(), strict=False):
        known = steps[column].dropna()
        if len(known):
            positions = [steps.index.get_loc(step) for step in known.index]
            ax.plot(known / known.iloc[0], positions, label=name, markersize=6, **mark)
    ax.set_yticks(range(len(steps)), list(steps.index))
    ax.invert_yaxis()
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("share of the first step's cost")
    style.legend(ax)
    what = f"cost of {in_percent(target, 0)} test accuracy after each step, median of the runs"
    return style.title(figure, f"{results.experiment.id}: {what}")


def gradient_scale(measured: pd.DataFrame) -> Figure:
    """Gradient norm against weight scale, both relative: dots for each layer, and the lines 1 / r (the theory) and r."""
    figure, ax = style.panels(3.4)
    for _, rows in measured.groupby("layer", sort=False):
        ax.plot(rows["scale"], rows["gradient"], "o", color=COLOURS[0], alpha=0.4, markersize=6)
    scales = sorted(measured["scale"].unique())
    ax.plot(scales, [1 / scale for scale in scales], "--", color=COLOURS[1], label="1 / r")
    ax.plot(scales, scales, ":", color=COLOURS[2], label="r")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.set_xlabel("factor r on the weights")
    ax.set_ylabel("factor on the gradient's norm")
    style.legend(ax)
    return style.title(figure, "M6a: gradients of every convolution of a ResNet-18")
