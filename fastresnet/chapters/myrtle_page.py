"""Tables of the chapter on "How to train your ResNet": results by settings, measurements of runs, and the ladder."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from fastresnet.config.models import DavidNetConfig
from fastresnet.config.schedules import Schedule
from fastresnet.records.record import RunRecord
from fastresnet.report import as_table, spread
from fastresnet.study import Results

_STEPS = 1000  # at which a schedule is evaluated to find its highest rate


def settings(results: Results) -> pd.DataFrame:
    """One row per run: `group` (the variant's name without its last, varied part, which may be all of it), seed, `lr` (the
    schedule's highest), weight_decay, momentum, `gain` (1 / (1 - momentum), the total factor on a gradient), and accuracy at the
    end in [0, 1], NaN for a run that diverged."""
    rows = []
    for variant, records in results.records.items():
        group = variant.rpartition(", ")[0]
        for record in records:
            train = record.config.train
            rows.append(
                {
                    "group": group,
                    "seed": record.seed,
                    "lr": peak_lr(train.schedule),
                    "weight_decay": train.weight_decay,
                    "momentum": train.momentum,
                    "gain": 1 / (1 - train.momentum),
                    "accuracy": record.test_accuracy,
                }
            )
    return pd.DataFrame(rows).astype({"accuracy": float})


def peak_lr(schedule: Schedule) -> float:
    """The highest learning rate of a schedule."""
    return max(schedule(step, _STEPS) for step in range(_STEPS))


def explained(runs: pd.DataFrame, other: str) -> pd.DataFrame:
    """Share of the accuracy's variance over a grid of learning rate and another setting that their product alone explains, and
    that their ratio explains.

    Takes rows of `settings`. Returns one row per seed with `product` and `ratio` in [0, 1], each the R squared of a parabola in
    the logarithm. The product explains nearly all if the accuracy is constant wherever the product is. Runs that diverged are
    left out.
    """
    rows = {}
    for seed, cells in runs.dropna(subset="accuracy").groupby("seed"):
        rate, second, ends = np.log(cells["lr"]), np.log(cells[other]), cells["accuracy"].to_numpy()
        rows[seed] = {"product": _r_squared(rate + second, ends), "ratio": _r_squared(rate - second, ends)}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["product", "ratio"])


def spreads_at_equal_product(runs: pd.DataFrame, other: str) -> list[float]:
    """Per seed, the largest difference of two accuracies whose learning rate times another setting is the same.

    Takes rows of `settings`. Runs that diverged are left out, and so is a seed without two cells of one product.
    """
    cells = runs.dropna(subset="accuracy")
    product = (cells["lr"] * cells[other]).map("{:.6g}".format)
    accuracies = cells.groupby(["seed", product])["accuracy"]
    apart = (accuracies.max() - accuracies.min()).groupby("seed").max()
    return [spread for spread in apart.tolist() if spread > 0]


def _r_squared(positions: pd.Series, ends: np.ndarray) -> float:
    total = float(((ends - ends.mean()) ** 2).sum())
    if total == 0 or positions.round(6).nunique() < 4:  # a parabola goes through any three points
        return float("nan")
    rest = ends - np.polyval(np.polyfit(positions, ends, 2), positions)
    return 1 - float((rest**2).sum()) / total


def largest_rates(runs: pd.DataFrame, group: str, *, least: float) -> list[float]:
    """Per seed, the highest learning rate at which a run of a group ends with an accuracy of at least `least`; NaN if none does.

    Takes rows of `settings`."""
    chosen = runs[runs["group"] == group]
    return [float(cells.loc[cells["accuracy"] >= least, "lr"].max()) for _, cells in chosen.groupby("seed")]


def best_rates(runs: pd.DataFrame, group: str) -> list[float]:
    """Per seed, the learning rate of the most accurate run of a group; NaN if every run diverged.

    Takes rows of `settings`."""
    best = []
    for _, cells in runs[runs["group"] == group].groupby("seed"):
        known = cells.dropna(subset="accuracy")
        best.append(float("nan") if known.empty else float(known.loc[known["accuracy"].idxmax(), "lr"]))
    return best


def measured(results: Results, name: str) -> pd.DataFrame:
    """One row per value that runs measured under a name: variant, seed, `place` (from 1, in the record's order), value."""
    return pd.DataFrame(
        [
            {"variant": variant, "seed": record.seed, "place": place, "value": value}
            for variant, records in results.records.items()
            for record in records
            for place, value in enumerate(record.measured.get(name, ()), 1)
        ],
        columns=["variant", "seed", "place", "value"],
    )


def measured_at(results: Results, variant: str, name: str, at: int) -> list[float]:
    """The value at index `at` of those measured under a name, for each run of a variant that measured them."""
    return [record.measured[name][at] for record in results.records.get(variant, ()) if record.measured.get(name)]


def final_norms(results: Results, variant: str) -> list[float]:
    """The weight norm after the last epoch, for each run of a variant; NaN for a run without one."""
    ends = (record.epochs[-1].weight_norm for record in results.records.get(variant, ()))
    return [float("nan") if norm is None else norm for norm in ends]


def norm_ratios(results: Results, *, decaying: bool) -> list[float]:
    """Per seed, the largest final weight norm over the smallest, among SGD variants with weight decay (`decaying`) or without."""
    chosen = [
        final_norms(results, variant)
        for variant, (record, *_) in results.records.items()
        if (record.config.train.weight_decay > 0) == decaying and not record.config.train.lars
    ]
    return [float(np.max(norms) / np.min(norms)) for norms in zip(*chosen, strict=True)]  # NaN if one of them is


def gradients_times_scale(results: Results) -> dict[str, list[float]]:
    """By variant, for each run: gradient norm times the factor r on the weights, relative to the first variant; 1 in theory."""
    products = {
        variant: np.array([_weight_scale(record) * record.measured["gradient_norm"][0] for record in records])
        for variant, records in results.records.items()
    }
    first = next(iter(products.values()))
    return {variant: (each / first).tolist() for variant, each in products.items()}


def _weight_scale(record: RunRecord) -> float:
    model = record.config.model
    return model.weight_scale if isinstance(model, DavidNetConfig) else 1.0


def forgetting(results: Results, variant: str) -> list[float]:
    """Loss on the first images of the last epoch over loss on its last images, for each run that measured `recall`."""
    found = (record.measured.get("recall") for record in results.records.get(variant, ()))
    return [recall[0] / recall[-1] for recall in found if recall]


def spectra(results: Results) -> pd.DataFrame:
    """Rows of `measured` for the leading eigenvalues: of all networks in training mode, then of those with batch norm, its
    statistics frozen."""
    frozen = measured(results, "eigenvalues_frozen")
    models = {variant: record.config.model for variant, (record, *_) in results.records.items()}
    with_norm = [name for name, model in models.items() if isinstance(model, DavidNetConfig) and model.norm.kind != "none"]
    frozen = frozen[frozen["variant"].isin(with_norm)]
    return pd.concat([measured(results, "eigenvalues"), frozen.assign(variant=frozen["variant"] + ", frozen")])


def common_target(results: Results) -> float:
    """The highest whole per cent of test accuracy, as a fraction, that every run reaches at some time, except those that
    diverged."""
    finished = [record for record in results.all_records if record.outcome.status == "finished"]
    best = (max(epoch.test_accuracy or 0 for epoch in record.epochs) for record in finished)
    return math.floor(round(100 * min(best, default=0), 6)) / 100  # 100 * 0.29 is a little less than 29


def cost_to(results: Results, variant: str, accuracy: float) -> pd.DataFrame:
    """Cost of each run of a variant until an evaluation first reached an accuracy, NaN if none did: `epochs`, `seconds` at the
    speed of the run's fastest epoch, and `TFLOP`. Assumes whole epochs that all cost the same."""
    rows = []
    for record in results.records.get(variant, ()):
        epochs = record.epochs_to(accuracy) or float("nan")
        fastest = min(epoch.train_seconds for epoch in record.epochs)
        rows.append(
            {
                "epochs": epochs,
                "seconds": epochs * fastest,
                "TFLOP": epochs / record.epochs_trained * record.training_flops / 1e12,
            }
        )
    return pd.DataFrame(rows, columns=["epochs", "seconds", "TFLOP"], dtype=float)


def ladder(results: Results, accuracy: float, published: Mapping[str, float]) -> pd.DataFrame:
    """One row per step: medians of `cost_to`, how many runs reach the accuracy, and the published seconds to 94 % on a V100 (NaN
    if not printed). Medians are over all runs, and NaN if half of the runs never reach it."""
    rows = {}
    for variant in results.records:
        costs = cost_to(results, variant, accuracy)
        rows[variant] = {
            **costs.fillna(np.inf).median().replace(np.inf, np.nan),
            "runs that reach it": f"{costs['epochs'].notna().sum()} of {len(costs)}",
            "published seconds": published.get(variant, float("nan")),
        }
    return as_table(rows, "step")


def surface_table(runs: pd.DataFrame, other: str) -> pd.DataFrame:
    """Final test accuracy in % over learning rate and another setting of `settings`, mean ± standard deviation, one row per value
    of the other."""
    cells = {(row, lr): spread(100 * group["accuracy"], 1) for (row, lr), group in runs.groupby([other, "lr"])}
    return pd.Series(cells).unstack().rename_axis(index=other.replace("_", " "), columns="lr")
