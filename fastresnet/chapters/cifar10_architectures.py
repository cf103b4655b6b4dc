"""C13's answer: the accuracy and the seconds of each architecture, the report's and ours."""

from functools import partial
from itertools import pairwise

import pandas as pd
from matplotlib.figure import Figure

from fastresnet import report
from fastresnet.records.record import as_printed
from fastresnet.report import ACCURACY, FASTEST, average, figures, most_accurate, original, style, values
from fastresnet.report.answers import Answer, beside, comparable, mean, near_printed, percent, sentence, to_report
from fastresnet.report.claims import equally_accurate, more_accurate, sooner
from fastresnet.study import Results


def architectures(c13: Results, timed: Results) -> Answer:
    """C13: in the report, no pool, a 3x3 stem, and both raised accuracy, in this order; an extra convolution did nothing."""
    steps = [name for name in ("base", "no pool", "3x3 stem", "3x3 stem, no pool") if name in c13.records]
    verdicts = [more_accurate(c13, after, before) for before, after in pairwise(steps)]
    verdicts.append(equally_accurate(c13, "extra convolution", "base", margin=0.01))
    verdicts.append(sooner(timed, "extra convolution", "base", at_most=1.1))
    printed = {name: accuracy for name, (accuracy, _) in original.C13.items()}
    verdicts += near_printed(c13, {name: accuracy for name, accuracy in printed.items() if name in c13.records})
    best = next((name for name in reversed(original.C13) if name in steps), "")
    base, ours = (values(c13, name, ACCURACY) for name in ("base", best))
    theirs = f"; the report prints {' and '.join(as_printed(printed[name]) for name in (best, 'base') if name)}"
    here = most_accurate(c13, besides="")
    said = f"“{here}” does best here, with {mean(values(c13, here, ACCURACY))}. " * (here != best)
    said += f"“{best}” ends at {mean(ours)} and “base” at {mean(base)}{theirs * comparable(c13)}."
    cost, least = (values(timed, name, FASTEST) for name in (best, "base"))
    if cost and least and best != "base":
        said += f" An epoch of the first takes {average(cost) / average(least):.1f} times as long as one of the second."
    return Answer(
        original=f"{best}: {as_printed(printed[best])}" if best else "—",
        here=beside(percent, {best: ours}),
        difference=to_report(c13, ours, printed[best]) if best else "—",
        summary=sentence(said, base, ours) if best != "base" else "",
        verdicts=tuple(verdicts),
        figure=partial(_figure, c13, timed),
        tables=(_table(c13, timed),),
    )


def _figure(c13: Results, timed: Results) -> Figure:
    figure, ax = style.panels(4.4)
    seconds = report.epoch_seconds(timed, original.EPOCH_IMAGES["cifar10"])
    label = "seconds per epoch of 50,000 images (logarithmic)"
    figures.accuracy_against_seconds(c13, ax, seconds=seconds, original=original.C13, label=label)
    keys = ["Small: runs; large: their mean"] * (len(c13.seeds) > 1)
    if not c13.other_data:
        untimed = " and ".join(as_printed(accuracy) for accuracy, cost in original.C13.values() if cost is None)
        keys.append(f"Hollow marks: the report, which prints no time for {untimed}")
    return figures.titled(figure, c13, "; ".join(keys))


def _table(c13: Results, timed: Results) -> pd.DataFrame:
    printed = {name: (f"{100 * accuracy:.2f}", cost) for name, (accuracy, cost) in original.C13.items()}
    table = report.beside_original(
        c13, ACCURACY, {name: accuracy for name, (accuracy, _) in printed.items()}, unit="%", scale=100
    )
    seconds = report.epoch_seconds(timed, original.EPOCH_IMAGES["cifar10"])
    theirs = {} if c13.other_data else {"original, s per epoch": {name: cost for name, (_, cost) in printed.items()}}
    costs = {**theirs, "here, s per epoch": seconds}
    return table.join(pd.DataFrame(costs).map("{:.1f}".format)).replace("nan", "—").fillna("—")
