"""Tables and figures of the myrtle chapter from made-up records, against what can be worked out by hand."""

import math

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from fastresnet.chapters import myrtle_figures, myrtle_page
from fastresnet.config import RunConfig, TrainConfig
from fastresnet.config.models import DavidNetConfig, NormConfig, ResNetConfig
from fastresnet.config.schedules import Constant, OneCycle, PiecewiseLinear

from .made_up import record_of, results_of


def run(*accuracies, norms=(), model=None, seed=0, measured=(), **train):
    """A record of the settings of training and the network."""
    config = RunConfig(model=model or ResNetConfig(), train=TrainConfig(**{"epochs": float(len(accuracies)), **train}))
    return record_of(config, *accuracies, norms=norms, seed=seed, measured=dict(measured))


def grid(value, *, rates=(0.1, 0.2, 0.4, 0.8), decays=(1e-4, 2e-4, 4e-4, 8e-4), seeds=(0, 1)):
    """A run a cell and seed, its accuracy a function of the rate and the decay, both in doublings, and the seed."""
    return results_of(
        **{
            f"lr {lr}, decay {decay}": [
                run(value(i, j, seed), seed=seed, schedule=Constant(lr=lr), weight_decay=decay) for seed in seeds
            ]
            for i, lr in enumerate(rates)
            for j, decay in enumerate(decays)
        }
    )


@pytest.fixture
def ax():
    return plt.subplots()[1]


@pytest.fixture(autouse=True)
def figures_closed():
    yield
    plt.close("all")


@pytest.mark.parametrize(
    ("schedule", "peak"),
    [
        (Constant(lr=0.3), 0.3),
        (OneCycle(max_lr=0.7), 0.7),
        (PiecewiseLinear(points=((0.0, 0.1), (0.2, 0.9), (1.0, 0.0))), 0.9),
    ],
)
def test_peak_is_the_schedules_highest_rate(schedule, peak):
    assert myrtle_page.peak_lr(schedule) == pytest.approx(peak, rel=1e-3)


def test_settings_are_those_of_the_configuration():
    found = results_of(**{"batch norm, lr 0.2": [run(0.4, 0.6, schedule=Constant(lr=0.2), momentum=0.75), run(None, seed=1)]})
    first, second = myrtle_page.settings(found).to_dict("records")
    assert (first["group"], first["lr"], first["gain"], first["accuracy"]) == ("batch norm", 0.2, 4.0, 0.6)
    assert math.isnan(second["accuracy"])
    assert myrtle_page.settings(results_of(**{"lr 0.2": [run(0.4)]}))["group"].tolist() == [""]


def test_product_explains_what_is_level_along_it_and_the_ratio_what_is_not():
    level = myrtle_page.explained(myrtle_page.settings(grid(lambda i, j, seed: 0.8 - 0.02 * (i + j - 3) ** 2)), "weight_decay")
    assert level["product"].tolist() == pytest.approx([1.0, 1.0])
    assert level["ratio"].max() < 0.6
    steep = myrtle_page.explained(myrtle_page.settings(grid(lambda i, j, seed: 0.8 - 0.02 * (i - j) ** 2)), "weight_decay")
    assert steep["ratio"].tolist() == pytest.approx([1.0, 1.0])
    rate_alone = myrtle_page.explained(myrtle_page.settings(grid(lambda i, j, seed: 0.5 + 0.05 * i)), "weight_decay")
    assert rate_alone["product"].tolist() == pytest.approx([0.5, 0.5])
    assert rate_alone["ratio"].tolist() == pytest.approx([0.5, 0.5])


def test_a_grid_too_small_for_a_parabola_explains_nothing():
    small = grid(lambda i, j, seed: 0.1 * i, rates=(0.1, 0.2), decays=(1e-4, 2e-4))
    assert myrtle_page.explained(myrtle_page.settings(small), "weight_decay").isna().all(axis=None)


def test_largest_rate_is_the_last_that_trains():
    accuracies = {0.1: 0.2, 0.2: 0.6, 0.4: 0.4, 0.8: None}
    found = results_of(**{f"plain, lr {lr}": [run(value, schedule=Constant(lr=lr))] for lr, value in accuracies.items()})
    runs = myrtle_page.settings(found)
    assert myrtle_page.largest_rates(runs, "plain", least=0.3) == [0.4]
    assert math.isnan(myrtle_page.largest_rates(runs, "plain", least=0.7)[0])
    assert myrtle_page.largest_rates(runs, "not run", least=0.3) == []


def test_best_rate_is_that_of_the_most_accurate_run_of_each_seed():
    ends = {0.1: (0.5, 0.6, None), 0.2: (0.7, 0.4, None), 0.4: (None, 0.5, None)}
    found = results_of(
        **{f"a, lr {lr}": [run(value, seed=i, schedule=Constant(lr=lr)) for i, value in enumerate(v)] for lr, v in ends.items()}
    )
    assert myrtle_page.best_rates(myrtle_page.settings(found), "a") == [0.2, 0.1, pytest.approx(float("nan"), nan_ok=True)]


