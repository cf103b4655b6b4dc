"""F8's answer, how fast each width reaches 80 % on FashionMNIST, and those on its initial weights and on a schedule for it."""

import math
from functools import partial

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from pandas.io.formats.style import Styler

from fastresnet import report
from fastresnet.records.record import as_printed
from fastresnet.report import at_pace, epoch_seconds, figures, original, seconds_reached, style, values
from fastresnet.report.answers import Answer, beside, comparable, mean, percent, points, seconds, sentence, times, to_report
from fastresnet.report.claims import more_accurate, quicker
from fastresnet.report.tables import Sample
from fastresnet.report.verdicts import ratio
from fastresnet.study import Results

NARROW, WIDE = "32-64-128-256", "64-128-256-512"
EASY = 0.80
"""The accuracy that the report wants to reach as fast as possible."""
PRINTED = {WIDE: original.F8_FULL, NARROW: original.F8_HALF}
"""The report's epochs of F8, by variant."""
EPOCH = original.EPOCH_IMAGES["fashion-mnist"]


def widths(f8: Results, timed: Results, pace: Results) -> Answer:
    """F8: in the report, half the channels reached 80 % sooner."""
    measured, f8 = f8, at_pace(f8, pace)
    at_its_pace = all(one is not other for one, other in zip(measured.all_records, f8.all_records, strict=True))
    reached = [seconds_reached(f8, variant, EASY) for variant in (NARROW, WIDE)]
    sooner = ratio(
        "Does the narrow network reach 80 % in less training time (runs that reach it)?", "It takes {} as long", *reached, below=1
    )
    printed = [[original.seconds_to(PRINTED[variant], EASY) or 0.0] for variant in (NARROW, WIDE)]
    images = max(record.data.train_images for record in f8.all_records if record.data)
    narrow, wide = (_with_epochs(f8, variant) for variant in (NARROW, WIDE))
    said = f"The narrow network reaches 80 % after {narrow}, the wide one after {wide}"
    if images != EPOCH:
        said += f", of {images:,} images"
    if not f8.other_data:
        said += f"; in the report it was {seconds(printed[0])} and {seconds(printed[1])}"
    return Answer(
        original=beside(seconds, {"narrow": printed[0], "wide": printed[1]}),
        here=beside(seconds, {"narrow": reached[0], "wide": reached[1]}) or "80 % not reached",
        difference=times(reached[0], reached[1]),
        summary=sentence(f"{said}.", *reached),
        verdicts=(quicker(timed, NARROW, WIDE, what="an epoch at the report's scale"), sooner),
        figure=partial(_width_figure, f8),
        tables=(
            _seconds_table(f8),
            _epochs_table(f8, pace if at_its_pace else None),
            report.timed(timed, EPOCH).style.set_caption(f"A few steps timed in {_precision(timed)}, with three workers"),
        ),
    )


def _epochs_table(f8: Results, pace: Results | None) -> pd.DataFrame | Styler:
    """Accuracies by epoch beside the report's, and its seconds; ours are in the caption if all are those of epochs timed alone,
    in `pace`."""
    table = report.epochs_beside_original(f8, PRINTED)
    if f8.other_data or pace is None:
        return table
    alone = "; ".join(f"{variant} {cost:.1f} s" for variant, cost in epoch_seconds(pace, EPOCH).items())
    table = table.drop(columns=[(variant, "seconds", "here") for variant in f8.records])
    return table.style.set_caption(f"An epoch of {EPOCH:,} images here, timed alone in {_precision(pace)}: {alone}")


def _precision(timed: Results) -> str:
    return timed.all_records[0].config.train.precision


def _with_epochs(f8: Results, variant: str) -> str:
    """Seconds to 80 %, and the epochs that they are, as "138.7 s (3 epochs)". It says how many runs do not come so far."""
    runs = f8.records.get(variant, ())
    epochs = sorted(reached for record in runs if (reached := record.epochs_to(EASY)))
    few = f", {len(epochs)} of {len(runs)} runs" * (len(epochs) < len(runs))
    span = " to ".join(map(str, dict.fromkeys(epochs[:1] + epochs[-1:])))
    return f"{seconds(seconds_reached(f8, variant, EASY))} ({span} epoch{'s' * (epochs != [1] * len(epochs))}{few})"


def _width_figure(f8: Results) -> Figure:
    figure, (above, below) = style.panels(5.8, 2, sharey=True)
    ends = figures.accuracy_by_epoch(f8, above)
    if not f8.other_data:
        for name, variant, mark in (("narrow", NARROW, "."), ("wide (crosses)", WIDE, "x")):
            ends[f"the report, {name}"] = figures.original_epochs(PRINTED[variant], above, mark=mark)["the report"]
    figures.name_lines(above, ends)
    figures.name_lines(below, figures.accuracy_by_seconds(f8, below))
    for panel in (above, below):
        panel.axhline(100 * EASY, color=style.RULE, linewidth=1)
    return figures.titled(figure, f8, figures.bands(f8))


