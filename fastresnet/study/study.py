"""Studies: experiments declared as variants times seeds. Only runs without a record are trained.

    study = open_study("fashionmnist_speed", edition="cpu")
    results = study.run("F8")

This module imports no torch; only a missing run loads it. A run is a pure function of its configuration and seed, and saves
its own record. Runs can therefore be repeated, interrupted and spread over processes.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
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
from fastresnet.study.project import (
    EDITIONS,
    committed_results,
    editions_of,
    live_results,
    own_results,
    parameter_file,
    project_root,
)
from fastresnet.study.trial import RunFailed, train_and_save

STUDIES = ("myrtle_notes", "fashionmnist_speed", "cifar10_accuracy", "frontier", "findings")
"""Modules of `fastresnet.chapters` that declare a study, in the order of the book. They import this package, so it loads
them by name."""


@dataclass(frozen=True)
class Study:
    """The experiments of a chapter under given parameters, and the store of their records."""

    name: str
    edition: str
    experiments: Mapping[str, Experiment]
    store: Store
    data_dir: Path | None = None
    device: str | None = None
    changed: bool = False
    """Whether a parameter other than the device differs from its edition's."""

    def experiment(self, experiment_id: str) -> Experiment:
        """An experiment by its id. Raises UserError for an unknown one."""
        if experiment_id not in self.experiments:
            raise UserError(f"{self.name}: no experiment {experiment_id!r}; allowed: {', '.join(self.experiments)}")
        return self.experiments[experiment_id]

    def runs(self, only: str | None = None) -> list[Run]:
        """Every run wanted, of one experiment or of all. Seeds come outermost, so that an interrupted study has all variants."""
        chosen = [self.experiment(only)] if only else list(self.experiments.values())
        return [
            Run(self.name, experiment.id, variant, config, seed)
            for experiment in chosen
            for seed in experiment.seeds
            for variant, config in experiment.variants.items()
        ]

    def missing(self, only: str | None = None) -> list[Run]:
        """The runs without a record; of several with the same configuration and seed, only the first."""
        return unanswered(self.runs(only), self.store)

    def train_missing(
        self, only: str | None = None, *, progress: bool = False, dask: str | None = None
    ) -> Iterator[tuple[Run, RunRecord]]:
        """Trains the missing runs and yields each with its record, as `train_all` does."""
        yield from train_all(self.missing(only), self.store, self.data_dir, self.device, progress=progress, dask=dask)

    def recorded(self, experiment_id: str) -> Results | None:
        """An experiment's records, for the seeds that are recorded for every variant; None if there is no such seed."""
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
        """Trains an experiment's missing runs and returns its results."""
        for _ in self.train_missing(experiment_id):
            pass
        results = self.recorded(experiment_id)
        assert results is not None  # train_missing() raises unless every record is there
        return results

    def best_recorded(self, experiment_id: str) -> Results:
        """The results of an experiment that a page shows. The unchanged quick edition shows the strongest edition that has some
        seed recorded for every variant. Any other edition, and a quick one with changed parameters, shows its own runs."""
        return self._strongest(experiment_id) or self.run(experiment_id)

    def _strongest(self, experiment_id: str) -> Results | None:
        """The results of a stronger edition, if an unchanged quick page shows such."""
        if self.edition == "quick" and not self.changed:
            for stronger in opened_editions(self.name)[:-1]:
                results = stronger.recorded(experiment_id) if experiment_id in stronger.experiments else None
                if results:
                    return results
        return None

    def check_page(self) -> None:
        """Raises UserError if a page has to train runs whose records cannot be kept."""
        try:
            self.store.check_writable()
        except UserError:
            if any(self.missing(each) for each in self.experiments if not self._strongest(each)):
                raise

    def all_best_recorded(self, up_to: str = EDITIONS[-1]) -> dict[str, Results]:
        """The results that a page shows of every experiment, as in `best_recorded`, from editions no stronger than `up_to`. They
        include experiments that only a stronger edition than the quick one has."""
        chosen: dict[str, Results] = {}
        if self.edition == "quick" and not self.changed:
            for stronger in (
                each for each in opened_editions(self.name)[:-1] if EDITIONS.index(each.edition) <= EDITIONS.index(up_to)
            ):
                for experiment in stronger.experiments:
                    results = None if experiment in chosen else stronger.recorded(experiment)
                    if results:
                        chosen[experiment] = results
        return {**{experiment: self.run(experiment) for experiment in self.experiments if experiment not in chosen}, **chosen}


def opened_editions(name: str, place: Place | None = None) -> tuple[Study, ...]:
    """A study in each of its editions, strongest first, with the study's own records or those at `place`.

    They are opened once per process, since each declares a few hundred runs and a page asks for thirty experiments.
    """
    return _opened(name, place, project_root())


@cache
def _opened(name: str, place: Place | None, _root: Path) -> tuple[Study, ...]:
    return tuple(open_study(name, edition=edition, results=place) for edition in reversed(editions_of(name)))


def unanswered(runs: Iterable[Run], store: Store) -> list[Run]:
    """The runs without a record; of several with the same configuration and seed, only the first."""
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
    """Trains runs and yields each with its record once that is saved. Runs are trained one after the other, or on the cluster
    that `dask` names, as `fastresnet.study.cluster.clusters.open_cluster` reads it.

    Raises RunFailed at the end if some failed; their records say why.
    """
    if dask:
        yield from train_with_dask(runs, store, data_dir, device, dask, progress=progress)
        return
    if runs:
        store.check_writable()
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
    """Opens a study with an edition's parameters, some of them replaced by `parameters`.

    Records are looked for, and new ones kept, in `results` alone, a folder or a URL. Without it, they are looked for and kept
    in the committed record; new records of the quick edition and of changed parameters are kept in the build folder. Raises
    UserError for an unknown study, edition or parameter, or a value that is not allowed.
    """
    original = edition_parameters(name, edition)
    values = {**original, **(parameters or {}), "edition": edition}
    checked, experiments = declare(name, values, f"parameters of {name}")
    # the device decides where runs are trained, not which runs
    changed = any(values.get(key) != value for key, value in original.items() if key != "device")
    committed = committed_results()
    own = live_results() if edition == "quick" and not changed else own_results() if changed else committed
    store = Store([results] if results else [own, committed])
    return Study(name, edition, {each.id: each for each in experiments}, store, data_dir, checked.device, changed)


def named_parameters(name: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """A study's parameters from a notebook's variables of the same names: `named_parameters(name, globals())`."""
    return {key: namespace[key] for key in find_study(name).Parameters.model_fields if key in namespace}


def edition_parameters(name: str, edition: str) -> dict[str, Any]:
    """The checked parameters of a study's edition. Raises UserError for an unknown study or edition, or a faulty file."""
    find_study(name)
    path = parameter_file(name, edition)
    values = read_yaml(path)
    checked, _ = declare(name, values, str(path))
    return checked.model_dump(mode="json")


def declare(name: str, values: Mapping[str, Any], where: str) -> tuple[Any, tuple[Experiment, ...]]:
    """Checks a study's parameters and declares its experiments. Raises UserError, naming `where`, for values not allowed."""
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
