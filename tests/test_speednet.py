"""The speed net and its optimisers, each against a plain reference."""

import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

from fastresnet.config import MuonConfig, TrainConfig
from fastresnet.config.models import SpeedNetConfig
from fastresnet.data.sources import load_dataset
from fastresnet.models.build import build_model
from fastresnet.models.layers import HalvingMaxPool
from fastresnet.models.whitening import whitening_filters
from fastresnet.training import step
from fastresnet.training.optim import Lars, Lookahead, Muon, load_optimizer, make_optimizers, orthogonalise, set_rates

SMALL = SpeedNetConfig(widths=(8, 16), in_channels=1)


def test_without_triton_the_kernels_of_torch_are_taken_and_that_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastresnet.models.fused", None)
    with pytest.warns(UserWarning, match=r"fused_kernels: fastresnet\.models\.fused is not installed; torch's own"):
        assert step._fused_layers() is None


def sample_images(num_images=200):
    images = load_dataset("fashion-sample").train.images[:num_images].float() / 255
    return (images - images.mean()) / images.std()


@pytest.mark.parametrize("changes", [{}, {"patch": 3}, {"patch_directions": 3}, {"patch": 4, "patch_stride": 3}])
def test_whitened_features_are_uncorrelated_with_unit_variance(changes):
    config = SMALL.model_copy(update=changes)
    images = sample_images()
    model = build_model(config, 0)
    model.prepare(lambda count: images[:count])
    filters = model.stem.weight
    half = len(filters) // 2
    assert torch.equal(filters[:half], -filters[half:])
    assert torch.equal(filters[:half], whitening_filters(images, config.patch, config.patch_stride)[:half])
    features = functional.conv2d(images, filters[:half], stride=config.patch_stride).transpose(0, 1).flatten(1).double()
    covariance = features @ features.T / features.shape[1]
    # the smallest directions are damped on purpose, never amplified
    assert (covariance - torch.diag(covariance.diag())).abs().max() < 1e-4
    assert covariance.diag().max() <= 1.0 + 1e-6
    assert covariance[0, 0] > 0.99


def test_network_asks_for_the_images_that_it_whitens_and_else_for_none():
    asked = []

    def first_images(count):
        asked.append(count)
        return sample_images(count)

    for changes in ({"whitening_images": 150}, {"whitened": False}):
        build_model(SMALL.model_copy(update=changes), 0).prepare(first_images)
    assert asked == [150]


def test_network_starts_by_passing_its_input_through():
    config = SMALL.model_copy(update={"activation": "relu"})
    group = build_model(config, 0).groups[1]
    weight = group.convolutions[0].weight
    assert torch.equal(weight[:8], torch.nn.init.dirac_(torch.empty(8, 8, 3, 3)))
    assert not torch.equal(
        build_model(config.model_copy(update={"identity_start": False}), 0).groups[1].convolutions[0].weight, weight
    )


