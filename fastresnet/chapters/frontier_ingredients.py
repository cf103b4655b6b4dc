"""Tables and sentences of the frontier chapter: the length of a recipe, what its ingredients are worth, and how cost grows."""

import math
from statistics import mean, median
from typing import NamedTuple

import numpy as np
import pandas as pd

from fastresnet.chapters.frontier import ABLATIONS
from fastresnet.config.recipes import RECIPES
from fastresnet.records.record import RunRecord
from fastresnet.report import ACCURACY, as_table, spread, teraflop, values, verdicts
from fastresnet.report.captions import fold, provenance
from fastresnet.report.verdicts import MIN_RUNS
from fastresnet.study import Results


def ablations(results: Results) -> str:
    """HTML of an ablation table, and of a fold with its runs."""
    table = ablation_table(results).to_html(classes="explained")
    return f"{table}{fold('Runs', [provenance(results)])}"


def ablations_finding(results: Results) -> str:
    """Which changes make the recipe less or more accurate, by intervals that exclude zero, as one Markdown paragraph."""
    (_, baseline), *others = results.records.items()
    changes = pd.DataFrame({name: _change(records, baseline) for name, records in others}, index=_Change._fields).T
    changes = changes.sort_values("mean")
    sides = {"Less accurate": changes[changes["high"] < 0], "More accurate": changes[changes["low"] > 0]}
    said = [
        f"{side}: {', '.join(f'“{name}” ({points:+.2f})' for name, points in found['mean'].items())}."
        for side, found in sides.items()
        if len(found)
    ]
    if unknown := [f"“{name}”" for name in changes.index if not any(name in found.index for found in sides.values())]:
        said.append(f"Cannot tell: {', '.join(unknown) if len(unknown) < 4 else f'{len(unknown)} of {len(changes)}'}.")
    return f"**Finding.** {' '.join(said)}"


def ablation_table(results: Results) -> pd.DataFrame:
    """One row per change of the recipe: accuracy, its difference from the recipe's with a 95 % interval, cost, and what it means.

    Differences are paired by seed. The first variant is the unchanged recipe.
    """
    (recipe, baseline), *_ = results.records.items()
    digits = 2 if median(record.seconds.train for record in baseline) < 10 else 1
    rows = {}
    for name, records in results.records.items():
        rows[name] = {
            "test accuracy, %": spread(100 * np.array(values(results, name, ACCURACY)), 2),
            "change, points": "" if name == recipe else str(_change(records, baseline)),
            "training, s": spread([record.seconds.train for record in records], digits),
            "TFLOP": teraflop(records[0].training_flops),
            "what it means": ABLATIONS[name].meaning if name in ABLATIONS else "",
        }
    return as_table(rows)


class _Change(NamedTuple):
    """Mean difference from the recipe's accuracy in points, and its 95 % interval: NaN for fewer than three pairs of runs."""

    mean: float
    low: float = math.nan
    high: float = math.nan

    def __str__(self) -> str:
        interval = "n too small" if math.isnan(self.low) else f"{self.low:+.2f} to {self.high:+.2f}"
        return "—" if math.isnan(self.mean) else f"{self.mean:+.2f} ({interval})"


def _change(records: tuple[RunRecord, ...], baseline: tuple[RunRecord, ...]) -> _Change:
    ours, theirs = ([100 * (record.test_accuracy or math.nan) for record in runs] for runs in (records, baseline))
    known = [one - two for one, two in zip(ours, theirs, strict=True) if not math.isnan(one - two)]
    return _Change(*(verdicts.interval(ours, theirs, paired=True) or (mean(known) if known else math.nan,)))


