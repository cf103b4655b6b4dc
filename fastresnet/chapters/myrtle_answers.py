"""Answers of the chapter on "How to train your ResNet": what each claim came to, with verdicts, figure and tables."""

from functools import partial
from itertools import pairwise

import pandas as pd
from matplotlib.figure import Figure

from fastresnet import report
from fastresnet.chapters import myrtle_figures, myrtle_page
from fastresnet.report import figures, original, values
from fastresnet.report.answers import (
    Answer,
    Questions,
    beside,
    duel,
    mean,
    percent,
    points,
    seconds,
    sentence,
    timed,
    times,
)
from fastresnet.report.claims import fits_better, more_accurate, quicker
from fastresnet.report.verdicts import Sample, Verdict, difference, exact, ratio
from fastresnet.study import Results

ACCURACY, FASTEST = "test_accuracy", "fastest_epoch_seconds"
TRAINED = 0.2
"""Accuracy above which a run counts as trained: twice chance."""
_EPOCH = original.EPOCH_IMAGES["cifar10"]


def norms_repeated(m1a: Results) -> Answer:
    """M1a: batch norm and ReLU once instead of twice cost less time and no accuracy."""
    verdicts = (more_accurate(m1a, "norm once", "norm repeated", margin=-0.01), _sooner(m1a, "norm once", "norm repeated"))
    table = _beside_seconds(m1a, original.M1A_SECONDS)
    return _duel(m1a, "norm once", "norm repeated", "356 s became 323 s", verdicts, tables=(table,))


def loaders(m1b: Results) -> Answer:
    """M1b: batches cut from tensors are faster than any number of worker processes."""
    *others, tensors = m1b.records
    verdicts = tuple(_sooner(m1b, tensors, other) for other in others)
    return _timed(m1b, tensors, report.quickest(m1b, besides=tensors), "323 s became 297 s", verdicts)


def larger_batch(m2a: Results) -> Answer:
    """M2a: a batch of 512 with a slightly higher rate trains as well as one of 128, and faster."""
    small, large = m2a.records
    verdicts = (
        more_accurate(m2a, large, small, margin=-0.01),
        quicker(m2a, large, small, what="training", column="train_seconds"),
    )
    table = _beside_seconds(m2a, original.M2A_SECONDS)
    figure = partial(figures.accuracy_and_seconds, m2a, "train_seconds", label="seconds of training")
    return _duel(m2a, large, small, "297 s became 256 s", verdicts, figure=figure, tables=(table,))


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
    said = pd.Series(ratios[small_high], dtype=float).mean()
    return Answer(
        (m2b,),
        "plots",
        beside(lambda sample: f"{pd.Series(sample).mean():.2f} times", {name: ratios[name] for name in (small_high, large_high)}),
        "—",
        sentence(
            f"After “{small_high}” the loss on the images seen first is {said:.2f} times that on the last.", ratios[small_high]
        ),
        verdicts,
        partial(myrtle_figures.recall, m2b),
        (report.generalisation(m2b),),
    )


def worth_of_images(m2b_half: Results) -> Answer:
    """M2b-half: twice the images gain less at the high rate than at the low one."""
    accuracies = [values(m2b_half, variant, ACCURACY) for variant in m2b_half.records]
    gains = [[more - less for more, less in zip(whole, half, strict=True)] for whole, half in (accuracies[:2], accuracies[2:])]
    question = "Do twice the images gain less at the high rate than at the low one?"
    return Answer(
        (m2b_half,),
        "plots",
        f"low rate {points(gains[0], [0.0])}; high rate {points(gains[1], [0.0])}",
        points(gains[1], gains[0]),
        sentence(
            f"Twice the images gain {points(gains[0], [0.0])} at the low rate, {points(gains[1], [0.0])} at the high one.", *gains
        ),
        (difference(question, "At the low rate the gain is {} {larger|smaller}", *gains),),
        partial(figures.dots, m2b_half),
    )


def best_rate(m2c: Results) -> Answer:
    """M2c: the best rate is a little lower than the unstable ones."""
    runs = myrtle_page.settings(m2c)
    best, largest = myrtle_page.best_rates(runs, ""), myrtle_page.largest_rates(runs, "", least=TRAINED)
    question = "Is the most accurate rate more than a fifth of the highest rate that trains?"
    said = f"The most accurate rate is {_median(best)}, the highest that still trains {_median(largest)} (medians)."
    return Answer(
        (m2c,),
        "plots",
        f"best {_median(best)}, highest {_median(largest)}",
        "—",
        sentence(said, best, largest),
        (ratio(question, "It is {} the highest", best, largest, above=0.2),),
        partial(myrtle_figures.rate_stress, m2c, runs),
        (report.summary(m2c),),
    )


