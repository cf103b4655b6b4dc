"""Answers on posts 5 to 8 of "How to train your ResNet": settings, weight decay, batch norm, tricks; and on the whole series."""

from dataclasses import replace
from functools import partial

import pandas as pd

from fastresnet import report
from fastresnet.chapters import myrtle_figures, myrtle_page
from fastresnet.chapters.myrtle_page import spreads_at_equal_product
from fastresnet.chapters.myrtle_shapes import (
    EPOCH,
    TRAINED,
    by_accuracy,
    by_time,
    median_of,
    with_fastest_epoch,
)
from fastresnet.records.record import in_percent
from fastresnet.report import ACCURACY, figures, original, values
from fastresnet.report.answers import Answer, beside, mean, percent, points, seconds, sentence, times
from fastresnet.report.claims import more_accurate, sooner
from fastresnet.report.verdicts import difference, exact, ratio
from fastresnet.study import Results

_FLAT = 0.05
"""Accuracies as near to each other as this count as equal in M5a, whose posts say no more than that the loss is flat."""


def products(m5a: Results, with_momentum: Results) -> Answer:
    """M5a: accuracy depends on the product of rate and weight decay, and on rate over one minus momentum."""
    decays, momenta = (myrtle_page.settings(results) for results in (m5a, with_momentum))
    pairs = {
        "weight decay": myrtle_page.explained(decays, "weight_decay"),
        "1 / (1 - momentum)": myrtle_page.explained(momenta, "gain"),
    }
    explaining = [
        difference(
            f"Does rate times {other} explain more of the accuracy's variance than their ratio?",
            "It explains {} {more|less}",
            shares["product"].tolist(),
            shares["ratio"].tolist(),
            paired=True,
        )
        for other, shares in pairs.items()
    ]
    apart = (spreads_at_equal_product(decays, "weight_decay"), spreads_at_equal_product(momenta, "gain"))
    flat = [
        difference(
            f"Where rate times {other} is the same, do accuracies lie within {100 * _FLAT:g} points of each other?",
            "Those furthest apart differ by {}",
            spreads,
            0.0,
            within=_FLAT,
        )
        for other, spreads in zip(pairs, apart, strict=True)
    ]
    known = {name: shares.dropna() for name, shares in pairs.items()}
    means = {
        name: [in_percent(shares[part].mean(), 0) for part in ("product", "ratio")]
        for name, shares in known.items()
        if len(shares)
    }
    shown = [f"rate times {name} explains {by_product}, their ratio {by_ratio}" for name, (by_product, by_ratio) in means.items()]
    return Answer(
        original="plots",
        here="; ".join(f"{name}: product {by_product}, ratio {by_ratio}" for name, (by_product, by_ratio) in means.items())
        or "—",
        difference="—",
        summary=f"Of the accuracy's variance between cells, {'; '.join(shown)}." if shown else "",
        verdicts=(*explaining, *flat),
        figure=partial(myrtle_figures.surfaces, m5a, decays, momenta),
        tables=(myrtle_page.surface_table(decays, "weight_decay"), myrtle_page.surface_table(momenta, "momentum")),
    )


def tuning(m5b: Results) -> Answer:
    """M5b: a better network, untuned, is more accurate than a plain one at its best rate."""
    *_, better = m5b.records
    tuned = report.most_accurate(m5b, besides=better)
    verdicts = (more_accurate(m5b, better, tuned),)
    return by_accuracy(
        m5b, better, tuned, "in words", verdicts, figure=partial(figures.dots, m5b), tables=(report.generalisation(m5b),)
    )


def gradient_scales(m6a: Results) -> Answer:
    """M6a: scaling the weights before batch norm by r scales their gradient by 1/r."""
    products = myrtle_page.gradients_times_scale(m6a)
    measured = [value for sample in products.values() for value in sample]
    least, most = (f"{value:.3f}" for value in (min(measured), max(measured)))
    question = "In single precision, with batch norm's epsilon: is the gradient times r the same within a hundredth?"
    found = "The largest relative difference is {}."
    verdict = exact(question, found, measured, [1.0] * len(measured), tolerance=0.01)
    table = {name: {"r times the gradient": report.spread(sample, 3)} for name, sample in products.items()}
    return Answer(
        original="exact",
        here=f"r times the gradient: {least} to {most}",
        difference="—",
        summary=f"Relative to the unscaled network, the gradient times r lies between {least} and {most}.",
        verdicts=(verdict,),
        tables=(report.as_table(table),),
    )


