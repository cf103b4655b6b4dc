"""What the networks are made of."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fastresnet.compute.kernels.convolution import Convolution

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "celu": nn.CELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, padding: int | None = None, *, bias: bool = False
) -> Convolution:
    """A convolution, without bias and padded to keep the size unless told otherwise."""
    padding = kernel // 2 if padding is None else padding
    return Convolution(in_channels, out_channels, kernel, stride, padding, bias=bias)


class HalvingMaxPool(nn.MaxPool2d):
    """2x2 max pool: images [N, C, H // 2, W // 2] of images [N, C, H, W].

    Where no gradient is wanted, a processor takes the larger of two rows, then of two columns: the same numbers, sooner than by
    torch's kernel, which also notes where each of them was.
    """

    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, images: Tensor) -> Tensor:
        if torch.is_grad_enabled() or not images.is_cpu:
            return super().forward(images)
        height, width = (side // 2 * 2 for side in images.shape[-2:])
        rows = torch.maximum(images[..., 0:height:2, :width], images[..., 1:height:2, :width])
        return torch.maximum(rows[..., 0::2], rows[..., 1::2])
