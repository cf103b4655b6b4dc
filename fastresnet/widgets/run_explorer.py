"""The explorer of runs: the cost, the accuracy and the configuration of each recorded run.

explorer = RunExplorer(committed_results())
explorer                # the last line of a cell shows it
explorer.record         # the record of the chosen run
"""

from pathlib import Path
from typing import Any

import traitlets

from fastresnet import report
from fastresnet.errors import UserError
from fastresnet.records.record import RunRecord
from fastresnet.records.store import Kept, read_all
from fastresnet.study import STUDIES, opened_editions
from fastresnet.widgets.base import FEWEST_TEST_IMAGES, Explorer, script


def _columns(runs: list[dict[str, Any]], _widget: Any = None) -> dict[str, list[Any] | dict[str, list[Any]]]:
    """The runs by key: where values repeat, the different values and each run's place among them, else the runs' values. Keys and
    values in each run would be three quarters of the page's size."""
    columns: dict[str, list[Any] | dict[str, list[Any]]] = {}
    for key in runs[0] if runs else ():
        values = [run[key] for run in runs]
        places = {value: place for place, value in enumerate(dict.fromkeys(values))}
        repeat = 2 * len(places) < len(values)
        columns[key] = {"values": list(places), "places": [places[value] for value in values]} if repeat else values
    return columns


class RunExplorer(Explorer):
    """Shows the finished runs below a folder of records that were evaluated on `FEWEST_TEST_IMAGES` test images or more.

    `selected` is the "id" of the chosen one in `runs`.

    Raises UserError if there is no finished run, or for a file that is not a record.
    """

    _esm = script("drawing.js", "runs.js")

    runs = traitlets.List(traitlets.Dict()).tag(sync=True, to_json=_columns)
    configs = traitlets.Dict().tag(sync=True)
    selected = traitlets.Unicode("").tag(sync=True)
    _filters = traitlets.Dict().tag(sync=True)
    _cost = traitlets.Unicode("").tag(sync=True)

    def __init__(self, results: Path) -> None:
        editions = _editions()
        self._records: dict[str, RunRecord] = {}
        runs, configs = [], {}
        for kept in read_all(results):
            record = kept.record
            if record.outcome.status != "finished" or record.test_accuracy is None or record.config.data.validation_images:
                continue  # what was evaluated on held-out images has no test accuracy
            if record.data is None or record.data.test_images < FEWEST_TEST_IMAGES:
                continue  # a run that was only timed
            point = _point(kept, editions)
            self._records[point["id"]] = record
            runs.append(point)
            configs[record.config_hash] = record.config.model_dump(mode="json", exclude_defaults=True)
        if not runs:
            raise UserError(f"{results}: no record of a finished run on {FEWEST_TEST_IMAGES:,} test images or more")
        super().__init__(runs=runs, configs=configs)

    @traitlets.validate("selected")
    def _known_run(self, proposal: dict[str, Any]) -> str:
        if proposal["value"] not in ("", *self._records):
            raise UserError(f"selected: no run {proposal['value']!r}; runs have the names of their files")
        return str(proposal["value"])

    @property
    def record(self) -> RunRecord | None:
        """The chosen run; None before one is chosen."""
        return self._records.get(self.selected)


def _point(kept: Kept, editions: dict[tuple[str, str], str]) -> dict[str, Any]:
    record = kept.record
    return {
        "id": kept.name.removesuffix(".json"),
        "chapter": kept.study,
        "experiment": kept.experiment,
        "variant": kept.variant,
        "seed": str(record.seed),  # numbers of JavaScript are exact only up to 2**53
        "edition": editions.get((kept.study, record.config_hash), "of its own"),
        "dataset": record.config.data.name,
        "hardware": report.hardware(record),
        "config": record.config_hash,
        "accuracy": record.test_accuracy,
        "seconds": round(record.seconds.train, 3),
        "epochs": record.epochs_trained,
        "flops": record.training_flops,
        "parameters": record.parameters,
        "test_images": record.data.test_images if record.data else 0,
        "curve": tuple(
            (min(each.epoch, record.epochs_trained), each.test_accuracy)
            for each in record.epochs
            if each.test_accuracy is not None
        ),
    }


def _editions() -> dict[tuple[str, str], str]:
    """The smallest edition that asks for a configuration, by chapter and configuration hash."""
    return {
        (study.name, config.hash): study.edition
        for name in STUDIES
        for study in opened_editions(name)  # the largest first
        for experiment in study.experiments.values()
        for config in experiment.variants.values()
    }
