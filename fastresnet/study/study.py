"""Studies: experiments declared as variants times seeds, of which only those runs are trained that no record answers.

    study = open_study("fashionmnist_speed", edition="cpu")
    results = study.run("F8")

Everything is imported here without torch; it is loaded when a run is really missing. A run is a pure function of its
configuration and seed that saves its own record, so it can be repeated, interrupted and spread over processes at will.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from fastresnet.chapters import STUDIES
from fastresnet.config import RunConfig
from fastresnet.config.parsing import parse, read_yaml
from fastresnet.errors import UserError
from fastresnet.records.folders import Place
from fastresnet.records.record import RunRecord
from fastresnet.records.store import Key, Store
from fastresnet.study.cluster import train_with_dask
from fastresnet.study.project import EDITIONS, committed_results, editions_of, live_results, own_results, parameter_file


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
    """An experiment with the record of every run, variants and seeds in the order in which they were declared."""

    experiment: Experiment
    edition: str
    records: Mapping[str, tuple[RunRecord, ...]]

    def frame(self) -> pd.DataFrame:
        """One row a run: variant, seed, final accuracies in [0, 1], training seconds in all, an epoch, its fastest, an image."""
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
        """One row an epoch: variant, seed and the columns of `EpochRecord`."""
        return pd.DataFrame(
            {"variant": variant, "seed": record.seed, **epoch.model_dump()}
            for variant, records in self.records.items()
            for record in records
            for epoch in record.epochs
        )


@dataclass(frozen=True)
class Study:
    """The experiments of a chapter, as its parameters ask for them, and where their records are."""

    name: str
    edition: str
    experiments: Mapping[str, Experiment]
    store: Store
    data_dir: Path | None = None
    device: str | None = None
    changed: bool = False
    """Whether a parameter differs from its edition's."""

    def experiment(self, experiment_id: str) -> Experiment:
        """An experiment by its id. Raises UserError for an unknown one."""
        if experiment_id not in self.experiments:
            raise UserError(f"{self.name}: no experiment {experiment_id!r}; allowed: {', '.join(self.experiments)}")
        return self.experiments[experiment_id]

    def runs(self, only: str | None = None) -> list[Run]:
        """Every run wanted, of one experiment or of all, seeds outermost: an interrupted study has all variants."""
        chosen = [self.experiment(only)] if only else list(self.experiments.values())
        return [
            Run(self.name, experiment.id, variant, config, seed)
            for experiment in chosen
            for seed in experiment.seeds
            for variant, config in experiment.variants.items()
        ]

    def missing(self, only: str | None = None) -> list[Run]:
        """The runs that no record answers; of runs with equal configuration and seed, the first."""
        return unanswered(self.runs(only), self.store)

    def train_missing(
        self, only: str | None = None, *, progress: bool = False, dask: str | None = None
    ) -> Iterator[tuple[Run, RunRecord]]:
        """Trains the missing runs, as `train_all` says."""
        yield from train_all(self.missing(only), self.store, self.data_dir, self.device, progress=progress, dask=dask)

    def recorded(self, experiment_id: str) -> Results | None:
        """An experiment's records if all of them are there, else None."""
        experiment, runs = self.experiment(experiment_id), self.runs(experiment_id)
        found = self.store.find_all(run.key for run in runs)
        if any(run.key not in found for run in runs):
            return None
        records = {
            variant: tuple(found[config.hash, seed] for seed in experiment.seeds)
            for variant, config in experiment.variants.items()
        }
        return Results(experiment, self.edition, records)

    def run(self, experiment_id: str) -> Results:
        """An experiment's results, after training what was missing."""
        for _ in self.train_missing(experiment_id):
            pass
        results = self.recorded(experiment_id)
        assert results is not None  # train_missing() raises unless every record is there
        return results

    def strongest(self, experiment_id: str) -> Results:
        """What a page shows. The quick edition as it stands defers to the strongest edition whose records are complete.
        Any other edition, and a quick one with parameters of one's own, shows what it asks for."""
        if self.edition == "quick" and not self.changed:
            for edition in reversed(editions_of(self.name)[1:]):
                stronger = open_study(self.name, edition=edition)
                results = stronger.recorded(experiment_id) if experiment_id in stronger.experiments else None
                if results:
                    return results
        return self.run(experiment_id)

    def all_strongest(self, up_to: str = EDITIONS[-1]) -> dict[str, Results]:
        """What a page shows of every experiment, as `strongest` says, also of those that only a stronger edition has; of editions
        `up_to` one of them."""
        chosen: dict[str, Results] = {}
        if self.edition == "quick" and not self.changed:
            editions = editions_of(self.name)
            for edition in reversed(editions[1 : editions.index(up_to) + 1]):
                stronger = open_study(self.name, edition=edition)
                for experiment in stronger.experiments:
                    results = None if experiment in chosen else stronger.recorded(experiment)
                    if results:
                        chosen[experiment] = results
        return {**{experiment: self.run(experiment) for experiment in self.experiments if experiment not in chosen}, **chosen}


def unanswered(runs: Iterable[Run], store: Store) -> list[Run]:
    """Those of some runs that no record answers; of runs with equal configuration and seed, the first."""
    wanted: dict[Key, Run] = {}
    for run in runs:
        wanted.setdefault(run.key, run)
    found = store.find_all(wanted)
    return [run for key, run in wanted.items() if key not in found]


