"""Section 3 of the original report: the small ResNet on CIFAR-10, as accurate as possible."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from fastresnet.config import Activation, DataConfig, ResNetConfig, RunConfig
from fastresnet.schedules import (
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
from fastresnet.studies.parameters import BatchSize, ChapterParameters, Epochs, Some
from fastresnet.study import Experiment

HALF = (32, 64, 128, 256)
QUARTER = (16, 32, 64, 128)

ARCHITECTURES: dict[str, dict[str, object]] = {
    "base": {},
    "no pool": {"stem_pool": "none"},
    "extra convolution": {"extra_conv": True},
    "3x3 stem": {"stem": "3x3/1", "stem_padding": False},
    "3x3 stem, no pool": {"stem": "3x3/1", "stem_padding": False, "stem_pool": "none"},
    "3x3 stem, no pool, quarter width": {
        "stem": "3x3/1",
        "stem_padding": False,
        "stem_pool": "none",
        "channels": QUARTER,
    },
}
"""The report's base and variants 1 to 5 (of the fifth, "fewer channels", it prints no widths)."""


HAND_MADE = {
    "triangle": ((0.0, 0.0), (0.2, 1.0), (1.0, 0.0)),
    "trapezium": ((0.0, 0.1), (0.1, 1.0), (0.6, 1.0), (1.0, 0.0)),
    "two ramps": ((0.0, 1.0), (0.5, 0.4), (1.0, 0.0)),
}
"""Schedules of our own for N2: (share of the run, share of the maximal rate)."""

Rates = Annotated[tuple[PositiveFloat, ...], Some]


class Parameters(ChapterParameters):
    """Values of the CIFAR-10 chapter. Where nothing else is said, a run has `train_images`, `batch_size`, `epochs`."""

    train_images: PositiveInt | None
    batch_size: BatchSize
    epochs: Epochs
    c1_lrs: Rates
    c1_epochs: Epochs
    c2_train_images: PositiveInt | None
    """Of the long runs, C2 and C3."""
    c2_batch_size: BatchSize
    c2_epochs: Epochs
    c3_dropouts: Annotated[tuple[Annotated[float, Field(ge=0, lt=1)], ...], Some]
    c4_momenta: Annotated[tuple[Fraction, ...], Some]
    c5_lrs: Rates
    c6_weight_decays: Annotated[tuple[NonNegativeFloat, ...], Some]
    c7_schedules: Annotated[tuple[Literal["constant", "plateau", "cyclic", "one-cycle"], ...], Some]
    c8_max_lrs: Rates
    c10_activations: Annotated[tuple[Activation, ...], Some]
    c11_batch_sizes: Annotated[tuple[BatchSize, ...], Some]
    c12_max_lrs: Rates
    c12_batch_size: BatchSize
    """Of C12 and of the report's ideas, N2 and N3: what C11 chose."""
    c13_architectures: Annotated[
        tuple[
            Literal["base", "no pool", "extra convolution", "3x3 stem", "3x3 stem, no pool", "3x3 stem, no pool, quarter width"],
            ...,
        ],
        Some,
    ]
    c13_train_images: PositiveInt | None
    c13_batch_size: BatchSize
    c13_epochs: Epochs
    n3_tail_lrs: Annotated[tuple[LearningRate, ...], Some]


