"""Section 3 of the original report: the small ResNet on CIFAR-10, as accurate as possible.

Each step starts from what the report chose in the one before it, whether or not the choice holds here.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from fastresnet.chapters.parameters import BatchSize, ChapterParameters, Epochs, Some
from fastresnet.config import DataConfig, RunConfig, TrainConfig
from fastresnet.config.models import Activation, ResNetConfig
from fastresnet.config.schedules import (
    Constant,
    Cyclic,
    Fraction,
    LearningRate,
    OneCycle,
    OneCycleTail,
    PiecewiseLinear,
    Plateau,
    Schedule,
)
from fastresnet.study import Experiment

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
    """Of every step but C2, C3 and C13."""
    batch_size: BatchSize
    """Of every step before C12 but C2, C3 and C11."""
    epochs: Epochs
    """Of every step but C1, C2, C3 and C13."""
    c1_rates: Rates
    c1_epochs: Epochs
    c2_train_images: Images
    c2_batch_size: BatchSize
    c2_epochs: Epochs
    """Of C2 and C3."""
    c3_dropouts: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Some]
    """Beside no dropout, which is C2."""
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


def experiments(parameters: Parameters) -> tuple[Experiment, ...]:
    """C1 to C13, each from what the report chose before it, and its ideas N2 and N3."""
    base = RunConfig(
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

    def every(epochs: int) -> dict[str, object]:
        return {"train.evaluate_every": parameters.evaluate_every or epochs}

    curve = every(4)

    def scheduled(config: RunConfig, schedule: Schedule, changes: Mapping[str, object] | None = None) -> RunConfig:
        return config.with_changes({"train.schedule": schedule.model_dump(mode="json"), **(changes or {})})

    c1 = {
        f"rate {lr:g}": scheduled(base, Constant(lr=lr), {"train.epochs": parameters.c1_epochs, **curve})
        for lr in parameters.c1_rates
    }

    long = scheduled(
        base,
        Constant(lr=parameters.c4_lr),
        {
            "data.train_images": parameters.c2_train_images,
            "data.batch_size": parameters.c2_batch_size,
            "train.epochs": parameters.c2_epochs,
            "train.evaluate_every": 10,
        },
    )
    c3 = {"no dropout": long, **{f"dropout {p:g}": long.with_changes({"model.dropout": p}) for p in parameters.c3_dropouts}}

    c4 = {f"momentum {m:g}": scheduled(base, Constant(lr=parameters.c4_lr), {"train.momentum": m}) for m in parameters.c4_momenta}

    half_momentum = base.with_changes({"train.momentum": 0.5})
    c5 = {f"rate {lr:g}": scheduled(half_momentum, Constant(lr=lr)) for lr in parameters.c5_rates}
    c6 = {
        f"weight decay {decay:g}": scheduled(half_momentum, Constant(lr=parameters.constant_lr), {"train.weight_decay": decay})
        for decay in parameters.c6_weight_decays
    }

    decayed = half_momentum.with_changes({"train.weight_decay": 0.015})
    schedules: dict[str, Schedule] = {
        "constant": Constant(lr=parameters.constant_lr),
        "plateau": Plateau(lr=parameters.c7_max_lr, patience=2),
        # CyclicLR, too, moves the momentum unless told not to; this is its default range
        "cyclic": Cyclic(min_lr=parameters.c7_max_lr / 10, max_lr=parameters.c7_max_lr, num_cycles=2, momentum_range=(0.8, 0.9)),
        "one-cycle": one_cycle(parameters.c7_max_lr),
    }
    c7: dict[str, RunConfig] = {name: scheduled(decayed, schedules[name], every(2)) for name in parameters.c7_schedules}

    c8 = {
        **{f"maximum {lr:g}": scheduled(decayed, one_cycle(lr)) for lr in parameters.c8_max_rates},
        f"maximum {parameters.max_lr:g}, momentum 0.5": scheduled(decayed, OneCycle(max_lr=parameters.max_lr)),
    }

    cycled = scheduled(decayed, one_cycle(parameters.max_lr))
    flipped = cycled.with_changes({"data.flip": "random"})
    c9 = {
        "no flips": cycled.with_changes(every(1)),
        "flips in training": flipped.with_changes(every(1)),
        "flips in training and test": flipped.with_changes({"data.flip_test": True, **every(1)}),
    }
    c10: dict[str, RunConfig] = {name: flipped.with_changes({"model.activation": name}) for name in parameters.c10_activations}

    c11 = {f"batch {size}": flipped.with_changes({"data.batch_size": size}) for size in parameters.c11_batch_sizes}
    largest, *smaller = parameters.c11_batch_sizes
    as_few_steps = {
        f"batch {size}": flipped.with_changes({"data.batch_size": size, "train.epochs": parameters.epochs * size / largest})
        for size in smaller
    }
    c11_steps = {f"batch {largest}": c11[f"batch {largest}"], **as_few_steps}

    small = flipped.with_changes({"data.batch_size": parameters.c12_batch_size, **curve})
    c12 = {f"maximum {lr:g}": scheduled(small, one_cycle(lr)) for lr in parameters.c12_max_rates}

    final = scheduled(
        flipped,
        one_cycle(parameters.c13_max_lr),
        {
            "data.train_images": parameters.c13_train_images,
            "data.batch_size": parameters.c13_batch_size,
            "train.epochs": parameters.c13_epochs,
            **every(3),
        },
    )
    c13: dict[str, RunConfig] = {name: final.with_changes(ARCHITECTURES[name]) for name in parameters.c13_architectures}

    # a hand-made schedule leaves the momentum alone: the middle of one cycle's range puts them on one footing
    by_hand = small.with_changes({"train.momentum": 0.9})
    n2 = {
        "one-cycle": scheduled(small, one_cycle(parameters.max_lr)),
        **{
            name: scheduled(by_hand, PiecewiseLinear(points=tuple((at, share * parameters.max_lr) for at, share in shape)))
            for name, shape in parameters.n2_shapes.items()
        },
    }
    n3 = {
        "to nothing": scheduled(small, one_cycle(parameters.c13_max_lr)),
        **{
            f"tail at {lr:g}": scheduled(
                small, OneCycleTail(max_lr=parameters.c13_max_lr, momentum_range=TORCH_MOMENTUM, tail_lr=lr)
            )
            for lr in parameters.n3_tail_rates
        },
    }

    seeds = parameters.seeds
    return (
        Experiment("C1", "Which constant rate is best?", c1, seeds),
        Experiment("C2", "Does the network over-fit in a long run?", {"no dropout": long}, seeds),
        Experiment("C3", "Does dropout help against it?", c3, seeds),
        Experiment("C4", "How much momentum?", c4, seeds),
        Experiment("C5", "Which constant rate is best with momentum?", c5, seeds),
        Experiment("C6", "How much weight decay?", c6, seeds),
        Experiment("C7", "Which schedule is fastest to a given accuracy?", c7, seeds),
        Experiment("C8", "How high should one cycle go?", c8, seeds),
        Experiment("C9", "What are random flips worth, and flips of the test images?", c9, seeds),
        Experiment("C10", "Is there a better activation than ReLU?", c10, seeds),
        Experiment("C11", "Are smaller batches more accurate?", c11, seeds),
        Experiment("C11-steps", "Is that the batch's doing, or that of the number of steps?", c11_steps, seeds),
        Experiment("C12", "How high should one cycle go with the smaller batch?", c12, seeds),
        Experiment("C13", "What does each change of the architecture buy, and at what price?", c13, seeds),
        Experiment("N2", "Is a schedule made by hand better than one cycle?", n2, seeds),
        Experiment("N3", "Is it better to end at a constant rate than at nothing?", n3, seeds),
    )