def half_precision(m3a: Results) -> Answer:
    """M3a: training in half precision is faster."""
    single, half = m3a.records
    printed = dict(zip(m3a.records, (f"{name}, {s:.0f} s" for name, s in original.M3A_SECONDS.items()), strict=True))
    table = report.beside_original(m3a, "train_seconds", printed, unit="s")
    return _timed(m3a, half, single, "256 s became 186 s", (_sooner(m3a, half, single),), tables=(table,))


def cutout(m3b: Results) -> Answer:
    """M3b: cutout regularises, so that a shorter run passes."""
    short, short_cut, long, long_cut = m3b.records
    verdicts = (fits_better(m3b, long, long_cut), more_accurate(m3b, short_cut, short), more_accurate(m3b, long_cut, long))
    published = "runs that pass at 30 epochs: 0 of 5 became 4 of 5"
    figure = partial(figures.dots, m3b)
    return _duel(m3b, long_cut, long, published, verdicts, figure=figure, tables=(report.generalisation(m3b),))


def backbones(m4a: Results) -> Answer:
    """M4a: each of five changes to the shortest path raises its accuracy."""
    first, *_, last = m4a.records
    verdicts = tuple(more_accurate(m4a, after, before) for before, after in pairwise(m4a.records))
    tables = (
        _beside_accuracies(m4a, original.M4A),
        _beside_seconds(m4a, {name: cost for name, (_, cost) in original.M4A.items()}),
    )
    return _duel(m4a, last, first, "55.9 % became 91.1 %", verdicts, figure=partial(myrtle_figures.backbones, m4a), tables=tables)


def kernels(m4b: Results) -> Answer:
    """M4b: a 1x1 convolution of stride 2 discards information that a 3x3 one keeps."""
    narrow, wide = m4b.records
    verdicts = (more_accurate(m4b, wide, narrow, margin=0.05),)
    return _duel(m4b, wide, narrow, "56.0 % became 85.6 %", verdicts, tables=(_beside_accuracies(m4b, original.M4A),))


def pools(m4c: Results) -> Answer:
    """M4c: max pooling is more accurate than strides and slower, and a global maximum better than an average."""
    verdicts = (
        more_accurate(m4c, "max pool", "3x3/2"),
        _sooner(m4c, "3x3/2", "max pool"),
        more_accurate(m4c, "global max pool", "max pool"),
    )
    table = _beside_accuracies(m4c, original.M4A)
    return _duel(m4c, "max pool", "3x3/2", "85.6 % became 89.7 %, then 90.7 %", verdicts, tables=(table,))


def branches(m4d: Results) -> Answer:
    """M4d: residual branches at the first and the third layer are enough."""
    verdicts = (
        more_accurate(m4d, "layers 1, 3", "none"),
        more_accurate(m4d, "layers 1, 3", "layers 1, 2, 3", margin=-0.005),
    )
    return _duel(m4d, "layers 1, 3", "none", "94.08 % in 79 s", verdicts, tables=(_beside_accuracies(m4d, original.M4D),))


def products(m5a: Results, with_momentum: Results) -> Answer:
    """M5a: accuracy depends on the product of rate and weight decay, and on rate over one minus momentum."""
    decays, momenta = (myrtle_page.settings(results) for results in (m5a, with_momentum))
    pairs = {
        "weight decay": myrtle_page.explained(decays, "lr", "weight_decay"),
        "1 / (1 - momentum)": myrtle_page.explained(momenta, "lr", "gain"),
    }
    verdicts = tuple(
        difference(
            f"Does rate times {other} explain more of the accuracy's variance than their ratio?",
            "It explains {} {more|less}",
            shares["product"].tolist(),
            shares["ratio"].tolist(),
            paired=True,
        )
        for other, shares in pairs.items()
    )
    known = {name: shares.dropna() for name, shares in pairs.items()}
    means = {
        name: [f"{100 * shares[part].mean():.0f} %" for part in ("product", "ratio")]
        for name, shares in known.items()
        if len(shares)
    }
    shown = [f"rate times {name} explains {by_product}, their ratio {by_ratio}" for name, (by_product, by_ratio) in means.items()]
    return Answer(
        (m5a, with_momentum),
        "plots",
        "; ".join(f"{name}: product {by_product}, ratio {by_ratio}" for name, (by_product, by_ratio) in means.items()) or "—",
        "—",
        f"Of the accuracy's variance between cells, {'; '.join(shown)}." if shown else "",
        verdicts,
        partial(myrtle_figures.surfaces, m5a, decays, momenta),
        (myrtle_page.surface_table(decays, "lr", "weight_decay"), myrtle_page.surface_table(momenta, "lr", "momentum")),
    )


