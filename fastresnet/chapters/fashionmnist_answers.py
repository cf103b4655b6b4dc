"""Answers of the FashionMNIST chapter: what each step came to, beside the report's figures, with verdicts, figure and tables."""

import math
from dataclasses import replace
from functools import partial

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from pandas.io.formats.style import Styler

from fastresnet import report
from fastresnet.records.record import as_printed
from fastresnet.report import (
    at_pace,
    epoch_seconds,
    figures,
    jumps,
    original,
    quickest,
    seconds_reached,
    selection,
    style,
    values,
)
from fastresnet.report.answers import (
    Answer,
    Questions,
    beside,
    choice,
    mean,
    own,
    percent,
    points,
    seconds,
    sentence,
    timed,
    times,
    to_report,
)
from fastresnet.report.claims import more_accurate, quicker
from fastresnet.report.verdicts import Sample, Verdict, difference, our_own, ratio
from fastresnet.study import Results

NARROW, WIDE = "32-64-128-256", "64-128-256-512"
EASY = 0.80
"""The accuracy that the report wants to reach as fast as possible."""
PRINTED = {WIDE: original.F8_FULL, NARROW: original.F8_HALF}
"""The report's epochs of F8, by variant."""
EPOCH = original.EPOCH_IMAGES["fashion-mnist"]


def batch_sizes(f1: Results) -> Answer:
    """F1: in the report, batch size 128 already had nearly the shortest epoch."""
    return _nearly_quickest(f1, "batch 128", "128 near the minimum")


def fine_batch_sizes(f2: Results) -> Answer:
    """F2: the report chose batch size 155; differences were small."""
    answer = _timed(f2, "batch 155", "batch 128", "155 chosen, differences small", *_hardly_slower(f2, "batch 155", "batch 128"))
    return replace(answer, tables=(*answer.tables, selection.choices(f2, "image_seconds", best="lowest")))


def workers(f3: Results) -> Answer:
    """F3: in the report, one worker process gained time, and more did not."""
    more = quickest(f3, besides=["0 workers", "1 worker"])
    verdicts = (quicker(f3, "1 worker", "0 workers"), quicker(f3, "1 worker", more, at_most=1.1))
    return _timed(f3, "1 worker", "0 workers", "0 to 1 faster, then flat", *verdicts)


def image_sizes(f4: Results, timed: Results) -> Answer:
    """F4: in the report, 48 pixels were fastest, and accuracy was unsteady at 24."""
    answer = _timed(timed, "48 x 48", "24 x 24", "48 fastest, 24 unsteady", quicker(timed, "48 x 48", "24 x 24"))
    question = "From one epoch to the next, does test accuracy move more at *24 x 24* than at *48 x 48* (medians)?"
    small, large = (values(f4, size, "test_accuracy") for size in ("24 x 24", "48 x 48"))
    ends = sentence(f" Accuracy ends at {mean(small)} with 24 x 24 pixels, at {mean(large)} with 48 x 48.", small, large)
    unsteady = difference(question, "It moves {} {more|less}", jumps(f4, "24 x 24"), jumps(f4, "48 x 48"))
    return replace(
        answer,
        results=(f4, timed),
        summary=answer.summary + ends,
        verdicts=(*answer.verdicts, unsteady),
        figure=partial(_image_size_figure, f4, timed),
        tables=(*answer.tables, report.generalisation(f4)),
    )


def _image_size_figure(f4: Results, timed: Results) -> Figure:
    figure, (above, below) = style.panels(5.0, 2)
    figures.step_parts(timed, above)
    figures.name_lines(below, figures.accuracy_by_epoch(f4, below))
    return figures.titled(figure, f4)


def precisions(f5: Results) -> Answer:
    """F5: in the report, half precision was slower at the small batch and faster at the large one."""
    (small_single, small_half), (large_single, large_half) = list(f5.records)[:2], list(f5.records)[-2:]
    verdicts = (quicker(f5, small_single, small_half), quicker(f5, large_half, large_single))
    return _timed(f5, large_half, large_single, "slower at 155, faster at 1024", *verdicts)


def half_batch_sizes(f6: Results) -> Answer:
    """F6: in the report, time fell about as one over the batch size at half precision, and 4500 was fastest."""
    answer = _nearly_quickest(f6, "batch 4500", "4500 best, 9.79 s per epoch")
    return replace(answer, verdicts=(quicker(f6, "batch 4500", "batch 128", at_most=0.5), *answer.verdicts))


def rates(f6_rate: Results) -> Answer:
    """F6-rate: the report kept the learning rate of 0.1 at the large batch."""
    return choice(
        f6_rate, "rate 0.1", "0.1 kept", figure=partial(figures.curves, f6_rate), tables=[report.generalisation(f6_rate)]
    )


def half_workers(f7: Results) -> Answer:
    """F7: in the report, three worker processes gained a little time."""
    return _timed(f7, "3 workers", "0 workers", "3 chosen, gain small", *_hardly_slower(f7, "3 workers", "0 workers"))


