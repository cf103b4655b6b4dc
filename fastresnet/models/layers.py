"""Layers that several networks share: activations, convolutions, pools, norms."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from fastresnet.compute.kernels.convolution import Convolution
from fastresnet.config.models import NormConfig

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky-relu": partial(nn.LeakyReLU, inplace=True),
    "elu": nn.ELU,
    "celu": nn.CELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, padding: int | None = None, *, bias: bool = False
) -> Convolution:
    """Makes a convolution, by default without bias and with padding that keeps the image size at stride 1."""
    padding = kernel // 2 if padding is None else padding
    return Convolution(in_channels, out_channels, kernel, stride, padding, bias=bias)


class HalvingMaxPool(nn.MaxPool2d):
    """2x2 max pool, from images [N, C, H, W] to images [N, C, H // 2, W // 2].

    Without gradients, a processor takes the maximum of two rows, then of two columns. This gives the same values faster than
    torch's kernel, which also records the position of each maximum.
    """

    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, images: Tensor) -> Tensor:
        if torch.is_grad_enabled() or not images.is_cpu:
            return super().forward(images)
        height, width = (side // 2 * 2 for side in images.shape[-2:])
        rows = torch.maximum(images[..., 0:height:2, :width], images[..., 1:height:2, :width])
        return torch.maximum(rows[..., 0::2], rows[..., 1::2])


def make_norm(channels: int, config: NormConfig) -> nn.Module:
    """The normalisation layer that `config` describes. For kind `none`, it is the identity."""
    if config.kind == "none":
        return nn.Identity()
    norm = GhostBatchNorm2d(channels, config.group_size, config.momentum)
    if config.scale_start == "uniform":
        nn.init.uniform_(norm.weight)
    if config.frozen_scale is not None:
        nn.init.constant_(norm.weight, config.frozen_scale)
        norm.weight.requires_grad = False
    return norm


class GhostBatchNorm2d(nn.BatchNorm2d):
    """Ghost batch norm: in training, each group of a batch has its own statistics (Hoffer et al., 2017).

    A batch is split into the fewest equal groups of at most `group_size` images. Each group is normalised by its own statistics
    and updates the running statistics, which evaluation uses as usual. A `group_size` of None is plain batch norm.
    """

    def __init__(self, channels: int, group_size: int | None, momentum: float) -> None:
        super().__init__(channels, momentum=momentum)
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        """Normalised x [N, channels, H, W]."""
        if not self.training or self.group_size is None:
            return super().forward(x)
        groups = x.tensor_split(math.ceil(len(x) / self.group_size))
        return torch.cat([super(GhostBatchNorm2d, self).forward(group) for group in groups])
