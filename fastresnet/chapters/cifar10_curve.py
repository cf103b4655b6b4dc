"""How the report's curve for C9 can be read, and how far our runs are from it."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fastresnet.records.record import RunRecord
from fastresnet.report import figures, original, style
from fastresnet.report.answers import at_the_reports_scale, mean
from fastresnet.study import Results, Study

END = original.C9[-1].test_accuracy
PRINTED = [row.train_accuracy for row in original.C9 if row.train_accuracy is not None]


def of_single_epochs(means: Sequence[float]) -> list[float]:
    """The values of single epochs, from their means over all epochs so far."""
    return [epoch * now - (epoch - 1) * before for epoch, (before, now) in enumerate(pairwise((0.0, *means)), start=1)]


READ_ANEW = tuple(
    row._replace(train_accuracy=accuracy) for row, accuracy in zip(original.C9, of_single_epochs(PRINTED), strict=True)
)
"""The report's C9 with training accuracies of single epochs, if those that it prints are means over all epochs so far."""


def curve() -> Figure:
    """The report's accuracies by epoch: on the test set, in training as printed, and in training as read anew."""
    figure, ax = style.panels(3.4)
    lines: dict[str, tuple[list[float | None], str]] = {
        "test": ([row.test_accuracy for row in READ_ANEW], "k."),
        "training, printed": ([row.train_accuracy for row in original.C9], "ko"),
        "training, read anew": ([row.train_accuracy for row in READ_ANEW], "kx"),
    }
    ends = {}
    for name, (accuracies, mark) in lines.items():
        percents = 100 * pd.Series(accuracies, index=range(1, len(accuracies) + 1), dtype=float)
        ax.plot(percents, mark, markersize=6 if mark == "k." else 4, fillstyle="full" if mark == "k." else "none")
        ends[name] = float(percents.iloc[-1]), "black"
    figures.name_lines(ax, ends)
    ax.set_xlabel("epoch")
    ax.set_ylabel("accuracy, %")
    key = "Dots: test; rings: training as printed; crosses: training read anew"
    return style.title(figure, "The report's C9: training accuracy as printed and read anew", key)


def curve_finding(study: Study) -> str:
    """What single epochs of the report's C9 come to, and whether our runs could be read in the same way, as one Markdown
    paragraph."""
    read = of_single_epochs(PRINTED)
    falls = "never falls" if read == sorted(read) else "falls somewhere"
    said = (
        f"**Finding.** Read as means over all epochs so far, the report's figures make a training accuracy that {falls}. It "
        f"begins at {mean(read[:1])} and ends at {mean(read[-1:])}, {100 * (read[-1] - END):.0f} points above the test accuracy."
    )
    as_long = [record for record in _at_scale(study) if len(record.epochs) == len(PRINTED)]
    ours = [of_single_epochs([epoch.train_accuracy for epoch in record.epochs]) for record in as_long]
    if not ours:
        return said
    too_high, falling = sum(max(epochs) > 1 for epochs in ours), sum(epochs != sorted(epochs) for epochs in ours)
    return (
        f"{said} Ours are of single epochs. Read as such means, they exceed 100 % in {too_high} of our {len(ours)} runs of "
        f"{len(PRINTED)} epochs on all images, and fall somewhere in {falling}."
    )


def first_epochs(study: Study) -> pd.DataFrame:
    """One row per batch size: accuracies after one epoch, from the least to the most accurate run of C9's network on images of
    its size, and the number of runs. The report's are the last row."""
    base = next(iter(study.experiment("C9").variants.values()))
    runs = pd.DataFrame(
        {
            "batch": record.config.data.batch_size,
            "training accuracy, %": 100 * record.epochs[0].train_accuracy,
            "test accuracy, %": 100 * record.epochs[0].test_accuracy,
        }
        for record in _at_scale(study)
        if (record.config.model, record.config.data.image_size) == (base.model, base.data.image_size)
        and record.epochs[0].test_accuracy is not None
    )
    if runs.empty:
        return runs
    by_batch = runs.groupby("batch")
    ranges = by_batch.agg(lambda column: f"{column.min():.1f} to {column.max():.1f}")
    table = ranges.assign(runs=by_batch.size()).sort_index(ascending=False).rename(index="batch {}".format)
    table.loc["the report"] = [f"{100 * PRINTED[0]:.1f}", f"{100 * original.C9[0].test_accuracy:.1f}", 1]
    return table.rename_axis(None)


def _at_scale(study: Study) -> list[RunRecord]:
    """Every recorded run of the study on as many images as the report's. Runs that experiments share count once."""
    recorded = [results for results in map(study.recorded, study.experiments) if results and at_the_reports_scale(results)]
    return list({(record.config_hash, record.seed): record for results in recorded for record in results.all_records}.values())


def distances(results: Results, variant: str) -> list[float]:
    """How far each run of a variant is from the report's C9, with its training accuracies read anew: the root mean square of the
    differences in accuracy, over epochs, training and test. In [0, 1]. Runs that diverged are left out, and all on other data."""
    finished = [record for record in results.records.get(variant, ()) if record.outcome.status == "finished"]
    return [] if results.other_data else [_distance(record) for record in finished]


def _distance(record: RunRecord) -> float:
    ours = [accuracy for epoch in record.epochs for accuracy in (epoch.train_accuracy, epoch.test_accuracy)]
    theirs = [accuracy for row in READ_ANEW for accuracy in (row.train_accuracy, row.test_accuracy)]
    pairs = [(one, other) for one, other in zip(ours, theirs, strict=False) if one is not None and other is not None]
    return float(np.sqrt(np.mean([(one - other) ** 2 for one, other in pairs])))
