"""One run over several processes, started by the real torchrun over gloo."""

import os
import subprocess
import sys

import psutil
import pytest
import torch

from fastresnet.compute.processes import ProcessGroup
from fastresnet.config import DataConfig
from fastresnet.data.loaders import make_batches
from fastresnet.data.sources import load_dataset
from fastresnet.errors import UserError
from fastresnet.models.saved import load_model
from fastresnet.records.store import read_record
from fastresnet.training.runs import train

from .conftest import ROOT, TINY, wait_for

pytestmark = pytest.mark.slow

RUN = TINY.with_changes(
    {"data.test_batch_size": 30, "train.schedule": {"kind": "one-cycle", "max_lr": 0.1}, "train.momentum": 0.9}
)
CPU = torch.device("cpu")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def launch(*program, cache):
    """Starts a program in two processes."""
    return subprocess.Popen(
        [*TORCHRUN, *map(str, program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cache)},
    )


def write_config(config, path):
    path.write_text(config.to_yaml())
    return path


TOGETHER = """
import sys
from pathlib import Path

import fastresnet
from fastresnet.compute.processes import open_process_group
from fastresnet.models.saved import save_model
from fastresnet.records.store import write_record

with open_process_group() as group:
    for file in map(Path, sys.argv[1:]):
        result = fastresnet.train(fastresnet.load_yaml(file, fastresnet.RunConfig), device="cpu", group=group)
        if group.is_first:
            write_record(result.record, file.with_suffix(".json"))
            save_model(result.saved, file.with_suffix(".pt"))
"""
"""A user's program: one network after the other, trained by all processes."""

VARIANTS = {
    "plain": {"data.flip": "random", "data.crop_padding": 2, "data.cutout": 6},
    "muon": {"train.muon": {"momentum": 0.6}, "train.lookahead": 3, "train.freeze": ((0.5, 1),), "train.ema_decay": 0.9},
    "half": {"train.precision": "bf16", "data.loader": "worker", "train.nesterov": True, "train.label_smoothing": 0.1},
    "prune": {"data.prune": {"skip": 0.9}},
    "pieces": {"train.precision": "fp16", "train.micro_batch": 8, "train.lars": {"trust": 0.02}},
}


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Each variant's record and network, trained by two processes."""
    folder = tmp_path_factory.mktemp("together")
    program = folder / "together.py"
    program.write_text(TOGETHER)
    files = {name: write_config(RUN.with_changes(changes), folder / f"{name}.yml") for name, changes in VARIANTS.items()}
    process = launch(program, *files.values(), cache=folder / "cache")
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    return {
        name: (read_record(file.with_suffix(".json")), load_model(file.with_suffix(".pt")).model) for name, file in files.items()
    }


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.filterwarnings("ignore:precision")
@pytest.mark.usefixtures("one_thread")
def test_two_processes_take_the_steps_of_one_that_halves_its_batches(together, name):
    """Weights after some steps are equal only if every gradient was."""
    two, network = together[name]
    alone = train(RUN.with_changes({"train.micro_batch": 16} | VARIANTS[name]), device="cpu")
    assert (len(two.processes), len(alone.record.processes)) == (2, 0)
    losses = [[epoch.train_loss for epoch in record.epochs] for record in (alone.record, two)]
    tolerance = 1e-4 if two.config.train.precision == "fp32" else 0.02
    assert losses[0] == pytest.approx(losses[1], rel=tolerance)
    for (key, a), b in zip(alone.saved.model.named_parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance, msg=key)