def by_seed(runs: Iterable[Run], first: Sequence[str]) -> list[Run]:
    """Runs one seed after the other, within each the experiments named `first`, in that order, before the rest."""
    rank = {experiment: place for place, experiment in enumerate(first)}
    return sorted(runs, key=lambda run: (run.seed, rank.get(run.experiment, len(rank))))


def train_all(
    runs: Sequence[Run],
    store: Store,
    data_dir: Path | None,
    device: str | None,
    *,
    progress: bool = False,
    dask: str | None = None,
) -> Iterator[tuple[Run, RunRecord]]:
    """Trains runs, yielding each with its record once that is saved: one after the other, or, with `dask`, spread over the
    cluster that `fastresnet.study.cluster.clusters.open_cluster` reads it as.

    Raises RunFailed at the end if some failed; their records say why.
    """
    if dask:
        yield from train_with_dask(runs, store, data_dir, device, dask, progress=progress)
        return
    failures = []
    for run in runs:
        try:
            yield run, train_and_save(run, store, data_dir, device, progress=progress)
        except RunFailed as error:  # the others may well succeed
            failures.append(str(error))
    if failures:
        raise RunFailed("; ".join(failures))


class RunFailed(RuntimeError):
    """A run ended in an exception: the message says which, why, and where that is recorded."""


def open_study(
    name: str,
    *,
    edition: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    results: Place | None = None,
    data_dir: Path | None = None,
) -> Study:
    """A study with an edition's parameters, some of them replaced.

    Records are looked for, and new ones kept, in `results` alone, a folder or a URL; without it in the study's own record,
    where runs of the quick edition, and those that only your parameters ask for, are kept among the build products
    instead. Raises UserError for an unknown study, edition or parameter, or a value that is not allowed.
    """
    original = edition_parameters(name, edition)
    values = {**original, **(parameters or {}), "edition": edition}
    checked, experiments = declare(name, values, f"parameters of {name}")
    # where the runs are made is no part of what is asked
    changed = any(values.get(key) != value for key, value in original.items() if key != "device")
    committed = committed_results()
    own = live_results() if edition == "quick" and not changed else own_results() if changed else committed
    store = Store([results] if results else [own, committed])
    return Study(name, edition, {each.id: each for each in experiments}, store, data_dir, checked.device, changed)


def named_parameters(name: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """A study's parameters as a chapter's own variables spell them: `named_parameters(name, globals())`."""
    return {key: namespace[key] for key in find_study(name).Parameters.model_fields if key in namespace}


def edition_parameters(name: str, edition: str) -> dict[str, Any]:
    """The parameters of an edition, checked. Raises UserError for an unknown study or edition, or a faulty file."""
    find_study(name)
    path = parameter_file(name, edition)
    values = read_yaml(path)
    checked, _ = declare(name, values, str(path))
    return checked.model_dump(mode="json")


def declare(name: str, values: Mapping[str, Any], where: str) -> tuple[Any, tuple[Experiment, ...]]:
    """A study's parameters and experiments. Raises UserError, naming `where`, if either cannot be what is asked for."""
    study = find_study(name)
    checked = parse(values, study.Parameters, where)
    try:
        experiments = study.experiments(checked)
    except ValidationError as error:
        reasons = dict.fromkeys(line["msg"].removeprefix("Value error, ") for line in error.errors())
        raise UserError(f"{where}: these values do not go together: {'; '.join(reasons)}") from error
    seeds_of = getattr(checked, "seeds_of", {})
    if unknown := set(seeds_of) - {each.id for each in experiments}:
        raise UserError(
            f"{where}: seeds_of: no experiment {min(unknown)!r}; allowed: {', '.join(each.id for each in experiments)}"
        )
    return checked, tuple(replace(each, seeds=seeds_of.get(each.id, each.seeds)) for each in experiments)


def find_study(name: str) -> Any:
    """The module that declares a study: its `Parameters` and `experiments`. Raises UserError for an unknown name."""
    if name not in STUDIES:
        raise UserError(f"no study {name!r}; allowed: {', '.join(STUDIES)}")
    return importlib.import_module(f"fastresnet.chapters.{name}")


def train_and_save(run: Run, store: Store, data_dir: Path | None, device: str | None, *, progress: bool) -> RunRecord:
    """Trains one run from its checkpoint, if it has one, and saves its record.

    A run that raises is recorded as failed and raises RunFailed. A request that cannot be served raises UserError
    and records nothing.
    """
    from fastresnet.data.sources import cache_folder
    from fastresnet.training.runs import train

    started = datetime.now(UTC)
    checkpoint = cache_folder() / "checkpoints" / f"{run.config.hash}-seed{run.seed}.pt"
    try:
        record = train(run.config, run.seed, data_dir=data_dir, device=device, checkpoint=checkpoint, progress=progress).record
    except UserError:
        raise
    except Exception as error:
        raise record_failure(run, store, f"{type(error).__name__}: {error}", device, started) from error
    store.save(record, run.study, run.experiment, run.variant)
    checkpoint.unlink(missing_ok=True)
    return record


def record_failure(run: Run, store: Store, reason: str, device: str | None, started: datetime) -> RunFailed:
    """Records a run as failed; the error to raise says which, why, and where that is recorded.

    A run that another process has ended meanwhile keeps the record of that one.
    """
    from fastresnet.training.runs import failed_record

    if store.find(*run.key):
        where = "not recorded: another process has ended the run"
    else:
        record = failed_record(run.config, run.seed, reason, device, started)
        where = f"recorded in {store.save(record, run.study, run.experiment, run.variant)}"
    return RunFailed(f"{run.experiment} {run.variant} seed {run.seed} failed: {reason}; {where}")
