"""What only a CUDA device can show: pytest -m gpu."""

import pytest
import torch

from fastresnet.config import DataConfig
from fastresnet.data.batches import make_batches
from fastresnet.data.sources import load_dataset
from fastresnet.recipes import find_recipe
from fastresnet.runs import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_every_precision_learns_on_the_gpu(tiny, precision):
    record = train(tiny.with_changes({"train.precision": precision, "train.epochs": 6}), device="cuda").record
    assert record.outcome.status == "finished"
    assert record.epochs[-1].train_loss < record.epochs[0].train_loss
    assert record.machine.gpu


def test_batches_are_the_same_on_every_device():
    config = DataConfig(name="cifar10-standin", train_images=256, flip="random", crop_padding=4, cutout=8)
    dataset = load_dataset("cifar10-standin")
    on_cpu, on_gpu = (make_batches(config, dataset, torch.device(kind), 0)[0] for kind in ("cpu", "cuda"))
    for (images, labels), (gpu_images, gpu_labels) in zip(on_cpu.epoch(1), on_gpu.epoch(1), strict=True):
        assert torch.equal(labels, gpu_labels.cpu())
        torch.testing.assert_close(images, gpu_images.cpu(), atol=1e-6, rtol=0)


def test_run_with_a_checkpoint_ends_on_the_gpu(tiny, tmp_path):
    checkpoint = tmp_path / "run.pt"
    record = train(tiny, device="cuda", checkpoint=checkpoint).record
    assert len(record.epochs) == 2
    assert checkpoint.exists()  # of the epoch before the last; whoever saves the record removes it


def test_recipe_takes_its_gpu_variant_by_itself():
    config = find_recipe("fashion-80").config("cuda").with_changes({"data.name": "fashion-sample", "train.epochs": 4})
    record = train(config, device="cuda").record
    assert (record.config.train.precision, record.config.train.micro_batch) == ("bf16", None)
    assert record.test_accuracy > 0.6
