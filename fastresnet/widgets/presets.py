"""Schedules that somebody trained with, and the test accuracies that they led to where those are known.

presets = [*PUBLISHED, *recorded_presets(open_study("cifar10_accuracy").best_recorded("C7"))]
"""

import math
from typing import Any

from fastresnet.config import RunConfig
from fastresnet.config.base import Settings
from fastresnet.config.schedules import Constant, OneCycle, PiecewiseLinear, Schedule
from fastresnet.report import original
from fastresnet.study import Results


class Preset(Settings):
    """A schedule with the run it was made for. `accuracy` holds pairs (epoch, test accuracy in [0, 1]), possibly none."""

    group: str
    """Short name of where it comes from, such as an experiment's."""
    about: str
    """What the group is about, in a line."""
    name: str
    schedule: Schedule
    epochs: int
    steps_per_epoch: int
    accuracy: tuple[tuple[float, float], ...] = ()
    source: str = ""
    """What the accuracies are those of."""


def recorded_presets(*experiments: Results) -> list[Preset]:
    """One preset per variant of each experiment, with its seeds' mean accuracy after each epoch that was evaluated."""
    return [preset for results in experiments for preset in _presets_of(results)]


def _presets_of(results: Results) -> list[Preset]:
    frame = results.epochs()
    curves = frame.groupby(["variant", "epoch"])["test_accuracy"].agg(lambda values: values.mean(skipna=False)).dropna()
    return [
        Preset(
            group=results.experiment.id,
            about=results.experiment.question,
            name=variant,
            schedule=_as_written(config),
            epochs=math.ceil(config.train.epochs),
            steps_per_epoch=math.ceil(_images(results, variant) / config.data.batch_size),
            accuracy=tuple((float(epoch), float(value)) for epoch, value in curves.get(variant, default={}).items()),
            source=_source(config, len(results.seeds), _images(results, variant)),
        )
        for variant, config in results.experiment.variants.items()
    ]


def _source(config: RunConfig, runs: int, images: int) -> str:
    held = f", momentum {config.train.momentum:g}" if config.train.schedule.momentum(0, 1) is None else ""
    return f"{f'mean of {runs} runs' if runs > 1 else 'one run'} on {images:,} images, batch {config.data.batch_size}{held}"


def _images(results: Results, variant: str) -> int:
    data = results.records[variant][0].data
    assert data is not None  # only a failed run has none, and a failed run is no result
    return data.train_images


def _as_written(config: RunConfig) -> Any:
    """A run's schedule without the rounding errors of arithmetic: 0.02, where a share times a rate gave 0.020000000000000004."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        if isinstance(value, list):
            return [plain(each) for each in value]
        return float(f"{value:.12g}") if isinstance(value, float) else value

    return plain(config.train.schedule.model_dump(mode="json"))


def _published(
    group: str, name: str, schedule: Schedule, epochs: int, batch_size: int, dataset: str = "cifar10", **known: Any
) -> Preset:
    steps = math.ceil(original.EPOCH_IMAGES[dataset] / batch_size)
    return Preset(group=group, about=_ABOUT[group], name=name, schedule=schedule, epochs=epochs, steps_per_epoch=steps, **known)


def _printed(rows: tuple[original.OriginalEpoch, ...]) -> tuple[tuple[float, float], ...]:
    return tuple((float(row.epoch), row.test_accuracy) for row in rows)


_ABOUT = {
    "Report": "what the original report printed",
    "myrtle": "the rates of Page's posts and of his code, cifar10-fast",
}
PUBLISHED = (
    _published(
        "Report",
        "C9, one cycle to 0.1",
        OneCycle(max_lr=0.1, momentum_range=(0.85, 0.95)),
        20,
        4500,
        accuracy=_printed(original.C9),
        source="one run on CIFAR-10, as printed; its test images were mirrored at random, too",
    ),
    _published(
        "Report",
        "F8, constant 0.1",
        Constant(lr=0.1),
        10,
        4500,
        "fashion-mnist",
        accuracy=_printed(original.F8_HALF),
        source="one run of half width on FashionMNIST, as printed",
    ),
    _published(
        "myrtle",
        "first post, 35 epochs",
        PiecewiseLinear(points=((0, 0), (round(15 / 35, 4), 0.1), (round(30 / 35, 4), 0.005), (1, 0))),
        35,
        128,
    ),
    _published(
        "myrtle",
        "DAWNBench entry, 24 epochs",
        PiecewiseLinear(points=((0, 0), (round(5 / 24, 4), 0.4), (1, 0))),
        24,
        512,
    ),
    _published("myrtle", "last post, 10 epochs", PiecewiseLinear(points=((0, 0), (0.2, 1.0), (0.8, 0.1))), 10, 512),
)
"""Schedules of the original report and of Page's code, whose rates hold for a loss averaged over the batch."""
