"""Mistakes that people make on a command line, in a file or in Python: each gets one line before any work, and loses nothing."""

import errno
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

import fastresnet as fr
from fastresnet.study.project import is_committed

from .conftest import ROOT, command, command_here, refused

TRAIN = ("train", "params/example.yml", "-p", "train.epochs=0.1")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (f"data.batch_size={2**63}", f"batch_size: {2**63} is too large; allowed: whole numbers up to 2147483"),
        (f"data.image_size={10**30}", "image_size: a number of more than 20 digits is too large"),
        (f"data.size_curriculum=[[0, {10**30}]]", "size_curriculum: a number of more than 20 digits is too large"),
        ("data.num_workers=100000", "num_workers: Input should be less than or equal to 1024"),
        ("train.weight_decay=1e308", "weight_decay: 1e+308 is out of range; allowed: 0, and sizes from 1e-30 to 1e+30"),
        ("train.schedule={kind: one-cycle, max_lr: 1e308}", "max_lr: 1e+308 is out of range"),
        ("train.schedule={kind: one-cycle, max_lr: 0.1, div_factor: 1e-300}", "div_factor: 1e-300 is out of range"),
        (
            "train.schedule={kind: one-cycle, max_lr: 0.1, div_factor: 0.5}",
            "div_factor: Input should be greater than or equal to 1",
        ),
        ("data.flip=!!bool maybe", "-p data.flip=!!bool maybe: the value is not valid YAML"),
        ("data.flip=!!timestamp abc", "-p data.flip=!!timestamp abc: the value is not valid YAML"),
        ("data.flip=!!float ''", "the value is not valid YAML"),
    ],
)
def test_numbers_and_tags_out_of_range_are_named(assignment, message):
    assert message in refused(command_here(*TRAIN, "-p", assignment))


def test_rank_without_torchrun_hides_no_message():
    done = command("train", "nothing", LOCAL_RANK="1", GROUP_RANK="1")
    assert "'nothing': neither a recipe nor a .yml file" in refused(done)


def test_name_of_a_torchrun_that_is_not_there_makes_no_group():
    done = command(*TRAIN, TORCHELASTIC_RUN_ID="left over")
    assert done.returncode == 0, done.stderr


def test_working_folder_that_is_gone_is_one_line(tmp_path):
    code = "import os, sys; os.rmdir(os.getcwd()); from fastresnet.cli import main; sys.argv[1:] = ['recipes']; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (1, "fastresnet: the working folder is gone; change to another\n")


def test_warnings_made_errors_by_the_user_end_nothing():
    done = command(*TRAIN, PYTHONWARNINGS="error", XDG_CACHE_HOME="/proc/nowhere")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_another_checkout_in_git_s_variables_still_protects_committed_files(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    assert is_committed(ROOT / "README.md")


def test_output_that_cannot_be_printed_leaves_record_and_network(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fastresnet", *TRAIN, "--record", tmp_path / "r.json", "--save", tmp_path / "m.pt"],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.pt", "r.json"]


@pytest.mark.parametrize("lost", ["fastresnet.models.saved.save_model", "fastresnet.records.store.write_record"])
def test_disk_that_is_full_for_one_output_leaves_the_others_and_the_checkpoint(lost, tmp_path, monkeypatch):
    monkeypatch.setattr(lost, Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out")))
    outputs = {name: tmp_path / name for name in ("checkpoint", "record", "save")}
    arguments = [each for name, file in outputs.items() for each in (f"--{name}", file)]
    done = command_here("train", "params/example.yml", "-p", "data.train_images=256", "-p", "train.epochs=1.5", *arguments)
    assert (done.returncode, done.stderr) == (1, "fastresnet: out: No space left on device\n")
    assert outputs["checkpoint"].exists()
    assert outputs["record" if "save" in lost else "save"].exists()


class Endless(IterableDataset):
    def __iter__(self):
        yield torch.zeros(1, 4, 4), 0


NETWORK = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
IMAGES, LABELS = torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, 0, 1])
ONE_SET = fr.ImageSet(IMAGES, LABELS, ("even", "odd"))
NO_SET = r"is no data set; allowed: a name, a path.*\(of one, hold_out\(\) makes two\)"


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        *((fr.fit, (NETWORK, each), "batches|train") for each in (DataLoader(Endless()), "cifar10", 5)),
        (fr.fit, (nn.Flatten, [(torch.zeros(2, 4), torch.zeros(2).long())]), "model: must be a torch.nn.Module"),
        *((fr.loaders, (each,), NO_SET) for each in (None, 5, (torch.zeros(1),), (IMAGES, LABELS), ONE_SET)),
        (fr.load_dataset, (Path("pets"),), "load_dataset: name: no data set 'pets'; allowed: .*folder:PATH"),
        (partial(fr.load_dataset, image_size=0), ("folder:.",), "load_dataset: image_size: Input should be .* 8, got 0"),
        (partial(fr.loaders, name="cifar10"), ("fashion-sample",), "name: the data set is the first argument"),
        *(
            (fr.loaders, ((images, labels, IMAGES, LABELS),), "four tensors must be torch.Tensors that are not empty")
            for images, labels in ((IMAGES.numpy(), LABELS), (IMAGES[:0], LABELS[:0]))
        ),
        *(
            (fr.train, (each,), "config: must be a RunConfig or the name of a recipe")
            for each in ({"train": {"epochs": 1}}, Path("run.yml"), None)
        ),
        (fr.load_frame, (ROOT / "params",), r"holds no records; expected STUDY/EXPERIMENT/\*\.json"),
        (fr.load_frame, (ROOT / "elsewhere",), "elsewhere: no such folder of records"),
    ],
)
def test_argument_of_another_kind_is_refused(call, arguments, message):
    with pytest.raises(fr.UserError, match=message):
        call(*arguments)


class InterruptedInEpoch2(fr.Watcher):
    def step_done(self, step):
        if step.number > step.total // 2:
            raise KeyboardInterrupt


def test_checkpoint_of_other_data_weights_or_settings_is_refused(tmp_path):
    def fit(labels=(0, 1), width=16, number=3, **options):
        torch.manual_seed(0)
        batches = [(torch.full((2, 1, 4, 4), random.random()), torch.tensor(labels))] * number  # augmentation may not repeat
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, width), nn.Linear(width, 2))
        return fr.fit(model, batches, epochs=2, checkpoint=tmp_path / "c.pt", **options)

    for _ in range(2):  # the second takes up the checkpoint of the first
        with pytest.raises(KeyboardInterrupt):
            fit(watch=InterruptedInEpoch2())
    for other in ({"labels": (1, 1)}, {"width": 8}, {"number": 4}, {"label_smoothing": 0.1}):
        with pytest.raises(fr.UserError, match="a checkpoint of run"):
            fit(**other)
    fit()


def test_loaders_take_the_two_sets_that_one_is_split_into():
    assert [batches.num_images for batches in fr.loaders(ONE_SET.hold_out(2), batch_size=2)] == [2, 2]
