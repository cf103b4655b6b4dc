"""Answers of the CIFAR-10 chapter: what each step came to, beside the report's figures, with its verdicts, figure and tables."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fastresnet import report
from fastresnet.chapters import cifar10_architectures, cifar10_differences
from fastresnet.chapters.cifar10_steps import SMALL
from fastresnet.records.record import as_printed
from fastresnet.report import ACCURACY, FASTEST, SETTLED, Measure, figures, most_accurate, original, selection, style, values
from fastresnet.report.answers import (
    Answer,
    Questions,
    beside,
    choice,
    comparable,
    duel,
    mean,
    near_printed,
    own,
    percent,
    points,
    sentence,
    to_report,
)
from fastresnet.report.claims import equally_accurate, fits_better, more_accurate, overfits, sooner
from fastresnet.report.tables import average, spread
from fastresnet.report.verdicts import MIN_RUNS, Verdict, difference, our_own, ratio
from fastresnet.study import Results


def rates(c1: Results) -> Answer:
    """C1: in the report, 0.15 was the best constant learning rate."""
    return _settled(c1, "rate 0.15", "0.15 best", figure=partial(figures.curves, c1))


def long_run(c2: Results) -> Answer:
    """C2: in the report, a long run over-fitted."""
    train, test = (values(c2, "no dropout", f"{part}_accuracy") for part in ("train", "test"))
    said = f"At the end the network names {mean(train)} of its training images and {mean(test)} of the test images."
    return Answer(
        original='training "far above" test',
        here=f"training {percent(train)}, test {percent(test)}",
        difference=points(train, test),
        summary=sentence(said, train, test),
        verdicts=(overfits(c2, "no dropout"),),
        figure=partial(figures.train_and_test, c2),
        tables=(report.generalisation(c2),),
    )


def dropouts(c3: Results) -> Answer:
    """C3: in the report, dropout lowered training accuracy and did not help."""
    most = max(c3.records, key=lambda variant: getattr(c3.records[variant][0].config.model, "dropout", 0.0))
    without, hidden = (
        [fmean(epoch.train_accuracy for epoch in record.epochs) for record in c3.records.get(variant, ())]
        for variant in ("no dropout", most)
    )
    question = f"As a mean over all epochs, is training accuracy higher without dropout than with “{most}”?"
    fits = difference(question, "It is {} {higher|lower}", without, hidden)
    figure = partial(figures.train_and_test, c3)
    return choice(c3, "no dropout", "no gain", [fits], figure=figure, tables=[report.generalisation(c3)])


def momenta(c4: Results) -> Answer:
    """C4: in the report, momenta of 0.5 and 0.75 were close, and the lower fitted the training images better."""
    half, high = (values(c4, f"momentum {m}", SETTLED) for m in ("0.5", "0.75"))
    best = most_accurate(c4, besides="", column=SETTLED)
    said = (
        f"“{best}” did best, with {mean(values(c4, best, SETTLED))}. The report's two, 0.5 and 0.75, have {mean(half)} and "
        f"{mean(high)}. These are means over the evaluations of the last five epochs."
    )
    return Answer(
        original="0.5 and 0.75 close",
        here=beside(percent, {"0.5": half, "0.75": high}),
        difference=points(half, high),
        summary=sentence(said, half, high),
        verdicts=(
            equally_accurate(c4, "momentum 0.5", "momentum 0.75", margin=0.01, column=SETTLED),
            fits_better(c4, "momentum 0.5", "momentum 0.75"),
        ),
        figure=partial(figures.dots, c4, SETTLED),
        tables=(_settled_table(c4),),
    )


def rates_with_momentum(c5: Results) -> Answer:
    """C5: in the report, a rate of 0.04 was best, accuracy fell as the rate grew, and the network over-fitted."""
    schedules = {variant: records[0].config.train.schedule for variant, records in c5.records.items()}
    highest = max(schedules, key=lambda variant: schedules[variant](0, 1))
    falls = [more_accurate(c5, "rate 0.04", highest, column=SETTLED)] * (highest != "rate 0.04")
    verdicts = [*falls, overfits(c5, "rate 0.04")]
    return _settled(c5, "rate 0.04", "0.04 best", verdicts, figure=partial(figures.dots, c5, SETTLED))


def weight_decays(c6: Results) -> Answer:
    """C6: in the report, a weight decay of 0.015 was best."""
    helps = more_accurate(c6, "weight decay 0.015", "weight decay 0", column=SETTLED)
    printed = '0.015 best, "barely 70 %"'
    return _settled(c6, "weight decay 0.015", printed, [helps], figure=partial(figures.dots, c6, SETTLED))


def schedules(c7: Results) -> Answer:
    """C7: the report found one cycle the fastest schedule. Also tests whether it ends most accurate."""
    rival = most_accurate(c7, besides="one-cycle")
    level = average(values(c7, rival, ACCURACY))
    epochs = max(len(record.epochs) for record in c7.all_records)
    reached = [
        math.nan if record.test_accuracy is None else record.epochs_to(level) or epochs + 1
        for record in c7.records.get("one-cycle", ())
    ]
    question = (
        f"Does “one-cycle” reach the final accuracy of “{rival}”, the best of the others, in fewer than all {epochs} epochs?"
    )
    counted = (
        "Counting a run that does not as one epoch more, it takes {} as many" if any(each > epochs for each in reached) else ""
    )
    earlier = ratio(question, counted or "It takes {} as many", reached if rival else [], epochs, below=1)
    answer = _duel(c7, "one-cycle", rival, 'one cycle "fastest"', [earlier, our_own(more_accurate(c7, "one-cycle", rival))])
    rates = {epoch.lr for record in c7.records.get("plateau", ()) for epoch in record.epochs}
    stuck = " The plateau schedule never lowered its rate." * (len(rates) == 1)
    return replace(answer, summary=answer.summary and answer.summary + stuck)


def maxima(c8: Results) -> Answer:
    """C8: in the report, maxima mattered little, and it chose 0.1. Also tests whether a momentum that moves helps."""
    kept = list(c8.records)[-1]
    moved = more_accurate(c8, kept.partition(", ")[0], kept)
    verdicts = [equally_accurate(c8, "maximum 0.1", "maximum 0.2", margin=0.02), our_own(moved)]
    printed = "0.1 chosen, most near 77 %"
    return choice(c8, "maximum 0.1", printed, verdicts, figure=partial(figures.dots, c8), tables=[_table(c8)])


def flips(c9: Results) -> Answer:
    """C9: in the report, flips helped. Also tests that flips of the test images hardly matter."""
    plain, flipped, both = c9.records
    samples = [values(c9, name, ACCURACY) for name in c9.records]
    printed = original.C9[-1].test_accuracy
    said = (
        f"Without flips accuracy ends at {mean(samples[0])}, with flips in training at {mean(samples[1])}, and with the test "
        f"images flipped as well, as in the report, at {mean(samples[2])}"
        f"{f'; the report prints {as_printed(printed)}' * comparable(c9)}."
    )
    return Answer(
        original=as_printed(printed),
        here=percent(samples[2]),
        difference=to_report(c9, samples[2], printed),
        summary=sentence(said, *samples),
        verdicts=(
            more_accurate(c9, flipped, plain),
            *near_printed(c9, {both: printed}),
            our_own(equally_accurate(c9, both, flipped, margin=0.005, paired=True)),
        ),
        figure=partial(figures.train_and_test, c9, original=original.C9),
        tables=(report.generalisation(c9), report.epochs_beside_original(c9, {both: original.C9})[both]),
    )


def activations(c10: Results, timed: Results) -> Answer:
    """C10: in the report, ReLU was best, and times were about equal."""
    others = timed.frame().groupby("variant")[FASTEST].mean().drop("relu", errors="ignore")
    slowest = str(others.idxmax()) if len(others) else ""
    cheap = sooner(timed, slowest, "relu", at_most=1.1)
    tables = (_table(c10), report.fastest_epochs(timed, original.EPOCH_IMAGES["cifar10"]))
    return choice(c10, "relu", "ReLU best, times equal", [cheap], figure=partial(figures.dots, c10), tables=tables)


def batch_sizes(c11: Results, in_equal_steps: Results, timed: Results) -> Answer:
    """C11: in the report, smaller batches were more accurate, and not slower."""
    large, *smaller = sorted(c11.records, key=lambda variant: -c11.records[variant][0].config.data.batch_size)
    best = most_accurate(c11, besides=large)
    ours, theirs = (values(c11, variant, ACCURACY) for variant in (best, large))
    ends = {variant: values(c11, variant, ACCURACY) for variant in c11.records}
    by_accuracy = dict(sorted(ends.items(), key=lambda end: np.nan_to_num(average(end[1]), nan=-1), reverse=True))
    after_steps = [values(in_equal_steps, variant, ACCURACY) for variant in (large, *smaller[-1:])]
    at_scale = dict(zip(c11.records, timed.records, strict=False))  # batches of the same place have the report's sizes there
    question = f"After equally many steps, on more images, is “{large}” more accurate than “{smaller[-1] if smaller else ''}”?"
    verdicts = (
        *(more_accurate(c11, small, large) for small in smaller),
        our_own(
            difference(question, f"“{large}” is {{}} {{more|less}} accurate", after_steps[0], after_steps[-1] if smaller else [])
        ),
        sooner(timed, at_scale.get(best, best), at_scale[large], at_most=1.1),
    )
    return Answer(
        original="smaller better, 10.76 for 11.05 s",
        here=beside(percent, {best: ours, large: theirs}),
        difference=points(ours, theirs),
        summary=sentence(f"Accuracy after equal epochs: {beside(mean, by_accuracy)}.", ours, theirs),
        verdicts=verdicts,
        figure=partial(_batch_figure, c11, in_equal_steps),
        tables=(_table(c11), report.fastest_epochs(timed, original.EPOCH_IMAGES["cifar10"])),
    )


def _batch_figure(c11: Results, in_equal_steps: Results) -> Figure:
    figure, (above, below) = style.panels(1.6 + 0.6 * len(c11.records), 2, sharex=True)
    for results, ax, equal in ((c11, above, "equal epochs"), (in_equal_steps, below, "equal steps")):
        figures.runs_by_variant(results, ACCURACY, ax, label="test accuracy at the end, %", scale=100)
        ax.set_title(equal)
    above.set_xlabel("")
    return figures.titled(figure, c11)


def maxima_in_small_batches(c12: Results) -> Answer:
    """C12: in the report, a maximum of 0.075 was best; it gave the fast model's 83.06 %."""
    printed, _ = original.C13["base"]
    said = f"0.075 best, {as_printed(printed)}"
    theirs = {"report": printed} if comparable(c12) else {}
    ends = near_printed(c12, {"maximum 0.075": printed})
    answer = choice(c12, "maximum 0.075", said, ends, figure=partial(figures.curves, c12, **theirs), tables=[_table(c12)])
    ours = values(c12, "maximum 0.075", ACCURACY)
    return replace(answer, here=percent(ours) if ours else answer.here, difference=to_report(c12, ours, printed))


