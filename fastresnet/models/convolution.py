"""Convolutions whose filters' gradients are had from matrix products.

oneDNN, by which torch computes on a processor, is slow at the gradients of filters where images are a few pixels wide, also in
its kernels for units that multiply matrices (Intel's AMX). One long product over the pixels of all images keeps those busy.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_LARGEST = 9
"""Pixels a side of the largest images treated so. With AMX, two threads and 256 channels products take half as long as oneDNN
for 7 pixels, a quarter for 3; between 11 and 15 they become slower (not recorded)."""
_NARROWEST = 64
"""Channels below which the products are too small to be worth their making (not recorded)."""


class Convolution(nn.Conv2d):
    """A convolution; with `matmul_gradients`, a wide 3x3 one of small images takes the gradient of its filters as above."""

    matmul_gradients = False

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps [N, out_channels, H, W] of x [N, in_channels, H, W], for stride 1 and padding 1."""
        if not (self.matmul_gradients and self._suits(x) and torch.is_grad_enabled()):
            return super().forward(x)
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x, weight = x.to(dtype), weight.to(dtype)
        return _Convolution.apply(x, weight)

    def _suits(self, x: Tensor) -> bool:
        shape = (self.kernel_size, self.stride, self.padding, self.dilation, self.groups, self.padding_mode)
        return (
            x.device.type == "cpu"
            and max(x.shape[-2:]) <= _LARGEST
            and min(self.in_channels, self.out_channels) >= _NARROWEST
            and shape == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")
            and self.bias is None
        )


def take_gradients_from_products(model: nn.Module) -> None:
    """Sets `matmul_gradients` in all convolutions of a network."""
    for layer in model.modules():
        if isinstance(layer, Convolution):
            layer.matmul_gradients = True


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
    """The gradient of the input x [N, in, H, W] of a 3x3 convolution with one pixel of padding, as torch computes it, from its
    filters [out, in, 3, 3] and its output's gradient [N, out, H, W]."""
    geometry = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)  # stride, padding, dilation, not transposed, groups
    grad_x: Tensor = torch.ops.aten.convolution_backward(grad, x, weight, None, *geometry, [True, False, False])[0]
    return grad_x


def filter_gradient(x: Tensor, grad: Tensor) -> Tensor:
    """The gradient [out, in, 3, 3] of a 3x3 convolution's filters, from its input [N, in, H, W] and its output's gradient
    [N, out, H, W], with one pixel of padding: a product for each row of the filters."""
    (num_images, in_channels, height, width), out_channels = x.shape, grad.shape[1]
    x, grad = x.permute(0, 2, 3, 1), grad.permute(0, 2, 3, 1)  # [N, H, W, channels], as channels_last has them in memory
    # the pixels of all images one after the other; a row of zeros pads the image above it and the one below
    num_pixels = num_images * (height + 1) * width
    neighbours = x.new_zeros(num_pixels + 2 * width, 3, in_channels)  # of each pixel the left one, itself, the right one
    inner = neighbours[:num_pixels].view(num_images, height + 1, width, 3, in_channels)[:, 1:]
    inner[:, :, 1:, 0] = x[:, :, :-1]
    inner[:, :, :, 1] = x
    inner[:, :, :-1, 2] = x[:, :, 1:]
    padded = grad.new_zeros(num_images, height + 1, width, out_channels)
    padded[:, :height] = grad
    of_outputs, of_inputs = padded.view(num_pixels, out_channels).T, neighbours.flatten(1)
    rows = [of_outputs @ of_inputs[shift : shift + num_pixels] for shift in (0, width, 2 * width)]
    return torch.stack(rows, dim=1).view(out_channels, 3, 3, in_channels).permute(0, 3, 1, 2)
