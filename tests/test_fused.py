"""Kernels of our own: as they are on a GPU, on a processor in Triton's interpreter."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

pytest.importorskip("triton", reason="Triton is there for Linux alone")

from fastresnet.compute.kernels import fused
from fastresnet.config.models import SpeedNetConfig
from fastresnet.models import fused as fused_layers
from fastresnet.models.build import build_model
from fastresnet.training.optim import Muon

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TOLERANCES = {torch.float32: 5e-3 if DEVICE == "cuda" else 5e-4, torch.bfloat16: 2e-2}
"""In fp32 for a normal distribution that is near it, and for products in tf32 on a GPU."""


def images(*shape, dtype=torch.float32, seed=0):
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 2 + 1
    return drawn.to(DEVICE, dtype).to(memory_format=torch.channels_last)


def assert_near(found, expected, dtype):
    assert found.shape == expected.shape
    error = (found.float() - expected.float()).norm() / expected.float().norm()
    assert error < TOLERANCES[dtype]


def norm_of(channels):
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.3).to(DEVICE)
    norm.weight.requires_grad = False
    with torch.no_grad():
        norm.bias.copy_(torch.linspace(-1, 1, channels))
    return norm


def one_by_one(x, norm, activation, *, pool, residual):
    x = norm(functional.max_pool2d(x, 2) if pool else x)
    return getattr(functional, activation)(x if residual is None else x + residual)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("shape", [(5, 24, 7, 7), (3, 64, 6, 9), (4, 40, 5, 4)], ids=str)
@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize("with_residual", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_pool_norm_and_activation_are_those_of_torch_and_so_are_their_gradients(shape, dtype, pool, with_residual, activation):
    num_images, channels, height, width = shape
    x = images(*shape, dtype=dtype)
    after = (num_images, channels, height // 2, width // 2) if pool else shape
    residual = images(*after, dtype=dtype, seed=1) if with_residual else None
    weights = images(*after, dtype=dtype, seed=2)
    found = []
    # torch in fp32, from the same numbers: what is asked of bf16 is to be near what is right
    for function, kind in ((fused.pool_norm_activation, dtype), (one_by_one, torch.float32)):
        norm = norm_of(channels)
        given = [None if each is None else each.to(kind, copy=True).requires_grad_() for each in (x, residual)]
        out = function(given[0], norm, activation, pool=pool, residual=given[1])
        out.backward(weights.to(kind))
        gradients = [each.grad for each in given if each is not None]
        assert norm.num_batches_tracked == 1
        found.append([out, norm.bias.grad, norm.running_mean, norm.running_var, *gradients])
    for ours, expected in zip(*found, strict=True):
        assert_near(ours, expected, dtype)


@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize("with_residual", [True, False])
def test_network_that_is_not_trained_is_normed_by_its_running_statistics(pool, with_residual):
    norm = norm_of(24).eval()
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    x = images(5, 24, 7, 6)
    residual = images(5, 24, 3, 3, seed=1) if pool else images(5, 24, 7, 6, seed=1)
    with torch.inference_mode():
        found, expected = (
            function(x, norm, "gelu", pool=pool, residual=residual if with_residual else None)
            for function in (fused.pool_norm_activation, one_by_one)
        )
    assert_near(found, expected, torch.float32)
    assert norm.num_batches_tracked == 0


def test_pool_s_gradient_goes_to_the_first_of_equal_pixels_not_past_odd_edges():
    x = images(2, 16, 5, 5).requires_grad_()
    with torch.no_grad():
        x[:, :, :2, :2] = 9.0
    fused.pool_norm_activation(x, norm_of(16), "relu", pool=True).backward(images(2, 16, 2, 2, seed=1))
    assert x.grad[:, :, 0, 0].abs().sum() > 0
    assert x.grad[:, :, :2, :2].flatten(2)[:, :, 1:].abs().sum() == 0
    assert x.grad[:, :, 4].abs().sum() == x.grad[:, :, :, 4].abs().sum() == 0


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("pixel", [(0, 0), (1, 1)], ids=str)
def test_what_is_no_number_is_not_hidden(activation, pixel):
    x = images(2, 16, 4, 4)
    x[0, 3, *pixel] = torch.nan
    norm = norm_of(16)
    out = fused.pool_norm_activation(x, norm, activation, pool=True)
    assert out[:, 3].isnan().all()
    assert out.isnan().sum() == out[:, 3].numel()
    assert norm.running_var[3].isnan()


def test_first_layer_whose_input_needs_no_gradient_has_none():
    norm = norm_of(16)
    fused.pool_norm_activation(images(2, 16, 4, 4), norm, "gelu").sum().backward()
    assert norm.bias.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize(("in_channels", "side"), [(3, 2), (1, 3)])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("channels", [None, 40])
def test_patches_are_those_of_a_convolution(in_channels, side, activation, channels, dtype):
    torch.manual_seed(0)
    stem = nn.Conv2d(in_channels, 24, side).to(DEVICE, memory_format=torch.channels_last)
    stem.weight.requires_grad = False
    x, weights = images(3, in_channels, 9, 8), images(3, 24, 10 - side, 9 - side, seed=1)
    expected = getattr(functional, activation)(stem(x))
    (expected_gradient,) = torch.autograd.grad(expected, [stem.bias], weights)
    found = fused.patches_activation(x, stem, activation, dtype, channels)
    assert found.dtype == dtype
    found, rest = found.split([24, (channels or 24) - 24], dim=1)
    assert not rest.any()
    (gradient,) = torch.autograd.grad(found, [stem.bias], weights.to(dtype))
    assert_near(found, expected, dtype)
    assert_near(gradient, expected_gradient, dtype)


DTYPES_OF_PRODUCTS = [torch.float32, torch.bfloat16] if DEVICE == "cuda" else [torch.float32]
"""The interpreter multiplies no matrices in bf16."""


@pytest.mark.parametrize("dtype", DTYPES_OF_PRODUCTS, ids=str)
@pytest.mark.parametrize("channels", [28, pytest.param(32, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("in_channels", "out_channels", "height", "width"), [(24, 40, 4, 4), (3, 40, 3, 5), (28, 128, 3, 1)])
def test_narrow_convolution_and_its_gradients_are_those_of_torch(in_channels, out_channels, height, width, channels, dtype):
    torch.manual_seed(0)
    layer = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False).to(DEVICE, memory_format=torch.channels_last)
    assert fused.is_narrow(layer.weight, width)
    x, weights = images(300, channels, height, width), images(300, out_channels, height, width, seed=1)  # more than programs
    found = []

    def convolution(x, weight):
        return functional.conv2d(x[:, :in_channels], weight, padding=1)

    for function, kind in ((fused.narrow_convolution, dtype), (convolution, torch.float32)):
        given = x.to(kind, copy=True).requires_grad_()
        out = function(given, layer.weight)
        found.append([out, *torch.autograd.grad(out, [given, layer.weight], weights.to(kind))])
    assert found[0][2].dtype == torch.float32
    for ours, expected in zip(*found, strict=True):
        assert_near(ours, expected, dtype)


@pytest.mark.parametrize(
    ("columns", "outputs", "bytes_a_channel", "shared_memory", "expected"),
    [
        (32, 64, 2, 232_448, (4, 1)),  # of an H200
        (32, 128, 2, 232_448, (2, 3)),
        (32, 128, 4, 232_448, (2, 1)),
        (32, 64, 2, 101_376, (4, 1)),  # of an RTX 4090
        (32, 128, 2, 101_376, (2, 1)),
        (32, 64, 4, 65_536, (1, 1)),
        (32, 128, 4, 65_536, (1, 1)),  # of an RTX 2060: the widest that is called narrow
    ],
)
def test_tiles_of_a_gradient_fit_the_shared_memory(columns, outputs, bytes_a_channel, shared_memory, expected):
    bytes_a_pixel = (outputs + 256) * bytes_a_channel
    lines, stages = fused._lines_and_stages(columns, outputs, bytes_a_pixel, shared_memory)
    assert (lines, stages) == expected
    assert lines * columns * bytes_a_pixel * stages <= shared_memory


def test_wide_convolutions_are_not_narrow():
    assert not fused.is_narrow(torch.empty(64, 32, 3, 3), 31)
    assert not fused.is_narrow(torch.empty(256, 24, 3, 3), 31)
    assert not fused.is_narrow(torch.empty(64, 24, 3, 3), 33)


@pytest.mark.parametrize(
    ("stem", "side", "expected"),
    [
        (nn.Conv2d(3, 24, 2), 129, True),
        (nn.Conv2d(3, 24, 2), 130, False),
        (nn.Conv2d(3, 54, 3), 32, True),
        (nn.Conv2d(3, 96, 4), 32, False),
        (nn.Conv2d(3, 24, 2, stride=2), 32, False),
    ],
)
def test_patches_that_are_too_large_are_left_to_torch(stem, side, expected):
    assert fused.takes_patches(torch.empty(1, 3, side, side), stem) == expected


def test_network_is_computed_by_torch_again_once_it_is_trained():
    model = build_model(SpeedNetConfig(widths=(16, 24)), 0)
    layers = [type(layer) for layer in model.modules()]
    fused_layers.fuse(model)
    assert [type(layer) for layer in copy.deepcopy(model).modules()] != layers
    fused_layers.unfuse(model)
    assert [type(layer) for layer in model.modules()] == layers


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=str)
@pytest.mark.parametrize("shape", [(8, 24, 3, 3), (40, 2, 3, 3), (64, 64, 3, 3)], ids=str)
def test_muon_with_kernels_steps_where_muon_does(shape, layout):
    found = []
    for kernels in (True, False):
        torch.manual_seed(0)
        bank = nn.Parameter(torch.randn(shape, device=DEVICE).to(memory_format=layout))
        muon = Muon([bank], momentum=0.7, fused=kernels)
        for rate in (0.3, torch.tensor(0.1, device=DEVICE)):
            bank.grad = torch.randn(shape, device=DEVICE)
            muon.param_groups[0]["lr"] = rate
            muon.step()
        found.append([bank.detach(), muon.state[bank]["average"]])
    for ours, expected in zip(*found, strict=True):
        assert_near(ours, expected, torch.bfloat16)  # that of the matrix products


@pytest.mark.parametrize(
    "first",
    [{}, {"whitened": False, "patch_directions": None}, {"patch": 4}, {"patch_stride": 2}],
    ids=["patches", "learned", "large patches", "stride"],
)
def test_network_learns_by_them_what_it_learns_by_those_of_torch(first, monkeypatch):
    monkeypatch.setattr(fused_layers, "_computes", lambda *_: True)
    config = SpeedNetConfig(widths=(16, 24), convolutions=(1, 3), **first)
    x, labels = images(8, 3, 21, 21), torch.arange(8, device=DEVICE)
    found = []
    for is_fused in (True, False):
        model = build_model(config, 0).to(DEVICE, memory_format=torch.channels_last)
        model.prepare(lambda count: x[:count])
        if is_fused:
            fused_layers.fuse(model)
        functional.cross_entropy(model.train()(x), labels).backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        with torch.inference_mode():
            found.append([*gradients, *model.buffers(), model.eval()(x)])
    for ours, expected in zip(*found, strict=True):
        assert_near(ours, expected, torch.float32)
