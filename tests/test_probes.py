"""Probes of curvature and activations against plain references."""

import copy

import pytest
import torch
from torch import nn

from fastresnet.errors import UserError
from fastresnet.training.probes import channel_statistics, leading_eigenvalues, weight_norm


def tiny_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.CELU(), nn.Flatten(), nn.Linear(2 * 4 * 4, 3))


def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(12, 1, 6, 6, generator=generator), torch.randint(3, (12,), generator=generator)


def full_hessian(model, images, labels):
    shapes = {name: weight.shape for name, weight in model.named_parameters()}
    flat = torch.cat([weight.detach().flatten() for weight in model.parameters()])

    def loss(vector):
        parts = vector.split([shape.numel() for shape in shapes.values()])
        weights = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return nn.functional.cross_entropy(torch.func.functional_call(model, weights, (images,)), labels)

    return torch.autograd.functional.hessian(loss, flat)


@pytest.mark.parametrize("training", [True, False])
def test_leading_eigenvalues_are_those_of_the_full_hessian(training):
    model, (images, labels) = tiny_network().double().train(training), batch()
    images = images.double()
    hessian = full_hessian(copy.deepcopy(model), images, labels)
    expected = sorted(torch.linalg.eigvalsh(hessian).tolist(), key=abs, reverse=True)[:6]
    assert min(expected) < 0 < max(expected) or not training  # the largest by magnitude, not by value
    assert leading_eigenvalues(model, images, labels, 6) == pytest.approx(expected, rel=1e-3)


def test_single_precision_suffices_for_eigenvalues():
    model, (images, labels) = tiny_network().train(), batch()
    single = leading_eigenvalues(model, images, labels, 3)
    assert single == pytest.approx(leading_eigenvalues(model.double(), images.double(), labels, 3), rel=1e-3)


def test_weights_that_are_not_trained_do_not_count():
    model, (images, labels) = tiny_network().train(), batch()
    for weight in model[:4].parameters():
        weight.requires_grad_(False)
    features = model[:4](images).detach()
    expected = torch.linalg.eigvalsh(full_hessian(model[4], features, labels)).flip(0)[:2]
    assert leading_eigenvalues(model, images, labels, 2) == pytest.approx(expected.tolist(), rel=1e-3)


def test_a_probe_leaves_the_network_as_it_was():
    model, (images, labels) = tiny_network().train(), batch()
    before = copy.deepcopy(model.state_dict())
    leading_eigenvalues(model, images, labels, 1)
    channel_statistics(model, images)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("count", [0, 10_000])
def test_impossible_number_of_eigenvalues_is_refused(count):
    model, (images, labels) = tiny_network(), batch()
    with pytest.raises(UserError, match=rf"the Hessian has \d+ eigenvalues, asked for {count}; allowed: 1 to"):
        leading_eigenvalues(model, images, labels, count)


class TwoChannels(nn.Module):
    """The images themselves, then twice the images beside a channel of ones: all of them positive, so ReLU changes nothing."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.ReLU(), nn.ReLU()

    def forward(self, images):
        x = self.first(images)
        x = self.second(torch.cat([2 * x, torch.ones_like(x)], dim=1))
        return x.mean(dim=(2, 3))


def test_channel_statistics_are_those_worked_out_by_hand():
    images = torch.tensor([1.0, 3.0, 1.0, 3.0]).view(2, 1, 1, 2)  # mean 2, standard deviation 1, each image alike
    found = channel_statistics(TwoChannels(), images).set_index("layer")
    assert found.index.tolist() == ["first", "second", "output"]
    assert found["depth"].tolist() == [1, 2, 3]
    assert found["channel_mean"].tolist() == pytest.approx([2.0, (4 + 1) / 2, (4 + 1) / 2])
    assert found["channel_std"].tolist() == pytest.approx([1.0, (2 + 0) / 2, 0.0])
    # channel means 4 and 1; mean squares 16 + 4 and 1
    assert found["constant_share"].tolist() == pytest.approx([4 / 5, (16 + 1) / (20 + 1), 1.0])


def test_weight_norm_is_that_of_all_convolutions_together():
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=True), nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1), nn.Linear(1, 1))
    for value, module in ((3.0, model[0]), (4.0, model[2]), (100.0, model[3])):
        nn.init.constant_(module.weight, value)
        nn.init.constant_(module.bias, 7.0)
    assert weight_norm(model) == pytest.approx(5.0)
