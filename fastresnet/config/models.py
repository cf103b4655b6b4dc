"""Configurations of the networks, one frozen and strictly checked class per architecture. Does not import torch.

Defaults never change, and a new option defaults to the behaviour before it existed: see `fastresnet.config.run`.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PositiveFloat, PositiveInt, Tag, model_validator

from fastresnet.config.base import Settings

Activation = Literal["relu", "leaky-relu", "elu", "celu", "gelu", "silu", "tanh"]
FUSED_ACTIVATIONS = ("gelu", "relu")
"""Activations that the Triton kernels of `fastresnet.compute.kernels.triton_layers` support."""


class ResNetConfig(Settings):
    """Configuration of a ResNet, with the options that the original report tried. The defaults are torchvision's `resnet18`.

    >>> config = fr.ResNetConfig(channels=(32, 64, 128, 256), stem="3x3/1", stem_pool="none")
    >>> fr.build_model(config, seed=0)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    kind: Literal["resnet"] = "resnet"
    depth: Literal[10, 18, 34] = 18
    """Weighted layers on the main path: 10 with one basic block per stage, 18 with two, 34 with three to six."""
    channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 128, 256, 512)
    """Channels of the four stages. The stem has as many as the first stage."""
    stem: Literal["7x7/2", "3x3/1"] = "7x7/2"
    """Kernel size and stride of the first convolution."""
    stem_padding: bool = True
    """Whether the stem pads the image, by half of its kernel's side, so that no pixel is lost at the edges."""
    stem_pool: Literal["max", "average", "none"] = "max"
    """Kind of 3x3 pooling with stride 2 after the stem."""
    extra_conv: bool = False
    """Whether every residual branch has one more convolution, norm and activation."""
    activation: Activation = "relu"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability of dropping a feature before the classifier."""
    init: Literal["he", "torch"] = "he"
    """Initial weights of the convolutions: `he` scales them by their outputs (He et al., 2015), as torchvision does; `torch` is
    the default of nn.Conv2d, with a sixth of the variance where a layer has as many inputs as outputs."""
    in_channels: PositiveInt = 3
    num_classes: Annotated[int, Field(ge=2)] = 10

    def smallest_image(self) -> tuple[int, str]:
        """Side in pixels of the smallest image that the network accepts, and the part of the network that requires it."""
        return 1 if self.stem_padding else (7 if self.stem == "7x7/2" else 3), f"a {self.stem} stem"


class SpeedNetConfig(Settings):
    """Configuration of a small network that learns fast: whitened patches, groups that halve the image, a linear head.

    Its parts come from Page and Jordan (2018 to 2024). Each can be switched off to measure its effect.

    >>> config = fr.SpeedNetConfig(widths=(32, 64, 64), convolutions=(1, 2, 3), whitened=False)
    >>> fr.build_model(config, seed=0)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    kind: Literal["speednet"] = "speednet"
    patch: PositiveInt = 2
    """Kernel size in pixels of the first convolution, which sees patches of this side and has no padding."""
    patch_stride: PositiveInt = 1
    """Pixels between the first convolution's patches."""
    whitened: bool = True
    """Whether the first layer's filters are fixed to the whitening directions of the training patches. Else they are learned."""
    whitening_images: PositiveInt = 5_000
    """Number of training images whose patches determine the whitening filters."""
    patch_directions: PositiveInt | None = None
    """Number of leading whitening directions kept, each with both signs; None keeps all."""
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (64, 256, 256)
    """Channels of each group. A group is a convolution, a 2x2 max pool, a norm and an activation, then more convolutions."""
    convolutions: tuple[PositiveInt, ...] | PositiveInt = 2
    """Convolutions per group, one number for each or one for all. Groups of three or more have a residual connection."""
    identity_start: bool = True
    """Whether convolutions start as the identity (Dirac initialisation) on as many channels as input and output share."""
    activation: Activation = "gelu"
    norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Weight of the newest batch in the running statistics of batch norm."""
    final_pool: Literal["max", "average"] = "max"
    """Kind of global pooling after the last group."""
    in_channels: PositiveInt = 3
    num_classes: Annotated[int, Field(ge=2)] = 10

    @model_validator(mode="after")
    def _possible(self) -> "SpeedNetConfig":
        if isinstance(self.convolutions, tuple) and len(self.convolutions) != len(self.widths):
            raise ValueError(f"convolutions: one number for all groups or one for each of {len(self.widths)}")
        directions = self.in_channels * self.patch**2
        if self.patch_directions and self.patch_directions > directions:
            raise ValueError(f"patch_directions: patches have {directions}, got {self.patch_directions}")
        return self

    @property
    def group_convolutions(self) -> tuple[int, ...]:
        """Number of convolutions in each group."""
        many = self.convolutions
        return many if isinstance(many, tuple) else (many,) * len(self.widths)

    @property
    def num_patch_filters(self) -> int:
        """Output channels of the first layer: two per patch direction kept, one for each sign."""
        return 2 * (self.patch_directions or self.in_channels * self.patch**2)

    def smallest_image(self) -> tuple[int, str]:
        """Side in pixels of the smallest image that the network accepts, and the part of the network that requires it."""
        needed_by = f"patches of {self.patch} and {len(self.widths)} groups that halve the image"
        return self.patch + self.patch_stride * (2 ** len(self.widths) - 1), needed_by


class NormConfig(Settings):
    """Configuration of the batch norm after every convolution of a `davidnet`. The defaults are plain batch norm.

    >>> fr.DavidNetConfig(norm=fr.NormConfig(group_size=32)).norm.group_size
    32
    """

    kind: Literal["batch", "none"] = "batch"
    """With `none`, there is no norm and the convolutions have a bias instead."""
    group_size: Annotated[int, Field(ge=2)] | None = None
    """Most images per group of ghost batch norm (Hoffer et al., 2017): in training, each group has its own statistics."""
    scale_start: Literal["one", "uniform"] = "one"
    """Initial scales: all one, or uniformly random in [0, 1], as in torch before 1.2."""
    frozen_scale: PositiveFloat | None = None
    """Value at which the scales are fixed, so that only biases are trained; None trains both."""
    momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Weight of the newest batch in the running statistics."""

    @model_validator(mode="after")
    def _possible(self) -> "NormConfig":
        switched = sorted(self.model_fields_set - {"kind"})
        if self.kind == "none" and any(getattr(self, name) != type(self).model_fields[name].default for name in switched):
            raise ValueError(f"{', '.join(switched)}: switches of batch norm; allowed with kind: batch")
        if self.frozen_scale is not None and self.scale_start != "one":
            raise ValueError("scale_start: frozen_scale already fixes the initial scales; allowed: one of the two")
        return self


