"""What runs are asked to measure, against plain references."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from fastresnet.data.loaders import make_batches
from fastresnet.data.sources import load_dataset
from fastresnet.errors import UserError
from fastresnet.models.build import build_model
from fastresnet.training import probes
from fastresnet.training.fit import fit
from fastresnet.training.measuring import measure_after, measure_before, with_batch_statistics
from fastresnet.training.progress import Watcher
from fastresnet.training.runs import train

CPU = torch.device("cpu")


@pytest.fixture
def batches(tiny):
    """128 images in 32 batches."""
    data = tiny.data.model_copy(update={"batch_size": 4})
    return make_batches(data, load_dataset("fashion-sample"), CPU, seed=0)[0]


@pytest.fixture
def network(tiny):
    return build_model(tiny.model, 0)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_run_holds_what_it_is_asked_for_and_nothing_else_changes(tiny, dropout):
    tiny = tiny.with_changes({"model.dropout": dropout})  # which draws from torch's generator
    asked = tiny.with_changes({"train.measure": ["weight-norm", "gradient-norm", "channels", "eigenvalues", "recall"]})
    found, plain = train(asked), train(tiny)
    assert set(found.record.measured) == {
        *("gradient_norm", "channel_mean", "channel_std", "constant_share", "eigenvalues", "eigenvalues_frozen", "recall")
    }
    batches, _ = make_batches(tiny.data, load_dataset(tiny.data.name), CPU, seed=0)
    assert found.record.measured["recall"] == pytest.approx(measure_after(("recall",), found.model, batches, 8)["recall"])
    assert plain.record.measured == {}
    assert found.record.epochs[-1].weight_norm == pytest.approx(probes.weight_norm(found.model))
    assert plain.record.epochs[-1].weight_norm is None
    losses = [[epoch.train_loss for epoch in each.record.epochs] for each in (found, plain)]
    assert losses[0] == losses[1]
    weights = [list(each.model.state_dict().values()) for each in (found, plain)]
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))


class Unwanted(Watcher):
    def step_done(self, step):
        pytest.fail("a step was taken")


def test_eigenvalues_without_scipy_are_refused_before_any_training(tiny, monkeypatch):
    monkeypatch.setattr("fastresnet.training.measuring.find_spec", lambda name: None)
    with pytest.raises(UserError, match="eigenvalues need scipy"):
        train(tiny.with_changes({"train.measure": ["eigenvalues"]}), watch=Unwanted())


def test_batch_statistics_are_those_of_the_test_batch_and_leave_the_network_alone(tiny):
    asked = tiny.with_changes({"train.measure": ["batch-statistics"]})
    found, plain = train(asked), train(tiny)
    weights = [list(each.model.state_dict().values()) for each in (found, plain)]
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))
    _, test = make_batches(tiny.data, load_dataset(tiny.data.name), CPU, seed=0)
    right = total = 0
    for images, labels in test.epoch(0):
        own = found.model.train()(images)  # training mode: batch norm uses the batch
        right, total = right + int((own.argmax(dim=1) == labels).sum()), total + len(labels)
    assert found.record.epochs[-1].test_accuracy_by_batch == right / total
    assert plain.record.epochs[-1].test_accuracy_by_batch is None


def test_infinite_loss_ends_the_run_as_diverged_and_unmeasured_at_its_end(tiny):
    config = tiny.with_changes(
        {"train.schedule": {"kind": "constant", "lr": 1e30}, "train.measure": ["gradient-norm", "eigenvalues", "weight-norm"]}
    )
    record = train(config).record
    assert record.outcome.status == "diverged"
    assert record.epochs[-1].train_loss is None
    assert len(record.epochs) < config.train.epochs
    assert set(record.measured) == {"gradient_norm"}
    assert record.epochs[-1].weight_norm is None


def test_gradient_norm_is_of_all_convolutions_at_the_start(batches, network):
    before = copy.deepcopy(network.state_dict())
    images, labels = batches.first_images(128), batches.images.labels[:128]
    reference = copy.deepcopy(network).train()
    functional.cross_entropy(reference(images), labels).backward()
    squares = [each.weight.grad.square().sum() for each in reference.modules() if isinstance(each, nn.Conv2d)]
    (found,) = measure_before(("gradient-norm",), network, batches)["gradient_norm"]
    assert found == pytest.approx(sum(squares).sqrt().item(), rel=1e-5)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_channels_are_those_of_the_probe_in_training_mode(batches, network):
    measured = measure_before(("channels",), network.eval(), batches)
    expected = probes.channel_statistics(copy.deepcopy(network).train(), batches.first_images(128))
    for name, values in measured.items():
        assert list(values) == expected[name].tolist()


def test_eigenvalues_are_taken_with_batch_norm_in_training_and_frozen(batches, network):
    measured = measure_after(("eigenvalues",), network, batches, 32)
    images, labels = batches.first_images(128), batches.images.labels[:128]
    for name, training in (("eigenvalues", True), ("eigenvalues_frozen", False)):
        assert list(measured[name]) == probes.leading_eigenvalues(network.train(training), images, labels, 10)
    assert measured["eigenvalues"] != measured["eigenvalues_frozen"]


def test_recall_is_the_loss_by_tenths_of_the_last_epoch_in_the_order_seen(batches, network):
    network.eval()
    (found,) = measure_after(("recall",), network, batches, 64).values()
    seen = list(batches.epoch(1))
    assert len(found) == 10
    for share in (0, 9):
        some = [batch for position, batch in enumerate(seen) if position * 10 // 32 == share]
        images, labels = (torch.cat(parts) for parts in zip(*some, strict=True))
        with torch.no_grad():
            assert found[share] == pytest.approx(functional.cross_entropy(network(images), labels).item(), rel=1e-5)


def test_epoch_of_few_batches_has_fewer_shares(tiny, network):
    few = make_batches(tiny.data, load_dataset("fashion-sample"), CPU, seed=0)[0]
    assert len(few) == 4
    assert len(measure_after(("recall",), network, few, 4)["recall"]) == 4


def test_recall_is_of_the_images_that_an_epoch_cut_short_has_seen(batches, network):
    network.eval()
    (found,) = measure_after(("recall",), network, batches, 37).values()
    images, labels = list(batches.epoch(1))[4]
    with torch.no_grad():
        assert found[-1] == pytest.approx(functional.cross_entropy(network(images), labels).item(), rel=1e-5)


def test_statistics_of_batches_are_those_of_any_batch_norm():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3))
    assert with_batch_statistics(network)[2].running_mean is None
    assert network[2].running_mean is not None
    with pytest.raises(UserError, match="batch-statistics needs whole batches; set test_share to 1"):
        fit(network, [], measure=("batch-statistics",), test_flip=True, test_share=0.5)
