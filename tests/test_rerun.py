"""A chapter with changed parameters: what comes from the record, what is trained, and at which scale."""

import re
from dataclasses import replace
from statistics import fmean, median
from types import SimpleNamespace

import nbformat
import papermill
import pytest
import torch
from papermill.exceptions import PapermillExecutionError

from fastresnet.book.notebooks import chapter_file
from fastresnet.cli.chapters import _duration, _train
from fastresnet.compute.provenance import describe_machine
from fastresnet.config import DavidNetConfig, NormConfig, RunConfig
from fastresnet.errors import UserError
from fastresnet.report.page import live
from fastresnet.study import STUDIES, Experiment, Study, edition_parameters, open_chapter, open_study
from fastresnet.study.declaration import scaled
from fastresnet.study.plan import Planned, _images_per_epoch, plan

from .conftest import ROOT, command_here, refused, write_notebook


def scaled_run(config, scale):
    return scaled(Experiment("one", "?", {"only": config}, seeds=(0,)), scale).variants["only"]


def shown(name, experiment, **parameters):
    return open_chapter(name, {"changed": tuple(set(parameters) - {"scale"}), **parameters}).shown(experiment)


def planned(name, **parameters):
    study = open_chapter(name, {"changed": tuple(set(parameters) - {"scale"}), **parameters})
    return {each.experiment: each for _, each in plan(study)}


OPENING = """
from fastresnet.study import open_chapter
study, found = open_chapter("fashionmnist_speed", globals()).shown("F8")
print(found, study.changes, study.scale)
"""


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, r"Results\(F8, .*\) \{\} 1\.0"),
        ({"f8_epochs": 3}, r"None \{'f8_epochs': 3\.0\} 1\.0"),  # the quick edition's own number of epochs
        ({"f8_epochs": 3, "scale": 0.5}, r"None \{'f8_epochs': 3\.0\} 0\.5"),
        ({"f8_epoch": 3}, r"parameters of fashionmnist_speed: f8_epoch: .*allowed: .*f8_epochs"),
    ],
)
def test_papermill_itself_changes_what_it_is_given_and_nothing_else(given, shown, tmp_path):
    write_notebook(tmp_path / "in.ipynb", "f8_epochs = 3\nscale = 1.0", OPENING, tags=["parameters"])
    try:
        done = papermill.execute_notebook(tmp_path / "in.ipynb", None, given, cwd=ROOT, progress_bar=False)
        found = done.cells[-1].outputs[0].text
    except PapermillExecutionError as error:
        found = error.evalue
    assert re.match(shown, found)


def test_unchanged_chapter_shows_what_the_book_shows():
    assert not [each.experiment for each in planned("fashionmnist_speed").values() if each.missing]


@pytest.mark.parametrize("name", STUDIES)
def test_edition_chosen_in_the_notebook_brings_its_own_values(name):
    quick = edition_parameters(name, "quick")
    study = open_chapter(name, {**quick, "edition": "cpu"})
    assert study.experiments == open_study(name, edition="cpu").experiments
    assert study.unchanged
    key, value = ("test_images", 700) if "test_images" in quick else ("epochs", 7.0)
    assert open_chapter(name, {**quick, "edition": "cpu", key: value}).changes == {key: value}
    named = open_chapter(name, {**quick, "edition": "cpu", "changed": [key]})
    assert named.experiments == open_study(name, edition="cpu", parameters={key: quick[key]}).experiments


def test_scale_keeps_the_steps_of_runs_with_held_out_images(tiny):
    held_out = tiny.with_changes(
        {"data.name": "cifar10", "model.in_channels": 3, "data.train_images": None, "data.validation_images": 5000}
    )
    data = scaled_run(held_out.with_changes({"data.batch_size": 500}), 0.1).data
    assert (data.train_images, data.batch_size) == (4500, 50)
    with pytest.raises(UserError, match="scale=2: one has 45,000 of 45,000 training images; allowed: 4e-05 to 1"):
        scaled_run(held_out, 2)