def tuning(m5b: Results) -> Answer:
    """M5b: a better network, untuned, is more accurate than a plain one at its best rate."""
    *_, better = m5b.records
    tuned = report.most_accurate(m5b, besides=better)
    verdicts = (more_accurate(m5b, better, tuned),)
    return _duel(m5b, better, tuned, "in words", verdicts, figure=partial(figures.dots, m5b), tables=(report.summary(m5b),))


def gradient_scales(m6a: Results) -> Answer:
    """M6a: scaling the weights before batch norm by r scales their gradient by 1/r."""
    products = myrtle_page.gradients_times_scale(m6a)
    measured = [value for sample in products.values() for value in sample]
    question = "In single precision, with batch norm's epsilon: is the gradient times r the same within a hundredth?"
    found = "The largest relative difference is {}."
    verdict = exact(question, found, measured, [1.0] * len(measured), tolerance=0.01)
    table = {name: {"r times the gradient": report.spread(pd.Series(sample), 3)} for name, sample in products.items()}
    return Answer(
        (m6a,),
        "exact",
        f"{min(measured):.3f} to {max(measured):.3f}",
        "—",
        f"Relative to the unscaled network, the gradient times r lies between {min(measured):.3f} and {max(measured):.3f}.",
        (verdict,),
        None,
        (pd.DataFrame.from_dict(table, orient="index").rename_axis(columns="variant"),),
    )


def equilibria(m6b: Results) -> Answer:
    """M6b: with weight decay the weights' norm settles at one value, wherever it began."""
    decaying, free = (myrtle_page.norm_ratios(m6b, decaying=each) for each in (True, False))
    verdicts = (
        ratio(
            "With decay, do the norms end within a factor of 1.25?", "The largest is {} the smallest", decaying, 1.0, below=1.25
        ),
        ratio("Do they end further apart without decay?", "The factor is {} the one with decay", free, decaying, above=1),
    )
    ends = [pd.Series(sample, dtype=float).mean() for sample in (decaying, free)]
    return Answer(
        (m6b,),
        "in words",
        f"largest over smallest: {ends[0]:.2f}; without decay {ends[1]:.2f}",
        "—",
        f"With decay the largest final norm is {ends[0]:.2f} times the smallest, without it {ends[1]:.2f} times.",
        verdicts,
        partial(myrtle_figures.weight_norms, m6b),
        (report.summary(m6b),),
    )


def constants(m7a: Results) -> Answer:
    """M7a: without batch norm a deep network computes a constant."""
    normed, without = (myrtle_page.measured_at(m7a, each, "constant_share", -2) for each in ("batch norm", "no norm"))
    verdicts = (
        difference(
            "Without batch norm, are more than nine tenths of the last activation a constant?",
            "The share is {} {above|below} nine tenths",
            without,
            0.9,
        ),
        difference("Is less of it a constant with batch norm?", "Without it the share is {} {larger|smaller}", without, normed),
    )
    shares = myrtle_page.measured(m7a, "constant_share")
    last = shares["place"].max()
    at = [1, 10, 20, 30, 40, 50, last - 1, last]  # the one before the last is judged
    table = shares[shares["place"].isin(at)].pivot_table("value", "variant", "place").style.format("{:.3f}")
    return Answer(
        (m7a,),
        "about constant by layer 50",
        beside(percent, {"no norm": without, "batch norm": normed}),
        points(without, normed),
        sentence(
            f"Without batch norm {mean(without)} of the last activation are a constant, with it {mean(normed)}.", without, normed
        ),
        verdicts,
        partial(myrtle_figures.constants, m7a),
        (table,),
    )


def stable_rates(m7b: Results) -> Answer:
    """M7b: with batch norm a network trains at rates at which it diverges without it."""
    runs = myrtle_page.settings(m7b)
    normed, without = (myrtle_page.largest_rates(runs, each, least=TRAINED) for each in ("batch norm", "no norm"))
    question = "Is the highest rate that trains more than five times as high with batch norm?"
    table = runs.pivot_table("accuracy", "group", "lr", dropna=False).mul(100).rename(columns="{:g}".format)
    return Answer(
        (m7b,),
        "a stress test",
        f"batch norm {_median(normed)}, no norm {_median(without)}",
        _times(pd.Series(normed, dtype=float).median(), pd.Series(without, dtype=float).median()),
        sentence(
            f"The highest rate that trains is {_median(normed)} with batch norm and {_median(without)} without it (medians).",
            normed,
            without,
        ),
        (ratio(question, "It is {} as high", normed, without, above=5),),
        partial(myrtle_figures.rate_stress, m7b, runs),
        (table.style.format("{:.1f}", na_rep="diverged"),),
    )


