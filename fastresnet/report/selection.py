"""Choosing among variants by single runs: what is chosen, and by how much its accuracy is overestimated."""

from typing import Literal

import numpy as np
import pandas as pd

from fastresnet.records.record import RunRecord, in_percent
from fastresnet.report import MEASURES, Measure, as_table, spread, values
from fastresnet.study import Results


def choices(results: Results, column: Measure, *, best: Literal["lowest", "highest"]) -> pd.DataFrame:
    """One row per variant: how often it would be chosen from a single run of each. That is the share of all ways to draw one run
    per variant in which it has the best value of a column of `Results.frame()`."""
    _, _, unit, scale = MEASURES[column]
    chosen = {
        variant: {f"mean, {unit}": spread(scale * sample, 2), "chosen by single runs": in_percent(wins.mean(), 0)}
        for variant, (sample, wins) in _wins(results, column, best).items()
    }
    return as_table(chosen)


def selection_bias(results: Results, column: Measure = "test_accuracy") -> float:
    """Selection bias of the best of single runs, in [0, 1], by a column of `Results.frame()`. Over all ways to draw one run per
    variant, it is the mean of the best value drawn minus the mean of its variant's other runs. Runs that diverged are never the
    best, and are left out of the mean. NaN if a variant has one run, or one that did not diverge, or all draws tie."""
    excess = weight = 0.0
    for sample, wins in _wins(results, column, "highest").values():
        if len(sample) < 2 or (wins.any() and np.isfinite(sample).sum() < 2):
            return float("nan")
        leads = [run - np.nanmean(np.delete(sample, place)) if wins[place] else 0 for place, run in enumerate(sample)]
        excess += float((wins * leads).mean())
        weight += float(wins.mean())
    return excess / weight if weight else float("nan")


def held_out(results: Results) -> float:
    """Accuracy, on one half of the test images, of the variant that is best on the other half, in [0, 1]. It is the mean over
    both choices of the half and over all seeds. A variant that diverged is not chosen. NaN if runs did not measure
    `test-halves`."""
    ends = []
    for runs in zip(*results.records.values(), strict=True):
        halves = np.array([run.measured.get("test_halves", _missing(run)) for run in runs])
        ends += [halves[np.argmax(halves[:, seen]), 1 - seen] for seen in (0, 1)]
    mean = float(np.mean(ends))
    return mean if np.isfinite(mean) else float("nan")


def _missing(run: RunRecord) -> tuple[float, float]:
    worst = -np.inf if run.outcome.status == "diverged" else np.nan
    return worst, worst


def _wins(results: Results, column: str, best: Literal["lowest", "highest"]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By variant: the values of its runs, and the probability that each run is better than one run drawn from every other
    variant."""
    sign = 1 if best == "lowest" else -1
    samples = {variant: np.asarray(values(results, variant, column)) for variant in results.records}
    found = {}
    for variant, sample in samples.items():
        # a run that diverged (NaN) is worse than all others
        others = [np.nan_to_num(sign * other, nan=np.inf) for name, other in samples.items() if name != variant]
        # draws are independent: the probability is a product, over the other variants, of the share of worse runs
        found[variant] = sample, np.array([np.prod([(other > sign * value).mean() for other in others]) for value in sample])
    return found
