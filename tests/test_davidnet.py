"""DAVIDnet, its switches and its norms, each against a plain reference."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from fastresnet.config.models import DavidNetConfig, NormConfig, ResNetConfig, SpeedNetConfig
from fastresnet.config.parsing import parse
from fastresnet.data.sources import load_dataset
from fastresnet.errors import UserError
from fastresnet.models.build import build_model
from fastresnet.models.layers import make_norm

from .conftest import smallest_side

SMALL = {"kind": "davidnet", "widths": [4, 6, 8, 10]}
UNIT = ["Convolution", "GhostBatchNorm2d", "ReLU"]


def config(**changes):
    return parse({**SMALL, **changes}, DavidNetConfig, "test")


def network(seed=0, **changes):
    return build_model(config(**changes), seed)


def images(num_images=4, side=16):
    return torch.randn(num_images, 3, side, side, generator=torch.Generator().manual_seed(1))


def kinds(module):
    """The layers of a network in their order, by the name of their type; those that pass their input on left out."""
    leaves = [each for each in module.modules() if not list(each.children())]
    return [type(each).__name__ for each in leaves if not isinstance(each, nn.Identity)]


def test_network_is_pages():
    """Written out by hand: stem, layers of convolution, norm, ReLU and pool, residual branches, global maximum, head."""
    model = network().eval()
    for norm in (each for each in model.modules() if isinstance(each, nn.BatchNorm2d)):
        norm.running_mean.add_(0.5)  # so that a norm left out or applied twice shows
    weights = iter(each.weight for each in model.modules() if isinstance(each, nn.Conv2d))
    norms = iter(each for each in model.modules() if isinstance(each, nn.BatchNorm2d))

    def unit(x):
        return functional.relu(next(norms)(functional.conv2d(x, next(weights), padding=1)))

    x = unit(images())
    for residual in (True, False, True):
        x = functional.max_pool2d(unit(x), 2)
        if residual:
            x = x + unit(unit(x))
    logits = x.amax(dim=(2, 3)) @ model.head.weight.T * 0.125
    torch.testing.assert_close(model(images()), logits)
    assert next(weights, None) is None


def test_default_is_the_network_of_79_seconds():
    model = build_model(DavidNetConfig(), 0)
    convolutions = 9 * (3 * 64 + 64 * 128 + 2 * 128**2 + 128 * 256 + 256 * 512 + 2 * 512**2)
    norms = 2 * (64 + 3 * 128 + 256 + 3 * 512)
    assert sum(each.numel() for each in model.parameters()) == convolutions + norms + 512 * 10


@pytest.mark.parametrize(
    ("changes", "layer"),
    [
        ({}, [*UNIT, "MaxPool2d"]),
        ({"pool_first": True}, ["Convolution", "MaxPool2d", "GhostBatchNorm2d", "ReLU"]),
        ({"halving": "3x3/2"}, UNIT),
        ({"halving": "1x1/2"}, UNIT),
        ({"repeated_norm": True}, ["GhostBatchNorm2d", "ReLU", *UNIT, "MaxPool2d"]),
        ({"activation": "celu"}, ["Convolution", "GhostBatchNorm2d", "CELU", "MaxPool2d"]),
        ({"norm": {"kind": "none"}}, ["Convolution", "ReLU", "MaxPool2d"]),
        ({"convolutions": 2}, [*UNIT, "MaxPool2d", *UNIT]),
    ],
)
def test_each_switch_changes_a_layer_as_it_says_and_all_halve_the_image(changes, layer):
    model = network(residuals=[], **changes)
    assert [kinds(each) for each in model.layers] == [layer] * 3
    x = model.stem(images())
    sides = [x.shape[-1]] + [(x := each(x)).shape[-1] for each in model.layers]
    assert sides == [16, 8, 4, 2]


def test_kernel_and_stride_are_those_of_the_name():
    for halving, kernel, stride in (("3x3, max pool", 3, 1), ("3x3/2", 3, 2), ("1x1/2", 1, 2)):
        first = next(each for each in network(halving=halving).layers[0].modules() if isinstance(each, nn.Conv2d))
        assert (first.kernel_size, first.stride) == ((kernel, kernel), (stride, stride))


def test_pool_before_norm_and_increasing_activation_commutes_with_them():
    """Maxima pass through a norm of positive scale and a ReLU: only the statistics differ, which evaluation holds."""
    after, before = network().eval(), network(pool_first=True).eval()
    torch.testing.assert_close(after(images()), before(images()))
    assert not torch.allclose(after.train()(images()), before.train()(images()))


def test_average_pool_and_logit_scale_are_applied():
    model = network(final_pool="average", logit_scale=2.0).eval()
    features = model.layers(model.stem(images())).mean(dim=(2, 3))
    torch.testing.assert_close(model(images()), 2.0 * features @ model.head.weight.T)


def test_celu_has_its_alpha():
    module = next(each for each in network(activation="celu", celu_alpha=0.3).modules() if isinstance(each, nn.CELU))
    assert module(torch.tensor(-100.0)).item() == pytest.approx(-0.3)


def test_weight_scale_multiplies_the_start_and_nothing_else():
    plain, scaled = network(), network(weight_scale=4.0)
    for (name, one), other in zip(plain.named_parameters(), scaled.parameters(), strict=True):
        assert torch.equal(one * (4 if one.ndim == 4 else 1), other), name


def test_whitened_stem_starts_with_uncorrelated_features_that_are_not_trained():
    sample = load_dataset("fashion-sample").train.images[:200].float()
    sample = (sample - sample.mean()) / sample.std()
    model = network(whitened=True, in_channels=1)
    model.prepare(lambda count: sample[:count])
    features = functional.conv2d(sample, model.whitening.weight).transpose(0, 1).flatten(1)
    covariance = features @ features.T / features.shape[1]
    assert (covariance - torch.diag(covariance.diag())).abs().max() < 1e-3
    assert covariance[0, 0] == pytest.approx(1, abs=0.01)
    model(sample).sum().backward()
    assert model.whitening.weight.grad is None
    assert model.stem[0].kernel_size == (1, 1)
    assert model.stem[0].weight.grad is not None


def test_all_that_is_trained_but_the_head_is_freezable():
    model = network(whitened=True)
    named = [id(weight) for part in model.freezable() for weight in part.parameters()]
    trained = [id(weight) for weight in model.parameters() if weight.requires_grad and weight is not model.head.weight]
    assert named == trained


@pytest.mark.parametrize(
    "chosen",
    [
        *(config(halving=each, widths=[4] * n, residuals=[1]) for each in ("3x3, max pool", "3x3/2", "1x1/2") for n in (2, 4)),
        *(SpeedNetConfig(**{"widths": (8, 16)} | each) for each in ({}, {"patch": 4, "patch_stride": 2}, {"widths": (4, 4, 4)})),
        ResNetConfig(depth=10, channels=(4, 4, 4, 4), stem_padding=False),
    ],
    ids=str,
)
def test_smallest_image_is_the_smallest_that_a_network_takes(chosen):
    model, side = build_model(chosen, 0).eval(), smallest_side(chosen)
    assert model(images(side=side)).shape == (4, 10)
    if side > 1:
        with pytest.raises(RuntimeError):
            model(images(side=side - 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"residuals": [1, 4]}, "there are layers 1 to 3, got"),
        ({"residuals": [0]}, "residuals.0: Input should be greater than 0"),
        ({"pool_first": True, "halving": "3x3/2"}, "'3x3/2' has no pool"),
        ({"widths": [4]}, "widths"),
        ({"norm": {"group_size": 1}}, "group_size"),
        ({"norm": {"kind": "none", "group_size": 8}}, "group_size: switches of batch norm"),
        ({"norm": {"frozen_scale": 1.0, "scale_start": "uniform"}}, "allowed: one of the two"),
        ({"celu": 0.3}, "celu: unknown key"),
    ],
)
def test_impossible_network_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        config(**changes)


def test_default_norm_is_batch_norm():
    torch.manual_seed(0)
    x = 3 * torch.randn(8, 5, 4, 4) + 1
    ours, theirs = make_norm(5, NormConfig()), nn.BatchNorm2d(5)
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize(("num_images", "groups"), [(8, [4, 4]), (10, [4, 3, 3]), (3, [3])])
def test_ghost_norm_is_batch_norm_of_each_group(num_images, groups):
    torch.manual_seed(0)
    x = torch.randn(num_images, 5, 4, 4) * torch.arange(1, num_images + 1).view(-1, 1, 1, 1)
    ghost, plain = make_norm(5, NormConfig(group_size=4)), nn.BatchNorm2d(5)
    torch.testing.assert_close(ghost(x), torch.cat([plain(group) for group in x.split(groups)]))
    torch.testing.assert_close(ghost.running_mean, plain.running_mean)
    torch.testing.assert_close(ghost.running_var, plain.running_var)
    torch.testing.assert_close(ghost.eval()(x), plain.eval()(x))  # not of groups


def test_frozen_scales_stay_and_biases_are_trained():
    norm = make_norm(5, NormConfig(frozen_scale=0.25))
    norm(torch.randn(4, 5, 2, 2)).square().sum().backward()
    assert norm.weight.tolist() == [0.25] * 5
    assert norm.weight.grad is None
    assert norm.bias.grad is not None


def test_uniform_scales_start_between_zero_and_one_and_are_trained():
    weight = make_norm(1000, NormConfig(scale_start="uniform")).weight
    assert weight.requires_grad
    assert 0 <= weight.min() < 0.02
    assert 0.98 < weight.max() <= 1


def test_momentum_is_the_share_of_the_newest_batch():
    norm = make_norm(1, NormConfig(momentum=0.3))
    norm(torch.full((2, 1, 2, 2), 10.0))
    assert norm.running_mean.item() == pytest.approx(3.0)


def test_without_norm_convolutions_have_a_bias_instead():
    assert all(each.bias is None for each in network().modules() if isinstance(each, nn.Conv2d))
    assert all(each.bias is not None for each in network(norm={"kind": "none"}).modules() if isinstance(each, nn.Conv2d))
