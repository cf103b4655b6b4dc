"""The study's ResNet: torchvision's where it is the standard one, the report's variants where it is not."""

import pytest
import torch

from fastresnet.config.models import ResNetConfig
from fastresnet.data.vision import import_torchvision
from fastresnet.errors import UserError
from fastresnet.models.build import build_model, check_image_size
from fastresnet.models.resnet import resnet18


@pytest.mark.parametrize("depth", [18, 34])
def test_standard_variant_takes_torchvision_weights_and_gives_equal_logits(depth):
    torchvision_model = getattr(import_torchvision("models"), f"resnet{depth}")(num_classes=10).eval()
    for buffer in torchvision_model.buffers():  # running statistics of their own, as after training
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    model = build_model(ResNetConfig(depth=depth), seed=0).eval()
    model.load_state_dict(torchvision_model.state_dict())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(images), torchvision_model(images))


@pytest.mark.parametrize(
    ("switches", "side_after_stem"),
    [
        ({}, 8),
        ({"stem_pool": "none"}, 16),
        ({"stem_pool": "average"}, 8),
        ({"stem": "3x3/1"}, 16),
        ({"stem": "3x3/1", "stem_padding": False}, 15),
        ({"stem": "3x3/1", "stem_padding": False, "stem_pool": "none"}, 30),
        ({"stem_padding": False, "stem_pool": "none"}, 13),
    ],
)
def test_stem_switches_set_the_resolution(switches, side_after_stem):
    model = build_model(ResNetConfig(channels=(4, 8, 8, 8), **switches), seed=0)
    sides = []
    model.layer1.register_forward_pre_hook(lambda module, inputs: sides.append(inputs[0].shape[-1]))
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    assert sides == [side_after_stem]


def test_average_pool_averages_and_max_pool_takes_the_largest():
    images = torch.randn(1, 4, 6, 6)
    average = build_model(ResNetConfig(stem_pool="average"), seed=0).pool(images)
    largest = build_model(ResNetConfig(stem_pool="max"), seed=0).pool(images)
    assert torch.allclose(average[0, 0, 1, 1], images[0, 0, 1:4, 1:4].mean())
    assert torch.equal(largest[0, 0, 1, 1], images[0, 0, 1:4, 1:4].max())


def test_extra_convolution_adds_one_to_every_block():
    def convolutions(model):
        return sum(isinstance(module, torch.nn.Conv2d) for module in model.modules())

    plain, extra = (build_model(ResNetConfig(channels=(4, 4, 4, 4), extra_conv=on), seed=0) for on in (False, True))
    assert convolutions(extra) == convolutions(plain) + 8
    assert extra(torch.randn(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("activation", ["relu", "leaky-relu", "elu", "celu", "gelu", "silu", "tanh"])
def test_activation_is_used_everywhere(activation):
    model = build_model(ResNetConfig(channels=(4, 4, 4, 4), activation=activation), seed=0)
    names = {type(module).__name__.lower() for name, module in model.named_modules() if name.endswith("activation")}
    assert names == {activation.replace("-", "")}


def test_channels_inputs_and_classes_are_as_asked_for():
    model = build_model(ResNetConfig(depth=10, channels=(4, 6, 10, 12), in_channels=1, num_classes=7), seed=0)
    assert model(torch.randn(2, 1, 28, 28)).shape == (2, 7)
    assert [model.conv1.in_channels, model.conv1.out_channels, model.fc.in_features] == [1, 4, 12]


def test_dropout_acts_in_training_only():
    model = build_model(ResNetConfig(channels=(4, 4, 4, 32), dropout=0.5), seed=0)
    images = torch.randn(4, 3, 32, 32)
    for training in (False, True):
        model.train(training)
        assert torch.equal(model(images), model(images)) != training


def test_equal_seeds_give_equal_weights_and_leave_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, other = build_model(ResNetConfig(), seed=1), build_model(ResNetConfig(), seed=1)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not torch.equal(one.conv1.weight, build_model(ResNetConfig(), seed=2).conv1.weight)


def test_images_smaller_than_an_unpadded_stem_are_refused():
    with pytest.raises(UserError, match="image_size: 6 is too small for a 7x7/2 stem; allowed: at least 7"):
        check_image_size(ResNetConfig(stem_padding=False), 6)


def test_initial_weights_are_he_s_or_a_sixth_of_their_variance():
    he, own = (resnet18(init=init, seed=0).layer2[1].conv2.weight for init in ("he", "torch"))
    assert he.var().item() == pytest.approx(2 / (9 * 128), rel=0.02)
    assert own.var().item() == pytest.approx(he.var().item() / 6, rel=0.02)
