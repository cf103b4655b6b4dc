"""The training loop: every precision, exact resumption, divergence, averages."""

import platform
import re

import pytest
import torch

from fastresnet.compute import device, provenance
from fastresnet.compute.costs import Timer
from fastresnet.compute.device import choose_device
from fastresnet.compute.provenance import describe_machine
from fastresnet.config import DataConfig, RunConfig, TrainConfig
from fastresnet.config.models import ResNetConfig, SpeedNetConfig
from fastresnet.config.schedules import Constant, OneCycle
from fastresnet.data.loaders import make_batches
from fastresnet.data.sources import load_dataset
from fastresnet.errors import UserError
from fastresnet.models.build import build_model
from fastresnet.records.torch_files import read_state
from fastresnet.training.loop import _Loop, train_epochs
from fastresnet.training.progress import Watcher
from fastresnet.training.runs import train

from .conftest import StopAfter

TINY = RunConfig(
    data=DataConfig(name="fashion-sample", train_images=256, test_images=100, batch_size=64, flip="random", crop_padding=2),
    model=ResNetConfig(depth=10, channels=(8, 8, 16, 16), in_channels=1, dropout=0.2),
    train=TrainConfig(epochs=3, schedule=OneCycle(max_lr=0.1), momentum=0.9, nesterov=True, weight_decay=5e-4),
)


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def figures(record):
    """What must be equal: everything about the epochs but their seconds."""
    return [epoch.model_dump(exclude={"train_seconds", "evaluate_seconds"}) for epoch in record.epochs]


class Followed(Watcher):
    """What a run told of itself: where it resumed, and its steps."""

    def __init__(self):
        self.resumptions, self.steps = [], []

    def resumed(self, epochs, step):
        self.resumptions.append((len(epochs), step))

    def step_done(self, step):
        self.steps.append(step.number)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train.ema_decay": 0.9, "data.flip": "alternating"},
        {"train.precision": "fp16"},
        {"train.schedule": {"kind": "plateau", "lr": 0.05, "patience": 0}},
        {"data.loader": "worker"},
        {"train.muon": {"momentum": 0.6}, "train.lookahead": 3, "train.freeze": [[0.3, 1], [0.6, 2]], "train.micro_batch": 20},
        {"data.size_curriculum": [[0, 20], [2.5, 28]]},
        {"train.lars": {"trust": 0.02}, "train.nesterov": False, "train.measure": ["weight-norm"]},
        {"data.prune": {"skip": 0.5}, "train.measure": ["recall"]},
    ],
    ids=["plain", "ema", "fp16", "plateau", "worker", "muon", "curriculum", "lars", "prune"],
)
@pytest.mark.filterwarnings("ignore:precision")
def test_resumed_run_equals_uninterrupted_run(changes, tmp_path):
    config = TINY.with_changes(changes)
    whole = train(config, seed=3)
    checkpoint = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        train(config, seed=3, checkpoint=checkpoint, watch=StopAfter(2))
    torch.rand(7)  # whatever else drew random numbers in between
    resumed = train(config, seed=3, checkpoint=checkpoint, watch=(seen := Followed()))
    assert (seen.resumptions, seen.steps[0]) == ([(2, 8)], 9)  # it did not start again
    assert figures(resumed.record) == figures(whole.record)
    assert same_weights(resumed.model, whole.model)
    assert resumed.record.training_flops == whole.record.training_flops
    assert resumed.record.measured == whole.record.measured


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({}, {"train.label_smoothing": 0.1}),
        ({}, {"train.lookahead": 3}),
        ({}, {"train.nesterov": False}),
        ({}, {"train.schedule": OneCycle(max_lr=0.1, momentum_range=(0.5, 0.95)).model_dump()}),
        ({"train.muon": {}}, {"train.muon": {"iterations": 5}}),
        ({}, {"model.dropout": 0.0}),
        ({}, {"train.test_flip": True}),
        ({}, {"train.test_shift": 1}),
        ({"train.test_flip": True}, {"train.test_share": 0.25}),
    ],
    ids=lambda changes: " ".join(changes) or "plain",
)
def test_setting_reaches_the_run(base, change):
    short = TINY.with_changes({"train.epochs": 1} | base)
    one, other = (train(config).record.epochs[-1].test_loss for config in (short, short.with_changes(change)))
    assert one != other


def test_progress_is_shown_from_where_the_run_resumed(tmp_path, capsys):
    checkpoint = tmp_path / "run.pt"
    train(TINY, checkpoint=checkpoint)  # leaves the state after its second epoch
    record = train(TINY, checkpoint=checkpoint, progress=True).record
    *shown, last = re.split("[\r\n]+", capsys.readouterr().err.strip())
    assert any(line.startswith("fashion-sample seed 0:  67%|") for line in shown)
    assert "768/768" in last
    assert f"loss {record.epochs[-1].train_loss:.3f}, accuracy {100 * record.test_accuracy:.2f} %" in last


