"""The answers to all questions of the report, and how far its two final models get."""

from collections.abc import Mapping
from functools import partial
from statistics import fmean
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from fastresnet.chapters import cifar10_answers, cifar10_chain, fashionmnist_answers, myrtle_answers
from fastresnet.chapters.cifar10_steps import SMALL
from fastresnet.chapters.fashionmnist_widths import NARROW
from fastresnet.chapters.frontier_page import report_finals, report_verdict, target
from fastresnet.records.record import as_printed
from fastresnet.report import at_pace, average, beside_original, figures, original, selection, style, values
from fastresnet.report.answers import (
    Answer,
    Questions,
    answer,
    at_the_reports_scale,
    beside,
    comparable,
    mean,
    near_printed,
    percent,
    sentence,
    tally,
    to_report,
)
from fastresnet.report.claims import more_accurate, near
from fastresnet.report.verdicts import MIN_RUNS
from fastresnet.study import Results, open_study

CHAPTERS: dict[str, Questions] = {
    "fashionmnist_speed": fashionmnist_answers.QUESTIONS,
    "cifar10_accuracy": cifar10_answers.QUESTIONS,
    "myrtle_notes": myrtle_answers.QUESTIONS,
}


def all_answers() -> dict[str, dict[str, Answer]]:
    """By chapter: the answers to every step of the report, to the ideas that it left for later, and to the posts' claims."""
    return {
        chapter: {name: answer(study, questions, name) for name in questions}
        for chapter, questions in CHAPTERS.items()
        for study in [open_study(chapter)]
    }


def score(answers: Mapping[str, Mapping[str, Answer]]) -> str:
    """How many claims of the report and of the posts our runs bear out, in two sentences."""
    of_report = [found for chapter in ("fashionmnist_speed", "cifar10_accuracy") for found in answers[chapter].values()]
    return f"Of the report's steps, {tally(of_report)}. Of the posts' claims, {tally(answers['myrtle_notes'].values())}."


CHOICES = ("C1", "C4", "C5", "C6", "C8", "C10", "C12")
"""Steps in which the report chose among values by a single run of each."""


def luck(steps: Mapping[str, Answer]) -> str:
    """By how much the best of single runs of each variant is better than a repeat of it, in Markdown, for steps with enough runs
    for a verdict."""
    known = {name: steps[name].results[0] for name in CHOICES if len(steps[name].results[0].seeds) >= MIN_RUNS}
    points = {name: 100 * selection.selection_bias(runs, cifar10_chain.measure_of(name)) for name, runs in known.items()}
    told = ", ".join(f"{name}: {value:+z.2f}" for name, value in points.items() if value == value)
    if not told:
        return f"**In short.** Not known yet: this takes {MIN_RUNS} runs of each setting."
    return f"**In short.** For choices among our runs, the chosen run is this many points better than a repeat of it: {told}."


class Printed(NamedTuple):
    """An accuracy that the report prints or says, in [0, 1], and our variant with its settings. If we know a change that comes
    closer: its experiment and variant, and what it changes."""

    step: str
    accuracy: float
    variant: str
    experiment: str = ""
    changed: str = ""
    what: str = ""


ACCURACIES = (
    Printed("F8", original.F8_HALF[-1].test_accuracy, NARROW, "F8-init", "torch's own", "torch's own initial weights"),
    Printed("C6", cifar10_chain.SAID["C6"], "weight decay 0.015", "C6-batch", "C6, batch 155", "batches of 155"),
    Printed("C8", cifar10_chain.SAID["C8"], "maximum 0.1"),
    Printed("C9", original.C9[-1].test_accuracy, "flips in training and test"),
    Printed("C12", original.C13["base"][0], "maximum 0.075", "C12-size", "48 x 48", "images of 48 pixels"),
    *(Printed("C13", accuracy, variant) for variant, (accuracy, _) in original.C13.items() if variant not in ("base", SMALL)),
    Printed("C13", original.C13[SMALL][0], SMALL, "C13-size", "48 x 48", "images of 48 pixels"),
)


