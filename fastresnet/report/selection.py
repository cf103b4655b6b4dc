"""What somebody who chooses among variants by single runs would choose, and how much too good it would look to them."""

from typing import Literal

import numpy as np
import pandas as pd

from fastresnet.report import MEASURES, Measure, spread, values
from fastresnet.study import Results


def choices(results: Results, column: Measure, *, best: Literal["lowest", "highest"]) -> pd.DataFrame:
    """How often each variant would be chosen from a single run of each: over every way of drawing one run per variant, the
    share in which it has the best value of a column of `Results.frame()`."""
    _, _, unit, scale = MEASURES[column]
    chosen = {
        variant: {f"mean, {unit}": spread(scale * pd.Series(sample), 2), "chosen by single runs": f"{wins.mean():.0%}"}
        for variant, (sample, wins) in _wins(results, column, best).items()
    }
    return pd.DataFrame.from_dict(chosen, orient="index").rename_axis(columns="variant")


def optimism(results: Results) -> float:
    """How much too good the best of single runs is, in [0, 1]: over every way of drawing one run per variant, the mean of the
    best test accuracy drawn minus that of the other runs of its variant. NaN if a variant has one run, or all draws tie."""
    excess = weight = 0.0
    for sample, wins in _wins(results, "test_accuracy", "highest").values():
        if len(sample) < 2:
            return float("nan")
        others = (sample.sum() - sample) / (len(sample) - 1)
        excess += float((wins * (sample - others)).mean())
        weight += float(wins.mean())
    return excess / weight if weight else float("nan")


def held_out(results: Results) -> float:
    """The accuracy of whoever chooses a variant by one half of the test images, on the other half, in [0, 1]: the mean over both
    ways round and all seeds. NaN where runs did not measure `test-halves`."""
    ends = []
    for runs in zip(*results.records.values(), strict=True):
        halves = np.array([run.measured.get("test_halves", (np.nan, np.nan)) for run in runs])
        ends += [halves[np.argmax(halves[:, seen]), 1 - seen] for seen in (0, 1)]
    return float(np.mean(ends))


def _wins(results: Results, column: str, best: Literal["lowest", "highest"]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The values of each variant's runs, and the probability of each run to be the best when one run per other variant is
    drawn."""
    sign = 1 if best == "lowest" else -1
    samples = {variant: np.asarray(values(results, variant, column)) for variant in results.records}
    found = {}
    for variant, sample in samples.items():
        # a run that diverged, NaN, is beaten by all and beats none
        others = [np.nan_to_num(sign * other, nan=np.inf) for name, other in samples.items() if name != variant]
        # the draws are independent: a run wins with the product of the shares of the others' runs that are worse
        found[variant] = sample, np.prod([[(other > sign * value).mean() for value in sample] for other in others], axis=0)
    return found