def test_measured_values_keep_their_order():
    found = results_of(a=[run(0.5, measured={"eigenvalues": (9.0, -3.0)})], b=[run(0.5, measured={"other": (1.0,)})])
    assert myrtle_page.measured(found, "eigenvalues").values.tolist() == [["a", 0, 1, 9.0], ["a", 0, 2, -3.0]]
    assert myrtle_page.measured_at(found, "a", "eigenvalues", 0) == [9.0]
    assert myrtle_page.measured_at(found, "a", "eigenvalues", -1) == [-3.0]
    assert myrtle_page.measured_at(found, "b", "eigenvalues", 0) == []


def test_final_norms_are_of_the_last_epoch():
    found = results_of(a=[run(0.5, 0.5, norms=(3.0, 2.0)), run(0.5, seed=1)])
    assert myrtle_page.final_norms(found, "a")[0] == 2.0
    assert math.isnan(myrtle_page.final_norms(found, "a")[1])


def test_norm_ratios_compare_the_starts_of_each_seed_and_leave_lars_out():
    ends = {"a": ((4.0, 3.0), 0.1), "b": ((2.0, 2.0), 0.1), "c": ((9.0, 8.0), 0.0), "d": ((3.0, 2.0), 0.0)}
    found = {
        name: [run(0.5, seed=i, norms=(norm,), weight_decay=decay) for i, norm in enumerate(norms)]
        for name, (norms, decay) in ends.items()
    }
    found["LARS"] = [run(0.5, seed=i, norms=(99.0,), lars={"trust": 0.1}) for i in range(2)]
    assert myrtle_page.norm_ratios(results_of(**found), decaying=True) == [2.0, 1.5]
    assert myrtle_page.norm_ratios(results_of(**found), decaying=False) == [3.0, 4.0]
    found["e"] = [run(0.5, seed=i, norms=(norm,), weight_decay=0.1) for i, norm in enumerate((None, 2.0))]
    assert [math.isnan(ratio) for ratio in myrtle_page.norm_ratios(results_of(**found), decaying=True)] == [True, False]


def test_gradients_are_multiplied_by_the_factor_on_the_weights():
    found = results_of(
        **{
            name: [
                run(0.5, seed=i, model=DavidNetConfig(weight_scale=scale), measured={"gradient_norm": (norm * (1 + i),)})
                for i in range(2)
            ]
            for name, scale, norm in (("1", 1.0, 3.0), ("2", 2.0, 1.5), ("4", 4.0, 1.5))
        }
    )
    assert myrtle_page.gradients_times_scale(found) == {"1": [1.0, 1.0], "2": [1.0, 1.0], "4": [2.0, 2.0]}


def test_forgetting_is_the_loss_on_images_seen_first_over_that_on_the_last():
    found = results_of(a=[run(0.5, measured={"recall": (3.0, 9.0, 2.0)}), run(0.5, seed=1)])
    assert myrtle_page.forgetting(found, "a") == [1.5]
    assert myrtle_page.forgetting(found, "not run") == []


def test_spectra_have_frozen_batch_norm_only_where_there_is_batch_norm():
    both = {"eigenvalues": (2.0,), "eigenvalues_frozen": (8.0,)}
    found = results_of(
        **{
            name: [run(0.5, model=DavidNetConfig(norm=NormConfig(kind=kind)), measured=both)]
            for name, kind in (("with", "batch"), ("without", "none"))
        }
    )
    assert myrtle_page.spectra(found)[["variant", "value"]].values.tolist() == [
        ["with", 2.0],
        ["without", 2.0],
        ["with, frozen", 8.0],
    ]


def test_common_target_is_what_the_worst_run_comes_to_at_its_best():
    found = results_of(a=[run(0.3, 0.456, 0.4)], b=[run(0.9), run(0.5, seed=1)])
    assert myrtle_page.common_target(found) == 0.45
    assert myrtle_page.common_target(results_of(a=[run(0.29)])) == 0.29


def test_ladder_counts_up_to_the_first_evaluation_at_the_target():
    runs = [run(0.4, 0.6, 0.7), run(0.6, 0.5, 0.7, seed=1), run(0.1, 0.2, 0.3, seed=2)]
    table = myrtle_page.ladder(results_of(a=runs, b=runs[2:]), 0.55, {"a": 297.0})
    # two epochs, one and never: the median run needs two of its three epochs, at 2 s and 3 TFLOP
    assert table.loc["a"].tolist() == [2.0, 4.0, 6.0, "2 of 3", 297.0]
    assert table.loc["b", "runs that reach it"] == "0 of 1"
    assert table.loc["b", ["epochs", "seconds", "TFLOP", "published seconds"]].isna().all()


