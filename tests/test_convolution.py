"""Gradients of filters from matrix products, against those of torch."""

import pytest
import torch
from torch import nn

from fastresnet.compute.costs import training_flops_per_image
from fastresnet.compute.kernels import convolution
from fastresnet.compute.kernels.convolution import Convolution, filter_gradient, set_matmul_gradients
from fastresnet.config.recipes import find_recipe
from fastresnet.models.build import build_model
from fastresnet.models.layers import conv
from fastresnet.training.runs import train


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (3, 3), (5, 2), (7, 7), (9, 6)])
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_gradient_is_that_of_torch(size, memory_format):
    torch.manual_seed(0)
    x, grad = (torch.randn(3, channels, *size, dtype=torch.double).to(memory_format=memory_format) for channels in (4, 5))
    expected = torch.nn.grad.conv2d_weight(x, (5, 4, 3, 3), grad, padding=1)
    gradient = filter_gradient(x, grad)
    torch.testing.assert_close(gradient, expected)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_gradient_can_be_differentiated_again():
    x, weight = (torch.randn(shape, dtype=torch.double, requires_grad=True) for shape in ((2, 2, 3, 2), (3, 2, 3, 3)))
    assert torch.autograd.gradcheck(convolution._Convolution.apply, (x, weight))
    assert torch.autograd.gradgradcheck(convolution._Convolution.apply, (x, weight))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size", "covers"),
    [
        (3, 1, 1, (1, 1), True),
        (3, 1, 1, (2, 2), True),
        (3, 2, 1, (2, 2), True),
        (3, 1, 0, (3, 3), True),
        (7, 2, 3, (4, 2), True),
        (1, 1, 0, (1, 1), True),
        (3, 1, 1, (3, 2), False),
        (3, 2, 1, (3, 3), False),
        (1, 2, 0, (2, 2), False),
        (2, 1, 1, (1, 1), True),
    ],
)
def test_filters_that_cover_the_image_are_one_matrix(kernel, stride, padding, size, covers):
    torch.manual_seed(0)
    layer = conv(3, 5, kernel, stride, padding).double()
    x = torch.randn(4, 3, *size, dtype=torch.double, requires_grad=True)
    seen = nn.functional.conv2d(torch.ones(1, 1, *size), torch.ones(1, 1, kernel, kernel), stride=stride, padding=padding)
    assert layer._covers(x) == covers == bool((seen == size[0] * size[1]).all())
    expected, found = nn.Conv2d.forward(layer, x), layer(x)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn_like(expected)
    gradients = [torch.autograd.grad(out, (x, layer.weight), upstream) for out in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_matrix_is_summed_in_one_order_on_several_threads(set_threads):
    set_threads(2)
    torch.manual_seed(0)
    layer, x = conv(256, 256, kernel=3), torch.randn(2, 256, 2, 2)

    def gradient():
        return torch.autograd.grad(layer(x).square().sum(), layer.weight)[0]

    first = gradient()
    assert all(torch.equal(gradient(), first) for _ in range(30))  # another order shows within four


@pytest.mark.parametrize("autocast", [False, True])
def test_layer_passes_on_the_gradients_of_torch(autocast):
    torch.manual_seed(0)
    ours = conv(64, 96, kernel=3)
    images = torch.randn(6, 64, 5, 5)
    found = []
    for products in (False, True):
        ours.matmul_gradients = products
        x = images.clone().requires_grad_()
        ours.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = ours(x)
        out.float().square().sum().backward()
        found.append((out.detach().float(), x.grad, ours.weight.grad))
    tolerance = 2e-2 if autocast else 1e-5
    for plain, own in zip(*found, strict=True):
        torch.testing.assert_close(own, plain, rtol=tolerance, atol=tolerance * float(plain.abs().max()))


def called(monkeypatch, layer, x):
    """Whether a backward pass went by products."""
    calls = []
    monkeypatch.setattr(convolution, "filter_gradient", lambda *given: calls.append(given) or filter_gradient(*given))
    set_matmul_gradients(layer, True)
    layer(x).sum().backward()
    return bool(calls)


@pytest.mark.parametrize(
    ("layer", "side", "products"),
    [
        (Convolution(64, 64, 3, padding=1, bias=False), 9, True),
        (Convolution(64, 64, 3, padding=1, bias=False), 10, False),
        (Convolution(32, 64, 3, padding=1, bias=False), 9, False),
        (Convolution(64, 32, 3, padding=1, bias=False), 9, False),
        (Convolution(64, 64, 3, padding=1), 4, False),
        (Convolution(64, 64, 3, bias=False), 4, False),
        (Convolution(64, 64, 3, stride=2, padding=1, bias=False), 4, False),
        (Convolution(64, 64, 1, bias=False), 4, False),
        (Convolution(64, 64, 3, padding=1, groups=2, bias=False), 4, False),
        (Convolution(64, 64, 3, padding=2, dilation=2, bias=False), 4, False),
    ],
)
def test_only_convolutions_that_suit_are_treated_so(monkeypatch, layer, side, products):
    assert called(monkeypatch, layer, torch.randn(2, layer.in_channels, side, side)) is products


def test_frozen_filters_have_no_gradient(monkeypatch):
    layer = conv(64, 64, kernel=3)
    layer.weight.requires_grad_(False)
    x = torch.randn(2, layer.in_channels, 4, 4, requires_grad=True)
    assert not called(monkeypatch, layer, x)
    assert x.grad is not None
    assert layer.weight.grad is None


def test_operations_are_counted_as_those_of_convolutions():
    model = build_model(find_recipe("cifar10-83").config("cpu").model, 0).to("meta")
    counted = training_flops_per_image(model, (3, 32, 32))
    set_matmul_gradients(model, True)
    assert training_flops_per_image(model, (3, 32, 32)) == counted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "sample"), [("cifar10-83", "cifar10-standin"), ("fashion-94", "fashion-sample"), ("cifar10-90", "cifar10-standin")]
)
def test_run_learns_as_with_gradients_of_torch(monkeypatch, recipe, sample):
    calls = []
    monkeypatch.setattr(convolution, "filter_gradient", lambda *given: calls.append(given) or filter_gradient(*given))
    config = find_recipe(recipe).config("cpu")
    config = config.with_changes({"data.name": sample, "data.train_images": 500, "train.epochs": 2})
    plain, products = (
        train(config.with_changes({"train.matmul_gradients": switch}), device="cpu").record for switch in (False, True)
    )
    assert calls
    losses = [[epoch.train_loss for epoch in record.epochs] for record in (plain, products)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
