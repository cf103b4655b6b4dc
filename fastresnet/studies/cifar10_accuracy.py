"""Section 3 of the original report: the small ResNet on CIFAR-10, as accurate as possible."""

from typing import Annotated, Literal

from pydantic import PositiveFloat, PositiveInt

from fastresnet.config import DataConfig, ResNetConfig, RunConfig, TrainConfig
from fastresnet.schedules import Constant, Cyclic, OneCycle, Plateau, Schedule
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


class Parameters(ChapterParameters):
    """Values of the CIFAR-10 chapter."""

    c7_schedules: Annotated[tuple[Literal["constant", "plateau", "cyclic", "one-cycle"], ...], Some]
    c7_constant_lr: PositiveFloat
    c7_max_lr: PositiveFloat
    c7_train_images: PositiveInt | None
    c7_batch_size: BatchSize
    c7_epochs: Epochs
    c13_architectures: Annotated[
        tuple[
            Literal["base", "no pool", "extra convolution", "3x3 stem", "3x3 stem, no pool", "3x3 stem, no pool, quarter width"],
            ...,
        ],
        Some,
    ]
    c13_max_lr: PositiveFloat
    c13_train_images: PositiveInt | None
    c13_batch_size: BatchSize
    c13_epochs: Epochs


def experiments(parameters: Parameters) -> tuple[Experiment, ...]:
    """C7, schedules, and C13, architectures."""
    # momentum and weight decay as the report had settled on before C7
    train = TrainConfig(momentum=0.5, weight_decay=0.015, precision=parameters.precision)
    c7_data = DataConfig(
        name=parameters.dataset,
        train_images=parameters.c7_train_images,
        test_images=parameters.test_images,
        batch_size=parameters.c7_batch_size,
    )
    schedules: dict[str, Schedule] = {
        "constant": Constant(lr=parameters.c7_constant_lr),
        "plateau": Plateau(lr=parameters.c7_max_lr, patience=2),
        # torch's two cycling schedulers move the momentum too unless told not to; these are their default ranges
        "cyclic": Cyclic(min_lr=parameters.c7_max_lr / 10, max_lr=parameters.c7_max_lr, num_cycles=2, momentum_range=(0.8, 0.9)),
        "one-cycle": OneCycle(max_lr=parameters.c7_max_lr, momentum_range=(0.85, 0.95)),
    }
    c7: dict[str, RunConfig] = {
        name: RunConfig(
            data=c7_data,
            model=ResNetConfig(channels=HALF),
            train=train.model_copy(update={"epochs": parameters.c7_epochs, "schedule": schedules[name], "evaluate_every": 2}),
        )
        for name in parameters.c7_schedules
    }
    c13_train = train.model_copy(
        update={
            "epochs": parameters.c13_epochs,
            "schedule": OneCycle(max_lr=parameters.c13_max_lr, momentum_range=(0.85, 0.95)),
            "evaluate_every": 3,
        }
    )
    c13: dict[str, RunConfig] = {
        name: RunConfig(
            data=c7_data.model_copy(
                update={
                    "train_images": parameters.c13_train_images,
                    "batch_size": parameters.c13_batch_size,
                    "flip": "random",
                }
            ),
            model=ResNetConfig(channels=HALF).model_copy(update=ARCHITECTURES[name]),
            train=c13_train,
        )
        for name in parameters.c13_architectures
    }
    return (
        Experiment("C7", "Which schedule is fastest to a given accuracy?", c7, parameters.seeds),
        Experiment("C13", "What does each change of the architecture buy, and at what price?", c13, parameters.seeds),
    )
