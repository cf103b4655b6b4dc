"""A small network for reaching an accuracy soon.

Whitened patches (Page, 2019), identity initialisation and a head scaled down (Jordan, 2024): with them the first steps
already move the logits in a useful direction, and a few epochs do. It has no bias before a norm and no scale after one.
"""

import importlib
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastresnet.config.models import SpeedNetConfig
from fastresnet.models.layers import ACTIVATIONS, HalvingMaxPool, conv
from fastresnet.models.whitening import whitening_filters


class SpeedNet(nn.Module):
    """Patches, groups of convolutions that each halve the image, global pool, linear head without bias."""

    def __init__(self, config: SpeedNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Conv2d(
            config.in_channels, config.num_patch_filters, config.patch, config.patch_stride, bias=config.whitened
        )
        self.stem.weight.requires_grad = not config.whitened
        if self.stem.bias is not None:
            nn.init.zeros_(self.stem.bias)
        self.activation = ACTIVATIONS[config.activation]()
        self.fused = False
        in_channels = config.num_patch_filters
        groups = []
        for width, convolutions in zip(config.widths, config.group_convolutions, strict=True):
            groups.append(Group(in_channels, width, convolutions, config))
            in_channels = width
        self.groups = nn.Sequential(*groups)
        self.head = nn.Linear(in_channels, config.num_classes, bias=False)
        # logits start near zero whatever the width, so that the first steps are not spent on unlearning guesses
        nn.init.uniform_(self.head.weight, -(3**0.5) / in_channels, 3**0.5 / in_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, num_classes] of normalised images [N, in_channels, H, W]."""
        x = self._patches(images)  # [N, num_patch_filters, H - patch + 1, W - patch + 1] for stride 1
        x = self.groups(x)  # [N, widths[-1], H / 2^groups, W / 2^groups], rounded down at each
        x = functional.max_pool2d(x, x.shape[-2:]) if self.config.final_pool == "max" else functional.adaptive_avg_pool2d(x, 1)
        return self.head(x.flatten(1))

    def _patches(self, images: Tensor) -> Tensor:
        if _fuses(self, images) and self.config.whitened and _fused().takes_patches(images, self.stem):
            dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else images.dtype
            fused, next_weight = _fused(), self.groups[0].convolutions[0].weight  # type: ignore[index,union-attr]
            columns = images.shape[-1] - self.config.patch + 1
            channels = fused.CHANNELS if fused.is_narrow(next_weight, columns) else None
            return fused.patches_activation(images, self.stem, self.config.activation, dtype, channels)
        return self.activation(self.stem(images))

    def fuse(self) -> bool:
        """Has `compute.kernels.fused` compute what stands between two convolutions, on a GPU; or warns that it cannot, and
        returns False."""
        try:
            _fused()
        except ModuleNotFoundError as error:
            warnings.warn(f"train.fused_kernels: {error.name} is not installed; torch's own, slower ones are taken", stacklevel=2)
            return False
        self.fused = True
        for group in self.groups:
            group.fused = True  # type: ignore[assignment]  # to mypy every attribute of a module is a module
        return True

    def parts(self) -> Iterator[nn.Module]:
        """The parts that can be frozen, first to last."""
        yield self.stem
        yield from self.groups

    @torch.no_grad()
    def prepare(self, first_images: Callable[[int], Tensor]) -> None:
        """Sets the first layer's filters, if the network is `whitened`, from as many normalised training images [N, C, H, W] as
        it asks for."""
        config = self.config
        if config.whitened:
            filters = whitening_filters(first_images(config.whitening_images), config.patch, config.patch_stride)
            kept = filters[: config.num_patch_filters // 2]
            self.stem.weight.copy_(torch.cat([kept, -kept]))


class Group(nn.Module):
    """Convolution, 2x2 max pool, norm, activation; then more convolutions with norm and activation."""

    def __init__(self, in_channels: int, width: int, convolutions: int, config: SpeedNetConfig) -> None:
        super().__init__()
        inputs = [in_channels] + [width] * (convolutions - 1)
        self.convolutions = nn.ModuleList(_conv(channels, width, config) for channels in inputs)
        self.norms = nn.ModuleList(_norm(width, config) for _ in range(convolutions))
        self.pool = HalvingMaxPool()
        self.activation_name = config.activation
        self.activation = ACTIVATIONS[config.activation]()
        self.fused = False

    def forward(self, x: Tensor) -> Tensor:
        x = first = self._finish(self._convolve(x), 0, pool=True)
        last = len(self.convolutions) - 1
        for index in range(1, last + 1):
            x = self._finish(self.convolutions[index](x), index, residual=first if index == last and last > 1 else None)
        return x

    def _convolve(self, x: Tensor) -> Tensor:
        """The first convolution, whose input may be narrow."""
        convolution = self.convolutions[0]
        if _fuses(self, x) and _fused().is_narrow(convolution.weight, x.shape[-1]):
            return _fused().narrow_convolution(x, convolution.weight)
        return convolution(x)

    def _finish(self, x: Tensor, index: int, *, pool: bool = False, residual: Tensor | None = None) -> Tensor:
        """What follows on a convolution: pool, norm, sum, activation."""
        norm = self.norms[index]
        if _fuses(self, x):
            return _fused().pool_norm_activation(x, norm, self.activation_name, pool=pool, residual=residual)
        x = norm(self.pool(x) if pool else x)  # pooled before the norm, which then has a quarter of the work
        return self.activation(x if residual is None else x + residual)


def _fuses(module: SpeedNet | Group, x: Tensor) -> bool:
    return bool(module.fused) and x.is_cuda and (module.training or not torch.is_grad_enabled())


def _fused() -> ModuleType:
    """Imported where it is needed: it needs Triton, which is not everywhere."""
    return importlib.import_module("fastresnet.compute.kernels.fused")


def _conv(in_channels: int, out_channels: int, config: SpeedNetConfig) -> nn.Conv2d:
    layer = conv(in_channels, out_channels, kernel=3)
    if config.identity_start:
        nn.init.dirac_(layer.weight.data[: min(in_channels, out_channels)])
    return layer


def _norm(channels: int, config: SpeedNetConfig) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=config.norm_momentum)
    norm.weight.requires_grad = False
    return norm
