"""Studies: experiments declared as variants times seeds. Only runs without a record are trained.

    study = open_study("fashionmnist_speed", edition="cpu")
    results = study.run("F8")

This module imports no torch; only a missing run loads it. A run is a pure function of its configuration and seed, and saves
its own record. Runs can therefore be repeated, interrupted and spread over processes.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from fastresnet.config.parsing import parse
from fastresnet.errors import UserError
from fastresnet.records.folders import Place
from fastresnet.records.record import RunRecord
from fastresnet.records.store import Key, Store
from fastresnet.study.cluster import train_with_dask
from fastresnet.study.declaration import declare, edition_parameters, find_study, merged, scaled
from fastresnet.study.experiment import Experiment, Results, Run
from fastresnet.study.project import EDITIONS, committed_results, editions_of, live_results, own_results, project_root
from fastresnet.study.trial import RunFailed, claimed_run, named_if_it_ends, train_and_save

_DECLARED = "cpu"
"""The edition in which a chapter's experiments are declared if its quick edition is changed: every chapter has it."""
_NOT_CHANGES = ("device", "scale", "changed", "edition")
"""Parameters that say where or how much is trained, or what was changed, and so change no experiment by themselves."""


@dataclass(frozen=True)
class Study:
    """Experiments and the store of their records: those of a chapter, from `open_study`, or others.

    >>> data = {"name": "fashion-sample", "train_images": 100, "test_images": 100}
    >>> config = fr.RunConfig(data=data, model={"depth": 10, "in_channels": 1}, train={"epochs": 1})
    >>> first = fr.Experiment("first", "Does it run?", {"plain": config}, seeds=(0,))
    >>> study = fr.Study("mine", "cpu", {"first": first}, fr.Store(["records"]))
    >>> study.run("first").seeds
    (0,)
    """

    name: str
    edition: str
    experiments: Mapping[str, Experiment]
    store: Store
    data_dir: str | Path | None = None
    device: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    """The parameters that are not the edition's own, device and scale aside."""
    scale: float = 1.0

    def __repr__(self) -> str:
        return f"Study({self.name}, {self.edition} edition, {len(self.experiments)} experiments, {self.store!r})"

    @property
    def unchanged(self) -> bool:
        """Whether these are the edition's own parameters, device aside."""
        return not self.changes and self.scale == 1

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
        return without_record(self.runs(only), self.store)

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

    def shown(self, experiment_id: str) -> tuple["Study", Results | None]:
        """The study whose runs a page shows for an experiment, with its results; None in their place if runs may still have to be
        trained.

        The quick edition shows the largest edition, up to the chapter's `UP_TO`, that has some seed recorded for every variant.
        With changed parameters, an experiment that they touch is shown as that edition has it under these changes, and its
        missing runs have to be trained. Any other edition shows its own runs.
        """
        for larger, changed in self._larger:
            if experiment_id in larger.experiments and (found := larger.recorded(experiment_id)):
                untouched = changed.experiments.get(experiment_id) == larger.experiments[experiment_id]
                return (larger, found) if untouched else (changed, None)
        return self, None

    def nearest(self, experiment_id: str) -> Results | None:
        """An experiment's records in the edition that the page shows, or else in this one, without this study's changes."""
        shown = [each for each, _ in self._larger] or [open_study(self.name, edition=self.edition)]
        editions = (each for each in shown if experiment_id in each.experiments)
        return next((found for each in editions if (found := each.recorded(experiment_id))), None)

    @cached_property
    def _larger(self) -> tuple[tuple["Study", "Study"], ...]:
        """Larger editions that a page may show instead of the quick one, largest first, as pairs: unchanged, and with this
        study's changes."""
        if self.edition != "quick":
            return ()
        shown = EDITIONS[1 : EDITIONS.index(getattr(find_study(self.name), "UP_TO", EDITIONS[-1])) + 1]
        editions = (each for each in opened_editions(self.name) if each.edition in shown)
        return tuple((each, each if self.unchanged else each._changed(self)) for each in editions)

    def _changed(self, like: "Study") -> "Study":
        """This study with the changes, scale and device of another one. The scale counts only where the changes make a
        difference, or everywhere if there are none."""
        scale = 1.0 if like.changes else like.scale
        parameters = {**like.changes, "device": like.device, "changed": tuple(like.changes), "scale": scale}
        study = open_study(self.name, edition=self.edition, parameters=parameters, data_dir=like.data_dir)
        if not like.changes:
            return study
        experiments = {
            name: each if each == self.experiments.get(name) else scaled(each, like.scale)
            for name, each in study.experiments.items()
        }
        return replace(study, experiments=experiments, scale=like.scale)

    def best_recorded(self, experiment_id: str) -> Results:
        """The results of an experiment that a page shows, as `shown` chooses them. Missing runs are trained."""
        study, found = self.shown(experiment_id)
        return found or study.run(experiment_id)

    def check_page(self) -> None:
        """Raises UserError if a page has to train runs whose records cannot be kept."""
        for name in self.experiments:
            study, found = self.shown(name)
            try:
                study.store.check_writable()
            except UserError:
                if not found and study.missing(name):
                    raise

    def all_best_recorded(self) -> dict[str, Results]:
        """The results that a page shows of every experiment. They include recorded experiments that only an edition larger than
        the quick one has."""
        more = (name for _, changed in self._larger for name in changed.experiments if self.shown(name)[1])
        return {name: self.best_recorded(name) for name in dict.fromkeys([*self.experiments, *more])}