class DavidNetConfig(Settings):
    """Configuration of Page's DAVIDnet (2018) and of its variants. It has a stem, layers that each halve the image, some with a
    residual branch of two convolutions, a global pool and a scaled head. The defaults are the network that he trained in 79 s.

    >>> config = fr.DavidNetConfig(widths=(32, 64, 128, 256), activation="celu")
    >>> fr.build_model(config, seed=0)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    kind: Literal["davidnet"] = "davidnet"
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = (64, 128, 256, 512)
    """Channels of the stem, then of each layer."""
    residuals: tuple[PositiveInt, ...] = (1, 3)
    """Numbers of the layers that have a residual branch, counted from 1."""
    halving: Literal["3x3, max pool", "3x3/2", "1x1/2"] = "3x3, max pool"
    """How a layer halves the image: by a convolution and a 2x2 max pool, or by a strided convolution."""
    pool_first: bool = False
    """Whether the pool comes before the norm, which then has a quarter of the work."""
    repeated_norm: bool = False
    """Whether every layer starts with one more norm and activation, although its input has already had both."""
    convolutions: PositiveInt = 1
    """Number of convolutions per layer, outside its residual branch."""
    final_pool: Literal["max", "average"] = "max"
    """Kind of global pooling after the last layer."""
    logit_scale: PositiveFloat = 0.125
    """Factor on the logits; 0.125 is Page's."""
    whitened: bool = False
    """Whether the stem is a fixed whitening of 3x3 patches and a 1x1 convolution. Else it is a 3x3 convolution."""
    activation: Activation = "relu"
    celu_alpha: PositiveFloat = 0.3
    """Alpha of the activation `celu`, which tends to minus this value for very negative inputs."""
    norm: NormConfig = NormConfig()
    weight_scale: PositiveFloat = 1.0
    """Factor on the initial weights of all convolutions."""
    in_channels: PositiveInt = 3
    num_classes: Annotated[int, Field(ge=2)] = 10

    @model_validator(mode="after")
    def _possible(self) -> "DavidNetConfig":
        layers = range(1, len(self.widths))
        if not set(self.residuals) <= set(layers):
            raise ValueError(f"residuals: there are layers {layers.start} to {layers.stop - 1}, got {list(self.residuals)}")
        if self.pool_first and self.halving != "3x3, max pool":
            raise ValueError(f"pool_first: {self.halving!r} has no pool; allowed with halving '3x3, max pool'")
        return self

    def smallest_image(self) -> tuple[int, str]:
        """Side in pixels of the smallest image that the network accepts, and the part of the network that requires it."""
        layers = len(self.widths) - 1
        # a strided convolution rounds up, so one pixel is enough
        return 2**layers if self.halving == "3x3, max pool" else 1, f"{layers} layers that halve the image"


def _model_kind(value: Any) -> str:
    return str(value.get("kind", "resnet") if isinstance(value, dict) else getattr(value, "kind", "resnet"))


ModelConfig = Annotated[
    Annotated[ResNetConfig, Tag("resnet")]
    | Annotated[SpeedNetConfig, Tag("speednet")]
    | Annotated[DavidNetConfig, Tag("davidnet")],
    Discriminator(_model_kind),
]
"""Configuration of any network. Its `kind` is resnet, which is the default, speednet or davidnet."""