def test_scale_shrinks_the_groups_of_batch_norm_with_the_batch():
    config = RunConfig(data={"batch_size": 200}, model=DavidNetConfig(norm=NormConfig(group_size=50)))
    assert scaled_run(config, 0.1).model.norm.group_size == 5
    assert scaled_run(config, 0.01).model.norm.group_size == 2


def test_what_a_change_does_not_touch_comes_from_the_record():
    study, found = shown("fashionmnist_speed", "F1", f8_epochs=5)
    assert (found.edition, study.changes) == ("cpu", {})
    touched = {"F8", "F8-init", "F6-rate", "N1"}
    assert {name for name, each in planned("fashionmnist_speed", f8_epochs=5).items() if each.missing} == touched


def test_what_a_change_touches_is_trained_at_the_scale_that_the_book_shows():
    book, _ = shown("fashionmnist_speed", "F8")
    study, found = shown("fashionmnist_speed", "F8", f8_epochs=5)
    assert found is None
    for variant, config in book.experiment("F8").variants.items():
        assert study.experiment("F8").variants[variant] == config.with_changes({"train.epochs": 5})


def test_value_that_the_quick_edition_has_is_a_change_all_the_same():
    quick = open_study("fashionmnist_speed").experiment("F8")
    epochs = next(iter(quick.variants.values())).train.epochs
    study, found = shown("fashionmnist_speed", "F8", f8_epochs=epochs)
    assert found is None
    assert {config.train.epochs for config in study.experiment("F8").variants.values()} == {epochs}


def test_scale_counts_for_what_is_touched_or_for_all_if_nothing_is():
    whole, tenth = (shown("cifar10_accuracy", "C7", c7_max_lr=0.3, **more)[0].experiment("C7") for more in ({}, {"scale": 0.1}))
    for variant, config in whole.variants.items():
        images, batch = config.data.train_images or 50_000, config.data.batch_size
        scaled = {"data.train_images": round(0.1 * images), "data.batch_size": round(0.1 * batch)}
        assert tenth.variants[variant].hash == config.with_changes(scaled).hash
    assert shown("cifar10_accuracy", "C1", c7_max_lr=0.3, scale=0.1)[1]
    assert not shown("cifar10_accuracy", "C1", scale=0.1)[1]


def test_time_is_estimated_from_the_runs_of_the_same_variants():
    longer, shorter = (planned("fashionmnist_speed", f8_epochs=epochs)["F8"] for epochs in (4, 2))
    assert longer.seconds == pytest.approx([2 * seconds for seconds in shorter.seconds])
    assert min(shorter.seconds) > 1


def test_time_is_estimated_with_that_of_evaluations():
    whole, few = (planned("fashionmnist_speed", f8_epochs=5, **more)["F8"] for more in ({}, {"test_images": 100}))
    for images, found in ((10_000, whole), (100, few)):
        for run, seconds in zip(found.missing, found.seconds, strict=True):
            of_variant = [each for each in found.reference_runs if each.config.model == run.config.model]
            tested = [images / each.data.test_images for each in of_variant]
            medians = [
                [median(getattr(epoch, kind) for epoch in each.epochs) for kind in ("train_seconds", "evaluate_seconds")]
                for each in of_variant
            ]
            expected = fmean(train + share * evaluate for (train, evaluate), share in zip(medians, tested, strict=True))
            assert seconds == pytest.approx(5 * expected)
    assert sum(few.seconds) < sum(whole.seconds)


def test_evaluation_is_estimated_by_the_images_held_out():
    config = RunConfig(data={"name": "cifar10", "validation_images": 5000})
    assert _images_per_epoch(config) == (45_000, 5000)


@pytest.fixture
def records_as(monkeypatch):
    """Makes the records by which times are estimated others: `change(run, first)`, of the first variant or a later one."""
    recorded = Study.nearest

    def changed(study, name, change):
        found = recorded(study, name)
        records = {
            variant: tuple(run.model_copy(update=change(run, place == 0)) for run in runs)
            for place, (variant, runs) in enumerate(found.records.items())
        }
        return replace(found, records=records)

    return lambda change: monkeypatch.setattr(Study, "nearest", lambda study, name: changed(study, name, change))