def opened_editions(name: str, place: Place | None = None) -> tuple[Study, ...]:
    """A study in each of its editions, largest first, with the study's own records or those at `place`.

    They are opened once per process, since each declares a few hundred runs and a page asks for thirty experiments.
    """
    return _opened(name, place, project_root())


@cache
def _opened(name: str, place: Place | None, _root: Path) -> tuple[Study, ...]:
    return tuple(open_study(name, edition=edition, results=place) for edition in reversed(editions_of(name)))


def without_record(runs: Iterable[Run], store: Store) -> list[Run]:
    """The runs without a record; of several with the same configuration and seed, only the first."""
    wanted: dict[Key, Run] = {}
    for run in runs:
        wanted.setdefault(run.key, run)
    found = store.find_all(wanted)
    return [run for key, run in wanted.items() if key not in found]


def train_all(
    runs: Sequence[Run], store: Store, data_dir: str | Path | None, device: str | None, *, progress: bool, dask: str | None
) -> Iterator[tuple[Run, RunRecord]]:
    """Trains runs and yields each with its record once that is saved. Runs are trained one after the other, or on the cluster
    that `dask` names, as `fastresnet.study.cluster.clusters.open_cluster` reads it.

    Raises RunFailed at the end if some failed; their records say why.
    """
    if dask is not None:
        yield from train_with_dask(runs, store, data_dir, device, dask, progress=progress)
        return
    if runs:
        store.check_writable()
    failures: list[str] = []
    with named_if_it_ends(failures):
        held = list(runs)
        for wait in (False, True):  # what other processes are training comes last
            waiting, held = held, []
            for run in waiting:
                with claimed_run(run, store, wait=wait) as ours:
                    if not ours:
                        held.append(run)
                        continue
                    try:  # another process may have trained it meanwhile
                        record = store.find(*run.key) or train_and_save(run, store, data_dir, device, progress=progress)
                    except RunFailed as error:  # the others may well succeed
                        failures.append(str(error))
                        continue
                yield run, record
    if failures:
        raise RunFailed("; ".join(failures))


def open_study(
    name: str,
    *,
    edition: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    results: Place | None = None,
    data_dir: str | Path | None = None,
) -> Study:
    """Opens the study of a chapter with an edition's parameters, some of them replaced by `parameters`.

    Records are looked for, and new ones kept, in `results` alone, a folder or a URL. Without it, they are looked for and kept
    in the committed record; new records of the quick edition and of changed parameters are kept in the build folder. Raises
    UserError for an unknown study, edition or parameter, a value that is not allowed, or outside a checkout.

    >>> study = fr.open_study("findings", parameters={"epochs": 2})
    >>> study.experiment("final").question
    "How far do the report's two final models get?"
    """
    original = edition_parameters(name, edition)
    values = {**merged(original, parameters or {}), "edition": edition}
    checked, experiments = declare(name, values, f"parameters of {name}", original)
    values |= checked.model_dump(mode="json", include=set(parameters or ()))  # as the edition's file has them
    changes = {key: values[key] for key in original if values[key] != original[key] or key in checked.changed}
    changes = {key: value for key, value in changes.items() if key not in _NOT_CHANGES}
    committed = committed_results()
    unchanged = live_results() if edition == "quick" else committed
    own = own_results() if changes or checked.scale != 1 else unchanged
    store = Store([own, committed] if results is None else [results])
    by_id = {each.id: each for each in experiments}
    return Study(name, edition, by_id, store, data_dir, checked.device, changes, checked.scale)


def open_chapter(name: str, variables: Mapping[str, Any], *, data_dir: Path | None = None) -> Study:
    """Opens the study of a chapter's page from a notebook's variables: `open_chapter("findings", globals())`.

    In the quick edition it is what the book shows of each experiment, with the parameters that differ from the quick edition's,
    are named in `changed`, or are set by papermill: see `Study.shown`. Raises UserError like `open_study`.
    """
    values = {key: variables[key] for key in find_study(name).Parameters.model_fields if key in variables}
    given = _given_to_papermill(variables)
    if "changed" not in given:  # fastresnet hands over all values and names those changed
        values |= {key: variables[key] for key in given}
        values["changed"] = [*values.get("changed", ()), *given]
    edition = values.pop("edition", "quick")
    quick = edition_parameters(name, "quick")
    if edition != "quick":  # the notebook's other values are the quick edition's
        changed = values.get("changed", ())
        own = {key: value for key, value in values.items() if key in changed or key not in quick or value != quick[key]}
        return open_study(name, edition=edition, parameters=own, data_dir=data_dir)
    checked = parse({**quick, **values}, find_study(name).Parameters, f"parameters of {name}")
    where = {"device": checked.device, "scale": checked.scale}
    changes = {
        key: value for key, value in values.items() if key not in _NOT_CHANGES and (value != quick[key] or key in checked.changed)
    }
    if not changes and checked.scale == 1:
        return open_study(name, parameters=where, data_dir=data_dir)
    changed = {**changes, **where, "changed": tuple(changes)}
    return replace(open_study(name, edition=_DECLARED, parameters=changed, data_dir=data_dir), edition="quick")


def _given_to_papermill(variables: Mapping[str, Any]) -> list[str]:
    """Names that papermill set in the cell that it injects into a notebook, the last one if there are several; found in the
    history of the notebook's cells."""
    injected = [cell for cell in variables.get("In", ()) if cell.startswith("# Parameters\n")]
    assignments = ast.parse(injected[-1]).body if injected else []
    return [each.targets[0].id for each in assignments if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)]