def curvatures(m7c: Results) -> Answer:
    """M7c: the leading eigenvalues of the Hessian are ten to a hundred times smaller with batch norm."""
    calm = myrtle_page.measured_at(m7c, "batch norm", "eigenvalues", 0)
    others = {
        "without batch norm": myrtle_page.measured_at(m7c, "no norm", "eigenvalues", 0),
        "with it frozen": myrtle_page.measured_at(m7c, "batch norm", "eigenvalues_frozen", 0),
    }
    verdicts = tuple(
        ratio(f"Is the largest eigenvalue more than ten times as large {how}?", "It is {} as large", large, calm, above=10)
        for how, large in others.items()
    )
    spectra = myrtle_page.spectra(m7c)
    samples = {"with batch norm": calm, **others}
    means = {name: pd.Series(sample, dtype=float).mean() for name, sample in samples.items()}
    said = ", ".join(f"{mean:.3g} {name}" for name, mean in means.items())
    return Answer(
        (m7c,),
        "10 to 100 times smaller",
        "; ".join(f"{name} {mean:.3g}" for name, mean in means.items() if pd.notna(mean)) or "—",
        _times(means["without batch norm"], means["with batch norm"]),
        sentence(f"The largest eigenvalue is {said}.", *samples.values()),
        verdicts,
        partial(myrtle_figures.eigenvalues, m7c, spectra),
        (spectra.pivot_table("value", "variant", "place", sort=False).style.format("{:.3g}"),),
    )


def price_of_norm(m7d: Results) -> Answer:
    """M7d: batch norm is slow and fails for small batches."""
    whole, *_, smallest, without = m7d.records
    verdicts = (_sooner(m7d, without, whole), more_accurate(m7d, whole, smallest, margin=0.01))
    return _duel(m7d, whole, smallest, "in words", verdicts, tables=(report.generalisation(m7d),))


def augmentation(m8a: Results) -> Answer:
    """M8a: augmenting batches on the device is faster than augmenting images in other processes."""
    before, after = m8a.records
    return _timed(m8a, after, before, "75 s became 70 s", (_sooner(m8a, after, before),))


def pool_first(m8b: Results) -> Answer:
    """M8b: pooling before batch norm is faster, and about as accurate."""
    before, after = m8b.records
    verdicts = (_sooner(m8b, after, before), more_accurate(m8b, after, before, margin=-0.01))
    return _duel(m8b, after, before, "70 s became 64 s", verdicts)


def trick(results: Results, *, published: str) -> Answer:
    """M8c to M8h: with the trick, the network is more accurate after the same epochs."""
    before, after = results.records
    return _duel(results, after, before, published, (more_accurate(results, after, before),))


def flip_averaging(m8i: Results) -> Answer:
    """M8i: averaging over an image and its mirror image raises the accuracy of the same networks."""
    plain, averaged = (values(m8i, variant, ACCURACY) for variant in ("plain", "flip averaged"))
    question = "Does averaging over the flip raise the accuracy of the same networks?"
    verdicts = (difference(question, "It is {} {higher|lower}", averaged, plain, paired=True),)
    return _duel(m8i, "flip averaged", "plain", "33.5 s became 26 s", verdicts, figure=partial(figures.dots, m8i))


def ladder(m0: Results) -> Answer:
    """M0: every post shortens the way to one accuracy."""
    target = myrtle_page.common_target(m0)
    steps = myrtle_page.ladder(m0, target, original.M0_SECONDS)
    first, *_, last = m0.records
    before, after = (myrtle_page.cost_to(m0, step, target) for step in (first, last))
    verdicts = [
        ratio(
            f"To {target:.0%}, does “{last}” need fewer {what} than “{first}”?",
            "It needs {} as many",
            after[what],
            before[what],
            below=1,
        )
        for what in ("epochs", "seconds", "TFLOP")
    ]
    verdicts.append(ratio("A tenth of the seconds?", "It needs {} as many", after["seconds"], before["seconds"], below=0.1))
    ours = [seconds(sample["seconds"].dropna().tolist()) for sample in (before, after)]
    shown = {"epochs": "{:.0f}", "seconds": "{:.1f}", "TFLOP": "{:.3f}", "published seconds": "{:.1f}"}
    return Answer(
        (m0,),
        "297 s became 26 s",
        f"to {target:.0%}: {ours[0]} became {ours[1]}",
        times(after["seconds"].tolist(), before["seconds"].tolist()),
        sentence(
            f"{target:.0%} accuracy takes {ours[0]} with the first network and {ours[1]} after all steps.",
            before["seconds"],
            after["seconds"],
        ),
        tuple(verdicts),
        partial(myrtle_figures.ladder, m0, steps, target),
        (steps.style.format(shown, na_rep="—"),),
    )