def test_pause_in_an_epoch_is_not_estimated_again(records_as):
    before = sum(planned("fashionmnist_speed", f8_epochs=5)["F8"].seconds)
    pause = {"train_seconds": 1e6}
    records_as(lambda run, first: {"epochs": (run.epochs[0].model_copy(update=pause), *run.epochs[1:])})
    assert before <= sum(planned("fashionmnist_speed", f8_epochs=5)["F8"].seconds) < 1.5 * before


def test_time_grows_with_the_work_per_image_of_a_larger_image_or_network():
    recorded = planned("fashionmnist_speed", f8_epochs=9)["F8"].seconds
    larger = planned("fashionmnist_speed", f8_epochs=9, f8_image_size=96)["F8"].seconds
    wider = planned("fashionmnist_speed", f8_epochs=9, f8_stem_channels=[32, 128])["F8"].seconds
    assert 3 < sum(larger) / sum(recorded) < 6  # four times the pixels
    assert 3 < sum(wider) / sum(recorded) < 6  # twice the width


def test_time_is_estimated_from_this_processor_if_it_has_records(records_as):
    here = describe_machine(torch.device("cpu"))
    other = here.model_copy(update={"processor": "another one"})
    records_as(lambda run, first: {"machine": here if first else other})
    assert {record.machine for record in planned("fashionmnist_speed", f8_epochs=5)["F8"].reference_runs} == {here}


@pytest.mark.parametrize(("seconds", "said"), [(9, "9.0 s"), (90, "90 s"), (600, "10 min"), (9000, "2.5 h")])
def test_duration_is_told_in_its_unit(seconds, said):
    assert _duration(seconds) == said


def test_what_is_left_is_told_after_each_run_by_the_time_so_far(record, capsys):
    run = SimpleNamespace(experiment="A", variant="one", seed=0)
    trainer = SimpleNamespace(train_missing=lambda *_, **__: iter([(run, record)] * 2))
    _train([(trainer, Planned("A", "cpu", 2, (run, run), (1.0, 3.0), (record,)))])
    said = capsys.readouterr().err.splitlines()
    assert [line.rpartition("finished, ")[2] for line in said] == ["about 7.5 s left", "about 0.0 s left"]  # 2.5 s a run


def test_run_that_two_experiments_share_is_planned_once():
    found = planned("cifar10_accuracy", c12_batch_size=1000)
    best_rate = {run.seed for run in found["C12"].missing if run.variant == "maximum 0.075"}
    assert best_rate  # also C12-size's runs at 32 x 32
    assert found["C12-size"].runs - len(found["C12-size"].missing) == len(best_rate)
    assert {run.variant for run in found["C12-size"].missing} == {"48 x 48"}


def test_plan_of_a_page_trains_no_edition_that_it_does_not_show():
    assert {each.edition for each in planned("frontier", epochs=2).values() if each.missing} == {"cpu"}


def test_other_data_set_brings_its_channels_and_classes():
    runs = planned("cifar10_accuracy", dataset="cifar100")["C9"].missing
    assert {(run.config.model.num_classes, run.config.model.in_channels) for run in runs} == {(100, 3)}
    runs = planned("fashionmnist_speed", dataset="cifar10")["F8"].missing
    assert {(run.config.model.num_classes, run.config.model.in_channels) for run in runs} == {(10, 3)}


def test_data_set_that_no_chapter_knows_is_refused_with_those_that_it_does():
    for name in ("folder:photographs", "cifar"):
        line = refused(command_here("chapter", "run", "cifar10_accuracy", "-p", f"dataset={name}", "--dry-run"))
        assert f"dataset: no data set '{name}' for a chapter; allowed: fashion-mnist, cifar10" in line


def test_dry_run_of_an_edition_is_estimated_from_that_edition_s_runs():
    done = command_here("chapter", "run", "fashionmnist_speed", "--edition", "cpu", "-p", "f8_epochs=5", "--dry-run")
    assert "no such run is recorded" not in done.stderr
    assert re.search(r"in all: about [\d.]+ (min|h) of training and evaluation", done.stderr)


def test_bad_value_is_named_in_any_edition():
    for edition in ("quick", "cpu", "gpu"):
        line = refused(
            command_here("chapter", "run", "fashionmnist_speed", "--edition", edition, "-p", "f8_image_size=7", "--dry-run")
        )
        assert "f8_image_size=7: data.image_size: " in line