def best_against(usual: str, results: Results) -> Answer:
    """N2 and N3: whether variants that the report did not try are more accurate than the usual one. The sentence tells of the
    best."""
    verdicts = [more_accurate(results, each, usual) for each in results.records if each != usual]
    return _duel(results, most_accurate(results, besides=usual), usual, "not tried", verdicts)


def _duel(results: Results, one: str, other: str, printed: str, verdicts: Sequence[Verdict]) -> Answer:
    """The answer that compares two variants, of which one is the best of its rivals."""
    return duel(results, one, other, printed, verdicts, figure=partial(figures.curves, results), tables=[_table(results)])


def _settled(
    results: Results, chosen: str, original: str, verdicts: Sequence[Verdict] = (), *, figure: Callable[[], Figure]
) -> Answer:
    """The answer on a choice at a constant rate, where accuracy moves by points from epoch to epoch: by the last five."""
    return choice(results, chosen, original, verdicts, figure=figure, tables=[_settled_table(results)], column=SETTLED)


def _settled_table(results: Results) -> pd.DataFrame:
    """The table of `_table` with, before the number of runs, the mean test accuracy of the last five epochs."""
    table = _table(results, SETTLED)
    means = {variant: spread(100 * np.array(values(results, variant, SETTLED)), 2) for variant in results.records}
    table.insert(table.columns.get_loc("runs"), "test accuracy, last 5 epochs, %", pd.Series(means))
    return table


