"""Convolutions of small images on a processor, computed as matrix products.

torch uses oneDNN on a processor. Its filter gradients are slow for images a few pixels wide, even on matrix units (Intel's AMX).
One long matrix product over the pixels of all images keeps those units busy. If the filters cover the whole image from every
position, the layer is a single matrix.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_LARGEST = 9
"""Side in pixels of the largest images whose filter gradients are matrix products. Smaller images gain more over oneDNN."""
_NARROWEST = 64
"""Fewest channels for which filter gradients are matrix products. Smaller products take longer to prepare than they save."""


class Convolution(nn.Conv2d):
    """A convolution (nn.Conv2d) that on a processor may compute small images as matrix products. It is one such product if its
    filters cover the whole image from every position. With `matmul_gradients`, wide 3x3 convolutions of small images compute
    their filter gradients as matrix products."""

    matmul_gradients = False

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps [N, out_channels, H', W'] of x [N, in_channels, H, W]. All ways to compute them agree up to rounding."""
        if x.is_cpu and self._covers(x):
            return self._as_matrix(x)
        if not (self.matmul_gradients and self._suits(x) and torch.is_grad_enabled()):
            return super().forward(x)
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x, weight = x.to(dtype), weight.to(dtype)
        return _Convolution.apply(x, weight)

    def _covers(self, x: Tensor) -> bool:
        """Whether every output pixel depends on every pixel of x."""
        plain = (self.dilation, self.groups, self.padding_mode, self.bias) == ((1, 1), 1, "zeros", None)
        return plain and all(kernel - 2 * padding <= size <= kernel - padding for size, kernel, _, padding in self._sides(x))

    def _as_matrix(self, x: Tensor) -> Tensor:
        rows, columns = (_taps(*side) for side in self._sides(x))
        taps = rows[:, None, :, None] * self.kernel_size[1] + columns[:, None]  # [H', W', H, W]
        # the gradient of index_select, unlike that of indexing, is summed in the same order for any number of threads
        chosen = self.weight.permute(2, 3, 0, 1).flatten(0, 1).index_select(0, taps.flatten())
        matrix = chosen.view(*taps.shape, *chosen.shape[1:]).permute(0, 1, 4, 2, 3, 5).flatten(3).flatten(0, 2)
        out = functional.linear(x.permute(0, 2, 3, 1).flatten(1), matrix)
        return out.view(len(x), len(rows), len(columns), self.out_channels).permute(0, 3, 1, 2)

    def _sides(self, x: Tensor) -> Iterator[tuple[int, int, int, int]]:
        """Yields (size of x, kernel size, stride, padding), first for the height and then for the width."""
        padding: Any = self.padding  # `layers.conv` passes numbers, never "same" or "valid"
        return zip(x.shape[-2:], self.kernel_size, self.stride, padding, strict=True)

    def _suits(self, x: Tensor) -> bool:
        shape = (self.kernel_size, self.stride, self.padding, self.dilation, self.groups, self.padding_mode)
        return (
            x.device.type == "cpu"
            and max(x.shape[-2:]) <= _LARGEST
            and min(self.in_channels, self.out_channels) >= _NARROWEST
            and shape == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")
            and self.bias is None
        )


def _taps(size: int, kernel: int, stride: int, padding: int) -> Tensor:
    """Index of the filter element between each output and each input position along one side: [out, in]."""
    starts = torch.arange(-padding, size + padding - kernel + 1, stride)
    return torch.arange(size) - starts[:, None]


def set_matmul_gradients(model: nn.Module, value: bool) -> None:
    """Sets `matmul_gradients` in all convolutions of a network."""
    for layer in model.modules():
        if isinstance(layer, Convolution):
            layer.matmul_gradients = value


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return functional.conv2d(x, weight, padding=1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad_x = input_gradient(x, weight, grad) if ctx.needs_input_grad[0] else None
        return grad_x, filter_gradient(x, grad) if ctx.needs_input_grad[1] else None


def input_gradient(x: Tensor, weight: Tensor, grad: Tensor) -> Tensor:
    """Gradient of the input x [N, in, H, W] of a 3x3 convolution with one pixel of padding, computed by torch from the filters
    [out, in, 3, 3] and the output gradient [N, out, H, W]."""
    geometry = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)  # stride, padding, dilation, not transposed, groups
    grad_x: Tensor = torch.ops.aten.convolution_backward(grad, x, weight, None, *geometry, [True, False, False])[0]
    return grad_x


def filter_gradient(x: Tensor, grad: Tensor) -> Tensor:
    """Gradient [out, in, 3, 3] of the filters of a 3x3 convolution with one pixel of padding, from its input [N, in, H, W] and
    output gradient [N, out, H, W]. It is computed as one matrix product per filter row."""
    (num_images, in_channels, height, width), out_channels = x.shape, grad.shape[1]
    x, grad = x.permute(0, 2, 3, 1), grad.permute(0, 2, 3, 1)  # [N, H, W, channels], as channels_last has them in memory
    # the pixels of all images in sequence; one row of zeros pads both the image above it and the image below it
    num_pixels = num_images * (height + 1) * width
    neighbours = x.new_zeros(num_pixels + 2 * width, 3, in_channels)  # per pixel: left neighbour, itself, right neighbour
    inner = neighbours[:num_pixels].view(num_images, height + 1, width, 3, in_channels)[:, 1:]
    inner[:, :, 1:, 0] = x[:, :, :-1]
    inner[:, :, :, 1] = x
    inner[:, :, :-1, 2] = x[:, :, 1:]
    padded = grad.new_zeros(num_images, height + 1, width, out_channels)
    padded[:, :height] = grad
    of_outputs, of_inputs = padded.view(num_pixels, out_channels).T, neighbours.flatten(1)
    rows = [of_outputs @ of_inputs[shift : shift + num_pixels] for shift in (0, width, 2 * width)]
    return torch.stack(rows, dim=1).view(out_channels, 3, 3, in_channels).permute(0, 3, 1, 2)
