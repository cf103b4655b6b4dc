"""What the networks are made of."""

from collections.abc import Callable

from torch import nn

from fastresnet.models.convolution import Convolution

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
