"""Answers of every chapter to runs of other variants than the book's: a re-runner may ask for any that the parameters allow."""

import re
from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from fastresnet.chapters import (
    cifar10_answers,
    cifar10_chain,
    cifar10_curve,
    fashionmnist_answers,
    fashionmnist_widths,
    findings_answers,
    myrtle_answers,
)
from fastresnet.errors import UserError
from fastresnet.records.record import Outcome, StepSeconds
from fastresnet.report.answers import answer, at_the_reports_scale
from fastresnet.report.page import Page
from fastresnet.study import Results, declare, edition_parameters, open_study

from .conftest import ROOT
from .made_up import record_of

QUESTIONS = {
    "cifar10_accuracy": cifar10_answers.QUESTIONS,
    "fashionmnist_speed": fashionmnist_answers.QUESTIONS,
    "myrtle_notes": myrtle_answers.QUESTIONS,
    "findings": {"final": (findings_answers.final_models, "final-time")},
}
MEASURED = {
    "gradient-norm": {"gradient_norm": 1},
    "channels": {"channel_mean": 54, "channel_std": 54, "constant_share": 54},
    "eigenvalues": {"eigenvalues": 10, "eigenvalues_frozen": 10},
    "recall": {"recall": 10},
    "test-halves": {"test_halves": 2},
}
"""Length of what each measurement leaves in a record."""


def one_of_each(value):
    return value[:1] if isinstance(value, list) else value


def others(value):
    if isinstance(value, list):
        return [others(each) for each in value]
    return round(1.3 * value, 6) if isinstance(value, float) else value + 2 if type(value) is int else value


def declared(name, change):
    """A study's experiments with `change` applied to every parameter that allows it."""
    values = edition_parameters(name, "quick")
    for key, value in values.items():
        if key not in ("seeds", "scale", "changed"):
            try:
                declare(name, changed := {**values, key: change(value)}, name)
                values = changed
            except UserError:
                continue
    return {each.id: each for each in declare(name, values, name)[1]}


def made_up(config, seed, number, diverged):
    """A record of a run that never was: the higher the number of its variant, the better and the slower."""
    accuracy = None if diverged else min(0.3 + 0.02 * number + 0.001 * seed, 0.99)
    epochs = max(1, round(config.train.epochs))
    measured = {
        key: tuple(0.5 / (1 + each) for each in range(length))
        for name in config.train.measure
        if not diverged or name in ("gradient-norm", "channels")  # which are measured before the first step
        for key, length in MEASURED.get(name, {}).items()
    }
    parts = StepSeconds(**dict.fromkeys(StepSeconds.model_fields, 0.2 + 0.1 * number)) if config.train.time_parts else None
    norms = [2.0 + number] * epochs if "weight-norm" in config.train.measure else ()
    fields = {"seed": seed, "measured": measured, "step_seconds": parts}
    return record_of(config, *[accuracy] * epochs, norms=norms, seconds=1.0 + number, **fields)


def made_up_results(experiment, seeds, diverged="none"):
    """Results of runs that never were: of those of the first variant, or of all, none has an end."""
    records = {
        variant: tuple(
            made_up(config, seed, number, diverged == "all" or (diverged == "first" and number == 0)) for seed in seeds
        )
        for number, (variant, config) in enumerate(experiment.variants.items())
    }
    return Results(experiment, "cpu", records)


def study_of(name, experiments, seeds, diverged):
    return SimpleNamespace(name=name, best_recorded=lambda each: made_up_results(experiments[each], seeds, diverged))


@pytest.mark.parametrize(
    ("change", "seeds", "diverged"),
    [(one_of_each, (0,), "none"), pytest.param(others, (0, 1, 2), "first", marks=pytest.mark.slow), (one_of_each, (0, 1), "all")],
)
@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_is_answered(name, change, seeds, diverged):
    page = Page(study_of(name, declared(name, change), seeds, diverged), QUESTIONS[name])
    for experiment in QUESTIONS[name]:
        found = page.answer(experiment)
        told = " ".join((found.sentence, found.here, found.difference, *map(str, found.verdicts)))
        assert not re.search(r"\b(nan|inf|None)\b|\[\]|\{", told), (experiment, told)
        assert found.sentence.endswith("."), (experiment, found.sentence)
        if found.figure:
            figure = found.figure()
            figure.draw_without_rendering()
            plt.close(figure)
        for table in found.tables:
            assert table.to_html() if hasattr(table, "to_html") else str(table), experiment
    assert page.overview().data.count("<tr><td>") == len(QUESTIONS[name])