def test_surface_table_has_a_row_per_decay_and_a_column_per_rate():
    table = myrtle_page.surface_table(
        myrtle_page.settings(grid(lambda i, j, seed: 0.1 * i + 0.01 * j + 0.002 * seed)), "weight_decay"
    )
    assert table.loc[2e-4, 0.4] == "21.1 ± 0.1"


def test_surface_shows_every_cell_and_each_line_of_constant_product_once(ax):
    found = grid(lambda i, j, seed: None if i == 3 and j == 3 else 0.5 + 0.1 * i, seeds=(0,))
    myrtle_figures.surface(myrtle_page.settings(found), "weight_decay", ax, label="decay")
    texts = [text.get_text() for text in ax.texts]
    assert (texts.count("50"), texts.count("80"), texts.count("diverged")) == (4, 3, 1)
    assert len(ax.get_lines()) == 7  # a 4x4 grid in doublings has seven anti-diagonals
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.1", "0.2", "0.4", "0.8"]


def test_diverged_runs_are_crosses_at_chance():
    found = results_of(
        **{"plain, lr 0.1": [run(0.5, schedule=Constant(lr=0.1))], "plain, lr 0.2": [run(None, schedule=Constant(lr=0.2))]}
    )
    (ax,) = myrtle_figures.rate_stress(found, myrtle_page.settings(found)).axes
    means, dots, crosses, _ = ax.get_lines()
    assert list(means.get_ydata()) == [50.0, 10.0]
    assert list(dots.get_ydata()) == [50.0]
    assert (crosses.get_marker(), list(crosses.get_xdata()), list(crosses.get_ydata())) == ("x", [0.2], [10.0])


def test_negative_eigenvalues_are_hollow_and_as_high_as_positive_ones():
    found = results_of(a=[run(0.5, measured={"e": (9.0, -3.0)})])
    (ax,) = myrtle_figures.eigenvalues(found, myrtle_page.measured(found, "e")).axes
    assert list(ax.get_lines()[0].get_ydata()) == [9.0, 3.0]
    full, hollow = ax.collections
    assert full.get_offsets().tolist() == [[1.0, 9.0]]
    assert hollow.get_offsets().tolist() == [[2.0, 3.0]]
    assert len(full.get_facecolor()) == 1
    assert len(hollow.get_facecolor()) == 0


def test_layers_are_drawn_at_the_mean_of_the_seeds(ax):
    found = results_of(
        **{"a": [run(0.5, measured={"m": (0.2, 0.4), "s": (2.0, 4.0)}), run(0.5, seed=1, measured={"m": (0.4, 0.8)})]}
    )
    myrtle_figures.constant_share_by_depth(myrtle_page.measured(found, "m"), ax)
    assert list(ax.get_lines()[0].get_ydata()) == pytest.approx([0.3, 0.6])
    assert list(ax.get_lines()[1].get_ydata()) == pytest.approx([1 / math.pi] * 2)
    ax.clear()
    myrtle_figures.channels_by_depth(myrtle_page.measured(found, "m"), myrtle_page.measured(found, "s"), ax)
    assert [list(line.get_ydata()) for line in ax.get_lines()] == [pytest.approx([0.3, 0.6]), [2.0, 4.0]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a, mean", "a, standard deviation"]


def test_norms_are_drawn_by_epoch_without_runs_that_have_none():
    found = results_of(a=[run(0.5, 0.5, norms=(3.0, 2.0)), run(0.5, 0.5, seed=1, norms=(5.0, 2.0))], b=[run(0.5)])
    (ax,) = myrtle_figures.weight_norms(found).axes
    (line,) = ax.get_lines()
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([1, 2], [4.0, 2.0])


def test_ladder_is_drawn_relative_to_its_first_step():
    found = results_of(a=[run(0.4, 0.6)], b=[run(0.2, 0.2)], c=[run(0.6, 0.6)])
    steps = myrtle_page.ladder(found, 0.55, {"a": 300.0, "b": 200.0, "c": 100.0})
    (ax,) = myrtle_figures.ladder(found, steps, 0.55).axes
    seconds, _, published = ax.get_lines()
    assert (list(seconds.get_xdata()), list(seconds.get_ydata())) == ([1.0, 0.5], [0, 2])
    assert list(published.get_xdata()) == pytest.approx([1, 2 / 3, 1 / 3])


def test_accuracies_are_compared_where_the_product_is_the_same():
    cells = [
        (0, 0.1, 0.4, 0.30),
        (0, 0.4, 0.1, 0.36),
        (0, 0.2, 0.2, 0.31),
        (0, 0.1, 0.1, 0.90),
        (1, 0.1, 0.4, None),
        (1, 0.4, 0.1, 0.5),
    ]
    runs = pd.DataFrame(cells, columns=["seed", "lr", "weight_decay", "accuracy"]).astype({"accuracy": float})
    assert myrtle_page.spreads_at_equal_product(runs, "weight_decay") == pytest.approx([0.06])
