"""What only a CUDA device can show: pytest -m gpu."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from fastresnet.config import DataConfig
from fastresnet.config.recipes import find_recipe
from fastresnet.config.schedules import OneCycle
from fastresnet.data.loaders import loaders, make_batches
from fastresnet.data.sources import load_dataset
from fastresnet.data.vision import import_torchvision
from fastresnet.models.resnet import resnet10
from fastresnet.training import loop, optim
from fastresnet.training.evaluation import evaluate
from fastresnet.training.fit import fit
from fastresnet.training.runs import train

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


@pytest.mark.parametrize("whose", ["ours", "others'"])
def test_fit_trains_any_network_on_any_batches_in_bf16(whose):
    if whose == "ours":
        model = resnet10(channels=(16, 32, 64, 128), in_channels=1)
        batches, tested = loaders("fashion-sample", batch_size=100, train_images=1_000, test_images=100, device="cuda")
    else:
        model, sample = import_torchvision("models").resnet18(num_classes=10), load_dataset("fashion-sample").train.subset(1_000)
        images = TensorDataset(sample.images.float().expand(-1, 3, -1, -1) / 255, sample.labels)
        batches, tested = DataLoader(images, batch_size=100, shuffle=True, pin_memory=True), DataLoader(images, batch_size=500)
    result = fit(model, batches, tested, epochs=6, schedule=OneCycle(max_lr=0.1), momentum=0.9, precision="bf16", device="cuda")
    assert result.outcome.status == "finished"
    assert all(weight.is_cuda and weight.dtype == torch.float32 for weight in model.parameters())
    assert result.epochs[-1].train_loss < result.epochs[0].train_loss / 1.5
    assert result.test_accuracy > 0.5


def test_network_on_a_processor_is_scored_on_batches_of_a_gpu():
    _, test = loaders("fashion-sample", test_images=100, device="cuda")
    assert 0 <= evaluate(resnet10(in_channels=1), test).accuracy <= 1


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
    config = find_recipe("fashion-89").config("cuda").with_changes({"data.name": "fashion-sample", "train.epochs": 4})
    record = train(config, device="cuda").record
    assert (record.config.train.precision, record.config.train.micro_batch) == ("bf16", None)
    assert record.test_accuracy > 0.6


GRAPHED = {
    "data.train_images": 120,  # the last batch is smaller
    "train.precision": "bf16",
    "train.epochs": 6,
    "train.cuda_graph": True,
    "train.schedule": {"kind": "linear", "start_lr": 0.1},
    "train.momentum": 0.9,
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train.muon": {"momentum": 0.6}, "train.lookahead": 3, "train.freeze": [[0.5, 1]], "train.micro_batch": 20},
        {"data.size_curriculum": [[0, 20], [2, 28]], "train.ema_decay": 0.9},
        {"train.compile": True},
        {"data.loader": "worker", "data.num_workers": 2},
    ],
    ids=["sgd", "muon", "sizes", "compiled", "worker"],
)
def test_recorded_steps_learn_as_steps_one_by_one_do(tiny, changes):
    config = tiny.with_changes(GRAPHED | changes)
    recorded, plain = (train(config.with_changes({"train.cuda_graph": graph}), device="cuda").record for graph in (True, False))
    for one, other in zip(recorded.epochs, plain.epochs, strict=True):
        # not to the last bit: some of cuDNN's sums come in any order
        assert one.train_loss == pytest.approx(other.train_loss, rel=0.1)
        assert one.lr == other.lr
    assert recorded.epochs[-1].train_loss < recorded.epochs[0].train_loss / 1.1


def test_fused_kernels_learn_as_those_of_torch_do():
    config = find_recipe("fashion-89").config("cuda").with_changes({"data.name": "fashion-sample", "train.epochs": 4})
    fused, plain = (
        train(config.with_changes({"train.fused_kernels": fused}), device="cuda").record.epochs for fused in (True, False)
    )
    for one, other in zip(fused, plain, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=0.1)
    assert fused[-1].test_accuracy == pytest.approx(plain[-1].test_accuracy, abs=0.05)


def test_error_while_a_step_is_recorded_is_told_and_harms_no_later_run(tiny, monkeypatch):
    config = tiny.with_changes(GRAPHED | {"train.muon": {"momentum": 0.6}})
    orthogonalise = optim.orthogonalise

    def fails_when_recorded(*arguments):
        if torch.cuda.is_current_stream_capturing():
            raise ValueError("no step today")
        return orthogonalise(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(optim, "orthogonalise", fails_when_recorded)
        with pytest.raises(ValueError, match="no step today"):
            train(config, device="cuda")
    assert train(config, device="cuda").record.outcome.status == "finished"


def test_memory_is_the_same_run_after_run(tiny):
    config = tiny.with_changes(GRAPHED)
    _, second, third = (train(config, seed, device="cuda").record.peak_memory_bytes for seed in range(3))
    assert third == pytest.approx(second, rel=0.02)


@pytest.mark.filterwarnings("ignore:precision")
@pytest.mark.parametrize("started_on", ["cuda", "cpu"])
def test_run_with_recorded_steps_is_resumed(started_on, tiny, tmp_path, monkeypatch):
    averages = {"train.muon": {"momentum": 0.6}, "train.lookahead": 3, "train.ema_decay": 0.9, "train.freeze": [[0.7, 1]]}
    config = tiny.with_changes(GRAPHED | averages)
    whole = train(config, device="cuda").record
    checkpoint = tmp_path / "run.pt"
    save = loop._Loop.save

    def save_and_stop(self, path, identity):
        save(self, path, identity)
        if len(self.epochs) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop._Loop, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train(config, device=started_on, checkpoint=checkpoint)
    monkeypatch.setattr(loop._Loop, "save", save)
    resumed = train(config, device="cuda", checkpoint=checkpoint).record
    assert resumed.epochs[-1].train_loss == pytest.approx(whole.epochs[-1].train_loss, rel=0.1)
