"""Clocks, operation counts, evaluation and probes against what can be worked out by hand."""

import sys
import time
import types
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from benchmarks import energy
from benchmarks.energy import energy_joules
from fastresnet.compute.costs import (
    Timer,
    peak_memory_bytes,
    reset_peak_memory,
    training_flops_per_image,
)
from fastresnet.config import DataConfig
from fastresnet.config.models import ResNetConfig
from fastresnet.data import vision
from fastresnet.data.loaders import make_batches
from fastresnet.data.sources import load_dataset
from fastresnet.models.build import build_model
from fastresnet.training.evaluation import evaluate
from fastresnet.training.probes import gradient_under_weight_scale, worker_memory

CPU = torch.device("cpu")


def test_timer_adds_up_each_phase_also_of_blocks_that_raise():
    timer = Timer(CPU)
    for _ in range(2):
        with pytest.raises(KeyError), timer.phase("train"):
            time.sleep(0.02)
            raise KeyError
    assert timer.seconds["train"] >= 0.04
    assert timer.seconds["evaluate"] == 0


def test_flops_are_those_of_the_layers():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(8 * 16 * 16, 10, bias=False))
    forward = 2 * 3 * 9 * 8 * 16 * 16 + 2 * 8 * 16 * 16 * 10
    first_layer_input_gradient = 2 * 3 * 9 * 8 * 16 * 16  # not needed, so not computed
    assert training_flops_per_image(model, (3, 16, 16)) == 3 * forward - first_layer_input_gradient


def test_peak_memory_sees_an_allocation_and_can_be_reset():
    reset_peak_memory(CPU)
    before = peak_memory_bytes(CPU)
    block = torch.ones(64 * 2**20)
    during = peak_memory_bytes(CPU)
    assert during - before > 200 * 2**20
    del block


def test_gpu_without_an_energy_counter_gives_no_joules_and_a_warning(monkeypatch):
    class Refused(Exception):
        pass

    def refuse(handle):
        raise Refused("Not Supported")

    nvml = types.SimpleNamespace(
        NVMLError=Refused,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: 5_000 if handle == "GPU-1" else refuse(handle),
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: types.SimpleNamespace(uuid=device.index))
    assert energy_joules(CPU) is None
    assert energy_joules(torch.device("cuda:1")) == 5.0
    with pytest.warns(UserWarning, match="no joules: NVIDIA's counter answers Not Supported"):
        assert energy_joules(torch.device("cuda:0")) is None


def test_energy_of_some_work_is_what_the_counter_moved_by(monkeypatch):
    readings = iter([100.0, 130.0, None, None])
    monkeypatch.setattr(energy, "energy_joules", lambda device: next(readings))
    assert energy.energy_of(lambda: "done", CPU) == ("done", 30.0)
    assert energy.energy_of(lambda: "done", CPU) == ("done", None)


class BrighterHalf(nn.Module):
    """Of ten classes, answers 0 for images whose left half is brighter and 1 for the others."""

    def forward(self, images):
        halves = images.chunk(2, dim=-1)
        logits = torch.stack([half.mean(dim=(1, 2, 3)) for half in halves], dim=1)
        return nn.functional.pad(logits, (0, 8), value=-9.0)


def test_evaluation_counts_and_averages_over_the_flip():
    config = DataConfig(name="fashion-sample", test_images=219, test_batch_size=64)
    _, batches = make_batches(config, load_dataset("fashion-sample"), CPU, 0)
    images, labels = (torch.cat(part) for part in zip(*batches.epoch(0), strict=True))
    logits = BrighterHalf()(images)
    score = evaluate(BrighterHalf(), batches)
    assert score.accuracy == pytest.approx(float((logits.argmax(1) == labels).float().mean()))
    assert score.loss == pytest.approx(float(nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    hits = (logits.argmax(1) == labels).float()  # all batches but the last have even numbers of images
    assert score.halves == pytest.approx((float(hits[0::2].mean()), float(hits[1::2].mean())))
    assert score.halves[0] != score.halves[1]
    flipped = (logits + BrighterHalf()(images.flip(-1))) / 2
    averaged = evaluate(BrighterHalf(), batches, test_flip=True)
    assert averaged.loss == pytest.approx(float(nn.functional.cross_entropy(flipped, labels)), rel=1e-5)
    assert averaged.loss != pytest.approx(score.loss, rel=1e-3)


def test_gradient_shrinks_as_the_weights_before_batch_norm_grow():
    _, batches = make_batches(DataConfig(name="cifar10-standin"), load_dataset("cifar10-standin"), CPU, 0)
    images, labels = next(batches.epoch(0))
    measured = gradient_under_weight_scale(
        build_model(ResNetConfig(channels=(4, 4, 8, 8)), seed=0), images[:16], labels[:16], [0.5, 4.0]
    )
    assert (measured["gradient"] * measured["scale"]).tolist() == pytest.approx([1.0] * len(measured), rel=1e-6)
    assert measured["loss"].abs().max() < 1e-9


def test_torchvision_is_imported_beside_a_cpu_only_torch(monkeypatch):
    """Acts out both kinds of torch: one that has torchvision's operators, and one that lacks them until declared."""
    declared = []
    module = types.ModuleType("torchvision.datasets")

    def import_module(name):
        if lacking and not declared:
            raise RuntimeError("operator torchvision::nms does not exist")
        return module

    class Library:
        def __init__(self, *arguments):
            pass

        def define(self, schema):
            declared.append(schema)

    monkeypatch.setattr(vision.importlib, "import_module", import_module)
    monkeypatch.setattr(vision.torch.library, "Library", Library)
    monkeypatch.setattr(vision, "_declared", [])
    lacking = False
    assert vision.import_torchvision("datasets") is module
    assert declared == []
    lacking = True
    assert vision.import_torchvision("datasets") is module
    assert [schema.partition("(")[0] for schema in declared] == ["nms", "qnms"]


def test_other_import_errors_of_torchvision_are_passed_on(monkeypatch):
    monkeypatch.setattr(vision.importlib, "import_module", Mock(side_effect=RuntimeError("something else")))
    with pytest.raises(RuntimeError, match="something else"):
        vision.import_torchvision("datasets")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_more_workers_take_more_memory():
    dataset = load_dataset("fashion-sample")
    measured = worker_memory(DataConfig(name="fashion-sample", train_images=200, batch_size=10), dataset, (1, 2)).set_index(
        "workers"
    )
    one, two = measured["gibibytes"]
    assert 0.01 < one < two < 3 * one
