"""What is asked of the machine and what it answered: experiments, their runs, their results. Free of torch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from fastresnet.config import RunConfig
from fastresnet.records.record import RunRecord
from fastresnet.records.store import Key


@dataclass(frozen=True)
class Experiment:
    """A question put to the machine: named configurations, each run with every seed."""

    id: str
    question: str
    variants: Mapping[str, RunConfig]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Run:
    """One run of an experiment."""

    study: str
    experiment: str
    variant: str
    config: RunConfig
    seed: int

    @property
    def key(self) -> Key:
        """What its record is found by."""
        return self.config.hash, self.seed


@dataclass(frozen=True)
class Results:
    """An experiment with its records: of every variant, with the same seeds, both in the order in which they were declared."""

    experiment: Experiment
    edition: str
    records: Mapping[str, tuple[RunRecord, ...]]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that are recorded; the experiment may ask for more."""
        return tuple(record.seed for record in next(iter(self.records.values())))

    def frame(self) -> pd.DataFrame:
        """One row per run: variant, seed, final accuracies in [0, 1], training seconds in all, an epoch, its fastest, an
        image."""
        return pd.DataFrame(
            {
                "variant": variant,
                "seed": record.seed,
                "outcome": record.outcome.status,
                "test_accuracy": record.test_accuracy,
                "train_accuracy": record.epochs[-1].train_accuracy if record.epochs else None,
                "train_seconds": record.seconds.train,
                "epoch_seconds": record.seconds.train / record.epochs_trained,
                "fastest_epoch_seconds": min((epoch.train_seconds for epoch in record.epochs), default=None),
                "image_seconds": record.seconds.train / record.images_trained,
                "images_per_second": record.images_trained / record.seconds.train,
            }
            for variant, records in self.records.items()
            for record in records
        )

    def epochs(self) -> pd.DataFrame:
        """One row per epoch: variant, seed and the columns of `EpochRecord`."""
        return pd.DataFrame(
            {"variant": variant, "seed": record.seed, **epoch.model_dump()}
            for variant, records in self.records.items()
            for record in records
            for epoch in record.epochs
        )


def by_seed(runs: Iterable[Run], first: Sequence[str]) -> list[Run]:
    """Runs one seed after the other, within each the experiments named `first`, in that order, before the rest."""
    rank = {experiment: place for place, experiment in enumerate(first)}
    return sorted(runs, key=lambda run: (run.seed, rank.get(run.experiment, len(rank))))
