"""Page's DAVIDnet (2018), the plainer networks that led to it, and the changes that came after it."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastresnet.config.models import DavidNetConfig
from fastresnet.errors import check_type
from fastresnet.models.layers import ACTIVATIONS, conv, make_norm
from fastresnet.models.protocols import set_prepared
from fastresnet.models.whitening import whitening_filters

_PATCH = 3
_WHITENING_IMAGES = 5_000


class DavidNet(nn.Module):
    """Page's DAVIDnet (2018): a stem, layers that each halve the image, a global pool and a scaled linear head without bias.

    >>> model = fr.DavidNet(fr.DavidNetConfig(num_classes=100))
    >>> model(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 100])
    """

    def __init__(self, config: DavidNetConfig) -> None:
        check_type(config, DavidNetConfig, "DavidNet")
        super().__init__()
        self.config = config
        self.prepared = False
        self.register_load_state_dict_post_hook(set_prepared)
        first, *widths = config.widths
        whitened = config.in_channels * _PATCH**2
        self.whitening = conv(config.in_channels, whitened, _PATCH) if config.whitened else nn.Identity()
        self.whitening.requires_grad_(False)
        self.stem = _unit(whitened, first, 1, config) if config.whitened else _unit(config.in_channels, first, _PATCH, config)
        layers, in_channels = [], first
        for number, width in enumerate(widths, 1):
            layers.append(Layer(in_channels, width, config, residual=number in config.residuals))
            in_channels = width
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(in_channels, config.num_classes, bias=False)
        self.apply(self._initialise)

    def _initialise(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):  # He et al. (2015): keeps the variance through ReLU layers
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            module.weight.data.mul_(self.config.weight_scale)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, num_classes] of normalised images [N, in_channels, H, W]."""
        x = self.layers(self.stem(self.whitening(images)))  # [N, widths[-1], H / 2^layers, W / 2^layers]
        pool = functional.adaptive_max_pool2d if self.config.final_pool == "max" else functional.adaptive_avg_pool2d
        return self.head(pool(x, 1).flatten(1)) * self.config.logit_scale

    def freezable(self) -> Iterator[nn.Module]:
        """Yields the parts that can be frozen, from first to last."""
        yield self.stem
        yield from self.layers

    @torch.no_grad()
    def prepare(self, first_images: Callable[[int], Tensor]) -> None:
        """Sets the whitening filters, if there are any. `first_images(n)` returns normalised training images [n, C, H, W]."""
        if isinstance(self.whitening, nn.Conv2d):
            self.whitening.weight.copy_(whitening_filters(first_images(_WHITENING_IMAGES), _PATCH))
        self.prepared = True


class Layer(nn.Module):
    """Convolutions with norm and activation, the first of which halves the image, then a residual branch if asked for."""

    def __init__(self, in_channels: int, width: int, config: DavidNetConfig, *, residual: bool) -> None:
        super().__init__()
        pool = nn.MaxPool2d(2) if config.halving == "3x3, max pool" else nn.Identity()
        kernel = 1 if config.halving == "1x1/2" else 3
        stride = 1 if config.halving == "3x3, max pool" else 2
        first = conv(in_channels, width, kernel, stride, bias=config.norm.kind == "none")
        norm_and_activation = (make_norm(width, config.norm), _activation(config))
        steps: list[nn.Module] = []
        if config.repeated_norm:
            in_place = config.norm.kind != "none"  # else it would change the input, which another activation needs
            steps += [make_norm(in_channels, config.norm), _activation(config, in_place=in_place)]
        steps += [first, pool, *norm_and_activation] if config.pool_first else [first, *norm_and_activation, pool]
        steps += [_unit(width, width, 3, config) for _ in range(config.convolutions - 1)]
        self.main = nn.Sequential(*steps)
        self.branch = nn.Sequential(_unit(width, width, 3, config), _unit(width, width, 3, config)) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps [N, width, H / 2, W / 2] of x [N, in_channels, H, W]."""
        x = self.main(x)
        return x if self.branch is None else x + self.branch(x)


def _unit(in_channels: int, out_channels: int, kernel: int, config: DavidNetConfig) -> nn.Sequential:
    return nn.Sequential(
        conv(in_channels, out_channels, kernel, bias=config.norm.kind == "none"),
        make_norm(out_channels, config.norm),
        _activation(config),
    )


def _activation(config: DavidNetConfig, *, in_place: bool = True) -> nn.Module:
    make: Callable[[], nn.Module] = ACTIVATIONS[config.activation]
    activation = nn.CELU(config.celu_alpha) if config.activation == "celu" else make()
    if isinstance(activation, nn.ReLU | nn.LeakyReLU):
        activation.inplace = in_place
    return activation
