"""Style of the figures on every page: matplotlib settings, a palette, and alt text.

Figures are drawn in dark ink on white, for print and notebooks; the book's style sheet inverts them in its dark theme. They
are vectors, so that they stay sharp at any width.
"""

from textwrap import fill
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

BLACK = "#000000"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", BLACK, "#E69F00", "#56B4E9")
"""Palette of Okabe and Ito; its colours differ for any colour vision. Those that are alike stand last."""

INK = "#333333"
RULE = "#999999"
"""Colour of reference lines: theory, chance, a limit."""

WIDTH = 5.0
"""Width of every figure in inches. At the width of a telephone its text, of 9.5 points, is still 9 pixels high."""

_SETTINGS: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": RULE,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "figure.titlesize": "medium",
    "figure.titleweight": "bold",
    "font.size": 9.5,
    "grid.color": "#e4e4e4",
    "legend.edgecolor": "none",
    "legend.facecolor": "white",
    "legend.fontsize": "small",
    "legend.title_fontsize": "small",
    "legend.framealpha": 0.75,  # legible over lines, which still show through
    "svg.hashsalt": "fastresnet",  # otherwise identifiers differ each time a figure is drawn
    "text.color": INK,
    "xtick.color": RULE,
    "xtick.labelcolor": INK,
    "ytick.color": RULE,
    "ytick.labelcolor": INK,
}


def use() -> None:
    """Sets the study's style for all later figures, instead of the user's settings. A notebook shows them as SVG, each with its
    description as metadata `alt`."""
    from IPython import get_ipython

    pd.set_option("display.max_colwidth", None)  # a table's sentences are shown whole
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(_SETTINGS)
    if shell := get_ipython():
        formatters = shell.display_formatter.formatters
        formatters["image/png"].pop(Figure, None)
        formatters["image/svg+xml"].for_type(Figure, _drawn)


def _drawn(figure: Figure) -> tuple[str, dict[str, Any]]:
    from IPython.core.pylabtools import print_figure

    return print_figure(figure, "svg", metadata={"Date": None}), {"alt": describe(figure)}


def text_colour(colour: str) -> tuple[float, ...]:
    """A colour, darkened where needed so that text in it can be read on white: a contrast of about 4.5 to 1."""
    shade = np.array(to_rgb(colour))
    while shade**2.2 @ (0.2126, 0.7152, 0.0722) > 0.18:  # relative luminance
        shade = 0.95 * shade
    return tuple(shade.tolist())


def panels(height: float, rows: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure with `rows` panels, one above the other, and its axes. Options are those of `plt.subplots`."""
    return plt.subplots(rows, 1, figsize=(WIDTH, height), layout="constrained", **options)


def legend(ax: Axes) -> None:
    """Adds a legend to a panel in which something with a name is drawn."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend()


def title(figure: Figure, text: str, key: str = "") -> Figure:
    """Sets a figure's title and, below the figure, the key to its marks, both at its left edge. Returns the figure."""
    figure.suptitle(fill(text, 60), x=0.01, ha="left")
    if key and figure.legends:  # below the panels, where the key would be
        figure.legends[0].set(alignment="left")
        figure.legends[0].set_title(f"{key}.")
    elif key:
        figure.supxlabel(fill(f"{key}.", 75), x=0.01, ha="left", fontsize="small")
    return figure


def describe(figure: Figure) -> str:
    """Describes a figure in words: its title, the title, axes and labels of each panel, and the key."""
    keys = figure.get_supxlabel() or "".join(legend.get_title().get_text() for legend in figure.legends)
    title, key = (text.replace("\n", " ") for text in (figure.get_suptitle(), keys))
    said = [title, *(_describe_panel(ax) for ax in figure.axes), key.rstrip(".")]
    return " ".join(each if each.endswith("?") else f"{each}." for each in said if each)


def _describe_panel(ax: Axes) -> str:
    axes = " against ".join(filter(None, (ax.get_ylabel(), ax.get_xlabel())))
    rows = [label.get_text() for label in ax.get_yticklabels()] if not ax.get_ylabel() else []
    names = list(dict.fromkeys([*ax.get_legend_handles_labels()[1], *filter(None, rows)]))
    return ". ".join(filter(None, (ax.get_title("left") or ax.get_title(), axes, ", ".join(names))))
