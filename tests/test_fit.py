"""What `fit` leaves behind, and what it finds of earlier calls: frozen parts, checkpoints, weights that were loaded."""

import pytest
import torch
from torch import nn

import fastresnet as fr
from fastresnet.config.models import NormConfig


class Net(nn.Module):
    def __init__(self, activation=None):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.activation, self.head = activation or nn.ReLU(), nn.Linear(4, 3)

    def forward(self, images):
        x = self.activation(self.second(self.activation(self.first(images))))
        return self.head(x.mean(dim=(2, 3)))

    def freezable(self):
        yield from (self.first, self.second)


class Interrupt(fr.Watcher):
    def __init__(self, step):
        self.step = step

    def step_done(self, step):
        if step.number == self.step:
            raise KeyboardInterrupt


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(6, 1, 8, 8, generator=generator), torch.arange(6) % 3) for _ in range(3)]


def trained(model):
    return [parameter.requires_grad for parameter in model.parameters()]


def test_frozen_parts_are_trained_again_after_the_run(batches):
    model = Net()
    fr.fit(model, batches, epochs=2, freeze=((0.5, 2),))
    assert all(trained(model))


def test_interrupted_run_resumes_with_the_same_network_object(batches, tmp_path):
    model, settings = Net(), {"epochs": 4, "freeze": ((0.25, 1),), "checkpoint": tmp_path / "state.pt"}
    with pytest.raises(KeyboardInterrupt):
        fr.fit(model, batches, watch=Interrupt(10), **settings)
    assert all(trained(model))
    assert len(fr.fit(model, batches, **settings).epochs) == 4


def test_checkpoint_of_other_layers_is_refused(batches, tmp_path):
    fr.fit(Net(nn.ReLU()), batches, epochs=3, checkpoint=tmp_path / "state.pt")
    with pytest.raises(fr.UserError, match="a checkpoint of run Net-seed0-"):
        fr.fit(Net(nn.Tanh()), batches, epochs=3, checkpoint=tmp_path / "state.pt")


@pytest.mark.parametrize("settings", [{"muon": {}}, {"lars": {}}], ids=["muon", "lars"])
def test_filters_that_begin_at_zero_are_trained(batches, settings):
    model = Net(nn.Tanh())
    nn.init.zeros_(model.second.weight)
    assert fr.fit(model, batches, epochs=1, **settings).outcome.status == "finished"
    assert model.second.weight.isfinite().all()
    assert model.second.weight.any()


def test_network_that_keeps_a_tensor_is_trained_after_its_evaluation(batches):
    class Keeps(Net):
        kept = None

        def forward(self, images):
            self.kept = images.new_full((), 2.0) if self.kept is None else self.kept
            return super().forward(images * self.kept)

    model = Keeps()
    fr.evaluate(model, batches)
    assert fr.fit(model, batches, epochs=1).outcome.status == "finished"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"measure": ("eigenvalues",)}, "measure: eigenvalues is measured by `train` alone; allowed: weight-norm, batch-"),
        ({"test_shift": 8}, "test_shift: must be below the images' side, 8, got 8"),
    ],
)
def test_what_fit_cannot_do_is_refused_before_training(batches, settings, message):
    with pytest.raises(fr.UserError, match=message):
        fr.fit(Net(), batches, batches, epochs=1, **settings)


@pytest.mark.parametrize("kind", [fr.SpeedNetConfig, fr.DavidNetConfig])
def test_loaded_weights_keep_their_first_filters(kind):
    images = torch.randn(600, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    batches = [(images, torch.arange(600) % 10)]
    config = kind(in_channels=1, widths=(8, 8) if kind is fr.SpeedNetConfig else (8, 8, 8, 8), whitened=True)
    model, other = fr.build_model(config, 0), fr.build_model(config, 1)
    fr.fit(model, batches, epochs=1)
    other.load_state_dict(model.state_dict())
    fr.fit(other, [(images.flip(2) * 3, torch.arange(600) % 10)], epochs=1)
    first = "stem.weight" if kind is fr.SpeedNetConfig else "whitening.weight"
    assert torch.equal(model.get_parameter(first), other.get_parameter(first))


@pytest.mark.parametrize("halving", ["3x3, max pool", "3x3/2"])
def test_repeated_activation_without_norm_is_trained(halving):
    config = fr.DavidNetConfig(in_channels=1, norm=NormConfig(kind="none"), repeated_norm=True, halving=halving)
    result = fr.fit(fr.DavidNet(config), [(torch.randn(8, 1, 32, 32), torch.arange(8))], epochs=1)
    assert result.outcome.status == "finished"


def test_making_a_network_leaves_the_generators_of_graphics_cards_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("seeded"))
    fr.build_model(fr.SpeedNetConfig(), 3)
    fr.resnet10(seed=3)


def test_measurement_that_is_not_finite_is_left_out_of_the_record():
    data = {"name": "fashion-sample", "train_images": 40, "test_images": 20, "batch_size": 20}
    model = {"kind": "davidnet", "in_channels": 1, "widths": (8, 8, 8, 8), "norm": {"kind": "none"}, "weight_scale": 1e12}
    record = fr.train(fr.RunConfig(data=data, model=model, train={"epochs": 1, "measure": ["gradient-norm"]})).record
    assert (record.outcome.status, record.measured) == ("diverged", {})


def test_test_image_alone_in_its_batch_is_refused_where_batches_are_the_statistics():
    data = {"name": "fashion-sample", "train_images": 40, "test_images": 21, "test_batch_size": 20}
    config = fr.RunConfig(data=data, model={"depth": 10, "in_channels": 1}, train={"measure": ["batch-statistics"]})
    with pytest.raises(fr.UserError, match="test_batch_size: 20 leaves one of 21 images alone"):
        fr.train(config)
