"""Figures look alike, can be told apart, and are described in words."""

import matplotlib
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from fastresnet.report import style


@pytest.fixture
def figure():
    with matplotlib.rc_context():
        style.use()
        drawn, ax = plt.subplots(layout="constrained")
        ax.plot([1, 2], [3, 4], label="narrow")
        ax.plot([1, 2], [4, 3], label="wide")
        ax.set_xlabel("epoch")
        ax.set_ylabel("test accuracy, %")
        ax.legend()
        style.title(drawn, "F8: channels", "Lines: mean of the seeds")
        yield drawn
        plt.close(drawn)


def test_figure_is_described_by_its_title_axes_names_and_key(figure):
    assert style.describe(figure) == ("F8: channels. test accuracy, % against epoch. narrow, wide. Lines: mean of the seeds.")


def test_rows_that_are_named_belong_to_the_description(figure):
    _, ax = plt.subplots()
    ax.barh(["batch 128", "batch 256"], [1, 2])
    ax.set_xlabel("milliseconds")
    assert style.describe(ax.figure) == "milliseconds. batch 128, batch 256."
    plt.close(ax.figure)


def test_lines_take_the_palette_and_the_frame_is_open(figure):
    (ax,) = figure.axes
    assert [line.get_color() for line in ax.lines] == list(style.COLOURS[:2])
    assert not ax.spines["top"].get_visible()


def _luminance(colour):
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_ink_is_legible_on_white():
    assert 1.05 / (_luminance(style.INK) + 0.05) > 7


def test_palette_s_colours_differ_in_lightness_or_hue_for_any_colour_vision():
    # the two kinds of red-green blindness see about (r, g) as one; what is left is lightness and blue
    seen = [(_luminance(colour), to_rgb(colour)[2]) for colour in style.COLOURS]
    for number, (light, blue) in enumerate(seen):
        for other_light, other_blue in seen[:number]:
            assert abs(light - other_light) > 0.03 or abs(blue - other_blue) > 0.15
