"""What stands between two convolutions, for a GPU in training: in few passes over memory.

torch reads and writes the widest tensors of a small network once for each of pool, norm, sum and activation, and again for
each of their gradients, and its pool keeps eight bytes for every place that it chose. Here one pass pools and sums up, a second
norms and activates, and two go back. Sums are in fp32, always in the same order.

Needs Triton, which torch's CUDA builds for Linux bring along.
"""

from typing import Any

import torch
import triton
from torch import Tensor, nn

from fastresnet.models import kernels

_TILE = 4096
"""Numbers that a program has in its registers at a time."""
_PROGRAMS = 512
"""Among so many, a power of two, a summing up is divided: about four for each of a large GPU's processors."""
_CHANNELS_AT_ONCE = 8
"""Whose partial sums a program adds up."""


def pool_norm_activation(
    x: Tensor, norm: nn.BatchNorm2d, activation: str, *, pool: bool = False, residual: Tensor | None = None
) -> Tensor:
    """A 2x2 max pool where asked for, batch norm, the sum with a residual, an activation ("gelu" or "relu").

    Takes x [N, C, H, W] and a residual of the result's shape, on a GPU. The norm's scale must be one. In training its running
    statistics move, and gradients go to x, its bias and the residual; in evaluation they rest, and there are no gradients.
    """
    with torch.cuda.device_of(x):  # Triton asks for no device but the current one
        if norm.training:
            return _PoolNormActivation.apply(x, norm.bias, residual, norm, activation, pool)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        rstd = (norm.running_var + norm.eps).rsqrt()
        return _norm_and_activate(_channels_last(x), residual, norm.running_mean, rstd, norm.bias, activation, pool=pool)


def patches_activation(images: Tensor, stem: nn.Conv2d, activation: str, dtype: torch.dtype) -> Tensor:
    """An unpadded convolution with stride 1 by filters that are not trained, its bias, an activation.

    Takes images [N, C, H, W] on a GPU and gives `dtype`. Gradients go to the bias alone.
    """
    with torch.cuda.device_of(images):
        return _PatchesActivation.apply(images, stem.weight, stem.bias, activation, dtype)


class _PoolNormActivation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, bias: Tensor, residual: Tensor | None, norm: nn.BatchNorm2d, activation: str, pool: bool
    ) -> Tensor:
        x, residual = _channels_last(x), None if residual is None else _channels_last(residual)
        num_images, channels, height, width = x.shape
        pooled, chosen = x, None
        if pool:
            pooled = _empty(num_images, channels, height // 2, width // 2, like=x)
            chosen = torch.empty_like(pooled, dtype=torch.uint8)
        rows = pooled.numel() // channels
        tile = _tile(channels)
        partial = _partial_sums(rows, channels, tile, x.device)
        mean, rstd = torch.empty(2, channels, device=x.device)
        kernels.pool_and_sum[(len(partial),)](x, pooled, chosen, partial, rows, height, width, channels, pool, *tile, num_warps=8)
        kernels.statistics[_over_channels(channels)](
            partial, mean, rstd, norm.running_mean, norm.running_var, norm.num_batches_tracked, rows, channels, norm.eps,
            norm.momentum, *_all_of(partial),
        )  # fmt: skip
        out = _norm_and_activate(pooled, residual, mean, rstd, bias, activation)
        ctx.save_for_backward(pooled, chosen, residual, mean, rstd, bias)
        ctx.size, ctx.activation, ctx.tile = (height, width), activation, tile
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pooled, chosen, residual, mean, rstd, bias = ctx.saved_tensors
        (height, width), activation, tile = ctx.size, ctx.activation, ctx.tile
        grad = _channels_last(grad)
        num_images, channels = pooled.shape[:2]
        rows = pooled.numel() // channels
        partial = _partial_sums(rows, channels, tile, grad.device)
        sums = torch.empty(2, channels, device=grad.device)
        grad_residual = None if residual is None else torch.empty_like(residual)
        kernels.activation_backward_and_sum[(len(partial),)](
            grad, pooled, residual, grad_residual, mean, rstd, bias, partial, rows, channels, activation, *tile, num_warps=8
        )
        kernels.add_up[_over_channels(channels)](partial, sums, channels, *_all_of(partial))
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = _empty(num_images, channels, height, width, like=pooled)
            cells = num_images * -(-height // 2) * -(-width // 2) if chosen is not None else rows
            kernels.norm_and_pool_backward[_over_rows(cells, tile)](
                grad if grad_residual is None else grad_residual, pooled, chosen, mean, rstd, bias, sums, grad_x, cells, rows,
                height, width, channels, activation, grad_residual is not None, *tile,
            )  # fmt: skip
        return grad_x, sums[0], grad_residual, None, None, None


class _PatchesActivation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, activation: str, dtype: torch.dtype) -> Tensor:
        images = _channels_last(images)
        num_images, in_channels, height, width = images.shape
        filters, side = weight.shape[0], weight.shape[-1]
        weight = weight.flatten(1).T.contiguous()  # [in_channels * side^2, filters]
        out = _empty(num_images, filters, height - side + 1, width - side + 1, like=images, dtype=dtype)
        rows, tile = out.numel() // filters, _tile(filters)
        shape = (rows, height, width, in_channels, side, filters, activation, *tile)
        kernels.patches[_over_rows(rows, tile)](images, weight, bias, None, out, None, *shape)
        ctx.save_for_backward(images, weight, bias)
        ctx.shape, ctx.tile = shape, tile
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, bias = ctx.saved_tensors
        filters = len(bias)
        partial = _partial_sums(grad.numel() // filters, filters, ctx.tile, grad.device)
        sums = torch.empty(2, filters, device=grad.device)
        kernels.patches[(len(partial),)](images, weight, bias, _channels_last(grad), None, partial, *ctx.shape)
        kernels.add_up[_over_channels(filters)](partial, sums, filters, *_all_of(partial))
        return None, None, sums[0], None, None


def _norm_and_activate(
    x: Tensor, residual: Tensor | None, mean: Tensor, rstd: Tensor, bias: Tensor, activation: str, *, pool: bool = False
) -> Tensor:
    num_images, channels, height, width = x.shape
    out = _empty(num_images, channels, height // 2, width // 2, like=x) if pool else torch.empty_like(x)
    rows, tile = out.numel() // channels, _tile(channels)
    residual = None if residual is None else _channels_last(residual)
    kernels.norm_and_activate[_over_rows(rows, tile)](
        x, residual, mean, rstd, bias, out, rows, height, width, channels, activation, pool, *tile
    )
    return out


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _empty(*shape: int, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    return torch.empty(shape, dtype=dtype or like.dtype, device=like.device, memory_format=torch.channels_last)


def _tile(channels: int) -> tuple[int, int]:
    """Rows and channels, powers of two, that a program has at a time."""
    wide = triton.next_power_of_2(channels)
    return max(1, _TILE // wide), wide


def _partial_sums(rows: int, channels: int, tile: tuple[int, int], device: torch.device) -> Tensor:
    """Two sums a channel for each program: [programs, 2, channels]."""
    return torch.empty(min(_PROGRAMS, -(-rows // tile[0])), 2, channels, device=device)


def _all_of(partial: Tensor) -> tuple[int, int, int]:
    return len(partial), _PROGRAMS, _CHANNELS_AT_ONCE


def _over_channels(channels: int) -> tuple[int]:
    return (-(-channels // _CHANNELS_AT_ONCE),)


def _over_rows(rows: int, tile: tuple[int, int]) -> tuple[int]:
    return (-(-rows // tile[0]),)