def test_group_of_three_convolutions_adds_its_first_output_to_its_last():
    group = build_model(SMALL.model_copy(update={"convolutions": 3}), 0).groups[0].eval()
    x = torch.randn(2, 8, 12, 12)

    def normed(index, x):
        return torch.nn.BatchNorm2d.forward(group.norms[index], x)

    first = functional.gelu(normed(0, functional.max_pool2d(group.convolutions[0](x), 2)))
    middle = functional.gelu(normed(1, group.convolutions[1](first)))
    last = functional.gelu(normed(2, group.convolutions[2](middle)) + first)
    torch.testing.assert_close(group(x), last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("side", [8, 9])
def test_pool_without_gradients_is_the_pool_with_them(dtype, layout, side):
    torch.manual_seed(0)
    images = torch.randn(3, 5, side, side + 1, dtype=dtype).contiguous(memory_format=layout)
    images[0, 0, 0, 0] = torch.nan
    expected = functional.max_pool2d(images, 2)
    with torch.inference_mode():
        pooled = HalvingMaxPool()(images)
    torch.testing.assert_close(pooled, expected, rtol=0, atol=0, equal_nan=True)
    assert pooled.is_contiguous(memory_format=layout)
    assert HalvingMaxPool()(images.requires_grad_()).requires_grad


@pytest.mark.parametrize("shape", [(16, 72), (72, 16), (8, 8)])
def test_orthogonalised_matrix_keeps_its_vectors_and_has_values_near_one(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalise(matrix, iterations=6)
    inside = left.T @ found @ right.T
    assert (inside - torch.diag(inside.diag())).abs().max() < 1e-4
    assert inside.diag().min() > 0.6
    assert inside.diag().max() < 1.3


def test_orthogonalising_multiplies_out_what_is_published_one_step_at_a_time():
    torch.manual_seed(0)
    matrix = torch.randn(12, 40, dtype=torch.float64)
    expected = matrix / matrix.norm()
    for _ in range(3):
        gram = expected @ expected.T
        expected = 3.4445 * expected - 4.775 * gram @ expected + 2.0315 * gram @ gram @ expected
    torch.testing.assert_close(orthogonalise(matrix, 3), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(orthogonalise(matrix.T.contiguous(), 3), expected.T, rtol=1e-6, atol=1e-6)


def test_learning_rates_on_the_device_make_the_same_steps():
    config = TrainConfig(momentum=0.9, nesterov=True, weight_decay=0.1, bias_lr_factor=3, muon=MuonConfig())
    weights = []
    for graphed in (False, True):
        model = build_model(SMALL, 0)
        optimizers = make_optimizers(config, model, graphed=graphed)
        for lr in (0.1, 0.05):
            set_rates(optimizers, lr, None)
            optimizer_rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
            assert all(isinstance(rate, torch.Tensor) == graphed for rate in optimizer_rates)
            for index, parameter in enumerate(model.parameters()):
                torch.manual_seed(index)
                parameter.grad = torch.randn_like(parameter)
            for optimizer in optimizers:
                optimizer.step()
        weights.append(torch.cat([parameter.flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(*weights)


def test_optimisers_take_up_a_state_from_where_rates_are_kept_otherwise():
    config = TrainConfig(momentum=0.9, muon=MuonConfig())
    for graphed in (False, True):
        model = build_model(SMALL, 0)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        before, after = (make_optimizers(config, model, graphed=each) for each in (graphed, not graphed))
        for one, other in zip(before, after, strict=True):
            one.step()
            load_optimizer(other, one.state_dict())
            assert all(isinstance(group["lr"], torch.Tensor) != graphed for group in other.param_groups)
            assert len(other.state) == len(one.state) > 0
            set_rates([other], 0.1, None)
            other.step()


def test_muon_step_is_a_rescaled_weight_minus_an_orthogonal_gradient():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(4, 3, 3, 3))
    gradients = [torch.randn_like(weight) for _ in range(2)]
    optimizer = Muon([weight], momentum=0.5)
    set_rates([optimizer], 0.1, None)
    expected, average = weight.detach().clone(), torch.zeros_like(weight)
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
        average = 0.5 * average + gradient
        update = orthogonalise((gradient + 0.5 * average).reshape(4, 27), 3).reshape(4, 3, 3, 3)
        expected = expected * (2 / expected.norm()) - 0.1 * update
    torch.testing.assert_close(weight.detach(), expected)


def test_lars_steps_are_those_of_a_plain_reference():
    rng = np.random.default_rng(0)
    weights = [torch.nn.Parameter(torch.tensor(rng.normal(size=(4, 3, 3, 3)) * scale)) for scale in (1, 100)]
    expected = [weight.detach().numpy().copy() for weight in weights]
    moving = [np.zeros_like(each) for each in expected]
    optimizer = Lars(weights, trust=0.02, momentum=0.8, weight_decay=0.3)
    for lr in (0.5, 2.0, 1.0):
        set_rates([optimizer], lr, None)
        for index, weight in enumerate(weights):
            gradient = rng.normal(size=(4, 3, 3, 3))
            weight.grad = torch.tensor(gradient)
            size = np.sqrt((expected[index] ** 2).sum())
            trust = 0.02 * size / (np.sqrt((gradient**2).sum()) + 0.3 * size)
            moving[index] = 0.8 * moving[index] + trust * (gradient + 0.3 * expected[index])
            expected[index] = expected[index] - lr * moving[index]
        optimizer.step()
    for weight, values in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight.detach().numpy(), values, rtol=1e-10)


def test_lars_steps_convolutions_only_and_follows_a_schedules_momentum():
    model = build_model(SMALL, 0)
    config = TrainConfig(momentum=0.9, weight_decay=0.1, lars={"trust": 0.02})
    lars, sgd = optimizers = make_optimizers(config, model)
    assert isinstance(lars, Lars)
    assert all(each.ndim == 4 for group in lars.param_groups for each in group["params"])
    assert all(each.ndim != 4 for group in sgd.param_groups for each in group["params"])
    set_rates(optimizers, 0.1, 0.5)
    assert lars.param_groups[0] | {"params": None} == {
        **{"params": None, "lr": 0.1, "factor": 1.0, "trust": 0.02, "momentum": 0.5, "weight_decay": 0.1}
    }


def test_schedules_momentum_replaces_that_of_sgd_but_not_that_of_muon():
    muon, sgd = optimizers = make_optimizers(TrainConfig(momentum=0.9, muon={"momentum": 0.6}), build_model(SMALL, 0))
    set_rates(optimizers, 0.1, 0.5)
    assert [each.param_groups[0]["momentum"] for each in (muon, sgd)] == [0.6, 0.5]


def test_every_trained_parameter_is_in_one_group_with_its_factor():
    config = TrainConfig(
        momentum=0.9, nesterov=True, bias_lr_factor=10, head_lr_factor=0.5, weight_decay=0.2, muon={"momentum": 0.6}
    )
    model = build_model(SMALL, 0)
    optimizers = make_optimizers(config, model)
    set_rates(optimizers, 0.1, None)
    seen = [parameter for each in optimizers for group in each.param_groups for parameter in group["params"]]
    assert {id(each) for each in seen} == {id(each) for each in model.parameters() if each.requires_grad}
    assert len(seen) == len({id(each) for each in seen})
    assert not model.stem.weight.requires_grad
    rates = {
        group["params"][0].ndim: (group["lr"], group.get("weight_decay")) for each in optimizers for group in each.param_groups
    }
    assert rates == {4: (0.1, None), 1: (1.0, 0.02), 2: (0.05, 0.4)}  # rate times decay is 0.02 for all of SGD's


def test_lookahead_pulls_back_and_ends_with_the_slow_weights():
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(0.0)
    lookahead = Lookahead(layer, every=2)
    layer.weight.data.fill_(1.0)
    lookahead.step_done(1, 4)
    assert layer.weight.item() == 1.0  # not its turn
    lookahead.step_done(2, 4)
    kept = 0.95**2 * 0.5**3
    assert layer.weight.item() == pytest.approx(1 - kept)
    layer.weight.data.fill_(5.0)
    lookahead.step_done(4, 4)
    assert layer.weight.item() == pytest.approx(1 - kept)
