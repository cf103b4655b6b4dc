"""Programs that contenders run, the measurements they return, and the first kind: this library with a configuration."""

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from benchmarks.energy import energy_of
from fastresnet.compute.costs import synchronise
from fastresnet.config import Precision, RunConfig
from fastresnet.data.images import Dataset
from fastresnet.data.loaders import make_batches
from fastresnet.records.record import RunRecord
from fastresnet.training.runs import train


@dataclass(frozen=True)
class Evaluation:
    """An evaluation on the test images in the course of a run."""

    epochs: float
    """Epochs trained before the evaluation."""
    seconds: float
    """Seconds of training before the evaluation, plus those of the evaluation itself."""
    test_accuracy: float


@dataclass(frozen=True)
class Measured:
    """Measurements of one run, which is whole or of a few steps."""

    epochs: float
    train_seconds: float
    training_flops: float
    peak_memory_bytes: int
    evaluations: tuple[Evaluation, ...]
    """Evaluations in the order in which they were made; the last is at the end."""
    joules: float | None
    """Energy of the GPU from the loading of the images to the last evaluation; None if it was not measured."""

    def reaching(self, target: float) -> Evaluation:
        """The first evaluation with an accuracy of at least `target`, in [0, 1]; the last one if none reaches it."""
        return next((each for each in self.evaluations if each.test_accuracy >= target), self.evaluations[-1])


class Program(Protocol):
    """A program that trains a network on a data set."""

    @property
    def dataset(self) -> str:
        """Name of the data set that the program trains on."""

    @property
    def batch_size(self) -> int: ...

    @property
    def precision(self) -> Precision:
        """Precision of the convolutions, which decides the peak throughput to compare with."""

    @property
    def epochs(self) -> float:
        """Epochs of a whole run."""

    def check(self, device: torch.device) -> None:
        """Raises UserError if the program cannot run on the device, or its package is missing."""

    def run(self, dataset: Dataset, device: torch.device, seed: int, steps: int | None = None) -> Measured:
        """Trains for a number of steps, or a whole run if `steps` is None."""

    def batch_seconds(self, dataset: Dataset, device: torch.device) -> float | None:
        """Seconds per image to make batches, without any network; None if that cannot be told apart from training."""


def num_steps(program: Program, dataset: Dataset) -> int:
    """Number of optimiser steps of a whole run."""
    return max(1, round(program.epochs * -(-len(dataset.train) // program.batch_size)))


@dataclass(frozen=True)
class Ours:
    """This library with a configuration, as a program."""

    config: RunConfig

    @property
    def dataset(self) -> str:
        return self.config.data.name

    @property
    def batch_size(self) -> int:
        return self.config.data.batch_size

    @property
    def precision(self) -> Precision:
        return self.config.train.precision

    @property
    def epochs(self) -> float:
        return self.config.train.epochs

    def check(self, device: torch.device) -> None:
        """Accepts every device, since the library runs wherever torch does."""

    def run(self, dataset: Dataset, device: torch.device, seed: int, steps: int | None = None) -> Measured:
        config = self.few_steps(dataset, steps) if steps else self.config
        result, joules = energy_of(lambda: train(config, seed, dataset=dataset, device=device.type), device)
        record = result.record
        return Measured(
            epochs=record.epochs_trained,
            train_seconds=record.seconds.train,
            training_flops=record.training_flops,
            peak_memory_bytes=record.peak_memory_bytes,
            evaluations=evaluations(record),
            joules=joules,
        )

    def few_steps(self, dataset: Dataset, steps: int) -> RunConfig:
        """Configuration of a run of a few steps with the image sizes and frozen parts of the whole run, in the same shares."""
        share = steps / num_steps(self, dataset)
        return self.config.with_changes(
            {
                "train.epochs": self.config.train.epochs * share,
                "data.size_curriculum": [(epoch * share, side) for epoch, side in self.config.data.size_curriculum],
                "data.test_images": 100,
                "train.test_flip": False,
                "train.test_shift": 0,
            }
        )

    def batch_seconds(self, dataset: Dataset, device: torch.device) -> float:
        batches, _ = make_batches(self.config.data, dataset, device, seed=0)
        steps = num_steps(self, dataset)
        start, num_images = time.perf_counter(), 0
        # ends after as many batches as a run has, since an epoch is shuffled once, or after little more than a second
        for step, (_, labels) in enumerate(batches.epoch(0), start=1):
            num_images += len(labels)
            if step == steps or time.perf_counter() - start > 1:
                break
        synchronise(device)
        return (time.perf_counter() - start) / num_images


def evaluations(record: RunRecord) -> tuple[Evaluation, ...]:
    """The evaluations of a recorded run. A run that diverged has an accuracy of 0 at its end."""
    elapsed = np.cumsum([epoch.train_seconds for epoch in record.epochs])
    before_first = record.seconds.train - elapsed[-1]
    return tuple(
        Evaluation(
            epochs=min(index, record.epochs_trained),
            seconds=before_first + seconds + epoch.evaluate_seconds,
            test_accuracy=epoch.test_accuracy or 0.0,
        )
        for index, (seconds, epoch) in enumerate(zip(elapsed.tolist(), record.epochs, strict=True), 1)
        if epoch.test_accuracy is not None or index == len(record.epochs)
    )