def _seconds_table(f8: Results) -> pd.DataFrame:
    """Seconds of training until 80 % is first reached, the report's beside ours."""
    table = report.seconds_to(f8, EASY)
    if f8.other_data:
        return table
    theirs = {variant: f"{original.seconds_to(rows, EASY):.2f}" for variant, rows in PRINTED.items()}
    table.insert(0, "report, s", [theirs.get(variant, "not tried") for variant in table.index])
    return table


def initial_weights(f8_init: Results) -> Answer:
    """F8-init: whether initial weights explain that the report's narrow network learns faster than ours."""
    last = original.F8_HALF[-1]
    losses = {
        variant: [record.epochs[-1].train_loss or math.nan for record in records] for variant, records in f8_init.records.items()
    }
    ends = {variant: values(f8_init, variant, "test_accuracy") for variant in f8_init.records}
    verdicts = [
        ratio(
            f"Is the training loss of “{variant}” in the last epoch at most a tenth above the report's?",
            "It is {} the report's",
            ours,
            last.train_loss or math.nan,
            below=1.1,
        )
        for variant, ours in losses.items()
    ]
    said = (
        f"With initial weights {' and '.join(losses)}, the last epoch's training loss is "
        f"{' and '.join(map(_loss, losses.values()))}, and test accuracy {' and '.join(map(mean, ends.values()))}"
    )
    theirs = f". The report prints {last.train_loss:.3f} and {as_printed(last.test_accuracy)}" * comparable(f8_init)
    by_epoch = report.epochs_beside_original(f8_init, dict.fromkeys(f8_init.records, original.F8_HALF))
    return Answer(
        original=as_printed(last.test_accuracy),
        here=beside(percent, ends),
        difference=to_report(f8_init, ends["torch's own"], last.test_accuracy),
        summary=sentence(f"{said}{theirs}.", *ends.values()),
        verdicts=tuple(verdicts) * comparable(f8_init),
        figure=partial(_initial_figure, f8_init),
        tables=(by_epoch.drop(columns="seconds", level=1, errors="ignore"),),  # these runs share the machine with others
    )


def _loss(losses: Sample) -> str:
    return f"{report.average(losses):.3f}"


def _initial_figure(f8_init: Results) -> Figure:
    """Test accuracy by epoch and, below it, training loss, on a logarithmic axis."""
    figure, (above, below) = style.panels(5.4, 2, sharex=True)
    ends = figures.accuracy_by_epoch(f8_init, above)
    epochs = f8_init.epochs()
    for variant, mark in zip(f8_init.records, figures.styles(), strict=False):
        figures.mean_and_range(below, epochs[epochs["variant"] == variant], "train_loss", markersize=4, **mark)
    if not f8_init.other_data:
        ends |= figures.original_epochs(original.F8_HALF, above)
        below.plot([row.epoch for row in original.F8_HALF], [row.train_loss for row in original.F8_HALF], "k.")
    figures.name_lines(above, ends)
    above.set_xlabel("")
    below.set_yscale("log")
    below.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    below.yaxis.set_major_formatter("{x:g}")
    below.yaxis.set_minor_formatter(NullFormatter())
    below.set_xlabel("epoch")
    below.set_ylabel("training loss, nats")
    return figures.titled(figure, f8_init, figures.bands(f8_init))


def schedules(n1: Results, pace: Results) -> Answer:
    """N1: the worth of a schedule, which the report left for later, with F8's narrow network."""
    n1 = at_pace(n1, pace, like=NARROW)
    ours, theirs = (values(n1, variant, "test_accuracy") for variant in ("one-cycle", "constant"))
    reached = [seconds_reached(n1, variant, EASY) for variant in ("one-cycle", "constant")]
    question = "Does one cycle reach 80 % in less training time (runs that reach it)?"
    soon = ratio(question, "It takes {} as long", *reached, below=1)
    return Answer(
        original="not tried",
        here=beside(percent, {"one-cycle": ours, "constant": theirs}),
        difference=points(ours, theirs),
        summary=sentence(f"One cycle ends at {mean(ours)}, a constant rate at {mean(theirs)}.", ours, theirs),
        verdicts=(more_accurate(n1, "one-cycle", "constant"), soon),
        figure=partial(figures.curves, n1, target=EASY),
        tables=(report.generalisation(n1), report.seconds_to(n1, EASY)),
    )
