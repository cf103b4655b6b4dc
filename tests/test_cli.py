"""The command line as a user meets it."""

import json
import os
import subprocess
import sys

import pytest

from fastresnet.records.record import RunRecord
from fastresnet.study import open_study

from .conftest import TINY, command, command_here, refused


@pytest.fixture
def run_file(tmp_path):
    path = tmp_path / "run.yml"
    path.write_text(TINY.to_yaml())
    return path


LIGHT = """
import sys
from fastresnet.cli import app
for command in ("--help", "data list", "study status", "study list", "chapter list"):
    app(command.split(), standalone_mode=False)
    assert not {"torch", "matplotlib", "scipy"} & set(sys.modules), command
"""


def test_help_and_list_commands_do_not_load_torch():
    """What half a second is spent on: torch alone takes longer to import."""
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_train_prints_and_writes_the_record(run_file, tmp_path):
    done = command("train", run_file, "-p", "train.epochs=1", "--seed", "3", "--record", tmp_path / "record.json")
    assert done.returncode == 0, done.stderr
    assert "test accuracy " in done.stdout
    record = RunRecord.model_validate_json((tmp_path / "record.json").read_bytes())
    assert (len(record.epochs), record.seed) == (1, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "RUN", "-p", "train.epoch=2"], "train.epoch: unknown key (did you mean epochs?)"),
        (["train", "RUN", "--device", "tpu"], "device: torch"),
        (["train", "RUN", "--device", "cpu:x"], "cannot use 'cpu:x' here; allowed: "),
        (["train", "RUN", "--device", "cuda:99"], "cannot use 'cuda:99' here; allowed: "),
        (["train", "RUN", "-p", "train.test_shift=28"], "test_shift: must be below the images' side, 28, got 28"),
        (["train", "RUN", "--save", "run", "--checkpoint", "run"], "--checkpoint and --save: both name run; allowed: "),
        (["train", "RUN", "--from", "run", "--record", "./run"], "--record and --from: both name run; allowed: a file each"),
        (["tune", "fashion-80", "--variant", "cpu", "--storage", "RUN"], "run.yml: holds no search"),
        (["study", "export", "RUN.csv", "--results", "nowhere"], "nowhere: no such folder"),
        (["train", "nowhere.yml"], "nowhere.yml: cannot be read"),
        (["train", "cifar10-83", "--variant", "amx"], "--variant amx: no such variant; allowed: cpu, cpu-bf16, cpu-amx, cuda"),
        (["train", "own.yml", "--variant", "cpu"], "--variant cpu: only a recipe has variants, got own.yml"),
        *((["chapter", "run", "preface", "--time-limit", each], "--time-limit") for each in ("inf", "1e400")),
        (["chapter", "run", "findings", "-p", "scale=0.5", "--scale", "0.1"], "--scale 0.1: comes twice, also as -p scale"),
        (
            ["chapter", "run", "cifar10_accuracy", "--scale", "3"],
            "scale=3: C1 has 50,000 of 50,000 training images; allowed: 4e-05 to 1",
        ),
        (
            ["chapter", "run", "cifar10_accuracy", "--scale", "1e-5"],
            "scale=1e-05: C1 has 50,000 of 50,000 training images; allowed",
        ),
        (["train", "RUN", "--record", "nowhere/record.json"], "must name a file in a folder that exists"),
        (["train", "RUN", "-p", "data.train_images=5000"], "asked for 5000 images; allowed: at most 4000"),
        (["train", "RUN", "-p", "data.validation_images=4000"], "asked for 4000 images; allowed: at most 3999"),
        (["train", "RUN", "--data-dir", "nowhere", "-p", "data.name=fashion-mnist"], "nowhere: no such folder"),
        (["data", "verify", "mnist"], "no data set 'mnist'; allowed: fashion-mnist"),
        (["data", "verify", "cifar100"], "get it with: fastresnet data fetch cifar100"),
        (["data", "fetch", "mnist"], "no data set 'mnist'"),
        (["study", "run", "myrtle"], "no study 'myrtle'; allowed: myrtle_notes"),
        (["study", "run", "myrtle_notes", "--only", "M9"], "--only M9: no such experiment in myrtle_notes; allowed: M0, M1a"),
        *((["chapter", how, "nothing"], "no chapter 'nothing'; allowed: preface, myrtle_notes") for how in ("run", "sweep")),
        (["study", "status", "--results", "nowhere"], "nowhere: no such folder of records"),
        (
            ["train", "RUN", "-p", "data.name=folder:"],
            "data.name: Input should be a valid string, got a mapping, since it has a colon",
        ),
        (["chapter", "run", "myrtle_notes", "-o", "out.html"], "the output must be named .ipynb"),
    ],
)
def test_bad_request_gets_one_line_and_exit_code_2(arguments, message, run_file):
    arguments = [argument.replace("RUN", str(run_file)) for argument in arguments]
    content = run_file.read_text()
    assert message in refused(command_here(*arguments))
    assert [run_file.read_text(), *run_file.parent.iterdir()] == [content, run_file]


def test_study_runs_the_experiments_that_are_named():
    done = command_here("study", "run", "fashionmnist_speed", "myrtle_notes", "--edition", "cpu", "--only", "F1", "--only", "M0")
    wanted = [
        len(open_study(name, edition="cpu").runs(id)) for name, id in (("fashionmnist_speed", "F1"), ("myrtle_notes", "M0"))
    ]
    assert done.stdout == f"fashionmnist_speed, myrtle_notes, cpu edition: {sum(wanted)} runs wanted, 0 to train\n"


@pytest.mark.parametrize("option", ["--record", "--save", "--checkpoint"])
def test_train_refuses_what_it_cannot_write_before_it_reads_anything(option, tmp_path):
    """There is no such recipe, which would be the next complaint."""
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    assert f"{tmp_path / 'pipe'}: must name a file" in refused(command_here("train", "nothing", option, tmp_path / "pipe"))
    line = refused(command_here("train", "nothing", option, tmp_path / "file" / "run"))
    assert str(tmp_path / "file") in line
    assert "must name a" in line


def test_data_verify_reports_what_is_there():
    done = command_here("data", "verify", "fashion-sample")
    assert done.stdout.startswith("fashion-sample: 4,000 + 1,000 images, content as published")


def test_study_status_is_json():
    rows = json.loads(command("study", "status", "--json").stdout)
    assert {"study", "edition", "experiment", "wanted", "recorded", "diverged", "missing", "hours", "hours left"} == set(rows[0])
    of_the_report = {f"F{step}" for step in range(1, 9)} | {f"C{step}" for step in range(1, 14)} | {"N1", "N2", "N3"}
    assert {row["experiment"] for row in rows} >= of_the_report | {"M2a", "M8i", "final"}


def test_interruption_of_an_import_ends_like_any_other(monkeypatch):
    def interrupted(**_):
        raise ImportError("initialization failed") from KeyboardInterrupt()

    monkeypatch.setattr("fastresnet.cli.app", interrupted)
    done = command_here()
    assert (done.returncode, done.stderr.partition(";")[0]) == (130, "fastresnet: interrupted")


def test_home_folder_in_the_value_of_an_option_is_found(monkeypatch, tmp_path):
    home = tmp_path / r"we\Users"  # no template of regular expressions
    monkeypatch.setenv("HOME", str(home))
    assert f"{home}/mine: no such folder" in refused(command_here("study", "export", tmp_path / "a.csv", "--results=~/mine"))
