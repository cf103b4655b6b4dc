"""The findings chapter: whole runs of the original report's two final models, and the answers of all chapters."""

from pydantic import PositiveFloat, PositiveInt

from fastresnet.chapters.cifar10_steps import ARCHITECTURES, SMALL, one_cycle
from fastresnet.chapters.fashionmnist_speed import HALF
from fastresnet.chapters.parameters import BatchSize, Epochs, EvaluatedParameters
from fastresnet.chapters.timing import timed
from fastresnet.config import DataConfig, RunConfig, TrainConfig
from fastresnet.config.models import ResNetConfig
from fastresnet.study import Experiment


class Parameters(EvaluatedParameters):
    """Scale of the runs of the report's two final models."""

    train_images: PositiveInt | None
    """Training images; None takes all."""
    batch_size: BatchSize
    """Batch size."""
    epochs: Epochs
    """Epochs."""
    max_lr: PositiveFloat
    """Maximum learning rate of the one-cycle schedule."""
    timed_images: PositiveInt
    """Training images of runs that only time an epoch."""


def experiments(parameters: Parameters) -> tuple[Experiment, ...]:
    """The report's fast model, which is C13's base, and its accurate one, whose widths it does not print."""
    fast = RunConfig(
        data=DataConfig(
            name=parameters.dataset,
            train_images=parameters.train_images,
            test_images=parameters.test_images,
            batch_size=parameters.batch_size,
            flip="random",
        ),
        model=ResNetConfig(channels=HALF, **parameters.shape),
        train=TrainConfig(
            epochs=parameters.epochs,
            schedule=one_cycle(parameters.max_lr),
            momentum=0.5,
            weight_decay=0.015,
            precision=parameters.precision,
            evaluate_every=parameters.evaluate_every or 4,
            measure=parameters.measure,
        ),
    )
    accurate = fast.with_changes(ARCHITECTURES[SMALL])
    models = {"fast": fast, "accurate": accurate}
    asked = (
        ("final", "How far do the report's two final models get?", models),
        ("final-time", "How long is an epoch of each?", timed(models, parameters.timed_images)),
    )
    return tuple(Experiment(name, question, variants, parameters.seeds, "cifar10") for name, question, variants in asked)
