"""The speed net's layers as `compute.kernels.fused` computes them on a GPU, put in the place of torch's from outside.

Needs Triton, which torch's CUDA builds for Linux bring along.
"""

from itertools import chain

import torch
from torch import Tensor, nn

from fastresnet.compute.kernels import fused
from fastresnet.compute.kernels.convolution import Convolution
from fastresnet.models.speednet import Group, PoolNormActivation, SpeedNet, Stem


class _FusedStem(Stem):
    """Patches and their activation in one pass, padded with channels of zeros for a narrow convolution that follows."""

    follower: tuple[nn.Conv2d]
    """The convolution that follows. A tuple holds it, since a module as an attribute would become a part of this one."""

    def forward(self, images: Tensor) -> Tensor:
        if self.weight.requires_grad or not _computes(self, images) or not fused.takes_patches(images, self):
            return super().forward(images)
        dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else images.dtype
        columns = images.shape[-1] - self.kernel_size[1] + 1
        channels = fused.CHANNELS if fused.is_narrow(self.follower[0].weight, columns) else None
        return fused.patches_activation(images, self, self.activation_name, dtype, channels)


class _NarrowConvolution(Convolution):
    """A convolution whose filters' gradient is a program of ours where its input is narrow."""

    def forward(self, x: Tensor) -> Tensor:
        if _computes(self, x) and fused.is_narrow(self.weight, x.shape[-1]):
            return fused.narrow_convolution(x, self.weight)
        return super().forward(x)


class _FusedPoolNormActivation(PoolNormActivation):
    """Pool, norm, sum and activation in two passes."""

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        if _computes(self, x):
            return fused.pool_norm_activation(x, self, self.activation_name, pool=self.pools, residual=residual)
        return super().forward(x, residual)


def _computes(layer: nn.Module, x: Tensor) -> bool:
    """Whether the programs are there for it: they have no gradients in evaluation."""
    return x.is_cuda and (layer.training or not torch.is_grad_enabled())


_FUSED: dict[type[nn.Module], type[nn.Module]] = {
    Stem: _FusedStem,
    Convolution: _NarrowConvolution,
    PoolNormActivation: _FusedPoolNormActivation,
}
_PLAIN = {fast: plain for plain, fast in _FUSED.items()}


def fuse(model: SpeedNet) -> None:
    """Has the layers of a network computed by kernels of our own on a GPU: their parameters and settings stay, their `forward`
    is another."""
    groups = [group for group in model.modules() if isinstance(group, Group)]
    layers = [model.stem, *(group.convolutions[0] for group in groups), *chain.from_iterable(group.norms for group in groups)]
    for layer in layers:
        layer.__class__ = _FUSED[type(layer)]
    model.stem.follower = (layers[1],)  # type: ignore[assignment]  # to mypy every attribute of a module is a module


def unfuse(model: nn.Module) -> None:
    """Has torch compute a network's layers again: our own kernels have no second derivatives, and no layers to look into."""
    for layer in model.modules():
        layer.__class__ = _PLAIN.get(type(layer), type(layer))
