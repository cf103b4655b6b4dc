"""Replaces the layers of a SpeedNet by layers that use the GPU kernels of `compute.kernels.fused`.

Needs Triton, which torch's CUDA builds for Linux include.
"""

from itertools import chain

import torch
from torch import Tensor, nn

from fastresnet.compute.kernels import fused
from fastresnet.compute.kernels.convolution import Convolution
from fastresnet.models.speednet import Group, PoolNormActivation, SpeedNet, Stem


class _FusedStem(Stem):
    """The first layer and its activation in one pass, padded with zero channels if a narrow convolution follows."""

    follower: tuple[nn.Conv2d]
    """The convolution that follows, in a tuple, since torch would register a bare module as a submodule."""

    def forward(self, images: Tensor) -> Tensor:
        learned = self.weight.requires_grad or self.bias is None  # the kernel has no gradients, and adds a bias
        if learned or not _computes(self, images) or not fused.takes_patches(images, self):
            return super().forward(images)
        dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else images.dtype
        columns = images.shape[-1] - self.kernel_size[1] + 1
        channels = fused.CHANNELS if fused.is_narrow(self.follower[0].weight, columns) else None
        return fused.patches_activation(images, self, self.activation_name, dtype, channels)


class _NarrowConvolution(Convolution):
    """A convolution that computes its filter gradient with a Triton kernel if it is narrow."""

    def forward(self, x: Tensor) -> Tensor:
        if _computes(self, x) and fused.is_narrow(self.weight, x.shape[-1]):
            return fused.narrow_convolution(x, self.weight)
        return super().forward(x)


class _FusedPoolNormActivation(PoolNormActivation):
    """Pool, norm, sum and activation in two passes over memory."""

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        if _computes(self, x):
            return fused.pool_norm_activation(x, self, self.activation_name, pool=self.pools, residual=residual)
        return super().forward(x, residual)


def _computes(layer: nn.Module, x: Tensor) -> bool:
    """Whether the kernels can compute a layer for x. They need a GPU and have no gradients in evaluation."""
    return x.is_cuda and (layer.training or not torch.is_grad_enabled())


_FUSED: dict[type[nn.Module], type[nn.Module]] = {
    Stem: _FusedStem,
    Convolution: _NarrowConvolution,
    PoolNormActivation: _FusedPoolNormActivation,
}
_PLAIN = {fast: plain for plain, fast in _FUSED.items()}


def fuse(model: SpeedNet) -> None:
    """Makes the layers of a network use our kernels on a GPU. Only their `forward` changes, not their parameters or settings."""
    groups = [group for group in model.modules() if isinstance(group, Group)]
    layers = [model.stem, *(group.convolutions[0] for group in groups), *chain.from_iterable(group.norms for group in groups)]
    for layer in layers:
        layer.__class__ = _FUSED[type(layer)]
    model.stem.follower = (layers[1],)  # type: ignore[assignment]  # to mypy every attribute of a module is a module


def unfuse(model: nn.Module) -> None:
    """Makes a network use torch's layers again, since our kernels have no second derivatives and hide inner layers."""
    for layer in model.modules():
        layer.__class__ = _PLAIN.get(type(layer), type(layer))