def _median(sample: Sample) -> str:
    median = pd.Series(sample, dtype=float).median()
    return "none" if pd.isna(median) else f"{median:g}"


def _times(one: float, other: float) -> str:
    times = one / other
    return "—" if pd.isna(times) else f"{times:.{0 if times >= 10 else 1}f} times"


def _sooner(results: Results, one: str, other: str) -> Verdict:
    """Whether an epoch is shorter, by each run's fastest one: other load on a machine can only slow an epoch down."""
    return quicker(results, one, other, what="an epoch", column=FASTEST)


def _beside_seconds(results: Results, printed: dict[str, float]) -> pd.DataFrame:
    """Training seconds beside those that the posts print, and the seconds of the fastest epoch, by which verdicts judge."""
    table = report.beside_original(results, "train_seconds", {name: f"{cost:.0f}" for name, cost in printed.items()}, unit="s")
    fastest = {variant: report.spread(pd.Series(values(results, variant, FASTEST)), 2) for variant in results.records}
    return table.join(pd.Series(fastest, name="fastest epoch, s"))


def _beside_accuracies(results: Results, printed: dict[str, tuple[float, float]]) -> pd.DataFrame:
    return report.beside_original(
        results, ACCURACY, {name: f"{100 * best:.1f}" for name, (best, _) in printed.items()}, unit="%", scale=100
    )


def _duel(
    results: Results,
    one: str,
    other: str,
    published: str,
    verdicts: tuple[Verdict, ...],
    *,
    figure: partial[Figure] | None = None,
    tables: tuple[object, ...] = (),
) -> Answer:
    """Two variants by their accuracy, and by their seconds where the figure shows these."""
    return duel(
        results,
        one,
        other,
        published,
        verdicts,
        figure=figure or partial(figures.accuracy_and_seconds, results),
        tables=tables or (report.summary(results),),
    )


def _timed(
    results: Results, one: str, other: str, published: str, verdicts: tuple[Verdict, ...], *, tables: tuple[object, ...] = ()
) -> Answer:
    """Two variants by the time that an image takes."""
    tables = tables or (report.timed(results, _EPOCH),)
    return timed(results, one, other, published, verdicts, figure=partial(figures.parts, results), tables=tables)


QUESTIONS: Questions = {
    "M1a": (norms_repeated, ("M1a",)),
    "M1b": (loaders, ("M1b",)),
    "M2a": (larger_batch, ("M2a",)),
    "M2b": (forgetting, ("M2b",)),
    "M2b-half": (worth_of_images, ("M2b-half",)),
    "M2c": (best_rate, ("M2c",)),
    "M3a": (half_precision, ("M3a",)),
    "M3b": (cutout, ("M3b",)),
    "M4a": (backbones, ("M4a",)),
    "M4b": (kernels, ("M4b",)),
    "M4c": (pools, ("M4c",)),
    "M4d": (branches, ("M4d",)),
    "M5a": (products, ("M5a", "M5a-momentum")),
    "M5b": (tuning, ("M5b",)),
    "M6a": (gradient_scales, ("M6a",)),
    "M6b": (equilibria, ("M6b",)),
    "M7a": (constants, ("M7a",)),
    "M7b": (stable_rates, ("M7b",)),
    "M7c": (curvatures, ("M7c",)),
    "M7d": (price_of_norm, ("M7d",)),
    "M8a": (augmentation, ("M8a",)),
    "M8b": (pool_first, ("M8b",)),
    "M8c": (partial(trick, published="64 s became 59 s"), ("M8c",)),
    "M8d": (partial(trick, published="59 s became 52 s"), ("M8d",)),
    "M8e": (partial(trick, published="52 s became 46 s"), ("M8e",)),
    "M8f": (partial(trick, published="46 s became 43 s"), ("M8f",)),
    "M8g": (partial(trick, published="43 s became 36 s"), ("M8g",)),
    "M8h": (partial(trick, published="36 s became 33.5 s"), ("M8h",)),
    "M8i": (flip_averaging, ("M8i",)),
    "M0": (ladder, ("M0",)),
}
