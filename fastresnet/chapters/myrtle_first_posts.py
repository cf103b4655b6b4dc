"""Answers on posts 1 to 4 of "How to train your ResNet": data, batches, regularisation, architecture."""

from functools import partial
from itertools import pairwise

from fastresnet import report
from fastresnet.chapters import myrtle_figures, myrtle_page
from fastresnet.chapters.myrtle_shapes import (
    EPOCH,
    TRAINED,
    beside_accuracies,
    beside_seconds,
    by_accuracy,
    by_time,
    median_of,
)
from fastresnet.report import ACCURACY, figures, original, values
from fastresnet.report.answers import Answer, beside, points, sentence
from fastresnet.report.claims import fits_better, more_accurate, quicker, sooner
from fastresnet.report.verdicts import difference, our_own, ratio
from fastresnet.study import Results


def norms_repeated(m1a: Results, timed: Results) -> Answer:
    """M1a: batch norm and ReLU once instead of twice cost less time and no accuracy."""
    verdicts = (more_accurate(m1a, "norm once", "norm repeated", margin=-0.01), sooner(timed, "norm once", "norm repeated"))
    tables = (beside_seconds(m1a, original.M1A_SECONDS), report.timed(timed, EPOCH))
    return by_accuracy(m1a, "norm once", "norm repeated", "356 s became 323 s", verdicts, tables=tables)


def loaders(m1b: Results) -> Answer:
    """M1b: batches cut from tensors are faster than any number of worker processes."""
    *others, tensors = m1b.records
    verdicts = tuple(sooner(m1b, tensors, other) for other in others)
    return by_time(m1b, tensors, report.quickest(m1b, besides=tensors), "323 s became 297 s", verdicts)


def larger_batch(m2a: Results) -> Answer:
    """M2a: a batch of 512 with a slightly higher rate trains as well as one of 128, and faster."""
    small, large = m2a.records
    verdicts = (
        more_accurate(m2a, large, small, margin=-0.01),
        quicker(m2a, large, small, what="training", column="train_seconds"),
    )
    table = beside_seconds(m2a, original.M2A_SECONDS)
    figure = partial(figures.accuracy_and_seconds, m2a, "train_seconds", label="seconds of training")
    return by_accuracy(m2a, large, small, "297 s became 256 s", verdicts, figure=figure, tables=(table,))


def forgetting(m2b: Results) -> Answer:
    """M2b: at a high rate, a network trained with small batches forgets what it saw first."""
    small_low, small_high, _, large_high = m2b.records
    ratios = {variant: myrtle_page.forgetting(m2b, variant) for variant in m2b.records}
    forgets = "Is the loss larger on the images seen first in the last epoch than on those seen last (“{}”)?"
    verdicts = (
        ratio(forgets.format(small_high), "It is {} the other", ratios[small_high], 1.0, above=1),
        *(
            ratio(
                f"Is the loss on the first images, over that on the last, larger after “{small_high}” than after “{other}”?",
                "That quotient is {} the other",
                ratios[small_high],
                ratios[other],
                above=1,
            )
            for other in (small_low, large_high)
        ),
    )
    said = report.average(ratios[small_high])
    return Answer(
        original="plots",
        here="loss on first over last images: "
        + beside(lambda sample: f"{report.average(sample):.2f}", {name: ratios[name] for name in (small_high, large_high)}),
        difference="—",
        summary=sentence(
            f"After “{small_high}” the loss on the images seen first is {said:.2f} times that on the last.", ratios[small_high]
        ),
        verdicts=verdicts,
        figure=partial(myrtle_figures.recall, m2b),
        tables=(report.generalisation(m2b),),
    )


def worth_of_images(m2b_half: Results) -> Answer:
    """M2b-half: twice the images gain less at the high rate than at the low one."""
    accuracies = [values(m2b_half, variant, ACCURACY) for variant in m2b_half.records]
    gains = [[more - less for more, less in zip(whole, half, strict=True)] for whole, half in (accuracies[:2], accuracies[2:])]
    question = "Do twice the images gain less at the high rate than at the low one?"
    return Answer(
        original="plots",
        here=f"low rate {points(gains[0], [0.0])}; high rate {points(gains[1], [0.0])}",
        difference=points(gains[1], gains[0]),
        summary=sentence(
            f"Twice the images gain {points(gains[0], [0.0])} at the low rate, {points(gains[1], [0.0])} at the high one.", *gains
        ),
        verdicts=(difference(question, "At the low rate the gain is {} {larger|smaller}", *gains),),
        figure=partial(figures.dots, m2b_half),
    )


