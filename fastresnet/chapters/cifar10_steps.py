"""The CIFAR-10 chapter's parameters, and the report's configuration after each of its steps.

Each configuration is the one before it plus the choice that its name tells.
"""

from typing import Annotated, Final, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from fastresnet.chapters.fashionmnist_speed import HALF
from fastresnet.chapters.parameters import BatchSize, Distinct, Epochs, EvaluatedParameters, Rates, Values
from fastresnet.chapters.timing import ONLY_AT_THE_END
from fastresnet.config import DataConfig, Precision, RunConfig, TrainConfig
from fastresnet.config.models import Activation, ResNetConfig
from fastresnet.config.schedules import Fraction, OneCycle

QUARTER = (16, 32, 64, 128)
TORCH_MOMENTUM = (0.85, 0.95)
"""Range in which torch's OneCycleLR moves the momentum by default, whatever the momentum of the optimiser."""

SMALL: Final = "3x3 stem, no pool, quarter width"
"""The variant of C13 that is the report's accurate model."""
_NO_POOL = {"model.stem_pool": "none"}
_SMALL_STEM = {"model.stem": "3x3/1", "model.stem_padding": False}
ARCHITECTURES: dict[str, dict[str, object]] = {
    "base": {},
    "no pool": {**_NO_POOL},
    "extra convolution": {"model.extra_conv": True},
    "3x3 stem": {**_SMALL_STEM},
    "3x3 stem, no pool": {**_SMALL_STEM, **_NO_POOL},
    SMALL: {**_SMALL_STEM, **_NO_POOL, "model.channels": QUARTER},
}
"""Changes to the network: the report's base and its variants 1 to 5. Of the fifth, "fewer channels", it prints no widths."""

ArchitectureName = Literal[
    "base", "no pool", "extra convolution", "3x3 stem", "3x3 stem, no pool", "3x3 stem, no pool, quarter width"
]
Images = PositiveInt | None
Shape = Annotated[tuple[tuple[Fraction, NonNegativeFloat], ...], Field(min_length=2)]


class Parameters(EvaluatedParameters):
    """Parameters of the CIFAR-10 chapter."""

    train_images: Images
    """Training images of every step but C2, C3 and C13; None takes all."""
    batch_size: BatchSize
    """Batch size of every step before C12 but C2, C3 and C11."""
    epochs: Epochs
    """Epochs of every step but C1, C2, C3 and C13."""
    timed_images: PositiveInt
    """Least number of training images of C10-time, C11-time and C13-time, whose runs also have two batches at least."""
    c1_rates: Rates
    """Constant learning rates of C1."""
    c1_epochs: Epochs
    """Epochs of C1."""
    c2_train_images: Images
    """Training images of C2 and C3; None takes all."""
    c2_batch_size: BatchSize
    """Batch size of C2 and C3."""
    c2_epochs: Epochs
    """Epochs of C2 and C3."""
    c3_dropouts: Values[Annotated[float, Field(gt=0, lt=1)]]
    """Dropout rates of C3, beside no dropout, which is C2."""
    c4_momenta: Values[Annotated[float, Field(ge=0, lt=1)]]
    """Momenta of C4."""
    c4_lr: PositiveFloat
    """Learning rate of C2 to C4: C1's choice."""
    c5_rates: Rates
    """Constant learning rates of C5."""
    c6_weight_decays: Values[NonNegativeFloat]
    """Weight decays of C6."""
    c6_batch_size: BatchSize
    """The other batch size of C6-batch: F2's choice."""
    constant_lr: PositiveFloat
    """Learning rate of C6 and of the constant schedule of C7: C5's choice."""
    c7_schedules: Values[Literal["constant", "plateau", "cyclic", "one-cycle"]]
    """Schedules of C7."""
    c7_max_lr: PositiveFloat
    """Maximum learning rate of C7's cyclic and one-cycle schedules."""
    c8_max_rates: Rates
    """Maximum learning rates of C8."""
    max_lr: PositiveFloat
    """Maximum learning rate of C9 to C11, and unit of N2's hand-made schedules: C8's choice."""
    c9_batch_size: BatchSize
    """Batch size of C9-batch."""
    c9_max_lr: PositiveFloat
    """The second maximum learning rate of C9-batch, beside `max_lr`."""
    c10_activations: Values[Activation]
    """Activations of C10."""
    c11_batch_sizes: Values[BatchSize]
    """Batch sizes of C11; the others are compared with the largest."""
    c12_batch_size: BatchSize
    """Batch size of C12, N2 and N3: C11's choice."""
    c12_max_rates: Rates
    """Maximum learning rates of C12."""
    c12_image_size: PositiveInt
    """Size of the enlarged images of C12-size and C13-size, in pixels per side."""
    c12_precisions: Annotated[tuple[Precision, Precision], Distinct]
    """The two precisions that C12-precision compares."""
    c13_architectures: Values[ArchitectureName]
    """Networks of C13."""
    c13_max_lr: PositiveFloat
    """Maximum learning rate of C13 and N3: C12's choice."""
    c13_train_images: Images
    """Training images of C13; None takes all."""
    c13_batch_size: BatchSize
    """Batch size of C13."""
    c13_epochs: Epochs
    """Epochs of C13."""
    n2_shapes: dict[str, Shape]
    """Hand-made schedules of N2: points (share of the run, share of `max_lr`) with straight lines between them."""
    n3_tail_rates: Rates
    """Learning rates of N3's constant tails."""


def one_cycle(max_lr: float) -> OneCycle:
    """One cycle with the defaults of torch's OneCycleLR, momentum included."""
    return OneCycle(max_lr=max_lr, momentum_range=TORCH_MOMENTUM)


def base(parameters: Parameters) -> RunConfig:
    """Configuration from which C1 starts: the half-width network, trained by plain SGD."""
    return RunConfig(
        data=DataConfig(
            name=parameters.dataset,
            train_images=parameters.train_images,
            test_images=parameters.test_images,
            batch_size=parameters.batch_size,
        ),
        model=ResNetConfig(channels=HALF, **parameters.shape),
        train=TrainConfig(
            epochs=parameters.epochs,
            precision=parameters.precision,
            evaluate_every=parameters.evaluate_every or ONLY_AT_THE_END,
            measure=parameters.measure,
        ),
    )


def every(epochs: int, parameters: Parameters) -> dict[str, object]:
    """The change that sets `evaluate_every` to `epochs`, or to the parameters' own value if they have one."""
    return {"train.evaluate_every": parameters.evaluate_every or epochs}


def with_momentum(parameters: Parameters) -> RunConfig:
    """The configuration after C4, which chose a momentum of 0.5."""
    return base(parameters).with_changes({"train.momentum": 0.5})


def decayed(parameters: Parameters) -> RunConfig:
    """The configuration after C6, which chose a weight decay of 0.015."""
    return with_momentum(parameters).with_changes({"train.weight_decay": 0.015})


def cycled(parameters: Parameters) -> RunConfig:
    """The configuration after C7 and C8, which chose one cycle and its maximum."""
    return decayed(parameters).with_changes({"train.schedule": one_cycle(parameters.max_lr)})


def flipped(parameters: Parameters) -> RunConfig:
    """The configuration after C9, which chose flips in training alone."""
    return cycled(parameters).with_changes({"data.flip": "random"})


def small_batches(parameters: Parameters) -> RunConfig:
    """The configuration after C11, which chose a smaller batch."""
    return flipped(parameters).with_changes({"data.batch_size": parameters.c12_batch_size, **every(4, parameters)})
