"""The CIFAR-10 chapter's parameters, and what the report had chosen by each of its steps.

A configuration is that of the one before it and the choice that its name tells of.
"""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from fastresnet.chapters.parameters import BatchSize, ChapterParameters, Epochs, Some
from fastresnet.config import DataConfig, RunConfig, TrainConfig
from fastresnet.config.models import Activation, ResNetConfig
from fastresnet.config.schedules import Fraction, LearningRate, OneCycle

HALF = (32, 64, 128, 256)
QUARTER = (16, 32, 64, 128)
ONLY_AT_THE_END = 1000
"""Epochs between evaluations where no curve is drawn."""
TORCH_MOMENTUM = (0.85, 0.95)
"""Between these torch's OneCycleLR moves the momentum unless told not to, whatever momentum the optimiser was given."""

ARCHITECTURES: dict[str, dict[str, object]] = {
    "base": {},
    "no pool": {"model.stem_pool": "none"},
    "extra convolution": {"model.extra_conv": True},
    "3x3 stem": {"model.stem": "3x3/1", "model.stem_padding": False},
    "3x3 stem, no pool": {"model.stem": "3x3/1", "model.stem_padding": False, "model.stem_pool": "none"},
    "3x3 stem, no pool, quarter width": {
        "model.stem": "3x3/1",
        "model.stem_padding": False,
        "model.stem_pool": "none",
        "model.channels": QUARTER,
    },
}
"""The report's base and variants 1 to 5 (of the fifth, "fewer channels", it prints no widths)."""

ArchitectureName = Literal[
    "base", "no pool", "extra convolution", "3x3 stem", "3x3 stem, no pool", "3x3 stem, no pool, quarter width"
]
Rates = Annotated[tuple[PositiveFloat, ...], Some]
Images = PositiveInt | None
Shape = Annotated[tuple[tuple[Fraction, LearningRate], ...], Field(min_length=2)]


class Parameters(ChapterParameters):
    """Values of the CIFAR-10 chapter."""

    train_images: Images
    """Training images of every step but C2, C3 and C13; None takes all."""
    batch_size: BatchSize
    """Batch size of every step before C12 but C2, C3 and C11."""
    epochs: Epochs
    """Epochs of every step but C1, C2, C3 and C13."""
    timed_images: PositiveInt
    """Training images of C11-time and C13-time at least; a run has two batches at least."""
    c1_rates: Rates
    c1_epochs: Epochs
    c2_train_images: Images
    c2_batch_size: BatchSize
    c2_epochs: Epochs
    """Epochs of C2 and C3."""
    c3_dropouts: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Some]
    """Dropout rates of C3, beside no dropout, which is C2."""
    c4_momenta: Annotated[tuple[Annotated[float, Field(ge=0, lt=1)], ...], Some]
    c4_lr: PositiveFloat
    """What C1 chose."""
    c5_rates: Rates
    c6_weight_decays: Annotated[tuple[NonNegativeFloat, ...], Some]
    constant_lr: PositiveFloat
    """What C5 chose: the rate of C6, and of the constant schedule of C7."""
    c7_schedules: Annotated[tuple[Literal["constant", "plateau", "cyclic", "one-cycle"], ...], Some]
    c7_max_lr: PositiveFloat
    c8_max_rates: Rates
    max_lr: PositiveFloat
    """What C8 chose: the maximum of C9 to C11 and the hand-made schedules' yardstick."""
    c10_activations: Annotated[tuple[Activation, ...], Some]
    c11_batch_sizes: Annotated[tuple[BatchSize, ...], Some]
    """The first is the one that the others are compared with."""
    c12_batch_size: BatchSize
    """What C11 chose: the batch of C12, N2 and N3."""
    c12_max_rates: Rates
    c13_architectures: Annotated[tuple[ArchitectureName, ...], Some]
    c13_max_lr: PositiveFloat
    """What C12 chose: the maximum of C13 and N3."""
    c13_train_images: Images
    c13_batch_size: BatchSize
    c13_epochs: Epochs
    n2_shapes: dict[str, Shape]
    """Hand-made schedules: (share of the run, share of `max_lr`) with straight lines between."""
    n3_tail_rates: Rates
    """Constant rates for the last quarter of one cycle."""


def one_cycle(max_lr: float) -> OneCycle:
    """One cycle as torch's OneCycleLR makes it unless told otherwise, with its momentum."""
    return OneCycle(max_lr=max_lr, momentum_range=TORCH_MOMENTUM)


def base(parameters: Parameters) -> RunConfig:
    """The half-wide network under plain SGD: what C1 starts from."""
    return RunConfig(
        data=DataConfig(
            name=parameters.dataset,
            train_images=parameters.train_images,
            test_images=parameters.test_images,
            batch_size=parameters.batch_size,
        ),
        model=ResNetConfig(channels=HALF),
        train=TrainConfig(
            epochs=parameters.epochs,
            precision=parameters.precision,
            evaluate_every=parameters.evaluate_every or ONLY_AT_THE_END,
            measure=parameters.measure,
        ),
    )


def every(epochs: int, parameters: Parameters) -> dict[str, object]:
    """Evaluations often enough for a curve, unless the edition says how often."""
    return {"train.evaluate_every": parameters.evaluate_every or epochs}


def with_momentum(parameters: Parameters) -> RunConfig:
    """C4 chose a momentum of 0.5."""
    return base(parameters).with_changes({"train.momentum": 0.5})


def decayed(parameters: Parameters) -> RunConfig:
    """C6 chose a weight decay of 0.015."""
    return with_momentum(parameters).with_changes({"train.weight_decay": 0.015})


def cycled(parameters: Parameters) -> RunConfig:
    """C7 and C8 chose one cycle, and its maximum."""
    return decayed(parameters).with_changes({"train.schedule": one_cycle(parameters.max_lr)})


def flipped(parameters: Parameters) -> RunConfig:
    """C9 chose flips in training alone."""
    return cycled(parameters).with_changes({"data.flip": "random"})


def small_batches(parameters: Parameters) -> RunConfig:
    """C11 chose a smaller batch."""
    return flipped(parameters).with_changes({"data.batch_size": parameters.c12_batch_size, **every(4, parameters)})