def equilibria(m6b: Results) -> Answer:
    """M6b: with weight decay the weights' norm settles at one value, wherever it began."""
    decaying, free = (myrtle_page.norm_ratios(m6b, decaying=each) for each in (True, False))
    verdicts = (
        ratio(
            "With decay, do the norms end within a factor of 1.25?", "The largest is {} the smallest", decaying, 1.0, below=1.25
        ),
        ratio("Do the norms end further apart without decay?", "The factor is {} the one with decay", free, decaying, above=1),
    )
    ends = [report.average(sample) for sample in (decaying, free)]
    said = f"With decay the largest final norm is {ends[0]:.2f} times the smallest, without it {ends[1]:.2f} times."
    return Answer(
        original="in words",
        here=f"largest over smallest: {ends[0]:.2f}; without decay {ends[1]:.2f}".replace("nan", "—"),
        difference="—",
        summary=sentence(said, decaying, free),
        verdicts=verdicts,
        figure=partial(myrtle_figures.weight_norms, m6b),
        tables=(report.summary(m6b),),
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
            matters=0.0,
        ),
        difference("Is less of it a constant with batch norm?", "Without it the share is {} {larger|smaller}", without, normed),
    )
    shares = myrtle_page.measured(m7a, "constant_share")
    last = shares["place"].max()
    at = [1, 10, 20, 30, 40, 50, last - 1, last]  # the one before the last is judged
    table = shares[shares["place"].isin(at)].pivot_table("value", "variant", "place").style.format("{:.3f}")
    table = table.set_caption("Constant share after so many activations")
    return Answer(
        original="about constant by layer 50",
        here=beside(percent, {"no norm": without, "batch norm": normed}),
        difference=points(without, normed),
        summary=sentence(
            f"Without batch norm {mean(without)} of the last activation is constant, with it {mean(normed)}.", without, normed
        ),
        verdicts=verdicts,
        figure=partial(myrtle_figures.constants, m7a),
        tables=(table,),
    )


def stable_rates(m7b: Results) -> Answer:
    """M7b: with batch norm a network trains at rates at which it diverges without it."""
    runs = myrtle_page.settings(m7b)
    normed, without = (myrtle_page.largest_rates(runs, each, least=TRAINED) for each in ("batch norm", "no norm"))
    question = "Is the highest rate that trains more than five times as high with batch norm?"
    table = runs.pivot_table("accuracy", "group", "lr", dropna=False).mul(100).rename(columns="{:g}".format)
    return Answer(
        original="a stress test",
        here=f"batch norm {median_of(normed)}, no norm {median_of(without)}",
        difference=times(normed, without, ""),
        summary=sentence(
            f"The highest rate that trains is {median_of(normed)} with batch norm and {median_of(without)} without it (medians).",
            normed,
            without,
        ),
        verdicts=(ratio(question, "It is {} as high", normed, without, above=5),),
        figure=partial(myrtle_figures.rate_stress, m7b, runs),
        tables=(table.style.format("{:.1f}", na_rep="diverged"),),
    )


def curvatures(m7c: Results) -> Answer:
    """M7c: the leading eigenvalues of the Hessian are ten to a hundred times smaller with batch norm."""
    calm, without, frozen = (
        [abs(value) for value in myrtle_page.measured_at(m7c, variant, name, 0)]
        for variant, name in (
            ("batch norm", "eigenvalues"),
            ("no norm", "eigenvalues"),
            ("batch norm", "eigenvalues_frozen"),
        )
    )
    others = {"without batch norm": without, "with batch norm frozen": frozen}
    verdicts = tuple(
        ratio(f"Is the largest eigenvalue more than ten times as large {how}?", "It is {} as large", large, calm, above=10)
        for how, large in others.items()
    )
    spectra = myrtle_page.spectra(m7c)
    absolute = spectra.assign(value=spectra["value"].abs()).pivot_table("value", "variant", "place", sort=False)
    samples = {"with batch norm": calm, **others}
    means = {name: report.average(sample) for name, sample in samples.items()}
    said = ", ".join(f"{mean:.3g} {name}" for name, mean in means.items())
    return Answer(
        original="10 to 100 times smaller",
        here="; ".join(f"{name} {mean:.3g}" for name, mean in means.items() if pd.notna(mean)) or "—",
        difference=times(without, calm, ""),
        summary=sentence(f"The largest eigenvalue is {said}.", *samples.values()),
        verdicts=verdicts,
        figure=partial(myrtle_figures.eigenvalues, m7c, spectra),
        tables=(absolute.style.format("{:.3g}").set_caption("Mean absolute value of the leading eigenvalues, by rank"),),
    )


