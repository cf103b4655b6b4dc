"""Experiments, their runs and their results. Free of torch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from fastresnet.config import RunConfig
from fastresnet.errors import UserError
from fastresnet.records.record import RunRecord
from fastresnet.records.store import Key


@dataclass(frozen=True)
class Experiment:
    """A question and its variants: named configurations, each trained with every seed.

    Raises UserError unless there is a variant and a seed, and none comes twice.

    >>> variants = {f"{depth} layers": fr.RunConfig(model={"depth": depth}) for depth in (18, 34)}
    >>> depth = fr.Experiment("depth", "Do more layers help?", variants, seeds=(0, 1, 2))
    >>> len(fr.Study("mine", "cpu", {"depth": depth}, fr.Store(["records"])).missing())
    6
    """

    id: str
    question: str
    variants: Mapping[str, RunConfig]
    seeds: tuple[int, ...]
    dataset: str | None = None
    """Name of the data set of the original's figures; None if there are none."""

    def __post_init__(self) -> None:
        if not self.variants or not all(isinstance(each, RunConfig) for each in self.variants.values()):
            raise UserError(
                f"{self.id}: variants: must be a RunConfig for each name, and one at least, got {dict(self.variants)}"
            )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"{self.id}: seeds: must be one number or more, none twice, got {list(self.seeds)}")

    def __repr__(self) -> str:
        return f"Experiment({self.id}: {self.question!r}, {len(self.variants)} variants, {len(self.seeds)} seeds)"


@dataclass(frozen=True)
class Run:
    """One run of an experiment: the configuration of a variant, and a seed."""

    study: str
    experiment: str
    variant: str
    config: RunConfig
    seed: int

    @property
    def key(self) -> Key:
        """The key of the run's record: the configuration's hash and the seed."""
        return self.config.hash, self.seed


@dataclass(frozen=True)
class Results:
    """Results of an experiment: its records by variant. Every variant has the same seeds; both are in the order declared.

    >>> results = fr.open_study("fashionmnist_speed", edition="cpu").recorded("F8")
    >>> results.frame().columns[:4].tolist()
    ['variant', 'seed', 'outcome', 'test_accuracy']
    """

    experiment: Experiment
    edition: str
    records: Mapping[str, tuple[RunRecord, ...]]
    """Runs that finished or diverged: each has an epoch at least."""

    def __repr__(self) -> str:
        return f"Results({self.experiment.id}, {self.edition} edition, {len(self.records)} variants, {len(self.seeds)} seeds)"

    @property
    def all_records(self) -> list[RunRecord]:
        """The records of all variants, one variant after another."""
        return [record for records in self.records.values() for record in records]

    @property
    def other_data(self) -> str:
        """Name of the data set if it is not that of the original's figures, which then say nothing of these runs; else ""."""
        name = self.all_records[0].config.data.name
        return name if self.experiment.dataset not in (None, name) else ""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that are recorded; the experiment may ask for more."""
        return tuple(record.seed for record in next(iter(self.records.values())))

    def frame(self) -> pd.DataFrame:
        """One row per run: variant, seed, outcome, final accuracies in [0, 1], mean test accuracy of the last five epochs, images
        per second, and seconds of training: in total, per epoch, of the fastest epoch, and per image. A run that diverged has no
        accuracy, and no seconds in total."""
        return pd.DataFrame(
            {
                "variant": variant,
                "seed": record.seed,
                "outcome": record.outcome.status,
                "test_accuracy": record.test_accuracy,
                "settled_accuracy": record.settled_accuracy,
                "train_accuracy": record.train_accuracy,
                "train_seconds": record.seconds.train if record.outcome.status == "finished" else None,
                "epoch_seconds": record.seconds.train / record.epochs_trained,
                "fastest_epoch_seconds": min(epoch.train_seconds for epoch in record.epochs),
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
    """Sorts runs by seed. Within a seed, the experiments named in `first` come first, in that order."""
    rank = {experiment: place for place, experiment in enumerate(first)}
    return sorted(runs, key=lambda run: (run.seed, rank.get(run.experiment, len(rank))))
