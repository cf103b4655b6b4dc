"""DAVIDnet, its norms and LARS, each against a plain reference."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from fastresnet.config import LarsConfig, TrainConfig
from fastresnet.errors import UserError
from fastresnet.model_config import DavidNetConfig, NormConfig
from fastresnet.models.build import build_model, check_image_size
from fastresnet.models.norms import GhostBatchNorm2d, make_norm
from fastresnet.models.whitening import whitening_filters
from fastresnet.optim import Lars, make_optimizers, set_rates
from fastresnet.parsing import parse

SMALL = DavidNetConfig(widths=(8, 8, 16, 16))


def variant(**changes):
    return parse({**SMALL.model_dump(mode="json"), **changes}, DavidNetConfig, "test")


def normed(x, eps=1e-5):
    return (x - x.mean(dim=(0, 2, 3), keepdim=True)) / (x.var(dim=(0, 2, 3), keepdim=True, correction=0) + eps).sqrt()


def test_network_is_what_page_describes():
    model, x = build_model(SMALL, 0), torch.randn(6, 3, 32, 32)
    h = functional.relu(normed(model.stem[0](x)))
    for number, layer in enumerate(model.layers, 1):
        h = functional.max_pool2d(functional.relu(normed(layer.main[0](h))), 2)
        if number in (1, 3):
            first, second = layer.branch
            h = h + functional.relu(normed(second[0](functional.relu(normed(first[0](h))))))
    expected = functional.linear(h.amax(dim=(2, 3)), model.head.weight) / 8
    torch.testing.assert_close(model(x), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, ["Conv2d", "GhostBatchNorm2d", "ReLU", "MaxPool2d"]),
        ({"pool_first": True}, ["Conv2d", "MaxPool2d", "GhostBatchNorm2d", "ReLU"]),
        ({"halving": "3x3/2"}, ["Conv2d", "GhostBatchNorm2d", "ReLU", "Identity"]),
        ({"repeated_norm": True}, ["GhostBatchNorm2d", "ReLU", "Conv2d", "GhostBatchNorm2d", "ReLU", "MaxPool2d"]),
        ({"norm": {"kind": "none"}, "activation": "celu"}, ["Conv2d", "Identity", "CELU", "MaxPool2d"]),
    ],
)
def test_a_layer_computes_in_the_order_that_its_switches_say(changes, kinds):
    layer = build_model(variant(**changes), 0).layers[1]
    assert [type(step).__name__ for step in layer.main] == kinds


@pytest.mark.parametrize("halving", ["3x3, max pool", "3x3/2", "1x1/2"])
def test_every_layer_halves_the_image(halving):
    model = build_model(variant(halving=halving, residuals=[2]), 0)
    x = model.stem(torch.randn(2, 3, 32, 32))
    sides = [(x := layer(x)).shape[-1] for layer in model.layers]
    assert sides == [16, 8, 4]
    check_image_size(model.config, 8)
    smallest = 8 if halving == "3x3, max pool" else 1
    with pytest.raises(UserError, match=f"at least {smallest}"):
        check_image_size(model.config, smallest - 1)


def test_a_1x1_convolution_with_stride_2_never_looks_at_three_quarters_of_its_input():
    model = build_model(variant(halving="1x1/2", residuals=[]), 0).eval()
    x = torch.randn(1, 8, 16, 16)
    unseen = x.clone()
    unseen[:, :, 1::2], unseen[:, :, :, 1::2] = 7.0, 7.0
    torch.testing.assert_close(model.layers[0](x), model.layers[0](unseen))


def test_convolutions_of_a_layer_add_up():
    model = build_model(variant(convolutions=4, residuals=[]), 0)
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) == 1 + 3 * 4


def test_whitening_is_set_from_the_images_and_never_trained():
    model, images = build_model(variant(whitened=True), 0), torch.rand(64, 3, 16, 16)
    model.prepare(images)
    torch.testing.assert_close(model.whitening.weight, whitening_filters(images, 3))
    assert not model.whitening.weight.requires_grad
    assert model.stem[0].kernel_size == (1, 1)


def test_weights_start_multiplied():
    plain, scaled = build_model(SMALL, 0), build_model(variant(weight_scale=0.25), 0)
    for one, other in zip(plain.modules(), scaled.modules(), strict=True):
        if isinstance(one, nn.Conv2d):
            torch.testing.assert_close(other.weight, one.weight / 4)


@pytest.mark.parametrize(
    ("changes", "message"), [({"residuals": [4]}, "layers 1 to 3"), ({"pool_first": True, "halving": "3x3/2"}, "has no pool")]
)
def test_what_does_not_go_together_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        variant(**changes)


def test_ghost_batch_norm_norms_each_group_for_itself():
    norm, x = GhostBatchNorm2d(4, 8, 0.5), 3 * torch.randn(20, 4, 5, 5) + 1
    torch.testing.assert_close(norm(x), torch.cat([normed(group) for group in x.tensor_split(3)]))
    running = torch.zeros(4)
    for group in x.tensor_split(3):
        running = (running + group.mean(dim=(0, 2, 3))) / 2
    torch.testing.assert_close(norm.running_mean, running)
    norm.eval()
    reference = nn.BatchNorm2d(4).eval()
    reference.load_state_dict(norm.state_dict())
    torch.testing.assert_close(norm(x), reference(x))


def test_without_a_group_size_it_is_batch_norm():
    x = torch.randn(20, 4, 5, 5)
    torch.testing.assert_close(GhostBatchNorm2d(4, None, 0.1)(x), nn.BatchNorm2d(4)(x))


def test_frozen_scales_are_not_trained_and_biases_are():
    norm = make_norm(4, NormConfig(frozen_scale=0.25))
    assert norm.weight.tolist() == [0.25] * 4
    assert (norm.weight.requires_grad, norm.bias.requires_grad) == (False, True)


def test_scales_can_start_anywhere_below_one():
    torch.manual_seed(0)
    scales = make_norm(1000, NormConfig(scale_start="uniform")).weight
    assert 0 <= scales.min() < 0.01 < 0.99 < scales.max() <= 1
    assert make_norm(4, NormConfig()).weight.tolist() == [1.0] * 4


def test_lars_takes_the_steps_that_you_et_al_write_down():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(4, 3, 3, 3))
    expected, average = weight.detach().clone(), torch.zeros_like(weight)
    optimizer = Lars([weight], trust=0.02, momentum=0.9, weight_decay=0.1)
    for lr in (1.0, 0.5, 0.25):
        weight.grad = torch.randn_like(weight)
        rate = 0.02 * expected.norm() / (weight.grad.norm() + 0.1 * expected.norm())
        average = 0.9 * average + rate * (weight.grad + 0.1 * expected)
        expected = expected - lr * average
        set_rates([optimizer], lr, None)
        optimizer.step()
        torch.testing.assert_close(weight.detach(), expected)


def test_a_step_of_lars_does_not_depend_on_the_gradients_size():
    def step(scale):
        weight = nn.Parameter(torch.ones(4, 3, 3, 3))
        weight.grad = scale * torch.arange(108.0).reshape(4, 3, 3, 3)
        Lars([weight], trust=0.02, momentum=0.0, weight_decay=0.0).step()
        return weight.detach()

    torch.testing.assert_close(step(1e-3), step(1e3))


def test_lars_is_for_convolutions_and_sgd_for_the_rest():
    lars, sgd = make_optimizers(TrainConfig(lars=LarsConfig(), momentum=0.9), build_model(SMALL, 0))
    assert {parameter.ndim for group in lars.param_groups for parameter in group["params"]} == {4}
    assert {parameter.ndim for group in sgd.param_groups for parameter in group["params"]} == {1, 2}
    with pytest.raises(UserError, match="one of the two"):
        parse({"lars": {}, "muon": {}}, TrainConfig, "test")