def test_file_that_is_no_checkpoint_is_refused(tmp_path):
    checkpoint = tmp_path / "run.pt"
    checkpoint.write_bytes(b"cut off")
    with pytest.raises(UserError, match="not a readable checkpoint"):
        train(TINY, checkpoint=checkpoint)


@pytest.mark.parametrize("losses", [None, "7", torch.zeros(255)], ids=["none", "text", "of fewer images"])
def test_checkpoint_with_losses_of_other_images_is_refused(losses, tmp_path):
    config, checkpoint = TINY.with_changes({"train.epochs": 2, "data.prune": {}}), tmp_path / "run.pt"
    train(config, checkpoint=checkpoint)  # leaves the state after its first epoch
    state = read_state(checkpoint.read_bytes())
    assert state["image_losses"].shape == (256,)
    torch.save(state | {"image_losses": losses}, checkpoint)
    with pytest.raises(UserError, match="a checkpoint of another version"):
        train(config, checkpoint=checkpoint)


def test_fraction_of_an_epoch_trains_its_share_and_seeds_differ():
    record, other = (train(TINY.with_changes({"train.epochs": 0.5}), seed).record for seed in (0, 1))
    assert figures(record) != figures(other)
    whole = train(TINY.with_changes({"train.epochs": 1})).record
    assert record.training_flops == whole.training_flops / 2
    assert record.epochs[-1].test_accuracy is not None


@pytest.mark.filterwarnings("ignore:precision")
def test_every_precision_learns_alike_with_another_arithmetic():
    config = TINY.with_changes({"train.epochs": 6, "model.dropout": 0.0})
    ways = ("fp32", "bf16", "fp16")
    losses = [[epoch.train_loss for epoch in train(config.with_changes({"train.precision": way})).record.epochs] for way in ways]
    assert all(first - 0.1 > last for first, *_, last in losses)
    assert len({tuple(each) for each in losses}) == 3
    assert [last for *_, last in losses] == pytest.approx([losses[0][-1]] * 3, abs=0.3)


def test_autocast_is_announced_with_its_cost_unless_wide_layers_may_pay_for_it(monkeypatch, recwarn):
    for slowdown in (37.0, 1.4):
        monkeypatch.setattr(device, "autocast_slowdown", lambda device, dtype, slowdown=slowdown: slowdown)
        device.warn_if_autocast_is_slow(TrainConfig(precision="bf16"), torch.device("cpu"))
    (warning,) = recwarn
    assert re.search(r"bf16 is slower than fp32.*37\.0 times", str(warning.message))


def test_average_follows_its_formula():
    def weights(num_steps, decay):
        changes = {"train.ema_decay": decay, "train.epochs": num_steps / 4, "train.schedule": {"kind": "constant", "lr": 0.1}}
        return train(TINY.with_changes(changes)).model.fc.weight.detach()  # 256 images are 4 batches

    first, second = weights(1, None), weights(2, None)
    torch.testing.assert_close(weights(2, 0.75), 0.75 * first + 0.25 * second)


def test_curriculum_too_small_for_the_network_is_refused_before_training():
    data = TINY.data.model_copy(update={"size_curriculum": ((0, 28), (1, 8))})
    config = RunConfig(data=data, model=SpeedNetConfig(in_channels=1), train=TINY.train)
    with pytest.raises(UserError, match="image_size: 8 is too small for patches of 2 and 3 groups"):
        train(config)