def price_of_norm(m7d: Results) -> Answer:
    """M7d: batch norm is slow and fails for small batches."""
    whole, *grouped, without = m7d.records
    smallest = min(grouped, key=lambda variant: int(variant.rpartition(" ")[2]))  # "groups of 2"
    verdicts = (sooner(m7d, without, whole), more_accurate(m7d, whole, smallest, margin=0.01))
    answer = by_accuracy(
        m7d, whole, smallest, "in words", verdicts, tables=(with_fastest_epoch(report.generalisation(m7d), m7d),)
    )
    ends = {variant: values(m7d, variant, ACCURACY) for variant in m7d.records}
    return replace(answer, summary=sentence(f"Accuracy at the end: {beside(mean, ends)}.", *ends.values()) or answer.summary)


def augmentation(m8a: Results) -> Answer:
    """M8a: augmenting batches on the device is faster than augmenting images in other processes."""
    before, after = m8a.records
    return by_time(m8a, after, before, "75 s became 70 s", (sooner(m8a, after, before),))


def pool_first(m8b: Results, timed: Results) -> Answer:
    """M8b: pooling before batch norm is faster, and about as accurate."""
    before, after = m8b.records
    verdicts = (sooner(timed, after, before), more_accurate(m8b, after, before, margin=-0.01))
    tables = (report.summary(m8b), report.timed(timed, EPOCH))
    return by_accuracy(m8b, after, before, "70 s became 64 s", verdicts, tables=tables)


def trick(results: Results, *, published: str, paired: bool = False) -> Answer:
    """M8c to M8h: with the trick, the network is more accurate after the same epochs. `paired`: equal seeds train equal
    networks."""
    before, after = results.records
    figure, tables = partial(figures.dots, results), (report.generalisation(results),)
    verdicts = (more_accurate(results, after, before, paired=paired),)
    return by_accuracy(results, after, before, published, verdicts, figure=figure, tables=tables, paired=paired)


def flip_averaging(m8i: Results) -> Answer:
    """M8i: averaging over an image and its mirror image raises the accuracy of the same networks."""
    plain, averaged = (values(m8i, variant, ACCURACY) for variant in ("plain", "flip averaged"))
    question = "Does averaging over the flip raise the accuracy of the same networks?"
    verdicts = (difference(question, "It is {} {higher|lower}", averaged, plain, paired=True),)
    answer = by_accuracy(m8i, "flip averaged", "plain", "33.5 s became 26 s", verdicts, figure=partial(figures.dots, m8i))
    said = f"The same networks name {mean(averaged)} of the test images with the average of both views, {mean(plain)} without it."
    return replace(answer, summary=sentence(said, plain, averaged))


def ladder(m0: Results) -> Answer:
    """M0: every post shortens the way to one accuracy."""
    target = myrtle_page.common_target(m0)
    reached = in_percent(target, 0)
    steps = myrtle_page.ladder(m0, target, {} if m0.other_data else original.M0_SECONDS)
    first, *_, last = m0.records
    before, after = (myrtle_page.cost_to(m0, step, target) for step in (first, last))
    verdicts = [
        ratio(
            f"To {reached}, does “{last}” need fewer {what} than “{first}”?",
            "It needs {} as many",
            after[what],
            before[what],
            below=1,
        )
        for what in ("epochs", "seconds", "TFLOP")
    ]
    tenth = f"To {reached}, does “{last}” need less than a tenth of the seconds?"
    verdicts.append(ratio(tenth, "It needs {} as many", after["seconds"], before["seconds"], below=0.1))
    medians = steps["seconds"].dropna()
    ours = [seconds(medians[medians.index == step].tolist()) for step in (first, last)]
    soonest = str(medians.idxmin()) if len(medians) else first
    shown = {"epochs": "{:.0f}", "seconds": "{:.1f}", "TFLOP": "{:.3f}", "published seconds": "{:.1f}"}
    return Answer(
        original="297 s became 26 s",
        here=f"to {reached}: {ours[0]} became {ours[1]}",
        difference=times(after["seconds"].tolist(), before["seconds"].tolist()),
        summary=sentence(
            f"{reached} accuracy takes {ours[0]} with the first network and {ours[1]} after all steps; it takes least after "
            f"“{soonest}”, {medians.min():.1f} s (medians).",
            before["seconds"],
            after["seconds"],
        ),
        verdicts=tuple(verdicts),
        figure=partial(myrtle_figures.ladder, m0, steps, target),
        tables=(steps.style.format(shown, na_rep="—"),),
    )