def _table(results: Results, column: Measure = ACCURACY) -> pd.DataFrame:
    """Training and test accuracy per variant and, where variants have several runs, how often single runs would choose it, by a
    column of `Results.frame()`."""
    table = report.generalisation(results)
    if len(results.seeds) < MIN_RUNS:
        return table
    return table.join(selection.choices(results, column, best="highest")["chosen by single runs"])


QUESTIONS: Questions = {
    "C1": (rates,),
    "C2": (long_run,),
    "C3": (dropouts,),
    "C4": (momenta,),
    "C5": (rates_with_momentum,),
    "C6": (weight_decays,),
    "C6-batch": (own(cifar10_differences.small_batches_at_a_constant_rate),),
    "C7": (schedules,),
    "C8": (maxima,),
    "C9": (flips,),
    "C9-epochs": (own(cifar10_differences.moved_once_an_epoch),),
    "C9-norm": (own(cifar10_differences.running_statistics),),
    "C9-batch": (own(cifar10_differences.small_batches_without_flips),),
    "C10": (activations, "C10-time"),
    "C11": (batch_sizes, "C11-steps", "C11-time"),
    "C12": (maxima_in_small_batches,),
    "C12-size": (own(partial(cifar10_differences.image_sizes, "base")),),
    "C12-precision": (own(cifar10_differences.precisions),),
    "C13": (cifar10_architectures.architectures, "C13-time"),
    "C13-size": (own(partial(cifar10_differences.image_sizes, SMALL)),),
    "N2": (own(partial(best_against, "one-cycle")),),
    "N3": (own(partial(best_against, "to nothing")),),
}