@pytest.mark.parametrize(
    ("name", "key", "experiment"),
    [
        ("cifar10_accuracy", "c3_dropouts", "C3"),
        ("cifar10_accuracy", "c5_rates", "C5"),
        ("fashionmnist_speed", "f5_batch_sizes", "F5"),
        ("myrtle_notes", "m7d_group_sizes", "M7d"),
    ],
)
def test_order_of_values_changes_no_question(name, key, experiment):
    values, asked = edition_parameters(name, "cpu"), []
    for ordered in (values[key], values[key][::-1]):
        experiments = {each.id: each for each in declare(name, {**values, key: ordered}, name)[1]}
        found = Page(study_of(name, experiments, (0,), "none"), QUESTIONS[name]).answer(experiment)
        asked.append([verdict.question for verdict in found.verdicts if "at most 1 point" not in verdict.question])  # of the best
    assert asked[0] == asked[1]


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_verdict_of_the_book_has_runs_to_compare(name):
    """A variant that is renamed in one place alone would leave its verdict out in silence."""
    study = open_study(name)
    for experiment in QUESTIONS[name]:
        for verdict in answer(study, QUESTIONS[name], experiment).verdicts:
            assert verdict.outcome != "not asked", (experiment, verdict.question)


def test_readme_says_what_was_found_at_the_reports_scale():
    answers = {"final": answer(open_study("findings"), findings_answers.QUESTIONS, "final")}
    for found in (chapters := findings_answers.all_answers()).values():
        answers |= found
    rows = [
        f"| {name}: {found.results[0].experiment.question} | {found.original} | {found.here} | {found.borne_out or '—'} | "
        f"{len(found.results[0].seeds)} |"
        for name, found in answers.items()
        if at_the_reports_scale(found.results[0])
    ]
    readme = (ROOT / "README.md").read_text()
    assert rows == re.findall(r"^\| (?:final|[CFN]\d).* \|$", readme, re.MULTILINE), "\n".join(rows)
    assert f"\n{findings_answers.score(chapters)}\n" in readme


def test_a_run_that_diverged_early_is_not_the_nearest_to_the_reports_curve():
    study = open_study("cifar10_accuracy")
    curve = study.best_recorded("C9-batch")
    told, near, *_ = curve.records
    cut = curve.records[told][0]
    cut = cut.model_copy(update={"outcome": Outcome(status="diverged", reason="?"), "epochs": cut.epochs[:2]})
    assert cifar10_curve.distances(replace(curve, records={told: (cut,), near: curve.records[near]}), told) == []


def test_runs_that_never_reach_the_target_are_told_and_keep_their_other_verdicts():
    study = open_study("fashionmnist_speed")
    f8 = study.best_recorded("F8")
    records = {
        variant: tuple(
            record.model_copy(
                update={"epochs": tuple(epoch.model_copy(update={"test_accuracy": accuracy}) for epoch in record.epochs)}
            )
            for record, accuracy in ((runs[0], 0.5), (runs[0], 0.9))
        )
        for variant, runs in f8.records.items()
    }
    timed, pace = (study.best_recorded(name) for name in ("F8-time", "F8-pace"))
    some = fashionmnist_widths.widths(replace(f8, records=records), timed, pace)
    assert some.summary.count("(1 epoch, 1 of 2 runs)") == 2
    never = {variant: runs[:1] for variant, runs in records.items()}
    none = fashionmnist_widths.widths(replace(f8, records=never), timed, pace)
    assert [verdict.outcome for verdict in none.verdicts] == ["yes", "not asked"]
    assert none.here == "80 % not reached"


def test_the_chain_is_told_from_its_first_recorded_step_to_its_last():
    columns = ["report", "said", "here", "held_out"]
    rows = [[None, None, 0.5, 0.51], [0.7, None, 0.65, 0.645], [None, 0.8, None, None]]
    steps = pd.DataFrame(rows, ["C1", "C4", "C5"], columns, dtype=float)
    said = cifar10_chain.chain_finding(steps)
    assert "2 of 3 are recorded" in said
    assert "from 50.00 % (C1) to 65.00 % (C4)" in said
    assert "in points: C4 -5.0. " in said
    assert "changes accuracy on the other half by -0.5 to +1.0 points" in said
    assert cifar10_chain.chain_finding(steps.assign(here=None)) == ""
    assert cifar10_chain.chain_finding(steps.assign(held_out=None)).endswith("in points: C4 -5.0.")
