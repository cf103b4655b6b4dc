"""What a network is: frozen, strict models of every architecture and its switches. Free of torch.

Defaults never change, and a new switch defaults to what was done before it existed: see `fastresnet.config`.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PositiveFloat, PositiveInt, Tag, model_validator

from fastresnet.config.base import Settings

Activation = Literal["relu", "leaky-relu", "elu", "celu", "gelu", "silu", "tanh"]
FUSED_ACTIVATIONS = ("gelu", "relu")
"""Activations that `fastresnet.compute.kernels.triton_layers` computes."""


class ResNetConfig(Settings):
    """The original report's ResNet and the switches it tried; the defaults are torchvision's `resnet18`."""

    kind: Literal["resnet"] = "resnet"
    depth: Literal[10, 18, 34] = 18
    """Weighted layers on the main path: one, two, or three to six basic blocks a stage."""
    channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 128, 256, 512)
    """Channels of the four stages; the stem has those of the first."""
    stem: Literal["7x7/2", "3x3/1"] = "7x7/2"
    """Kernel and stride of the first convolution."""
    stem_padding: bool = True
    stem_pool: Literal["max", "average", "none"] = "max"
    """Pooling 3x3/2 after the stem."""
    extra_conv: bool = False
    """One more convolution, norm and activation in every residual branch."""
    activation: Activation = "relu"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability of dropping a feature before the classifier."""
    in_channels: PositiveInt = 3
    num_classes: Annotated[int, Field(ge=2)] = 10

    def smallest_image(self) -> tuple[int, str]:
        """Pixels per side of the smallest images that the network can take, and what needs them."""
        return 1 if self.stem_padding else (7 if self.stem == "7x7/2" else 3), f"a {self.stem} stem"


class SpeedNetConfig(Settings):
    """A network for reaching an accuracy soon: whitened patches, a few groups that halve the image, a scaled head.

    The ingredients are Page's and Jordan's (2018 to 2024); each can be switched off to see what it is worth.
    """

    kind: Literal["speednet"] = "speednet"
    patch: Annotated[int, Field(ge=1)] = 2
    """Side in pixels of the patches that the first layer looks at, without padding."""
    patch_stride: PositiveInt = 1
    whitened: bool = True
    """First-layer filters are the whitening directions of the training set's patches and stay so; else they are learned."""
    whitening_images: PositiveInt = 5_000
    """Training images whose patches are whitened."""
    patch_directions: PositiveInt | None = None
    """Leading directions kept, each with both signs; None keeps all of them."""
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (64, 256, 256)
    """Channels of each group. A group is convolution, 2x2 max pool, norm, activation, then more convolutions."""
    convolutions: tuple[PositiveInt, ...] | PositiveInt = 2
    """Convolutions of each group, or of all. From the third on, a group adds the first's output to the last's."""
    identity_start: bool = True
    """Convolutions start by passing their input channels through (Dirac), as far as there are output channels."""
    activation: Activation = "gelu"
    norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Share of the newest batch in batch norm's running statistics."""
    final_pool: Literal["max", "average"] = "max"
    """Pooling over what the last group leaves of the image."""
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
        """Convolutions of each group."""
        many = self.convolutions
        return many if isinstance(many, tuple) else (many,) * len(self.widths)

    @property
    def num_patch_filters(self) -> int:
        """Output channels of the first layer: every kept direction with both signs."""
        return 2 * (self.patch_directions or self.in_channels * self.patch**2)

    def smallest_image(self) -> tuple[int, str]:
        """Pixels per side of the smallest images that the network can take, and what needs them."""
        needed_by = f"patches of {self.patch} and {len(self.widths)} groups that halve the image"
        return self.patch + self.patch_stride * (2 ** len(self.widths) - 1), needed_by


class NormConfig(Settings):
    """Batch norm after every convolution of a `davidnet`, and its switches; the defaults are plain batch norm."""

    kind: Literal["batch", "none"] = "batch"
    """`none`: no norm; convolutions have a bias instead."""
    group_size: Annotated[int, Field(ge=2)] | None = None
    """Ghost batch norm (Hoffer et al., 2017): in training, statistics of about so many images, not of the whole batch."""
    scale_start: Literal["one", "uniform"] = "one"
    """`uniform`: scales start anywhere in [0, 1], as they did in torch before 1.2."""
    frozen_scale: PositiveFloat | None = None
    """Scales stay at this value, and only biases are trained; None trains both."""
    momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of the newest statistics in the running ones."""

    @model_validator(mode="after")
    def _possible(self) -> "NormConfig":
        switched = sorted(self.model_fields_set - {"kind"})
        if self.kind == "none" and any(getattr(self, name) != type(self).model_fields[name].default for name in switched):
            raise ValueError(f"{', '.join(switched)}: switches of batch norm; allowed with kind: batch")
        if self.frozen_scale is not None and self.scale_start != "one":
            raise ValueError("scale_start: scales that frozen_scale holds have no start of their own; allowed: one of the two")
        return self


class DavidNetConfig(Settings):
    """Page's DAVIDnet (2018) with the steps that led to it and from it: a stem, then layers that each halve the image, some
    with a residual branch of two convolutions, a global pool, a scaled head. The defaults are the network of 79 seconds."""

    kind: Literal["davidnet"] = "davidnet"
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = (64, 128, 256, 512)
    """Channels of the stem and of each layer."""
    residuals: tuple[PositiveInt, ...] = (1, 3)
    """Layers, counted from 1, that have a residual branch."""
    halving: Literal["3x3, max pool", "3x3/2", "1x1/2"] = "3x3, max pool"
    """What a layer starts with: a convolution and a 2x2 pool, or a strided convolution alone."""
    pool_first: bool = False
    """Pool between convolution and norm, which then has a quarter of the work."""
    repeated_norm: bool = False
    """One more norm and activation at the start of every layer, on what has just been normed and activated."""
    convolutions: PositiveInt = 1
    """Convolutions of each layer outside its residual branch."""
    final_pool: Literal["max", "average"] = "max"
    logit_scale: PositiveFloat = 0.125
    whitened: bool = False
    """The stem is a fixed whitening of 3x3 patches and a 1x1 convolution; else a 3x3 convolution."""
    activation: Activation = "relu"
    celu_alpha: PositiveFloat = 0.3
    """Alpha of `celu`: it tends to minus this value."""
    norm: NormConfig = NormConfig()
    weight_scale: PositiveFloat = 1.0
    """All convolutions' weights start multiplied by this."""
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
        """Pixels per side of the smallest images that the network can take, and what needs them."""
        layers = len(self.widths) - 1
        # a strided convolution rounds up: one pixel can always be halved
        return 2**layers if self.halving == "3x3, max pool" else 1, f"{layers} layers that halve the image"


def _model_kind(value: Any) -> str:
    return str(value.get("kind", "resnet") if isinstance(value, dict) else getattr(value, "kind", "resnet"))


ModelConfig = Annotated[
    Annotated[ResNetConfig, Tag("resnet")]
    | Annotated[SpeedNetConfig, Tag("speednet")]
    | Annotated[DavidNetConfig, Tag("davidnet")],
    Discriminator(_model_kind),
]
"""`kind: resnet`, which may be left out, `kind: speednet` or `kind: davidnet`."""
