"""Section 2 of the original report: ResNet-18 on FashionMNIST, as fast as possible to 80 %.

Time is measured at the report's own scale, over a few steps whose parts are timed. Accuracy is measured by whole runs.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from fastresnet.chapters.parameters import BatchSize, ChapterParameters, Epochs, Rates, Values, workers_name
from fastresnet.chapters.timing import timed
from fastresnet.config import DataConfig, Precision, RunConfig, TrainConfig
from fastresnet.config.models import ResNetConfig
from fastresnet.config.schedules import Constant, Linear, OneCycle, Schedule
from fastresnet.study import Experiment

HALF = (32, 64, 128, 256)
"""Channels of the report's narrow network, half of ResNet-18's."""
BASE = RunConfig(
    data=DataConfig(name="fashion-mnist", loader="worker"),
    model=ResNetConfig(in_channels=1),
    train=TrainConfig(schedule=Constant(lr=0.1)),
)
"""The report's starting point: plain SGD at learning rate 0.1, no schedule, weight decay or augmentation, a DataLoader."""

BatchSizes = Values[BatchSize]
Workers = Values[NonNegativeInt]
Changes = dict[str, object]
Variants = dict[str, RunConfig]


class Parameters(ChapterParameters):
    """Parameters of the FashionMNIST chapter."""

    half: Literal["fp16", "bf16"]
    """Half precision of F5 to F7 and of F8's timed epochs: the format that the device multiplies natively."""
    timed_images: PositiveInt
    """Least number of training images of a timed run, which also has two batches at least."""
    f1_batch_sizes: BatchSizes
    """Batch sizes of F1."""
    f2_batch_sizes: BatchSizes
    """Batch sizes of F2."""
    f3_workers: Workers
    """Numbers of processes that load images in F3."""
    f4_image_sizes: Values[PositiveInt]
    """Image sizes of F4, in pixels per side."""
    f4_workers: NonNegativeInt | None
    """Processes that load images in F4. None keeps all images in memory, and does not time the parts of the steps."""
    f4_train_images: PositiveInt | None
    """Training images of F4; None takes all."""
    f4_epochs: Epochs
    """Epochs of F4."""
    f4_timed_sizes: Values[PositiveInt]
    """Image sizes of F4-time, whose runs are a few steps."""
    f5_batch_sizes: BatchSizes
    """Batch sizes of F5."""
    f6_batch_sizes: BatchSizes
    """Batch sizes of F6."""
    f7_workers: Workers
    """Numbers of processes that load images in F7."""
    f7_batch_size: BatchSize
    """Batch size of F7 and of the timed runs of F8: F6's choice."""
    f8_stem_channels: Values[PositiveInt]
    """Channels of the first stage in F8; the other stages have 2, 4 and 8 times as many."""
    f8_train_images: PositiveInt | None
    """Training images of F8 and N1; None takes all."""
    f8_batch_size: BatchSize
    """Batch size of F8 and N1."""
    f8_image_size: PositiveInt | None
    """Image size of F8 and N1, in pixels per side; None takes the data set's own."""
    f8_epochs: Epochs
    """Epochs of F8 and N1."""
    f6_rates: Rates
    """Learning rates of F6-rate, at the large batch, with F8's narrow network and scale."""
    n1_max_lr: PositiveFloat
    """Maximum learning rate of N1's schedules."""


def experiments(parameters: Parameters) -> tuple[Experiment, ...]:
    """F1 to F8, each starting from the choice of the one before it, and N1, a schedule for the final model."""
    asked = (
        ("F1", "Which batch size makes an epoch shortest?", _batch_sizes(parameters, parameters.f1_batch_sizes)),
        ("F2", "Which batch size near 128 makes an epoch shortest?", _batch_sizes(parameters, parameters.f2_batch_sizes)),
        ("F3", "How many processes should load images?", _workers(parameters)),
        ("F4", "To which size should images be enlarged?", _image_sizes(parameters)),
        ("F4-time", "How long is an epoch at each image size?", _timed_image_sizes(parameters)),
        ("F5", "Is half precision faster?", _precisions(parameters)),
        ("F6", "Which batch size makes an epoch shortest at half precision?", _half_batch_sizes(parameters)),
        ("F6-rate", "Is 0.1 the rate for a large batch, too?", _rates(parameters)),
        ("F7", "How many processes should load images now?", _half_workers(parameters)),
        ("F8", "Do half the channels reach 80 % sooner?", _widths(parameters)),
        ("F8-time", "How long is an epoch of each at the report's scale?", _timed_widths(parameters)),
        ("F8-pace", "How long is an epoch of each, as whole runs train it?", timed(_widths(parameters), parameters.timed_images)),
        ("F8-init", "What if the report's network started from torch's own initial weights?", _initial_weights(parameters)),
        ("N1", "What does a schedule buy the final model?", _schedules(parameters)),
    )
    return tuple(Experiment(name, question, variants, parameters.seeds, "fashion-mnist") for name, question, variants in asked)