def lengths_table(results: Results) -> pd.DataFrame:
    """One row per recipe and number of epochs that was tried: accuracy on the held-out images, whether it passes, whether it is
    the recipe's own length. A length passes if its mean accuracy less two standard errors reaches the target, which it takes
    `MIN_RUNS` runs to tell."""
    names, rows = [], []
    for variant, records in results.records.items():
        name, _, length = variant.partition(", ")
        target, epochs = RECIPES[name].target, records[0].config.train.epochs
        accuracy = pd.Series([record.test_accuracy for record in records], dtype=float).fillna(0)  # a run that diverged
        surely = accuracy.mean() - 2 * accuracy.sem()
        names.append(name)
        rows.append(
            {
                "length": length,
                "target, %": f"{100 * target:.2f}",
                "held-out accuracy, %": spread(100 * accuracy, 2),
                "less two standard errors": f"{100 * surely:.2f}" if len(records) > 1 else "—",
                "passes?": "too few runs" if len(records) < MIN_RUNS else "yes" if surely >= target else "no",
                "the recipe's?": "yes" if epochs == RECIPES[name].config("cpu").train.epochs else "no",
                "runs": len(records),
            }
        )
    return pd.DataFrame(rows, index=names).rename_axis(columns="recipe")


def confirmed(results: Results) -> dict[str, bool]:
    """By recipe of which enough runs have the recipe's own length: whether that passes on held-out images."""
    table = lengths_table(results)
    own = table[(table["the recipe's?"] == "yes") & (table["passes?"] != "too few runs")]
    return dict(zip(own.index, own["passes?"] == "yes", strict=True))


def lengths_finding(results: Results) -> str:
    """Which recipes are long enough by their held-out images, and which longer runs would be, as one Markdown paragraph."""
    table, sure = lengths_table(results), confirmed(results)
    if not sure:
        return f"**Finding.** No recipe's own length was tried in {MIN_RUNS} runs or more, which it takes to confirm it."
    passes = table["passes?"] == "yes"
    longer = table[passes].groupby(level=0)["length"].first()
    short = [
        f"`{name}` ({f'{longer[name]} pass' if name in longer else 'nor any other tried'})" for name in sure if not sure[name]
    ]
    but = f", but not that of {', '.join(short)}" if short else ""
    return f"**Finding.** Held-out images confirm the length of {sum(sure.values())} of {len(sure)} recipes{but}."


def growth_table(results: Results) -> pd.DataFrame:
    """One row per variant: seconds per epoch, operations per second, and the largest peak memory of its runs."""
    rows = {}
    for name, records in results.records.items():
        rows[name] = {
            "seconds per epoch": spread([record.seconds.train / record.epochs_trained for record in records], 2),
            "GFLOP/s": spread([record.training_flops / record.seconds.train / 1e9 for record in records], 0),
            "peak memory, GiB": f"{max(record.peak_memory_bytes for record in records) / 2**30:.2f}",
            "runs": len(records),
        }
    return as_table(rows)


def growth(results: Results) -> pd.DataFrame:
    """One row per run: what is multiplied, by which factor, and seconds per epoch. Factor 1 has one row per quantity."""
    frame = results.frame()
    varied = frame["variant"].str.extract(r"(?P<what>\w+), (?P<factor>\d+) times")
    frame = frame.assign(what=varied["what"], factor=varied["factor"].astype(int))
    once = frame[frame["factor"] == 1]
    others = [once.assign(what=what) for what in frame["what"].unique() if what not in set(once["what"])]
    return pd.concat([frame, *others], ignore_index=True)[["what", "factor", "seed", "epoch_seconds"]]


def growth_finding(results: Results) -> str:
    """Growth of the seconds per epoch at the largest factor on each quantity, as one Markdown paragraph."""
    medians = growth(results).groupby(["what", "factor"], sort=False)["epoch_seconds"].median()
    once = medians.xs(1, level="factor").iloc[0]
    largest = {what: max(medians[what].index) for what in medians.index.unique("what")}
    grown = [
        f"{medians[what, factor] / once:.1f} times as long in a run with {factor} times the {what}"
        for what, factor in largest.items()
    ]
    return f"**Finding.** Compared with a run of one epoch, an epoch takes {', '.join(grown)} (medians)."
