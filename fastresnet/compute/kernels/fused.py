"""Fused GPU kernels for the layers between two convolutions, and filter gradients of narrow convolutions.

torch reads and writes the widest tensors of a small network once each for pool, norm, sum and activation, and once more for each
of their gradients. Its pool also stores an index of eight bytes per output. Here, one pass pools and sums up, a second one norms
and activates, and two passes compute the gradients. cuDNN is slow at filter gradients for few input channels, so they have a
kernel here, too. Sums are in fp32 and always in the same order.

Needs Triton, which torch's CUDA builds for Linux include.
"""

import math
from typing import Any

import torch
import triton
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from fastresnet.compute.kernels import triton_layers
from fastresnet.compute.kernels.convolution import input_gradient

CHANNELS = 32
"""Number of channels to which the input of a narrow convolution is padded, since cuDNN is fastest with it."""
_MOST_INPUTS, _MOST_FILTERS, _MOST_COLUMNS = 28, 128, 32
"""Limits of a narrow convolution: its filter gradient must fit the registers of a thread block, and a line of its images must fit
the shared memory of any GPU, in any precision."""
_PRODUCTS = 8192
"""Size of a thread block's tile in the filter gradient: pixels times filters. A tile has at least one line."""
_MOST_PATCHES, _MOST_PIXELS = 128, 32
"""Most patches that a thread block holds at a time, and most values per patch (pixels times channels)."""
_TILE = 4096
"""Number of values that a thread block holds in its registers at a time."""
_PROGRAMS = 256
"""Most thread blocks that compute one sum, a power of two: about two per multiprocessor of a large GPU."""
_CHANNELS_AT_ONCE = 8
"""Number of channels whose partial sums one thread block adds up."""


def pool_norm_activation(
    x: Tensor, norm: nn.BatchNorm2d, activation: str, *, pool: bool = False, residual: Tensor | None = None
) -> Tensor:
    """Applies a 2x2 max pool if asked for, batch norm, the sum with any residual, and an activation ("gelu" or "relu").

    Takes x [N, C, H, W] and a residual of the result's shape, on a GPU. The norm's scale must be one. Training updates the
    running statistics and gives gradients to x, the norm's bias and the residual. Evaluation does neither.
    """
    with torch.cuda.device_of(x):  # Triton launches kernels on the current device
        if norm.training:
            return _PoolNormActivation.apply(x, norm.bias, residual, norm, activation, pool)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        rstd = (norm.running_var + norm.eps).rsqrt()
        return _norm_and_activate(_channels_last(x), residual, norm.running_mean, rstd, norm.bias, activation, pool=pool)


def patches_activation(
    images: Tensor, stem: nn.Conv2d, activation: str, dtype: torch.dtype, channels: int | None = None
) -> Tensor:
    """Applies an unpadded convolution with stride 1 and untrained filters, its bias and an activation.

    Takes images [N, C, H, W] on a GPU and returns `dtype`. If `channels` is larger than the number of filters, the further
    channels are zero. Only the bias gets a gradient.
    """
    with torch.cuda.device_of(images):
        return _PatchesActivation.apply(images, stem.weight, stem.bias, activation, dtype, channels or stem.out_channels)


def takes_patches(images: Tensor, stem: nn.Conv2d) -> bool:
    """Whether `patches_activation` supports this first layer on these images."""
    columns, pixels = images.shape[-1] - stem.kernel_size[1] + 1, stem.in_channels * math.prod(stem.kernel_size)
    return stem.stride == (1, 1) and columns <= _MOST_PATCHES and pixels <= _MOST_PIXELS


def is_narrow(weight: Tensor, columns: int) -> bool:
    """Whether `narrow_convolution` supports filters [out, in, 3, 3] on images with this many columns."""
    num_filters, in_channels = weight.shape[:2]
    return in_channels <= _MOST_INPUTS and num_filters <= _MOST_FILTERS and columns <= _MOST_COLUMNS


