"""Section 2 of the original report: ResNet-18 on FashionMNIST, as fast as possible to 80 %.

Questions of time are answered at the report's own scale, by a few steps whose parts are timed; questions of accuracy by
whole runs on fewer images.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from fastresnet.chapters.parameters import BatchSize, ChapterParameters, Epochs, Some
from fastresnet.config import DataConfig, RunConfig, TrainConfig
from fastresnet.config.models import ResNetConfig
from fastresnet.config.schedules import Constant, Linear, OneCycle, Schedule
from fastresnet.study import Experiment

HALF = (32, 64, 128, 256)
BASE = RunConfig(
    data=DataConfig(name="fashion-mnist", loader="worker"),
    model=ResNetConfig(in_channels=1),
    train=TrainConfig(schedule=Constant(lr=0.1)),
)
"""What the report starts from: plain SGD at 0.1, no schedule, no weight decay, no augmentation, a DataLoader."""

BatchSizes = Annotated[tuple[BatchSize, ...], Some]
Workers = Annotated[tuple[NonNegativeInt, ...], Some]


class Parameters(ChapterParameters):
    """Values of the FashionMNIST chapter."""

    half: Literal["fp16", "bf16"]
    """The half precision of F5 to F8: what the device multiplies natively."""
    timed_images: PositiveInt
    """Images of a timed run at least; it has two batches at least."""
    f1_batch_sizes: BatchSizes
    f2_batch_sizes: BatchSizes
    f3_workers: Workers
    f4_image_sizes: Annotated[tuple[PositiveInt, ...], Some]
    f4_workers: NonNegativeInt | None
    """Loading images; None has them in memory, and times no parts of the steps."""
    f4_train_images: PositiveInt | None
    f4_epochs: Epochs
    f5_batch_sizes: BatchSizes
    f6_batch_sizes: BatchSizes
    f7_workers: Workers
    f7_batch_size: BatchSize
    """Of F7 and the timed runs of F8: what F6 chose."""
    f8_stem_channels: Annotated[tuple[PositiveInt, ...], Some]
    """Channels of the first stage; the others have 2, 4 and 8 times as many."""
    f8_train_images: PositiveInt | None
    f8_batch_size: BatchSize
    f8_image_size: PositiveInt | None
    f8_epochs: Epochs
    f6_rates: Annotated[tuple[PositiveFloat, ...], Some]
    """Learning rates at the large batch, with F8's narrow network and scale."""
    n1_max_lr: PositiveFloat


def experiments(parameters: Parameters) -> tuple[Experiment, ...]:
    """F1 to F8, each from what the one before it chose, and N1, a schedule for what they end with."""
    half, seeds = parameters.half, parameters.seeds

    def timed(size: int, batch_size: int, changes: Mapping[str, object] = MappingProxyType({})) -> RunConfig:
        scale = {
            "data.name": parameters.dataset,
            "data.image_size": size,
            "data.batch_size": batch_size,
            "data.train_images": max(parameters.timed_images, 2 * batch_size),
            "data.test_images": 100,
            "train.epochs": 1,
            "train.time_parts": True,
        }
        return BASE.with_changes({**scale, **changes})

    def whole(changes: Mapping[str, object]) -> RunConfig:
        scale = {
            "data.name": parameters.dataset,
            "data.test_images": parameters.test_images,
            "train.precision": parameters.precision,
        }
        return BASE.with_changes({**scale, **changes})

    def batches(sizes: Iterable[int]) -> dict[str, RunConfig]:
        return {f"batch {size}": timed(96, size) for size in sizes}

    f3 = {f"{workers} workers": timed(96, 155, {"data.num_workers": workers}) for workers in parameters.f3_workers}
    f4 = {
        f"{size} x {size}": whole(
            {
                "data.image_size": size,
                "data.batch_size": 155,
                "data.loader": "tensor" if parameters.f4_workers is None else "worker",
                "data.num_workers": parameters.f4_workers or 0,
                "data.train_images": parameters.f4_train_images,
                "train.epochs": parameters.f4_epochs,
                "train.time_parts": parameters.f4_workers is not None,
            }
        )
        for size in parameters.f4_image_sizes
    }
    f5 = {
        f"batch {size}, {precision}": timed(48, size, {"data.num_workers": 2, "train.precision": precision})
        for size in parameters.f5_batch_sizes
        for precision in ("fp32", half)
    }
    f6 = {
        f"batch {size}": timed(48, size, {"data.num_workers": 2, "train.precision": half}) for size in parameters.f6_batch_sizes
    }
    f7 = {
        f"{workers} workers": timed(48, parameters.f7_batch_size, {"data.num_workers": workers, "train.precision": half})
        for workers in parameters.f7_workers
    }
    f8_scale = {
        "data.loader": "tensor",
        "data.train_images": parameters.f8_train_images,
        "data.batch_size": parameters.f8_batch_size,
        "data.image_size": parameters.f8_image_size,
        "train.epochs": parameters.f8_epochs,
    }
    widths = {
        "-".join(map(str, channels)): channels
        for channels in ((first, 2 * first, 4 * first, 8 * first) for first in parameters.f8_stem_channels)
    }
    f8 = {name: whole({**f8_scale, "model.channels": channels}) for name, channels in widths.items()}
    f8_timed = {
        name: timed(48, parameters.f7_batch_size, {"data.num_workers": 3, "train.precision": half, "model.channels": channels})
        for name, channels in widths.items()
    }
    f6_rates = {
        f"rate {lr:g}": whole({**f8_scale, "model.channels": HALF, "train.schedule": Constant(lr=lr).model_dump()})
        for lr in parameters.f6_rates
    }
    schedules: dict[str, Schedule] = {
        "constant": Constant(lr=0.1),
        "linear": Linear(start_lr=parameters.n1_max_lr),
        "one-cycle": OneCycle(max_lr=parameters.n1_max_lr),
    }
    n1 = {
        name: whole({**f8_scale, "model.channels": HALF, "train.schedule": schedule.model_dump(mode="json")})
        for name, schedule in schedules.items()
    }
    return (
        Experiment("F1", "Which batch size makes an epoch shortest?", batches(parameters.f1_batch_sizes), seeds),
        Experiment("F2", "And which one near 128?", batches(parameters.f2_batch_sizes), seeds),
        Experiment("F3", "How many processes should load images?", f3, seeds),
        Experiment("F4", "To which size should images be enlarged?", f4, seeds),
        Experiment("F5", "Is half precision faster?", f5, seeds),
        Experiment("F6", "Which batch size makes an epoch shortest at half precision?", f6, seeds),
        Experiment("F6-rate", "Is 0.1 the rate for a large batch, too?", f6_rates, seeds),
        Experiment("F7", "How many processes should load images now?", f7, seeds),
        Experiment("F8", "Do half the channels reach 80 % sooner?", f8, seeds),
        Experiment("F8-time", "How long is an epoch of each at the report's scale?", f8_timed, seeds),
        Experiment("N1", "What does a schedule buy the final model?", n1, seeds),
    )
