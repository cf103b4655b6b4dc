"""The chain of the report's choices from C1 to C13, and how accurate each leaves the network."""

import pandas as pd

from fastresnet.chapters import cifar10_differences
from fastresnet.records.record import in_percent
from fastresnet.report import Measure, original, selection, values
from fastresnet.study import Study

CHAIN = {
    "C1": ("rate 0.15", None),
    "C4": ("momentum 0.5", None),
    "C5": ("rate 0.04", None),
    "C6": ("weight decay 0.015", None),
    "C7": ("one-cycle", None),
    "C8": ("maximum 0.1", None),
    "C9": ("flips in training and test", original.C9[-1].test_accuracy),
    "C10": ("relu", None),
    "C11": ("batch 1125", None),
    "C12": ("maximum 0.075", original.C13["base"][0]),
    "C13": ("3x3 stem, no pool", original.C13["3x3 stem, no pool"][0]),
}
"""By step: the variant that the report chose, and the accuracy that it prints, if any."""
SAID = {"C6": cifar10_differences.DECAYED, "C8": 0.77}
"""Accuracies that the report gives in words: "barely 70 %", and "most end near 77 %"."""


def measure_of(step: str) -> Measure:
    """The accuracy by which a step is judged: the mean of the last five epochs where its rate is constant, else the last."""
    return "settled_accuracy" if step in ("C1", "C4", "C5", "C6") else "test_accuracy"


def chain(study: Study) -> pd.DataFrame:
    """One row per step from C1 to C13, with accuracies in [0, 1]: `report` (as printed), `said` (in words), `here`, `low` and
    `high` (mean, lowest and highest of our runs with the report's choice, by `measure_of`), and `held_out` (the variant that is
    best on half of the test images, on the other half, at the end). NaN if nothing is printed or recorded, and for `held_out` of
    steps that are not judged at the end."""
    rows = {}
    for step, (chosen, printed) in CHAIN.items():
        results = study.recorded(step)
        ours = pd.Series(values(results, chosen, measure_of(step)) if results else [], dtype=float)
        at_the_end = measure_of(step) == "test_accuracy"
        rows[step] = {
            "report": printed,
            "said": SAID.get(step),
            "here": ours.mean(),
            "low": ours.min(),
            "high": ours.max(),
            "held_out": selection.held_out(results) if results and at_the_end else None,
        }
    return pd.DataFrame.from_dict(rows, orient="index", dtype=float)


def chain_finding(steps: pd.DataFrame) -> str:
    """How far the chain of `chain` leads here and in the report, as one Markdown paragraph; "" if no step is recorded."""
    here = steps["here"].dropna()
    if here.empty:
        return ""
    apart = (100 * (steps["here"] - steps["report"].fillna(steps["said"]))).dropna()
    told = ", ".join(f"{step} {'about ' * (step in SAID)}{points:+.1f}" for step, points in apart.items())
    chosen = (100 * (steps["held_out"] - steps["here"])).dropna()
    recorded = f" ({len(here)} of {len(steps)} are recorded)" * (len(here) < len(steps))
    halves = (
        " Choosing the setting that does best on half of the test images, in place of the report's, changes accuracy on the "
        f"other half by {chosen.min():+.1f} to {chosen.max():+.1f} points."
    )
    return (
        f"**Finding.** With the report's choices, the steps{recorded} lead from "
        f"{in_percent(here.iloc[0])} ({here.index[0]}) to {in_percent(here.iloc[-1])} ({here.index[-1]}). Beside the report's "
        f"figures that is, in points: {told}.{halves * (len(chosen) > 0)}"
    )
