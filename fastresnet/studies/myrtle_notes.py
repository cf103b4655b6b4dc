"""Section 1 of the original report: the claims of "How to train your ResNet" that its notes pass on."""

from typing import Annotated

from pydantic import PositiveFloat, PositiveInt, model_validator

from fastresnet.config import DataConfig, ResNetConfig, RunConfig, TrainConfig
from fastresnet.schedules import OneCycle
from fastresnet.studies.parameters import BatchSize, ChapterParameters, Epochs, Some
from fastresnet.study import Experiment


class Parameters(ChapterParameters):
    """Values of the myrtle chapter."""

    train_images: PositiveInt | None
    epochs: Epochs
    small_batch_size: BatchSize
    small_batch_lr: PositiveFloat
    large_batch_size: BatchSize
    large_batch_lr: PositiveFloat
    m6a_scales: Annotated[tuple[PositiveFloat, ...], Some]
    """Factors by which convolution weights are multiplied; nothing is trained for it."""

    @model_validator(mode="after")
    def _two_sizes(self) -> "Parameters":
        if self.large_batch_size <= self.small_batch_size:
            raise ValueError(f"large_batch_size: must be above small_batch_size, {self.small_batch_size}")
        return self


def experiments(parameters: Parameters) -> tuple[Experiment, ...]:
    """M2a, larger batches, and M8i, averaging over a flip at test time."""

    def config(batch_size: int, max_lr: float, *, test_flip: bool = False) -> RunConfig:
        return RunConfig(
            data=DataConfig(
                name=parameters.dataset,
                train_images=parameters.train_images,
                test_images=parameters.test_images,
                batch_size=batch_size,
                flip="random",
                crop_padding=4,
            ),
            model=ResNetConfig(channels=(32, 64, 128, 256)),
            train=TrainConfig(
                epochs=parameters.epochs,
                schedule=OneCycle(max_lr=max_lr),
                momentum=0.9,
                nesterov=True,
                weight_decay=5e-4,
                precision=parameters.precision,
                test_flip=test_flip,
                evaluate_every=100,  # only at the end: the claims are about the finished network
            ),
        )

    small, large = parameters.small_batch_size, parameters.large_batch_size
    plain = config(small, parameters.small_batch_lr)
    return (
        Experiment(
            "M2a",
            "Does a larger batch, with a slightly higher learning rate, train as well and faster?",
            {f"batch {small}": plain, f"batch {large}": config(large, parameters.large_batch_lr)},
            parameters.seeds,
        ),
        Experiment(
            "M8i",
            "What does averaging over the image and its mirror image at test time add?",
            {"plain": plain, "flip averaged": config(small, parameters.small_batch_lr, test_flip=True)},
            parameters.seeds,
        ),
    )
