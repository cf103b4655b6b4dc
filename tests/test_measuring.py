"""What a run is asked to measure, as its record holds it."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from fastresnet.config import DataConfig, RunConfig, TrainConfig
from fastresnet.data.batches import make_batches
from fastresnet.data.sources import load_dataset
from fastresnet.measuring import measure_after
from fastresnet.model_config import DavidNetConfig
from fastresnet.models.build import build_model
from fastresnet.probes import channel_statistics, leading_eigenvalues
from fastresnet.runs import train
from fastresnet.schedules import Constant

CONFIG = RunConfig(
    data=DataConfig(name="fashion-sample", train_images=200, test_images=50, batch_size=20),
    model=DavidNetConfig(widths=(8, 8, 8), residuals=(), in_channels=1),
    train=TrainConfig(epochs=2, schedule=Constant(lr=0.05)),
)


def measured(*names, **changes):
    config = CONFIG.with_changes({"train.measure": names, **changes})
    return train(config, seed=3)


def test_nothing_is_measured_unless_asked_for():
    record = measured().record
    assert record.measured == {}
    assert {epoch.weight_norm for epoch in record.epochs} == {None}


def test_measuring_leaves_the_training_as_it_was():
    every = ("weight-norm", "gradient-norm", "channels", "eigenvalues", "recall")
    plain, asked = measured().record, measured(*every).record
    assert [epoch.test_loss for epoch in asked.epochs] == [epoch.test_loss for epoch in plain.epochs]
    assert set(asked.measured) == {
        *("gradient_norm", "channel_mean", "channel_std", "constant_share", "eigenvalues", "eigenvalues_frozen", "recall")
    }


def test_weight_norm_is_that_of_the_convolutions_after_each_epoch():
    result = measured("weight-norm")
    weights = [module.weight.detach().flatten() for module in result.model.modules() if isinstance(module, nn.Conv2d)]
    assert result.record.epochs[-1].weight_norm == pytest.approx(float(torch.cat(weights).norm()))
    assert result.record.epochs[0].weight_norm != result.record.epochs[1].weight_norm


def test_gradients_before_batch_norm_grow_as_the_weights_shrink():
    one, quarter = (measured("gradient-norm", **{"model.weight_scale": scale}) for scale in (1.0, 0.25))
    ratio = quarter.record.measured["gradient_norm"][0] / one.record.measured["gradient_norm"][0]
    assert ratio == pytest.approx(4, rel=0.01)


def test_channels_are_those_of_the_fresh_network():
    record = measured("channels").record
    batches, _ = make_batches(CONFIG.data, load_dataset("fashion-sample"), torch.device("cpu"), seed=3)
    expected = channel_statistics(build_model(CONFIG.model, 3).train(), batches.first_images(128))
    assert record.measured["constant_share"] == pytest.approx(list(expected["constant_share"]), rel=1e-4)


def test_eigenvalues_are_those_of_the_trained_network_in_both_modes():
    result = measured("eigenvalues")
    batches, _ = make_batches(CONFIG.data, load_dataset("fashion-sample"), torch.device("cpu"), seed=3)
    images, labels = batches.first_images(128), batches.images.labels[:128]
    for name, training in (("eigenvalues", True), ("eigenvalues_frozen", False)):
        first = leading_eigenvalues(result.model.train(training), images, labels, 3)
        assert result.record.measured[name][:3] == pytest.approx(first, rel=0.01)


def test_recall_is_the_loss_on_the_last_epochs_batches_in_their_order():
    data = CONFIG.data.model_copy(update={"batch_size": 10})  # twenty batches: two a tenth
    batches, _ = make_batches(data, load_dataset("fashion-sample"), torch.device("cpu"), seed=0)
    model = build_model(CONFIG.model, 0).eval()
    pairs = [(torch.cat([a, c]), torch.cat([b, d])) for (a, b), (c, d) in zip(*[iter(batches.epoch(1))] * 2, strict=True)]
    with torch.no_grad():
        expected = [float(functional.cross_entropy(model(images), labels)) for images, labels in pairs]
    assert measure_after(("recall",), model, batches, 1)["recall"] == pytest.approx(expected, rel=1e-5)


def test_a_diverged_run_measures_nothing_of_its_end():
    record = measured("eigenvalues", "gradient-norm", **{"train.schedule": {"kind": "constant", "lr": 1e30}}).record
    assert record.outcome.status == "diverged"
    assert set(record.measured) == {"gradient_norm"}