def best_rate(m2c: Results) -> Answer:
    """M2c: the best rate is a little lower than the unstable ones."""
    runs = myrtle_page.settings(m2c)
    best, largest = myrtle_page.best_rates(runs, ""), myrtle_page.largest_rates(runs, "", least=TRAINED)
    question = "Is the most accurate rate more than half of the highest rate that trains?"
    said = f"The most accurate rate is {median_of(best)}, the highest that still trains {median_of(largest)} (medians)."
    return Answer(
        original="plots",
        here=f"best {median_of(best)}, highest {median_of(largest)}",
        difference="—",
        summary=sentence(said, best, largest),
        verdicts=(ratio(question, "It is {} the highest", best, largest, above=0.5),),
        figure=partial(myrtle_figures.rate_stress, m2c, runs),
        tables=(report.summary(m2c),),
    )


def half_precision(m3a: Results) -> Answer:
    """M3a: training in half precision is faster."""
    single, half = m3a.records
    printed = dict(zip(m3a.records, (f"{name}, {s:.0f} s" for name, s in original.M3A_SECONDS.items()), strict=True))
    table = report.beside_original(m3a, "image_seconds", printed, unit="ms per image", scale=1e3)
    table = table.rename(columns={"original, ms per image": "original, whole run"})
    return by_time(m3a, half, single, "256 s became 186 s", (sooner(m3a, half, single),), tables=(table,))


def cutout(m3b: Results) -> Answer:
    """M3b: cutout regularises, so that a shorter run passes."""
    short, short_cut, long, long_cut = m3b.records
    verdicts = (
        our_own(fits_better(m3b, long, long_cut)),
        more_accurate(m3b, short_cut, short),
        more_accurate(m3b, long_cut, long),
    )
    published = "runs that pass at 30 epochs: 0 of 5 became 4 of 5"
    figure = partial(figures.dots, m3b)
    return by_accuracy(m3b, long_cut, long, published, verdicts, figure=figure, tables=(report.generalisation(m3b),))


def backbones(m4a: Results, norm: Results) -> Answer:
    """M4a: of five changes to the shortest path, four raise its accuracy, and the first, which has more runs, costs none."""
    first, *_, last = m4a.records
    _, *later = (more_accurate(m4a, after, before) for before, after in pairwise(m4a.records))
    repeated, once = norm.records
    verdicts = (more_accurate(norm, once, repeated, margin=-0.01), *later)
    tables = (
        beside_accuracies(m4a, original.M4A),
        beside_seconds(m4a, {name: cost for name, (_, cost) in original.M4A.items()}),
        report.summary(norm).style.set_caption("The first change, with more runs"),
    )
    figure = partial(myrtle_figures.backbones, m4a)
    return by_accuracy(m4a, last, first, "55.9 % became 91.1 %", verdicts, figure=figure, tables=tables)


def kernels(m4b: Results) -> Answer:
    """M4b: a 1x1 convolution of stride 2 discards information that a 3x3 one keeps."""
    narrow, wide = m4b.records
    verdicts = (more_accurate(m4b, wide, narrow, margin=0.05),)
    return by_accuracy(m4b, wide, narrow, "56.0 % became 85.6 %", verdicts, tables=(beside_accuracies(m4b, original.M4A),))


def pools(m4c: Results) -> Answer:
    """M4c: max pooling is more accurate than strides and slower, and a global maximum better than an average."""
    verdicts = (
        more_accurate(m4c, "max pool", "3x3/2"),
        sooner(m4c, "3x3/2", "max pool"),
        more_accurate(m4c, "global max pool", "max pool"),
    )
    table = beside_accuracies(m4c, original.M4A)
    return by_accuracy(m4c, "max pool", "3x3/2", "85.6 % became 89.7 %, then 90.7 %", verdicts, tables=(table,))


def branches(m4d: Results) -> Answer:
    """M4d: residual branches at the first and the third layer are enough."""
    verdicts = (
        more_accurate(m4d, "layers 1, 3", "none"),
        more_accurate(m4d, "layers 1, 3", "layers 1, 2, 3", margin=-0.005),
    )
    return by_accuracy(m4d, "layers 1, 3", "none", "94.08 % in 79 s", verdicts, tables=(beside_accuracies(m4d, original.M4D),))
