"""ResNets (He et al., 2015) with the options that the original report tried.

Modules are named as in torchvision, so that a ResNet with default options can load the weights of `resnet18` and `resnet34` and
then computes equal logits. The layers that `extra_conv` adds have other names.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from fastresnet.config.models import ResNetConfig
from fastresnet.config.parsing import parse
from fastresnet.config.seeds import check_seed, generator_seed
from fastresnet.errors import check_type
from fastresnet.models.layers import ACTIVATIONS, conv

BLOCKS_PER_STAGE = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
_POOLS: dict[str, Callable[[], nn.Module]] = {
    "max": lambda: nn.MaxPool2d(3, stride=2, padding=1),
    "average": lambda: nn.AvgPool2d(3, stride=2, padding=1),
    "none": nn.Identity,
}


class BasicBlock(nn.Module):
    """A residual block of two 3x3 convolutions with batch norm, or of three with `extra_conv`."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, config: ResNetConfig) -> None:
        super().__init__()
        activation = ACTIVATIONS[config.activation]
        self.conv1 = conv(in_channels, out_channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.extra: nn.Module = nn.Identity()
        if config.extra_conv:
            self.extra = nn.Sequential(conv(out_channels, out_channels, 3), nn.BatchNorm2d(out_channels), activation())
        self.conv2 = conv(out_channels, out_channels, 3)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        out = self.activation(self.bn1(self.conv1(x)))
        out = self.extra(out)
        out = self.bn2(self.conv2(out))
        out += self.downsample(x)
        return self.activation(out)


class ResNet(nn.Module):
    """A ResNet: a stem, four stages of basic blocks, a global average pool, dropout and a linear classifier.

    >>> model = fr.ResNet(fr.ResNetConfig(num_classes=100))
    >>> model(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 100])
    """

    def __init__(self, config: ResNetConfig) -> None:
        check_type(config, ResNetConfig, "ResNet")
        super().__init__()
        kernel, stride = (7, 2) if config.stem == "7x7/2" else (3, 1)
        padding = None if config.stem_padding else 0
        first, *_, last = config.channels
        self.conv1 = conv(config.in_channels, first, kernel, stride, padding)
        self.bn1 = nn.BatchNorm2d(first)
        self.activation = ACTIVATIONS[config.activation]()
        self.pool = _POOLS[config.stem_pool]()
        in_channels = first
        stages: list[nn.Sequential] = []
        for channels, blocks in zip(config.channels, BLOCKS_PER_STAGE[config.depth], strict=True):
            strides = [2 if stages else 1] + [1] * (blocks - 1)
            layers = []
            for stride in strides:
                layers.append(BasicBlock(in_channels, channels, stride, config))
                in_channels = channels
            stages.append(nn.Sequential(*layers))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(last, config.num_classes)
        if config.init == "he":
            self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, num_classes] of images [N, in_channels, H, W]."""
        x = self.activation(self.bn1(self.conv1(images)))  # H/2 after a 7x7/2 stem
        x = self.pool(x)  # halved again unless "none"
        x = self.layer1(x)
        x = self.layer2(x)  # halved by this stage and the two after it
        x = self.layer3(x)
        x = self.layer4(x)
        x = x.mean(dim=(2, 3))
        return self.fc(self.dropout(x))

    def freezable(self) -> Iterator[nn.Module]:
        """Yields the parts that can be frozen, from first to last."""
        yield nn.ModuleList([self.conv1, self.bn1])
        yield from (self.layer1, self.layer2, self.layer3, self.layer4)


def resnet10(num_classes: int = 10, *, seed: int | None = None, **options: Any) -> ResNet:
    """A freshly initialised ResNet with ten weighted layers. Arguments and errors are those of `resnet18`.

    >>> model = fr.resnet10(channels=(8, 16, 32, 64), in_channels=1, seed=0)
    >>> model(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    return _resnet(10, num_classes, seed, options)


def resnet18(num_classes: int = 10, *, seed: int | None = None, **options: Any) -> ResNet:
    """A freshly initialised ResNet-18. `options` are those of `ResNetConfig`; by default it is torchvision's network.

    Equal seeds give equal weights; None uses torch's global generator. Raises UserError for an option that is not allowed.

    >>> model = fr.resnet18(channels=(32, 64, 128, 256), stem="3x3/1", stem_pool="none", seed=0)
    >>> model(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    return _resnet(18, num_classes, seed, options)


def resnet34(num_classes: int = 10, *, seed: int | None = None, **options: Any) -> ResNet:
    """A freshly initialised ResNet with 34 weighted layers. Arguments and errors are those of `resnet18`.

    >>> model = fr.resnet34(num_classes=100, seed=0)
    >>> model(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 100])
    """
    return _resnet(34, num_classes, seed, options)


def _resnet(depth: int, num_classes: int, seed: int | None, options: dict[str, Any]) -> ResNet:
    config = parse({"depth": depth, "num_classes": num_classes, **options}, ResNetConfig, f"resnet{depth}")
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(generator_seed(check_seed(seed)))
        return ResNet(config)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):  # He et al. (2015), as in torchvision
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
