"""The explorer of batch sizes: images per second, and the parts of a step with their sum, at every measured size.

explorer = ThroughputExplorer(committed_results(), experiment="F6")
explorer                # the last line of a cell shows it
explorer.config         # the configuration of the chosen batch size
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import traitlets

from fastresnet import report
from fastresnet.config import RunConfig
from fastresnet.config.datasets import SPECS
from fastresnet.errors import UserError
from fastresnet.records.record import RunRecord
from fastresnet.records.store import read_all
from fastresnet.study import STUDIES, opened_editions
from fastresnet.widgets.base import FEWEST_TEST_IMAGES, Explorer, script

_SCALE = ("data.batch_size", "data.train_images", "train.epochs")
"""Settings that may differ within a family of runs."""


class Family(NamedTuple):
    """What the runs of a family have in common: the experiment, the hardware, and their other settings (`series`)."""

    study: str
    experiment: str
    edition: str
    hardware: str
    series: str
    question: str

    @property
    def id(self) -> str:
        """The name of the family: its fields but the question, joined by slashes."""
        return "/".join(self[:-1])


class ThroughputExplorer(Explorer):
    """Shows families of finished runs, which differ in batch size and may differ in the number of images trained on.

    `family` names one of `families`, each of one experiment on one hardware; `batch_size` is a size measured in it. Records are
    read below the folder `results`. Raises UserError if they form no family, or none of `experiment` if that is named, or for
    a file that is not a record.
    """

    _esm = script("drawing.js", "throughput_drawing.js", "throughput.js")

    families = traitlets.List(traitlets.Dict()).tag(sync=True)
    family = traitlets.Unicode().tag(sync=True)
    batch_size = traitlets.Int().tag(sync=True)

    def __init__(self, results: Path, experiment: str | None = None) -> None:
        families = _families(results)
        wanted = [family for family in families if experiment in (None, family.experiment)]
        if not wanted:
            known = ", ".join(dict.fromkeys(family.experiment for family in families))
            of_it = f" in {experiment!r}; allowed: {known}" if known else ""
            raise UserError(f"{results}: no runs of several batch sizes{of_it}")
        self._records = {family.id: sizes for family, sizes in families.items()}
        super().__init__(
            families=[_described(family, sizes) for family, sizes in families.items()],
            family=wanted[0].id,
            batch_size=next(iter(families[wanted[0]])),
        )

    @traitlets.validate("family")
    def _known_family(self, proposal: Mapping[str, Any]) -> str:
        if proposal["value"] not in self._records:
            raise UserError(f"family: no family {proposal['value']!r}; allowed: {', '.join(self._records)}")
        return str(proposal["value"])

    @traitlets.validate("batch_size")
    def _measured(self, proposal: Mapping[str, Any]) -> int:
        sizes = self._records[self.family]
        if proposal["value"] not in sizes:
            raise UserError(f"batch_size: {proposal['value']} was not measured; allowed: {', '.join(map(str, sizes))}")
        return int(proposal["value"])

    @traitlets.observe("family")
    def _keep_to_what_was_measured(self, _change: Mapping[str, Any]) -> None:
        sizes = self._records[self.family]
        if self.batch_size not in sizes:
            self.batch_size = next(iter(sizes))

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """The runs of the chosen batch size, by seed."""
        return self._records[self.family][self.batch_size]

    @property
    def config(self) -> RunConfig:
        """The configuration of the chosen batch size."""
        return self.records[0].config


def _families(results: Path) -> dict[Family, dict[int, tuple[RunRecord, ...]]]:
    """Runs by family and batch size, both in order; of an experiment, the largest edition comes first.

    A record serves every experiment that asks for its run.
    """
    records = {(each.record.config_hash, each.record.seed): each.record for each in read_all(results)}
    families = {}
    for study in (study for name in STUDIES for study in opened_editions(name)):
        for experiment in study.experiments:
            wanted = ((run.config.hash, run.seed) for run in study.runs(experiment))
            runs = [records[key] for key in wanted if key in records and records[key].outcome.status == "finished"]
            for hardware in dict.fromkeys(map(report.hardware, runs)):
                series = _by_fixed_settings(run for run in runs if report.hardware(run) == hardware)
                for fixed, sizes in series.items():
                    own = _distinguishing_settings(fixed, list(series))
                    family = Family(study.name, experiment, study.edition, hardware, own, study.experiments[experiment].question)
                    families[family] = sizes
    return families


def _by_fixed_settings(runs: Iterable[RunRecord]) -> dict[str, dict[int, tuple[RunRecord, ...]]]:
    """Runs by their settings without `_SCALE`, and by batch size; groups with only one batch size are left out."""
    groups: dict[str, dict[int, tuple[RunRecord, ...]]] = defaultdict(dict)
    for run in sorted(runs, key=lambda run: (run.config.data.batch_size, run.seed)):
        sizes, size = groups[_fixed_settings(run.config)], run.config.data.batch_size
        sizes[size] = (*sizes.get(size, ()), run)
    return {fixed: sizes for fixed, sizes in groups.items() if len(sizes) > 1}


def _fixed_settings(config: RunConfig) -> str:
    """The settings of a configuration without `_SCALE`, as JSON text."""
    values = dict(_flat(config.model_dump(mode="json")))
    return json.dumps({key: value for key, value in values.items() if key not in _SCALE})


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        yield from _flat(value, f"{above}{key}.") if isinstance(value, dict) else ((f"{above}{key}", value),)


def _distinguishing_settings(fixed: str, all_fixed: Sequence[str]) -> str:
    """The settings that tell a family from others of its experiment and hardware: `train.precision bf16`; "" for the only one."""
    own, others = json.loads(fixed), [json.loads(each) for each in all_fixed]
    return ", ".join(f"{key} {value}" for key, value in own.items() if any(other.get(key) != value for other in others))


def _described(family: Family, sizes: Mapping[int, tuple[RunRecord, ...]]) -> dict[str, Any]:
    first = next(iter(sizes.values()))[0]
    spec = SPECS[first.config.data.name]
    return {
        "id": family.id,
        **family._asdict(),
        "dataset": spec.title,
        "epoch_images": spec.num_train,
        "torch": sorted({record.versions["torch"] for records in sizes.values() for record in records}),
        "revisions": sorted({record.source_revision for records in sizes.values() for record in records}),
        "points": [_point(size, records) for size, records in sizes.items()],
    }


def _point(batch_size: int, records: Sequence[RunRecord]) -> dict[str, Any]:
    """Measurements at one batch size, one value per run. Seconds per image are the sum of a step's parts, if these were timed."""
    parts = report.step_parts(records)
    whole = [record.seconds.train / record.images_trained for record in records]
    tested = min(record.data.test_images for record in records if record.data)
    accuracies = [record.test_accuracy for record in records if record.test_accuracy is not None]
    first = records[0]
    return {
        "batch_size": batch_size,
        "image_seconds": parts.sum(axis=1).tolist() if len(parts) else whole,
        "parts": parts.to_dict(orient="list"),
        "memory_bytes": [record.peak_memory_bytes for record in records],
        "accuracies": accuracies if tested >= FEWEST_TEST_IMAGES else [],
        "train_images": first.data.train_images if first.data else 0,
        "epochs": first.epochs_trained,
        "steps": first.steps,
    }
