"""Batch norm and the variants of it that `NormConfig` names."""

import math

import torch
from torch import Tensor, nn

from fastresnet.config.models import NormConfig


def make_norm(channels: int, config: NormConfig) -> nn.Module:
    """The norm of a layer; with kind `none` it passes its input on."""
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
    """Batch norm whose statistics in training are of groups of the batch (Hoffer et al., 2017).

    A batch is split into the fewest equal groups of at most `group_size` images, each normed for itself; each moves the
    running statistics, which evaluation uses as ever. A `group_size` of None is batch norm.
    """

    def __init__(self, channels: int, group_size: int | None, momentum: float) -> None:
        super().__init__(channels, momentum=momentum)
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        """Normed x [N, channels, H, W]."""
        if not self.training or self.group_size is None:
            return super().forward(x)
        groups = x.tensor_split(math.ceil(len(x) / self.group_size))
        return torch.cat([super(GhostBatchNorm2d, self).forward(group) for group in groups])
