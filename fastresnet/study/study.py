"""Studies: experiments declared as variants times seeds, of which only those runs are trained that no record answers.

    study = open_study("fashionmnist_speed", edition="cpu")
    results = study.run("F8")

Everything is imported here without torch; it is loaded when a run is really missing. A run is a pure function of its
configuration and seed that saves its own record, so it can be repeated, interrupted and spread over processes at will.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fastresnet.config.parsing import parse, read_yaml
from fastresnet.errors import UserError
from fastresnet.records.folders import Place
from fastresnet.records.record import RunRecord
from fastresnet.records.store import Key, Store
from fastresnet.study.cluster import train_with_dask
from fastresnet.study.experiment import Experiment, Results, Run
from fastresnet.study.project import EDITIONS, committed_results, editions_of, live_results, own_results, parameter_file
from fastresnet.study.trial import RunFailed, train_and_save

STUDIES = ("myrtle_notes", "fashionmnist_speed", "cifar10_accuracy", "frontier", "findings")
"""Modules of `fastresnet.chapters` that declare a study, in the order of the book. They are built on this room, so that it
loads them by name."""


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
        """An experiment's records for each seed that has those of every variant; None if no seed has."""
        experiment = self.experiment(experiment_id)
        found = self.store.find_all(run.key for run in self.runs(experiment_id))
        seeds = [
            seed for seed in experiment.seeds if all((config.hash, seed) in found for config in experiment.variants.values())
        ]
        if not seeds:
            return None
        records = {variant: tuple(found[config.hash, seed] for seed in seeds) for variant, config in experiment.variants.items()}
        return Results(experiment, self.edition, records)

    def run(self, experiment_id: str) -> Results:
        """An experiment's results, after training what was missing."""
        for _ in self.train_missing(experiment_id):
            pass
        results = self.recorded(experiment_id)
        assert results is not None  # train_missing() raises unless every record is there
        return results

    def best_recorded(self, experiment_id: str) -> Results:
        """What a page shows. The quick edition as it stands defers to the strongest edition that has every variant recorded
        with some seed. Any other edition, and a quick one with parameters of one's own, shows what it asks for."""
        if self.edition == "quick" and not self.changed:
            for edition in reversed(editions_of(self.name)[1:]):
                stronger = open_study(self.name, edition=edition)
                results = stronger.recorded(experiment_id) if experiment_id in stronger.experiments else None
                if results:
                    return results
        return self.run(experiment_id)

    def all_best_recorded(self, up_to: str = EDITIONS[-1]) -> dict[str, Results]:
        """What a page shows of every experiment, as `best_recorded` says, of editions `up_to` one of them. It has also those that
        only a stronger edition has."""
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
    """The runs that no record answers; of runs with equal configuration and seed, the first."""
    wanted: dict[Key, Run] = {}
    for run in runs:
        wanted.setdefault(run.key, run)
    found = store.find_all(wanted)
    return [run for key, run in wanted.items() if key not in found]


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