def _timed(
    parameters: Parameters, image_size: int, batch_size: int, workers: int = 0, precision: Precision = "fp32"
) -> RunConfig:
    """Configuration of a run of a few steps whose parts are timed."""
    return BASE.with_changes(
        {
            "data.name": parameters.dataset,
            **{f"model.{key}": value for key, value in parameters.shape.items()},
            "data.image_size": image_size,
            "data.batch_size": batch_size,
            "data.num_workers": workers,
            "data.train_images": max(parameters.timed_images, 2 * batch_size),
            "data.test_images": 100,
            "train.epochs": 1,
            "train.precision": precision,
            "train.time_parts": True,
        }
    )


def _whole(parameters: Parameters) -> RunConfig:
    """Configuration of a whole run, for its accuracy."""
    return BASE.with_changes(
        {
            "data.name": parameters.dataset,
            **{f"model.{key}": value for key, value in parameters.shape.items()},
            "data.test_images": parameters.test_images,
            "train.precision": parameters.precision,
        }
    )


def _final(parameters: Parameters) -> RunConfig:
    """Configuration of a whole run at F8's scale, for its accuracy."""
    return _whole(parameters).with_changes(
        {
            "data.loader": "tensor",
            "data.train_images": parameters.f8_train_images,
            "data.batch_size": parameters.f8_batch_size,
            "data.image_size": parameters.f8_image_size,
            "train.epochs": parameters.f8_epochs,
        }
    )


def _scheduled(parameters: Parameters, schedules: Mapping[str, Schedule]) -> Variants:
    """One variant per schedule: F8's narrow network trained with it."""
    narrow = _final(parameters).with_changes({"model.channels": HALF})
    return {name: narrow.with_changes({"train.schedule": schedule}) for name, schedule in schedules.items()}


def _batch_sizes(parameters: Parameters, sizes: Iterable[int]) -> Variants:
    return {f"batch {size}": _timed(parameters, 96, size) for size in sizes}


def _workers(parameters: Parameters) -> Variants:
    return {workers_name(workers): _timed(parameters, 96, 155, workers) for workers in parameters.f3_workers}


def _image_sizes(parameters: Parameters) -> Variants:
    loaded = _whole(parameters).with_changes(
        {
            "data.batch_size": 155,
            "data.loader": "tensor" if parameters.f4_workers is None else "worker",
            "data.num_workers": parameters.f4_workers or 0,
            "data.train_images": parameters.f4_train_images,
            "train.epochs": parameters.f4_epochs,
            "train.time_parts": parameters.f4_workers is not None,
        }
    )
    return {f"{size} x {size}": loaded.with_changes({"data.image_size": size}) for size in parameters.f4_image_sizes}


def _timed_image_sizes(parameters: Parameters) -> Variants:
    return {f"{size} x {size}": _timed(parameters, size, 155, 2) for size in parameters.f4_timed_sizes}


def _precisions(parameters: Parameters) -> Variants:
    precisions: tuple[Precision, ...] = ("fp32", parameters.half)
    return {
        f"batch {size}, {precision}": _timed(parameters, 48, size, 2, precision)
        for size, precision in product(parameters.f5_batch_sizes, precisions)
    }


def _half_batch_sizes(parameters: Parameters) -> Variants:
    return {f"batch {size}": _timed(parameters, 48, size, 2, parameters.half) for size in parameters.f6_batch_sizes}


def _rates(parameters: Parameters) -> Variants:
    return _scheduled(parameters, {f"rate {lr:g}": Constant(lr=lr) for lr in parameters.f6_rates})


def _half_workers(parameters: Parameters) -> Variants:
    return {
        workers_name(workers): _timed(parameters, 48, parameters.f7_batch_size, workers, parameters.half)
        for workers in parameters.f7_workers
    }


def _channels(parameters: Parameters) -> dict[str, Changes]:
    stages = ((first, 2 * first, 4 * first, 8 * first) for first in parameters.f8_stem_channels)
    return {"-".join(map(str, channels)): {"model.channels": channels} for channels in stages}


def _widths(parameters: Parameters) -> Variants:
    return {name: _final(parameters).with_changes(channels) for name, channels in _channels(parameters).items()}


def _initial_weights(parameters: Parameters) -> Variants:
    narrow = _final(parameters).with_changes({"model.channels": HALF})
    return {"as in torchvision": narrow, "torch's own": narrow.with_changes({"model.init": "torch"})}


def _timed_widths(parameters: Parameters) -> Variants:
    config = _timed(parameters, 48, parameters.f7_batch_size, 3, parameters.half)
    return {name: config.with_changes(channels) for name, channels in _channels(parameters).items()}


def _schedules(parameters: Parameters) -> Variants:
    top = parameters.n1_max_lr
    schedules: dict[str, Schedule] = {
        "constant": Constant(lr=0.1),
        "linear": Linear(start_lr=top),
        "one-cycle": OneCycle(max_lr=top),
    }
    return _scheduled(parameters, schedules)