def widths(f8: Results, timed: Results, pace: Results) -> Answer:
    """F8: in the report, half the channels reached 80 % sooner."""
    f8 = at_pace(f8, epoch_seconds(pace, 1))
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
        (f8, timed, pace),
        original=beside(seconds, {"narrow": printed[0], "wide": printed[1]}),
        here=beside(seconds, {"narrow": reached[0], "wide": reached[1]}),
        difference=times(*reached),
        summary=sentence(f"{said}.", *reached),
        verdicts=(quicker(timed, NARROW, WIDE, what="an epoch at the report's scale"), sooner),
        figure=partial(_width_figure, f8),
        tables=(
            _seconds_table(f8),
            _epochs_table(f8, pace),
            report.timed(timed, EPOCH).style.set_caption(f"A few steps timed in {_precision(timed)}, with three workers"),
        ),
    )


def _epochs_table(f8: Results, pace: Results) -> pd.DataFrame | Styler:
    """Accuracies by epoch beside the report's, and its seconds; ours are all alike if they are those of epochs timed alone."""
    table = report.epochs_beside_original(f8, PRINTED)
    if f8.other_data or any(len({epoch.train_seconds for epoch in record.epochs}) > 1 for record in f8.all_records):
        return table
    alone = "; ".join(f"{variant} {cost:.1f} s" for variant, cost in epoch_seconds(pace, EPOCH).items())
    table = table.drop(columns=[(variant, "seconds", "here") for variant in f8.records])
    return table.style.set_caption(f"An epoch of {EPOCH:,} images here, timed alone in {_precision(pace)}: {alone}")


def _precision(timed: Results) -> str:
    return timed.all_records[0].config.train.precision


def _with_epochs(f8: Results, variant: str) -> str:
    """Seconds to 80 %, and the epochs that they are, as "138.7 s (3 epochs)"; the most, if runs differ."""
    epochs = max((record.epochs_to(EASY) or 0 for record in f8.records.get(variant, ())), default=0)
    return f"{seconds(seconds_reached(f8, variant, EASY))} ({epochs} epoch{'s' * (epochs != 1)})"


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
    theirs = "" if f8_init.other_data else f". The report prints {last.train_loss:.3f} and {as_printed(last.test_accuracy)}"
    by_epoch = report.epochs_beside_original(f8_init, dict.fromkeys(f8_init.records, original.F8_HALF))
    return Answer(
        (f8_init,),
        original=as_printed(last.test_accuracy),
        here=beside(percent, ends),
        difference=to_report(f8_init, ends["torch's own"], last.test_accuracy),
        summary=sentence(f"{said}{theirs}.", *ends.values()),
        verdicts=() if f8_init.other_data else tuple(verdicts),
        figure=partial(_initial_figure, f8_init),
        tables=(by_epoch.drop(columns="seconds", level=1, errors="ignore"),),  # these runs share the machine with others
    )


def _loss(losses: Sample) -> str:
    return f"{pd.Series(losses, dtype=float).mean():.3f}"


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
    narrow = epoch_seconds(pace, 1).get(NARROW, math.nan)
    n1 = at_pace(n1, dict.fromkeys(n1.records, narrow))
    ours, theirs = (values(n1, variant, "test_accuracy") for variant in ("one-cycle", "constant"))
    reached = [seconds_reached(n1, variant, EASY) for variant in ("one-cycle", "constant")]
    question = "Does one cycle reach 80 % in less training time (runs that reach it)?"
    soon = ratio(question, "It takes {} as long", *reached, below=1)
    return Answer(
        (n1, pace),
        original="not tried",
        here=beside(percent, {"one-cycle": ours, "constant": theirs}),
        difference=points(ours, theirs),
        summary=sentence(f"One cycle ends at {mean(ours)}, a constant rate at {mean(theirs)}.", ours, theirs),
        verdicts=(more_accurate(n1, "one-cycle", "constant"), soon),
        figure=partial(figures.curves, n1, target=EASY),
        tables=(report.generalisation(n1), report.seconds_to(n1, EASY)),
    )


def _hardly_slower(results: Results, one: str, other: str) -> tuple[Verdict, Verdict]:
    """Whether the report's choice takes at most a tenth longer than another variant, as it claims, and whether it takes less."""
    return quicker(results, one, other, at_most=1.1), our_own(quicker(results, one, other))


def _nearly_quickest(results: Results, chosen: str, printed: str) -> Answer:
    """Whether an image takes at most a tenth longer with the report's choice than with the quickest other variant."""
    best = quickest(results, besides=chosen)
    return _timed(results, chosen, best, printed, quicker(results, chosen, best, at_most=1.1))


def _timed(results: Results, one: str, other: str, printed: str, *verdicts: Verdict) -> Answer:
    """Two variants by the time that an image takes, at the report's own scale."""
    tables = (report.timed(results, EPOCH),)
    return timed(results, one, other, printed, verdicts, figure=partial(figures.parts, results), tables=tables)


QUESTIONS: Questions = {
    "F1": (batch_sizes, ("F1",)),
    "F2": (fine_batch_sizes, ("F2",)),
    "F3": (workers, ("F3",)),
    "F4": (image_sizes, ("F4", "F4-time")),
    "F5": (precisions, ("F5",)),
    "F6": (half_batch_sizes, ("F6",)),
    "F6-rate": (own(rates), ("F6-rate",)),
    "F7": (half_workers, ("F7",)),
    "F8": (widths, ("F8", "F8-time", "F8-pace")),
    "F8-init": (own(initial_weights), ("F8-init",)),
    "N1": (own(schedules), ("N1", "F8-pace")),
}