def test_pieces_of_a_batch_add_up_to_the_whole_batch():
    """Without batch norm, which sees a piece at a time, the gradients must be those of the whole batch."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    dataset = load_dataset("fashion-sample")
    data = DataConfig(name="fashion-sample", train_images=70, test_images=50, batch_size=35)
    weights = []
    for pieces in (None, 16):
        torch.manual_seed(0)
        model[1].reset_parameters()
        batches, test_batches = make_batches(data, dataset, torch.device("cpu"), seed=0)
        config = TrainConfig(epochs=1, schedule=Constant(lr=0.1), micro_batch=pieces)
        train_epochs(config, model, batches, test_batches, timer=Timer(torch.device("cpu")))
        weights.append(model[1].weight.detach().clone())
    torch.testing.assert_close(*weights)


def test_frozen_parts_stand_still_from_their_share_of_the_run_on():
    config = TINY.with_changes({"train.freeze": [[0.5, 2]], "train.epochs": 2, "model.dropout": 0.0})
    half = train(config.with_changes({"train.epochs": 1, "train.freeze": [], "train.schedule": {"kind": "constant", "lr": 0.01}}))
    whole = train(config.with_changes({"train.schedule": {"kind": "constant", "lr": 0.01}}))
    one, other = half.model.state_dict(), whole.model.state_dict()
    assert torch.equal(one["layer1.0.conv1.weight"], other["layer1.0.conv1.weight"])
    assert torch.equal(one["conv1.weight"], other["conv1.weight"])
    assert not torch.equal(one["layer2.0.conv1.weight"], other["layer2.0.conv1.weight"])
    assert [epoch.lr for epoch in whole.record.epochs] == [0.01, 0.01]


def test_operations_are_counted_by_size_and_frozen_parts_have_none_backward():
    plain = train(TINY.with_changes({"train.epochs": 1})).record.training_flops
    small = train(TINY.with_changes({"train.epochs": 1, "data.size_curriculum": [[0, 14], [0.5, 28]]})).record.training_flops
    frozen = train(TINY.with_changes({"train.epochs": 1, "train.freeze": [[0, 3]]})).record.training_flops
    assert 0.5 * plain < small < 0.8 * plain
    assert plain / 3 < frozen < plain


@pytest.mark.parametrize(("channels", "threads"), [((4, 8, 8, 8), 1), ((8, 8, 8, 8), 2)])
def test_network_of_few_channels_is_trained_on_one_thread(channels, threads, recwarn, set_threads):
    set_threads(2)
    config = TINY.with_changes({"model.channels": channels, "train.epochs": 0.25})
    assert train(config).record.machine.threads == threads
    assert [str(each.message).split(":")[0] for each in recwarn] == ["a layer of 4 channels"] * (threads == 1)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("flags", "end"), [("fpu avx512f amx_bf16", ", AMX)"), ("fpu avx512f", "2)"), (None, ")")])
def test_record_names_the_processor_and_its_units_for_matrices(monkeypatch, tmp_path, flags, end):
    described = tmp_path / "cpuinfo"
    if flags:
        described.write_text(f"processor\t: 0\nmodel name\t: Abacus 9\nflags\t\t: {flags}\n")
    monkeypatch.setattr(provenance, "_CPUINFO", described)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    name = describe_machine(choose_device("cpu")).processor
    assert name.startswith("Abacus 9 (AVX512" if flags else platform.processor() or platform.machine())
    assert name.endswith(end)


@pytest.mark.slow
def test_compiled_network_learns_what_the_plain_one_learns():
    config = TINY.with_changes({"train.epochs": 2, "model.dropout": 0.0})
    plain, compiled = train(config).record, train(config.with_changes({"train.compile": True})).record
    assert abs(plain.epochs[-1].train_loss - compiled.epochs[-1].train_loss) < 0.05


def test_parts_of_the_steps_add_up_to_the_training_and_change_nothing():
    config = TINY.with_changes({"train.time_parts": True, "data.loader": "worker"})
    record = train(config).record
    parts = record.step_seconds.model_dump()
    assert all(seconds > 0 for seconds in parts.values())
    assert 0.5 * record.seconds.train < sum(parts.values()) < record.seconds.train
    assert sum(epoch.train_seconds for epoch in record.epochs) == pytest.approx(record.seconds.train)
    assert sum(epoch.evaluate_seconds for epoch in record.epochs) == pytest.approx(record.seconds.evaluate)
    assert train(TINY).record.step_seconds is None
    assert figures(train(config.with_changes({"train.time_parts": False})).record) == figures(record)


def test_seconds_are_taken_up_from_a_checkpoint_without_those_that_prepared_the_network_again(tmp_path):
    config = TINY.with_changes({"train.time_parts": True, "train.epochs": 1})
    first = _loop(config)
    first.steps.parts.seconds["forward"] = first.timer.seconds["train"] = 1_000.0
    first.save(tmp_path / "run.pt", "a run")
    second = _loop(config)
    second.timer.seconds["train"] = 7.0
    second.restore(tmp_path / "run.pt", "a run")
    assert second.steps.parts.seconds["forward"] == second.timer.seconds["train"] == 1_000.0


@pytest.mark.parametrize(
    ("changes", "begun_before"),
    [({}, True), ({"data.prune": {"skip": 0.5}}, False), ({"data.loader": "worker"}, False)],
    ids=["all images", "pruned", "worker"],
)
def test_next_epoch_is_begun_before_the_wait_for_the_device_where_it_can_be(tiny, changes, begun_before, monkeypatch):
    happened = []
    loop = _loop(tiny.with_changes(changes | {"train.epochs": 2}))
    epoch, summed = loop.batches.epoch, loop.group.sum

    def told(index):
        for batch in epoch(index):
            happened.append(index)  # a batch is made
            yield batch

    monkeypatch.setattr(loop.batches, "epoch", told)
    monkeypatch.setattr(type(loop.group), "sum", lambda _, tensor: happened.append("waits") or summed(tensor))
    for _ in range(2):
        loop.run_epoch(loop.batches)
    assert (happened.index(1) < happened.index("waits")) == begun_before
    assert happened.count(1) == len(loop.batches)


def _loop(config):
    batches, _ = make_batches(config.data, load_dataset(config.data.name), choose_device("cpu"), seed=0)
    return _Loop(config.train, build_model(config.model, 0), batches, Timer(choose_device("cpu")), ())
