"""Section 2 of the original report: ResNet-18 on FashionMNIST, as fast as possible to 80 %."""

from typing import Annotated

from pydantic import PositiveInt

from fastresnet.config import DataConfig, ResNetConfig, RunConfig, TrainConfig
from fastresnet.schedules import Constant
from fastresnet.studies.parameters import BatchSize, ChapterParameters, Epochs, Some
from fastresnet.study import Experiment


class Parameters(ChapterParameters):
    """Values of the FashionMNIST chapter."""

    f1_batch_sizes: Annotated[tuple[BatchSize, ...], Some]
    f1_train_images: PositiveInt | None
    f1_image_size: PositiveInt | None
    f1_epochs: Epochs
    f8_stem_channels: Annotated[tuple[PositiveInt, ...], Some]
    """Channels of the first stage; the others have 2, 4 and 8 times as many."""
    f8_train_images: PositiveInt | None
    f8_batch_size: BatchSize
    f8_image_size: PositiveInt | None
    f8_epochs: Epochs


def experiments(parameters: Parameters) -> tuple[Experiment, ...]:
    """F1, batch size, and F8, half the channels."""
    # section 2 of the report: plain SGD at 0.1, no schedule, no weight decay, no augmentation
    train = TrainConfig(schedule=Constant(lr=0.1), precision=parameters.precision)
    f1 = {
        f"batch {size}": RunConfig(
            data=DataConfig(
                name=parameters.dataset,
                train_images=parameters.f1_train_images,
                test_images=parameters.test_images,
                image_size=parameters.f1_image_size,
                batch_size=size,
            ),
            model=ResNetConfig(in_channels=1),
            train=train.model_copy(update={"epochs": parameters.f1_epochs}),
        )
        for size in parameters.f1_batch_sizes
    }
    f8 = {
        "-".join(map(str, channels)): RunConfig(
            data=DataConfig(
                name=parameters.dataset,
                train_images=parameters.f8_train_images,
                test_images=parameters.test_images,
                image_size=parameters.f8_image_size,
                batch_size=parameters.f8_batch_size,
            ),
            model=ResNetConfig(in_channels=1, channels=channels),
            train=train.model_copy(update={"epochs": parameters.f8_epochs}),
        )
        for channels in ((first, 2 * first, 4 * first, 8 * first) for first in parameters.f8_stem_channels)
    }
    return (
        Experiment("F1", "Which batch size makes an epoch shortest?", f1, parameters.seeds),
        Experiment("F8", "Do half the channels reach 80 % sooner?", f8, parameters.seeds),
    )
