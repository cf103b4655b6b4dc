"""A small network that reaches an accuracy in few epochs.

It has whitened patches (Page, 2019), identity initialisation and a head with small initial weights (Jordan, 2024). With these,
even the first steps move the logits in a useful direction. Convolutions before a norm have no bias, and norms have no scale.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastresnet.config.models import SpeedNetConfig
from fastresnet.errors import check_type
from fastresnet.models.layers import ACTIVATIONS, HalvingMaxPool, conv
from fastresnet.models.protocols import set_prepared
from fastresnet.models.whitening import whitening_filters


class SpeedNet(nn.Module):
    """A small network that learns fast: a patch layer, groups of convolutions that each halve the image, a global pool and a
    linear head without bias.

    >>> model = fr.SpeedNet(fr.SpeedNetConfig(num_classes=100))
    >>> model(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 100])
    """

    def __init__(self, config: SpeedNetConfig) -> None:
        check_type(config, SpeedNetConfig, "SpeedNet")
        super().__init__()
        self.config = config
        self.prepared = False
        self.register_load_state_dict_post_hook(set_prepared)
        self.stem = Stem(config)
        in_channels = config.num_patch_filters
        groups = []
        for width, convolutions in zip(config.widths, config.group_convolutions, strict=True):
            groups.append(Group(in_channels, width, convolutions, config))
            in_channels = width
        self.groups = nn.Sequential(*groups)
        self.head = nn.Linear(in_channels, config.num_classes, bias=False)
        # logits start near zero at any width, so that the first steps need not unlearn random guesses
        nn.init.uniform_(self.head.weight, -(3**0.5) / in_channels, 3**0.5 / in_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, num_classes] of normalised images [N, in_channels, H, W]."""
        x = self.stem(images)  # [N, num_patch_filters, H - patch + 1, W - patch + 1] for stride 1
        x = self.groups(x)  # [N, widths[-1], H / 2^groups, W / 2^groups], rounded down at each
        x = functional.max_pool2d(x, x.shape[-2:]) if self.config.final_pool == "max" else functional.adaptive_avg_pool2d(x, 1)
        return self.head(x.flatten(1))

    def freezable(self) -> Iterator[nn.Module]:
        """Yields the parts that can be frozen, from first to last."""
        yield self.stem
        yield from self.groups

    @torch.no_grad()
    def prepare(self, first_images: Callable[[int], Tensor]) -> None:
        """Sets the first layer's filters if the network is `whitened`. `first_images(n)` returns normalised training images
        [n, C, H, W]."""
        config = self.config
        if config.whitened:
            filters = whitening_filters(first_images(config.whitening_images), config.patch, config.patch_stride)
            kept = filters[: config.num_patch_filters // 2]
            self.stem.weight.copy_(torch.cat([kept, -kept]))
        self.prepared = True


class Stem(nn.Conv2d):
    """An unpadded convolution over patches of the image, and an activation. Whitened filters are fixed; their bias is trained."""

    def __init__(self, config: SpeedNetConfig) -> None:
        super().__init__(config.in_channels, config.num_patch_filters, config.patch, config.patch_stride, bias=config.whitened)
        self.weight.requires_grad = not config.whitened
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        self.activation_name = config.activation
        self.activation = ACTIVATIONS[config.activation]()

    def forward(self, images: Tensor) -> Tensor:
        return self.activation(super().forward(images))


class Group(nn.Module):
    """A convolution, 2x2 max pool, norm and activation, then more convolutions with norm and activation. In groups of three or
    more convolutions, the output of the first activation is added before the last one."""

    def __init__(self, in_channels: int, width: int, convolutions: int, config: SpeedNetConfig) -> None:
        super().__init__()
        inputs = [in_channels] + [width] * (convolutions - 1)
        self.convolutions = nn.ModuleList(_conv(channels, width, config) for channels in inputs)
        self.norms = nn.ModuleList(PoolNormActivation(width, config, pools=index == 0) for index in range(convolutions))

    def forward(self, x: Tensor) -> Tensor:
        x = first = self.norms[0](self.convolutions[0](x))
        last = len(self.convolutions) - 1
        for index in range(1, last + 1):
            residual = first if index == last and last > 1 else None
            x = self.norms[index](self.convolutions[index](x), residual)
        return x


class PoolNormActivation(nn.BatchNorm2d):
    """The layers after a convolution: a 2x2 max pool if `pools`, batch norm without a trained scale, the sum with any residual,
    and an activation."""

    def __init__(self, channels: int, config: SpeedNetConfig, *, pools: bool) -> None:
        super().__init__(channels, eps=1e-12, momentum=config.norm_momentum)
        self.weight.requires_grad = False
        self.pools = pools
        self.pool = HalvingMaxPool()
        self.activation_name = config.activation
        self.activation = ACTIVATIONS[config.activation]()

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        x = super().forward(self.pool(x) if self.pools else x)  # pooled before the norm, which then has a quarter of the work
        return self.activation(x if residual is None else x + residual)


def _conv(in_channels: int, out_channels: int, config: SpeedNetConfig) -> nn.Conv2d:
    layer = conv(in_channels, out_channels, kernel=3)
    if config.identity_start:
        nn.init.dirac_(layer.weight.data[: min(in_channels, out_channels)])
    return layer