def differences(steps: Mapping[str, Answer]) -> pd.DataFrame:
    """One row per accuracy of the report that ours with its settings, at its own scale, is not within a point of: the report's,
    ours, and ours with a change that comes closer."""
    rows = {}
    for each in ACCURACIES:
        told = steps[each.step].results[0]
        measure = cifar10_chain.measure_of(each.step)
        found = near(told, each.variant, each.accuracy, measure)
        if not at_the_reports_scale(told) or not found.outcome.endswith("no"):
            continue
        closer = percent(values(steps[each.experiment].results[0], each.changed, measure)) if each.what else "—"
        rows[f"{each.step}, {each.variant}"] = {
            "the report": "about " * (each.step in cifar10_chain.SAID) + as_printed(each.accuracy),
            "here": percent(values(told, each.variant, measure)),
            "here, changed": closer,
            "the change": f"{each.what} ({each.experiment})" if each.what else "—",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def headlines(recipes: Mapping[str, Results], answers: Mapping[str, Mapping[str, Answer]]) -> str:
    """What the study found, as a Markdown list: how many claims are borne out, and three findings, each with what its verdicts
    say, and the figures behind it."""
    fast = report_finals(recipes)["cifar10-83"]
    f8, c9 = answers["fashionmnist_speed"]["F8"], answers["cifar10_accuracy"]["C9"]
    sooner, better = (found.capitalize() for found in (f8.verdicts[-1].outcome, c9.verdicts[0].outcome))
    return (
        f"1. {score(answers)}\n"
        f"2. **{report_verdict(recipes)}** {target('cifar10-83')} took {fmean(fast.seconds):.0f} s (mean of "
        f"{len(fast.seconds)} runs), in the report {fast.published.seconds:.0f} s.\n"
        f"3. **{f8.results[0].experiment.question} {sooner}.** {f8.sentence} Seeds so far: {len(f8.results[0].seeds)}.\n"
        f"4. **Do flips in training help? {better}.** {c9.sentence} Seeds so far: {len(c9.results[0].seeds)}.\n"
    )


def final_models(final: Results, timed: Results) -> Answer:
    """How accurate the report's two final models become, and how soon, at the pace of the timed runs."""
    ours = {name: values(final, name, "test_accuracy") for name in ("fast", "accurate")}
    fast, accurate = ours.values()
    printed = {name: accuracy for name, (accuracy, _) in original.FINAL.items()}
    said = f"The fast model ends at {mean(fast)} and the accurate one at {mean(accurate)}"
    images = max(record.data.train_images for record in final.all_records if record.data)
    paced = at_pace(final, timed)
    said += "." if final.other_data else f"; the report prints {' and '.join(map(as_printed, printed.values()))}."
    if not final.other_data and not at_the_reports_scale(final):
        said += f" Here they train on {images:,} images, there on {original.EPOCH_IMAGES['cifar10']:,}."
    took = [values(paced, name, "train_seconds") for name in original.FINAL]
    if comparable(final) and all(took):
        there = " and ".join(f"{cost:.0f}" for _, cost in original.FINAL.values())
        here = " and ".join(f"{average(each):,.0f}" for each in took)
        said += f" {original.EPOCHS['cifar10']} epochs take {here} s here; the report's took about {there} s."
    return Answer(
        original="; ".join(f"{name}: {as_printed(accuracy)}" for name, accuracy in printed.items()),
        here=beside(percent, ours),
        difference="; ".join(dict.fromkeys(to_report(final, sample, printed[name]) for name, sample in ours.items())),
        summary=sentence(said, fast, accurate),
        verdicts=(
            more_accurate(final, "accurate", "fast"),
            *near_printed(final, printed),
        ),
        figure=partial(_final_figure, paced),
        tables=(_final_table(paced),),
    )


def _final_figure(final: Results) -> Figure:
    figure, (above, below) = style.panels(5.8, 2, sharey=True)
    figures.name_lines(above, figures.accuracy_by_epoch(final, above))
    figures.name_lines(below, figures.accuracy_by_seconds(final, below))
    return style.title(figure, "The report's two final models", figures.bands(final))


def _final_table(final: Results) -> pd.DataFrame:
    accuracies = {name: f"{100 * accuracy:.2f}" for name, (accuracy, _) in original.FINAL.items()}
    seconds = {name: f"about {cost:.0f}" for name, (_, cost) in original.FINAL.items()}
    table = beside_original(final, "test_accuracy", accuracies, unit="%", scale=100)
    costs = beside_original(final, "train_seconds", seconds, unit="s", digits=0)
    return table.drop(columns="runs").join(costs)


QUESTIONS: Questions = {"final": (final_models, "final-time")}
