"""The laboratory trains in the background, can be stopped, says what is wrong, and saves what can be trained again."""

from html import unescape
from unittest.mock import Mock

import pytest

import fastresnet
from fastresnet.config.models import ResNetConfig
from fastresnet.config.schedules import Constant, Cosine, OneCycle
from fastresnet.records.store import read_record
from fastresnet.widgets import PUBLISHED, ScheduleExplorer
from fastresnet.widgets.laboratory import Laboratory

from .conftest import command_here, wait_for

TINY = {"tiny": ResNetConfig(depth=10, channels=(8, 8, 8, 8), in_channels=1)}
LIMIT = 120
"""Seconds within which a run of a few steps ends on a machine that is busy."""


@pytest.fixture
def laboratory():
    laboratory = Laboratory(ScheduleExplorer(Constant(lr=0.05), compared=[Cosine(lr=0.1)]), TINY)
    laboratory.epochs.value = 0.1
    yield laboratory
    laboratory.stop.click()
    laboratory.wait(LIMIT)


def trained(laboratory):
    laboratory.train.click()
    laboratory.wait(LIMIT)
    return laboratory.curves.runs


def test_chosen_schedules_are_trained_one_after_the_other(laboratory):
    laboratory.schedules.value = ("now", "kept 1")
    first, second = trained(laboratory)
    assert [each["schedule"]["kind"] for each in (first, second)] == ["constant", "cosine"]
    assert [len(first[curve]) for curve in ("rates", "losses", "accuracies")] == [6, 6, 1]
    assert {lr for _, lr in first["rates"]} == {0.05}
    assert [lr for _, lr in second["rates"]] == [Cosine(lr=0.1)(step, 6) for step in range(6)]
    assert first["accuracies"][-1] == (0.1, laboratory.runs[0].record.test_accuracy)
    assert first["state"] == second["state"] == "finished"
    assert laboratory.progress.value == 1
    assert (laboratory.train.disabled, laboratory.stop.disabled) == (False, True)
    assert len(trained(laboratory)) == 4  # what was trained before stays


def test_a_run_is_stopped_within_a_step_and_those_after_it_do_not_begin(laboratory):
    laboratory.epochs.value = 1000
    laboratory.schedules.value = ("now", "kept 1")
    laboratory.train.click()
    run = laboratory.runs[0]
    wait_for(lambda: run.steps >= 2)
    assert laboratory.train.disabled
    laboratory.stop.click()
    before = run.steps
    laboratory.wait(LIMIT)
    assert run.steps <= before + 1
    assert [each["state"] for each in laboratory.curves.runs] == [f"stopped after {run.steps} steps", "not begun"]
    assert laboratory.progress.value < 1
    laboratory.epochs.value = 0.1
    assert trained(laboratory)[-1]["state"] == "finished"


def test_chosen_run_is_removed_from_curves_and_list(laboratory):
    laboratory.schedules.value = ("now", "kept 1")
    trained(laboratory)
    laboratory.chosen.value = laboratory.runs[0]
    laboratory.remove.click()
    assert [run["schedule"]["kind"] for run in laboratory.curves.runs] == ["cosine"]
    assert laboratory.chosen.value is laboratory.runs[0]
    laboratory.remove.click()
    laboratory.remove.click()
    assert "there is no run yet" in laboratory.message.value
    assert laboratory.curves.runs == []


def test_schedules_of_the_explorer_are_offered_as_they_are_now(laboratory):
    laboratory.schedules.value = ("now", "kept 1")
    laboratory._explorer.schedule = OneCycle(max_lr=0.2)
    laboratory._explorer.compared = []
    assert laboratory.schedules.value == ("now",)
    assert laboratory.schedules.options == (("explorer, now: one-cycle (max_lr 0.2)", "now"),)
    presets = Laboratory(ScheduleExplorer(presets=PUBLISHED)).schedules.options
    assert ("myrtle: last post, 10 epochs", "myrtle: last post, 10 epochs") in presets


def test_run_of_a_preset_has_its_name(laboratory):
    laboratory._explorer.presets = PUBLISHED
    laboratory.schedules.value = ("now", "Report: F8, constant 0.1")
    assert [run["name"] for run in trained(laboratory)] == ["", "Report: F8, constant 0.1"]


def test_saved_yaml_trains_the_same_run_again(laboratory, tmp_path):
    trained(laboratory)
    file, record = tmp_path / "own.yml", tmp_path / "record.json"
    laboratory.file.value = str(file)
    laboratory.save.click()
    assert str(file) in laboratory.message.value
    again = command_here("train", file, "--record", record)
    assert again.returncode == 0, again.stderr
    assert read_record(record).config == laboratory.runs[0].config
    assert read_record(record).test_accuracy == laboratory.runs[0].record.test_accuracy


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own.txt", "'own.txt': must end in .yml or .yaml, in a folder that exists"),
        ("nowhere/own.yml", "'nowhere/own.yml': must end in .yml or .yaml, in a folder that exists"),
        ("there.yml", "there.yml is there already; name another one"),
    ],
)
def test_file_that_cannot_be_is_refused_in_one_line(laboratory, tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.yml").write_text("own")
    trained(laboratory)
    laboratory.file.value = name
    laboratory.save.click()
    assert unescape(laboratory.message.value) == f'<b role="alert">file: {message}</b>'
    assert (tmp_path / "there.yml").read_text() == "own"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_trained_is_refused_in_one_line(laboratory):
    laboratory.save.click()
    assert "there is no run yet" in laboratory.message.value
    laboratory.schedules.value = ()
    laboratory.train.click()
    assert laboratory.message.value == '<b role="alert">schedules: choose one at least</b>'
    laboratory.schedules.value = ("now",)
    laboratory.epochs.value = -1
    laboratory.train.click()
    assert ">laboratory: train.epochs: Input should be greater than 0, got -1.0<" in laboratory.message.value
    assert laboratory.runs == []


def test_what_fails_while_it_trains_is_said_in_one_line(laboratory, monkeypatch):
    monkeypatch.setattr(fastresnet, "train", Mock(side_effect=RuntimeError("no memory\nand much more")))
    assert trained(laboratory)[0]["state"] == "failed: no memory"


def test_loss_that_is_no_number_is_left_out(laboratory):
    laboratory._explorer.schedule = Constant(lr=1e30)
    (run,) = trained(laboratory)
    assert "not finite" in run["state"]
    assert len(run["losses"]) < len(run["rates"]) == 6


def test_second_start_is_refused_while_a_run_is_in_progress(laboratory):
    laboratory.epochs.value = 1000
    laboratory.train.click()
    laboratory.train.click()
    assert "a run is in progress" in laboratory.message.value
    assert len(laboratory.runs) == 1


def test_page_without_a_kernel_says_what_the_laboratory_needs(laboratory):
    text = laboratory._repr_mimebundle_()["text/html"]
    assert "make lab" in text
    assert "button" not in text