@pytest.mark.parametrize("loader", ["tensor", "worker"])
def test_shares_of_several_processes_make_up_the_batches_of_one(loader):
    """Also the pixels, where augmentation is drawn for the batch; the images that cannot be shared are dropped."""
    augmented = {"flip": "random", "crop_padding": 2, "cutout": 6} if loader == "tensor" else {}
    config = DataConfig(name="fashion-sample", batch_size=12, test_batch_size=7, train_images=50, test_images=30, loader=loader)
    config = config.model_copy(update=augmented)
    dataset = load_dataset("fashion-sample")
    whole, whole_test = make_batches(config, dataset, CPU, 0)
    shared, shared_test = zip(*(make_batches(config, dataset, CPU, 0, ProcessGroup(rank, 3)) for rank in range(3)), strict=True)
    assert [batches.num_images for batches in shared] == [48] * 3  # a last batch of two images is none for three
    for (images, labels), *shares in zip(list(whole.epoch(1))[:4], *(batches.epoch(1) for batches in shared), strict=True):
        assert [len(share[1]) for share in shares] == [4, 4, 4]
        assert torch.equal(labels, torch.cat([share[1] for share in shares]))
        torch.testing.assert_close(images, torch.cat([share[0] for share in shares]))
    dealt = [batch for batches in shared_test for batch in batches.epoch(0)]
    assert sorted(len(labels) for _, labels in dealt) == [2, 7, 7, 7, 7]
    assert sum(images.sum() for images, _ in dealt) == pytest.approx(sum(images.sum() for images, _ in whole_test.epoch(0)))


def test_batches_that_cannot_be_shared_are_refused():
    dataset = load_dataset("fashion-sample")
    config = DataConfig(name="fashion-sample", batch_size=32)
    with pytest.raises(UserError, match="batch_size: 3 processes share it; allowed: multiples of 3, got 32"):
        make_batches(config, dataset, CPU, 0, ProcessGroup(0, 3))
    with pytest.raises(UserError, match="batch norm needs batches of at least 64 images, got 32"):
        make_batches(config, dataset, CPU, 0, ProcessGroup(0, 32))


def test_several_processes_need_a_device_each(monkeypatch):
    group = ProcessGroup(1, 2, 1)
    assert group.own_device(CPU) == CPU
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="2 processes on this machine, but 1 GPUs"):
        group.own_device(torch.device("cuda"))
    for device in ("cuda:1", "mps"):
        with pytest.raises(UserError, match=f"cannot train on '{device}'; allowed: cpu, cuda"):
            group.own_device(torch.device(device))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "params/example.yml", "-p", "data.batch_size=33"], "fastresnet: batch_size: 2 processes share it"),
        (["study", "run", "myrtle_notes"], "fastresnet: torchrun: study is the work of one process; allowed: train"),
    ],
)
def test_bad_request_is_refused_once_for_all_processes(arguments, message, tmp_path):
    process = launch("-m", "fastresnet", *arguments, cache=tmp_path)
    _, errors = process.communicate(timeout=200)
    assert process.returncode != 0
    assert errors.count("fastresnet: ") == errors.count(message) == 1, errors


def test_lost_process_ends_the_others_and_the_run_resumes(tmp_path):
    """SIGKILL after the first epoch, in the middle of a longer one; then the same command once more."""
    checkpoint, record, model = (tmp_path / name for name in ("run.ckpt", "run.json", "run.pt"))
    longer = RUN.with_changes({"data.train_images": 2000, "model.dropout": 0.2, "train.epochs": 4})
    program = ["-m", "fastresnet", "train", write_config(longer, tmp_path / "run.yml"), "--device", "cpu"]
    program += ["--checkpoint", checkpoint, "--record", record, "--save", model]

    def trained():
        process = launch(*program, cache=tmp_path / "cache")
        out, errors = process.communicate(timeout=400)
        assert process.returncode == 0, errors
        assert out.count("test accuracy") == 1
        return [epoch.train_loss for epoch in read_record(record).epochs], load_model(model).weights_digest

    whole = trained()
    record.unlink()
    process = launch(*program, cache=tmp_path / "cache")
    wait_for(checkpoint.exists)
    ranks = psutil.Process(process.pid).children()  # first to last
    assert len(ranks) == 2
    ranks[1].kill()
    _, errors = process.communicate(timeout=100)
    assert process.returncode != 0
    assert "SIGKILL" in errors
    assert "fastresnet: process 0 of 2 stops: " in errors
    assert "another of them" in errors
    assert "the same command goes on from the last epoch" in errors
    assert not any(rank.is_running() for rank in ranks)
    assert not record.exists()
    epochs_done = len(torch.load(checkpoint, weights_only=True)["epochs"])
    assert 0 < epochs_done < 4
    assert trained() == whole
    assert not checkpoint.exists()