def narrow_convolution(x: Tensor, weight: Tensor) -> Tensor:
    """A 3x3 convolution on a GPU, with one pixel of padding, of the first channels of x [N, channels, H, W] with filters
    [out, in, 3, 3].

    The result has the precision of x, and the filter gradient has the precision of the filters.
    """
    with torch.cuda.device_of(x):
        return _NarrowConvolution.apply(x, weight)


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
        sizes, tile = {"rows": pooled.numel() // channels, "channels": channels}, _tile(channels)
        partial = _partial_sums(**sizes, tile=tile, device=x.device)
        mean, rstd = torch.empty(2, channels, device=x.device)
        triton_layers.pool_and_sum[(len(partial),)](
            x, pooled, chosen, partial, height=height, width=width, POOL=pool, **sizes, **tile, num_warps=8
        )
        triton_layers.statistics[_over_channels(channels)](
            partial, mean, rstd, norm.running_mean, norm.running_var, norm.num_batches_tracked, eps=norm.eps,
            momentum=norm.momentum, **sizes, **_all_of(partial),
        )  # fmt: skip
        out = _norm_and_activate(pooled, residual, mean, rstd, bias, activation)
        ctx.save_for_backward(pooled, chosen, residual, mean, rstd, bias)
        ctx.size, ctx.activation, ctx.tile = (height, width), activation, tile
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pooled, chosen, residual, mean, rstd, bias = ctx.saved_tensors
        (height, width), tile = ctx.size, ctx.tile
        grad = _channels_last(grad)
        num_images, channels = pooled.shape[:2]
        sizes = {"rows": pooled.numel() // channels, "channels": channels}
        partial = _partial_sums(**sizes, tile=tile, device=grad.device)
        sums = torch.empty(2, channels, device=grad.device)
        grad_residual = None if residual is None else torch.empty_like(residual)
        normed = {"pooled": pooled, "mean": mean, "rstd": rstd, "bias": bias, "ACTIVATION": ctx.activation}
        triton_layers.activation_backward_and_sum[(len(partial),)](
            grad, residual=residual, grad_residual=grad_residual, partial=partial, **normed, **sizes, **tile, num_warps=8
        )
        triton_layers.add_up[_over_channels(channels)](partial, sums, channels, **_all_of(partial))
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = _empty(num_images, channels, height, width, like=pooled)
            cells = num_images * -(-height // 2) * -(-width // 2) if chosen is not None else sizes["rows"]
            tile = _tile(channels, _TILE // 2 if chosen is None else _TILE // 4)  # a cell of the pool writes four pixels
            triton_layers.norm_and_pool_backward[_over_rows(cells, tile)](
                grad if grad_residual is None else grad_residual, chosen=chosen, sums=sums, grad_x=grad_x, cells=cells,
                height=height, width=width, ACTIVATED=grad_residual is not None, **normed, **sizes, **tile,
            )  # fmt: skip
        return grad_x, sums[0], grad_residual, None, None, None


class _PatchesActivation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, activation: str, dtype: torch.dtype, channels: int
    ) -> Tensor:
        images = _channels_last(images)
        num_images, in_channels, height, width = images.shape
        filters, side = weight.shape[0], weight.shape[-1]
        weight = weight.flatten(1).T.contiguous()  # [in_channels * side^2, filters]
        out = _empty(num_images, channels, height - side + 1, width - side + 1, like=images, dtype=dtype)
        columns = triton.next_power_of_2(width - side + 1)
        ctx.sizes = {
            "num_images": num_images,
            "height": height,
            "width": width,
            "IN_CHANNELS": in_channels,
            "SIDE": side,
            "FILTERS": filters,
            "OUT_CHANNELS": channels,
            "ACTIVATION": activation,
            "LINES": _MOST_PATCHES // columns,
            "COLUMNS": columns,
            "CHANNELS": max(16, triton.next_power_of_2(channels)),
            "PIXELS": max(16, triton.next_power_of_2(in_channels * side**2)),
        }
        triton_layers.patches[(num_images,)](images, weight, bias, grad=None, out=out, partial=None, **ctx.sizes)
        ctx.save_for_backward(images, weight, bias)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, bias = ctx.saved_tensors
        partial = torch.empty(min(_PROGRAMS, len(images)), 2, len(bias), device=grad.device)
        sums = torch.empty(2, len(bias), device=grad.device)
        given = {"grad": _channels_last(grad), "out": None, "partial": partial}
        triton_layers.patches[(len(partial),)](images, weight, bias, **given, **ctx.sizes)
        triton_layers.add_up[_over_channels(len(bias))](partial, sums, len(bias), **_all_of(partial))
        return None, None, sums[0], None, None, None


class _NarrowConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.in_channels = weight.shape[1]
        weight = functional.pad(weight.to(x.dtype), (0, 0, 0, 0, 0, x.shape[1] - ctx.in_channels))
        ctx.save_for_backward(x, weight)
        return functional.conv2d(x, weight, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad_x = input_gradient(x, weight, grad) if ctx.needs_input_grad[0] else None
        grad_weight = None
        if ctx.needs_input_grad[1]:
            grad_weight = _filter_gradient(_channels_last(x), _channels_last(grad), ctx.in_channels)
        return grad_x, grad_weight


def _filter_gradient(x: Tensor, grad: Tensor, in_channels: int) -> Tensor:
    (num_images, channels, height, width), out_channels = x.shape, grad.shape[1]
    outputs, inputs = max(64, triton.next_power_of_2(out_channels)), triton.next_power_of_2(9 * in_channels)
    columns = triton.next_power_of_2(width)
    lines, stages = _lines_and_stages(columns, outputs, (outputs + inputs) * x.element_size(), _shared_memory(x.device))
    partial = torch.empty(min(_PROGRAMS, num_images), out_channels, 3, 3, in_channels, device=x.device)
    triton_layers.filter_gradient[(len(partial),)](
        x,
        grad,
        partial,
        num_images,
        height,
        width,
        IN_CHANNELS=in_channels,
        X_CHANNELS=channels,
        OUT_CHANNELS=out_channels,
        LINES=lines,
        COLUMNS=columns,
        OUTPUTS=outputs,
        INPUTS=inputs,
        num_warps=8,
        num_stages=stages,
    )
    return partial.sum(0).permute(0, 3, 1, 2)


def _lines_and_stages(columns: int, outputs: int, pixel_bytes: int, shared_memory: int) -> tuple[int, int]:
    """Lines of pixels per tile of the filter gradient, a power of two, and the number of tiles in shared memory at a time. For a
    wide gradient, the next tiles are loaded during the product of one."""
    lines = max(1, _PRODUCTS // outputs // columns)
    stages = 3 if outputs > 64 and 3 * lines * columns * pixel_bytes <= shared_memory else 1
    while lines > 1 and lines * columns * pixel_bytes > shared_memory:
        lines //= 2
    return lines, stages


def _shared_memory(device: torch.device) -> int:
    """Bytes of shared memory per thread block."""
    known = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    return getattr(known, "shared_memory_per_block_optin", 2**16)  # ROCm does not report it; the interpreter has no limit


def _norm_and_activate(
    x: Tensor, residual: Tensor | None, mean: Tensor, rstd: Tensor, bias: Tensor, activation: str, *, pool: bool = False
) -> Tensor:
    num_images, channels, height, width = x.shape
    out = _empty(num_images, channels, height // 2, width // 2, like=x) if pool else torch.empty_like(x)
    sizes = {"rows": out.numel() // channels, "height": height, "width": width, "channels": channels}
    tile = _tile(channels)
    residual = None if residual is None else _channels_last(residual)
    triton_layers.norm_and_activate[_over_rows(sizes["rows"], tile)](
        x, residual, mean, rstd, bias, out, ACTIVATION=activation, POOL=pool, **sizes, **tile
    )
    return out


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _empty(*shape: int, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    return torch.empty(shape, dtype=dtype or like.dtype, device=like.device, memory_format=torch.channels_last)


def _tile(channels: int, numbers: int = _TILE) -> dict[str, int]:
    """Rows and channels of a thread block's tile, both powers of two."""
    wide = triton.next_power_of_2(channels)
    return {"ROWS": max(1, numbers // wide), "CHANNELS": wide}


def _partial_sums(rows: int, channels: int, tile: dict[str, int], device: torch.device) -> Tensor:
    """An empty tensor for two sums per channel and thread block: [thread blocks, 2, channels]."""
    return torch.empty(min(_PROGRAMS, -(-rows // tile["ROWS"])), 2, channels, device=device)


def _all_of(partial: Tensor) -> dict[str, int]:
    return {"programs": len(partial), "PROGRAMS": _PROGRAMS, "CHANNELS": _CHANNELS_AT_ONCE}


def _over_channels(channels: int) -> tuple[int]:
    return (-(-channels // _CHANNELS_AT_ONCE),)


def _over_rows(rows: int, tile: dict[str, int]) -> tuple[int]:
    return (-(-rows // tile["ROWS"]),)