def experiments(parameters: Parameters) -> tuple[Experiment, ...]:
    """C1 to C13, each with what the report had chosen before it, and its two ideas for going on, N2 and N3."""
    seeds = parameters.seeds
    base = RunConfig(
        data=DataConfig(
            name=parameters.dataset,
            train_images=parameters.train_images,
            test_images=parameters.test_images,
            batch_size=parameters.batch_size,
        ),
        model=ResNetConfig(channels=HALF),
    ).with_changes({"train.epochs": parameters.epochs, "train.precision": parameters.precision})
    # what the report had settled on by C7, by C9 and by C12
    decayed = base.with_changes({"train.momentum": 0.5, "train.weight_decay": 0.015, "train.evaluate_every": 2})
    one_cycle = decayed.with_changes({"train.schedule": _one_cycle(0.1)})
    flipped = one_cycle.with_changes({"data.flip": "random"})
    final = flipped.with_changes({"data.batch_size": parameters.c12_batch_size, "train.schedule": _one_cycle(0.075)})

    long = base.with_changes(
        {
            "data.train_images": parameters.c2_train_images,
            "data.batch_size": parameters.c2_batch_size,
            "train.epochs": parameters.c2_epochs,
            "train.schedule": Constant(lr=0.15).model_dump(),
            "train.evaluate_every": 5,
        }
    )
    c3 = {f"dropout {rate:g}": long.with_changes({"model.dropout": rate}) for rate in parameters.c3_dropouts}
    at_015 = base.with_changes({"train.schedule": Constant(lr=0.15).model_dump()})
    c4 = {f"momentum {value:g}": at_015.with_changes({"train.momentum": value}) for value in parameters.c4_momenta}
    at_004 = base.with_changes({"train.momentum": 0.5, "train.schedule": Constant(lr=0.04).model_dump()})
    c6 = {f"decay {value:g}": at_004.with_changes({"train.weight_decay": value}) for value in parameters.c6_weight_decays}
    schedules: dict[str, Schedule] = {
        "constant": Constant(lr=0.04),
        "plateau": Plateau(lr=0.15, patience=2),
        # torch's two cycling schedulers move the momentum too unless told not to; these are their default ranges
        "cyclic": Cyclic(min_lr=0.15 / 10, max_lr=0.15, num_cycles=2, momentum_range=(0.8, 0.9)),
        "one-cycle": OneCycle(max_lr=0.15, momentum_range=(0.85, 0.95)),
    }
    c7: dict[str, RunConfig] = {
        name: decayed.with_changes({"train.schedule": schedules[name].model_dump()}) for name in parameters.c7_schedules
    }
    c9 = {
        "off": one_cycle,
        "training images": flipped,
        "training and test images": flipped.with_changes({"data.flip_test": True}),
    }
    c10: dict[str, RunConfig] = {name: flipped.with_changes({"model.activation": name}) for name in parameters.c10_activations}
    c11 = {f"batch {size}": flipped.with_changes({"data.batch_size": size}) for size in parameters.c11_batch_sizes}
    # as many steps for every size as the largest takes in all of its epochs
    c11_steps = {
        name: config.with_changes({"train.epochs": parameters.epochs * size / max(parameters.c11_batch_sizes)})
        for (name, config), size in zip(c11.items(), parameters.c11_batch_sizes, strict=True)
    }
    c13_base = flipped.with_changes(
        {
            "data.train_images": parameters.c13_train_images,
            "data.batch_size": parameters.c13_batch_size,
            "train.epochs": parameters.c13_epochs,
            "train.schedule": _one_cycle(0.075),
            "train.evaluate_every": 3,
        }
    )
    c13: dict[str, RunConfig] = {
        name: c13_base.with_changes({f"model.{key}": value for key, value in ARCHITECTURES[name].items()})
        for name in parameters.c13_architectures
    }
    n2: dict[str, Schedule] = {
        name: PiecewiseLinear(points=tuple((at, 0.075 * share) for at, share in points)) for name, points in HAND_MADE.items()
    }
    n3: dict[str, Schedule] = {
        f"held at {lr:g}": OneCycleTail(max_lr=0.075, momentum_range=(0.85, 0.95), tail_lr=lr) for lr in parameters.n3_tail_lrs
    }
    return (
        Experiment(
            "C1",
            "Which constant rate?",
            _constant_rates(base.with_changes({"train.epochs": parameters.c1_epochs}), parameters.c1_lrs),
            seeds,
        ),
        Experiment("C2", "What does a long run gain?", {"long": long}, seeds),
        Experiment("C3", "Does dropout help against over-fitting?", c3, seeds),
        Experiment("C4", "Which momentum?", c4, seeds),
        Experiment("C5", "Which constant rate with momentum?", _constant_rates(at_004, parameters.c5_lrs), seeds),
        Experiment("C6", "How much weight decay?", c6, seeds),
        Experiment("C7", "Which schedule is fastest to a given accuracy?", c7, seeds),
        Experiment("C8", "Which maximal rate?", _max_rates(decayed, parameters.c8_max_lrs), seeds),
        Experiment("C9", "What do random flips buy?", c9, seeds),
        Experiment("C10", "Which activation?", c10, seeds),
        Experiment("C11", "Are smaller batches better?", c11, seeds),
        Experiment("C11-steps", "And after as many steps?", c11_steps, seeds),
        Experiment("C12", "Which maximal rate with smaller batches?", _max_rates(final, parameters.c12_max_lrs), seeds),
        Experiment("C13", "What does each change of the architecture buy, and at what price?", c13, seeds),
        Experiment("N2", "Is a schedule made by hand better?", _with_schedules(final, n2), seeds),
        Experiment("N3", "Should the rate end above nothing?", _with_schedules(final, n3), seeds),
    )


def _one_cycle(max_lr: float) -> dict[str, object]:
    # torch's scheduler moves the momentum too unless told not to; this is its default range
    return OneCycle(max_lr=max_lr, momentum_range=(0.85, 0.95)).model_dump()


def _constant_rates(config: RunConfig, rates: Iterable[float]) -> dict[str, RunConfig]:
    return {f"rate {lr:g}": config.with_changes({"train.schedule": Constant(lr=lr).model_dump()}) for lr in rates}


def _max_rates(config: RunConfig, rates: Iterable[float]) -> dict[str, RunConfig]:
    return {f"maximum {lr:g}": config.with_changes({"train.schedule": _one_cycle(lr)}) for lr in rates}


def _with_schedules(final: RunConfig, schedules: Mapping[str, Schedule]) -> dict[str, RunConfig]:
    """The report's final schedule first, then others in its place."""
    changed = {name: final.with_changes({"train.schedule": each.model_dump()}) for name, each in schedules.items()}
    return {"one-cycle": final, **changed}
