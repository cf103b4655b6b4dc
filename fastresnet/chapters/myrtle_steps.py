"""The myrtle chapter's parameters, and its networks: the steps from the first post's network to the last post's."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from fastresnet.chapters.parameters import Ascending, BatchSize, ChapterParameters, Distinct, Epochs, Rates, Values
from fastresnet.chapters.timing import ONLY_AT_THE_END
from fastresnet.config import DataConfig, RunConfig, TrainConfig
from fastresnet.config.models import DavidNetConfig, ResNetConfig
from fastresnet.config.schedules import OneCycle

Pair = Annotated[tuple[PositiveFloat, PositiveFloat], Distinct, Ascending]
Changes = dict[str, object]


class Parameters(ChapterParameters):
    """Parameters of the myrtle chapter."""

    train_images: PositiveInt | None
    """Training images of M2a and M8i, which train the original report's network; None takes all."""
    epochs: Epochs
    """Epochs of M2a and M8i."""
    small_batch_size: BatchSize
    """Smaller batch size of M2a, also that of M8i."""
    small_batch_lr: PositiveFloat
    """Learning rate of the smaller batch size of M2a, also that of M8i."""
    large_batch_size: BatchSize
    """Larger batch size of M2a."""
    large_batch_lr: PositiveFloat
    """Learning rate of the larger batch size of M2a."""
    widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]
    """Channels of DAVIDnet's stem and layers, and of the ResNet that the ladder starts from."""
    images: PositiveInt | None
    """Training images of all other experiments, which train DAVIDnet and its relatives; None takes all."""
    tested_images: PositiveInt | None
    """Test images of these other experiments; None takes all."""
    batch_size: BatchSize
    """Batch size of these other experiments."""
    run_epochs: Epochs
    """Epochs of these other experiments."""
    max_lr: PositiveFloat
    """Maximum learning rate of these other experiments."""
    weight_decay: NonNegativeFloat
    """Weight decay of these other experiments."""
    timed_images: PositiveInt
    """Training images of runs that only time their steps."""
    m1b_workers: Values[NonNegativeInt]
    """Numbers of processes that load images in M1b."""
    m2b_batch_sizes: Annotated[tuple[BatchSize, BatchSize], Distinct, Ascending]
    """The smaller and the larger batch size of M2b."""
    m2b_rates: Pair
    """The lower and the higher learning rate of M2b."""
    m2c_rates: Rates
    """Learning rates of M2c."""
    half: Literal["fp16", "bf16"]
    """Half precision of M3a."""
    cutout: PositiveInt
    """Side in pixels of the square that cutout blanks, in M3b and M0."""
    m3b_epochs: Pair
    """Epochs of the shorter and of the longer runs of M3b."""
    m4d_residuals: Values[tuple[PositiveInt, ...]]
    """Layers that have a residual branch, for each network of M4d."""
    m5a_rates: Rates
    """Learning rates of M5a."""
    m5a_weight_decays: Rates
    """Weight decays of M5a."""
    m5a_momenta: Values[Annotated[float, Field(ge=0, lt=1)]]
    """Momenta of M5a."""
    m6a_scales: Rates
    """Factors of M6a on the initial weights of all convolutions."""
    m6b_scales: Rates
    """Factors of M6b on the initial weights."""
    m6b_weight_decay: PositiveFloat
    """Weight decay of M6b."""
    m6b_lr: PositiveFloat
    """Learning rate of M6b."""
    m6b_trust: PositiveFloat
    """Trust coefficient of LARS in M6b."""
    m6b_epochs: Epochs
    """Epochs of M6b."""
    m7a_convolutions: PositiveInt
    """Convolutions per layer of M7a's network, which has three layers."""
    m7b_rates: Rates
    """Learning rates of M7b."""
    m7c_lr: PositiveFloat
    """Learning rate of M7c."""
    m7d_group_sizes: Values[Annotated[int, Field(ge=2)]]
    """Images over which batch norm takes its statistics in M7d."""
    label_smoothing: Annotated[float, Field(gt=0, lt=1)]
    """Label smoothing from M8c on."""
    ghost_size: Annotated[int, Field(ge=2)]
    """Images over which batch norm takes its statistics from M8e on."""
    frozen_scale: PositiveFloat
    """Constant scale of batch norm from M8f on."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)]
    """Decay per step of the averaged weights from M8h on."""

    @model_validator(mode="after")
    def _two_sizes(self) -> "Parameters":
        if self.large_batch_size <= self.small_batch_size:
            raise ValueError(f"large_batch_size: must be above small_batch_size, {self.small_batch_size}")
        return self


def base(parameters: Parameters, model: Changes | None = None) -> RunConfig:
    """DAVIDnet with the changes `model`, trained by one cycle on flipped and shifted images."""
    return RunConfig(
        data=DataConfig(
            name=parameters.dataset,
            train_images=parameters.images,
            test_images=parameters.tested_images,
            batch_size=parameters.batch_size,
            flip="random",
            crop_padding=4,
        ),
        model=DavidNetConfig(widths=parameters.widths, **parameters.shape),
        train=TrainConfig(
            epochs=parameters.run_epochs,
            schedule=OneCycle(max_lr=parameters.max_lr),
            momentum=0.9,
            nesterov=True,
            weight_decay=parameters.weight_decay,
            precision=parameters.precision,
            evaluate_every=ONLY_AT_THE_END,
        ),
    ).with_changes({f"model.{key}": value for key, value in (model or {}).items()})


def small(parameters: Parameters, model: Changes | None = None) -> RunConfig:
    """DAVIDnet without residual branches, and with strides instead of pools: cheap enough for a grid of runs."""
    return base(parameters, {"residuals": (), "halving": "3x3/2", **(model or {})})


def _cumulative(first: RunConfig, steps: Mapping[str, Changes], start: str) -> dict[str, RunConfig]:
    """Steps from `first`, which is named `start`: each adds its changes to those of all steps before it."""
    variants = {start: first}
    for name, changes in steps.items():
        variants[name] = list(variants.values())[-1].with_changes(changes)
    return variants


def ladder(parameters: Parameters) -> dict[str, RunConfig]:
    """The steps from the first post's network to the last post's, evaluated after every epoch."""
    davidnet = base(parameters).with_changes({"train.evaluate_every": 1})
    resnet = davidnet.model_copy(
        update={"model": ResNetConfig(channels=parameters.widths, stem="3x3/1", stem_pool="none", **parameters.shape)}
    )
    cutout: Changes = {"data.cutout": parameters.cutout}
    later: dict[str, Changes] = {
        "pool first": {"model.pool_first": True},
        "label smoothing": {"train.label_smoothing": parameters.label_smoothing},
        "CELU": {"model.activation": "celu"},
        "ghost batch norm": {"model.norm": {"group_size": parameters.ghost_size}},
        "frozen scales": {"model.norm": {"group_size": parameters.ghost_size, "frozen_scale": parameters.frozen_scale}},
        "whitened patches": {"model.whitened": True},
        "moving average": {"train.ema_decay": parameters.ema_decay},
        "flip averaging": {"train.test_flip": True},
    }
    return {
        "ResNet-18": resnet.with_changes({"data.batch_size": max(2, parameters.batch_size // 2)}),
        "larger batch": resnet,
        "cutout": resnet.with_changes(cutout),
        **_cumulative(davidnet.with_changes(cutout), later, "DAVIDnet"),
    }


def backbones(parameters: Parameters) -> dict[str, RunConfig]:
    """The fourth post's steps from the shortest path through a residual network to a good backbone."""
    shortest = base(
        parameters,
        {
            "residuals": (),
            "halving": "1x1/2",
            "repeated_norm": True,
            "final_pool": "average",
            "norm": {"scale_start": "uniform"},
        },
    )
    steps: dict[str, Changes] = {
        "norm not repeated": {"model.repeated_norm": False},
        "3x3/2": {"model.halving": "3x3/2"},
        "max pool": {"model.halving": "3x3, max pool"},
        "global max pool": {"model.final_pool": "max"},
        "scales start at one": {"model.norm": {}},
    }
    return _cumulative(shortest, steps, "shortest path")