def test_dry_run_says_what_would_be_trained_and_how_long_and_trains_nothing(tmp_path):
    done = command_here("chapter", "run", "fashionmnist_speed", "-p", "f8_epochs=5", "--dry-run", "-o", tmp_path / "out.ipynb")
    assert done.returncode == 0
    assert "4 of 14 experiments have runs to train" in done.stderr
    assert re.search(r"F8, cpu edition: \d of \d runs to train, about [\d.]+ (s|min|h)\b", done.stderr)
    assert re.search(r"in all: about [\d.]+ (min|h) of training and evaluation, by the records of .+ threads?\n", done.stderr)
    assert not list(tmp_path.iterdir())
    assert "scale" in refused(command_here("chapter", "run", "fashionmnist_speed", "--scale", "0", "--dry-run"))


@pytest.mark.parametrize("name", STUDIES)
def test_only_the_books_own_page_trains_an_experiment_live(name, monkeypatch):
    monkeypatch.setattr(Study, "run", lambda study, experiment: pytest.fail("trained"))
    (cell,) = (each for each in nbformat.read(chapter_file(name), 4).cells if "live(" in each.source)
    (experiment,) = re.findall(r'^live\(study, "(.+)"\)$', cell.source)
    for changes in ({"seeds": [7]} if name != "frontier" else {"ablation_seeds": [7]}, {"scale": 0.5}, {"edition": "cpu"}):
        assert "Left out" in live(open_chapter(name, changes), experiment).data
    with pytest.raises(pytest.fail.Exception, match="trained"):
        live(open_chapter(name, {}), experiment)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study", "run", "findings", "--only", "final-time", "--results", ""], "'': names no folder"),
        (["study", "run", "findings", "--only", "final-time", "--dask", ""], "--dask: names no cluster"),
        (["study", "export", "x.csv", "--results", ""], "'': names no folder"),
        (["chapter", "run", "preface", "-o", ""], "-o: names no file"),
        (["chapter", "sweep", "preface", "-o", ""], "'': names no folder"),
        (
            ["study", "run", "cifar10_accuracy", "findings", "--edition", "cpu", "-p", "batch_size=4500"],
            "-p: changes some of cifar10_accuracy, findings",
        ),
        (["chapter", "run", "cifar10_accuracy", "-p", "n2_shapes={one-cycle: [[0,1],[1,1]]}"], "n2_shapes: 'one-cycle' is what"),
        (["chapter", "run", "cifar10_accuracy", "-p", "batch_size=155"], "c6_batch_size: is compared with batch_size"),
        (
            ["chapter", "run", "cifar10_accuracy", "-p", "c1_rates=[0.1, 0.10]"],
            "c1_rates: no value may come twice, got [0.1, 0.1]",
        ),
        (["chapter", "run", "myrtle_notes", "-p", "m2b_rates=[0.3, 0.02]"], "m2b_rates: the smaller value must come first"),
        (["chapter", "run", "cifar10_accuracy", "-p", "c1_rates=[0.1, 0.1000001]"], "c1_rates: variants are named by six digits"),
        (
            ["chapter", "run", "myrtle_notes", "-p", "m7d_group_sizes=[32, 16]", "--scale", "0.05"],
            "scale=0.05: makes 'groups of 32' and 'groups of 16' of M7d the same run; allowed: a scale nearer to 1",
        ),
    ],
)
def test_request_that_would_be_taken_for_another_is_refused(arguments, message):
    assert message in refused(command_here(*arguments))


@pytest.mark.parametrize(("images", "scaled"), [(5_000, (20_000, 4000)), (12_500, (50_000, 4000))])
def test_scale_above_one_keeps_the_steps_of_an_epoch(images, scaled):
    config = RunConfig(data={"train_images": images, "batch_size": 1000})
    data = scaled_run(config, 4).data
    assert (data.train_images, data.batch_size) == scaled
    with pytest.raises(UserError, match=r"scale=40: one has .* of 50,000 training images; allowed: .* to (10|4)"):
        scaled_run(config, 40)
