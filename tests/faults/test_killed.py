"""SIGKILL at any moment: what was finished stays, and what was not is as if nothing had happened."""

import os
import random
import signal
import sys

import pytest
import torch
import yaml

from fastresnet.records.store import read_record

from .processes import Process, left_over, run

KILLS_A_RUN = 4
RUN = {
    "data": {"name": "fashion-sample", "train_images": 256, "test_images": 100, "batch_size": 32, "flip": "random"},
    "model": {"depth": 10, "channels": [8, 8, 16, 16], "in_channels": 1, "dropout": 0.2},
    "train": {"epochs": 6, "schedule": {"kind": "one-cycle", "max_lr": 0.1}, "momentum": 0.9, "ema_decay": 0.9},
}
TRAIN = ("train", "run.yml", "--checkpoint", "run.pt", "--record", "record.json", "--save", "model.pt")
STUDY = ("study", "run", "fashionmnist_speed", "--only", "F8", "--results", "results")
STUDY += ("-p", "f8_epochs=2", "-p", "f8_stem_channels=[16, 8]", "-p", "seeds=[0, 1]")


def figures(path):
    """What of a record must not depend on interruptions."""
    record = read_record(path)
    return [epoch.model_dump(exclude={"train_seconds", "evaluate_seconds"}) for epoch in record.epochs], record.training_flops


def trained(folder):
    """Every figure and weight that `TRAIN` leaves in the folder or below."""
    (record,), (model,) = folder.rglob("record.json"), folder.rglob("model.pt")
    weights = torch.load(model, weights_only=True)["weights"]
    return figures(record), {name: tensor.numpy().tobytes() for name, tensor in weights.items()}


def write_run(folder):
    folder.mkdir(exist_ok=True)
    (folder / "run.yml").write_text(yaml.safe_dump(RUN))


def start_training(folder, **options):
    write_run(folder)
    return Process(TRAIN, folder, **options)


def check_training(folder):
    """After a kill: each file is whole or not there."""
    if (folder / "record.json").exists():
        read_record(folder / "record.json")
    for name in ("run.pt", "model.pt"):
        if (folder / name).exists():
            torch.load(folder / name, weights_only=True)


def check_end(process, folder):
    assert process.wait() == 0, process.errors
    assert list(folder.rglob("run.pt")) == []
    assert left_over(folder) == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted training, and its seconds."""
    folder = tmp_path_factory.mktemp("whole")
    write_run(folder)
    run(("--version",), folder)  # the first also starts the server
    process, seconds = run(TRAIN, folder)
    check_end(process, folder)
    return trained(folder), seconds


@pytest.mark.faults(
    "Killed",
    f"SIGKILL at a random moment of `train --checkpoint --record --save`, {KILLS_A_RUN} times a run, before it is left in peace",
    "Every file whole or absent; losses, accuracies and weights those of an uninterrupted run, bit for bit",
)
def test_killed_training_ends_as_if_nothing_had_been(attempts, whole, tmp_path):
    expected, seconds = whole
    moments = random.Random(1)
    for number in range(attempts.times(15, 1)):
        folder = tmp_path / str(number)
        with attempts.attempt(f"run {number}", KILLS_A_RUN):
            kills = 0
            while kills < KILLS_A_RUN:
                process = start_training(folder)
                process.kill(moments.uniform(0, seconds), signal.SIGKILL)
                kills += process.wait() == -signal.SIGKILL
                check_training(folder)
            check_end(start_training(folder), folder)
            assert trained(folder) == expected


class KillAtFile:
    """Kills the process at the n-th time that it opens, moves or removes a file in its folder."""

    def __init__(self, n):
        self.left = n

    def __call__(self, folder):
        names = (str(folder), str(folder.resolve()))

        def hook(event, arguments):
            if event in ("open", "os.rename", "os.remove", "os.mkdir") and self._ours(arguments[0], names):
                self.left -= 1
                if self.left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)

    @staticmethod
    def _ours(name, folders):
        return isinstance(name, (str, os.PathLike)) and (
            str(name).startswith(folders) or str(name).startswith(("run.pt", "record.json", "model.pt", "results"))
        )


@pytest.mark.faults(
    "Killed",
    "SIGKILL just before each opening, moving and removing of a file by `train`, one after the other",
    "The same",
)
def test_training_killed_at_each_file_ends_as_if_nothing_had_been(attempts, whole, tmp_path):
    expected, _ = whole
    for n in range(1, attempts.times(200, 3)):
        folder = tmp_path / str(n)
        killed = start_training(folder, before=KillAtFile(n)).wait() == -signal.SIGKILL
        if not killed:
            break
        with attempts.attempt(f"file operation {n}"):
            check_training(folder)
            check_end(start_training(folder), folder)
            assert trained(folder) == expected


def records(folder):
    return {path.name: figures(path) for path in (folder / "results").rglob("*.json")}


def times_written(folder):
    """When each record was written: a finished one keeps its time."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "results").rglob("*.json")}


@pytest.fixture(scope="module")
def whole_study(tmp_path_factory):
    """The records of an uninterrupted study, and its seconds."""
    folder = tmp_path_factory.mktemp("whole")
    run(("--version",), folder)  # the first also starts the server
    process, seconds = run(STUDY, folder)
    assert process.wait() == 0, process.errors
    return records(folder), seconds


@pytest.mark.faults(
    "Killed",
    f"SIGKILL at a random moment of `study run`, {KILLS_A_RUN} times a study, before it is left in peace",
    "No finished run is lost or trained twice; records as of an uninterrupted study, bit for bit",
)
def test_killed_study_ends_as_if_nothing_had_been(attempts, whole_study, tmp_path):
    expected, seconds = whole_study
    moments = random.Random(2)
    for number in range(attempts.times(10, 1)):
        folder = tmp_path / str(number)
        with attempts.attempt(f"study {number}", KILLS_A_RUN):
            kills, finished = 0, {}
            while kills < KILLS_A_RUN:
                process = Process(STUDY, folder)
                process.kill(moments.uniform(0, seconds / 2), signal.SIGKILL)
                kills += process.wait() == -signal.SIGKILL
                assert finished.items() <= times_written(folder).items()
                finished = times_written(folder)
                records(folder)  # reads each, or raises
            process, _ = run(STUDY, folder)
            assert process.wait() == 0, process.errors
            assert finished.items() <= times_written(folder).items()
            assert left_over(folder) == []
            assert records(folder) == expected
