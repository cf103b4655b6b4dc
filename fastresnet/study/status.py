"""Counts of recorded and missing runs, as `study status` shows them. Free of torch."""

from collections.abc import Collection, Iterable, Sequence
from math import fsum
from typing import Any

from fastresnet.records.folders import Place
from fastresnet.records.record import RunRecord
from fastresnet.records.store import Key, Store
from fastresnet.study import Study

Left = dict[tuple[tuple[Place, ...], Key], float | None]
"""Hours that missing runs would take, by store and run."""


def status(studies: Sequence[Study]) -> list[dict[str, Any]]:
    """One row per experiment: runs wanted, recorded, diverged and missing, hours that the recorded runs took, and hours that
    the missing ones would take at that rate (None if nothing is recorded). The last row counts all of them, those that
    experiments share once. Each store is listed once."""
    wanted: dict[tuple[Place, ...], set[Key]] = {}
    for study in studies:
        wanted.setdefault(study.store.folders, set()).update(run.key for run in study.runs())
    found = {folders: Store(folders).find_all(keys) for folders, keys in wanted.items()}
    rows = []
    counted: dict[tuple[tuple[Place, ...], Key], RunRecord] = {}
    left: Left = {}
    for study in studies:
        for experiment in study.experiments:
            keys = [(study.store.folders, run.key) for run in study.runs(experiment)]
            recorded = {key: record for key in keys if (record := found[key[0]].get(key[1]))}
            each = _hours(recorded.values()) / len(recorded) if recorded else None
            missing: Left = dict.fromkeys((key for key in keys if key not in recorded), each)
            rows.append(_row(study.name, study.edition, experiment, recorded.values(), missing.values()))
            counted |= recorded
            left |= {key: hours for key, hours in missing.items() if left.get(key) is None}
    return [*rows, _row("all", "", "", counted.values(), left.values())]


def _row(
    study: str, edition: str, experiment: str, recorded: Collection[RunRecord], missing: Collection[float | None]
) -> dict[str, Any]:
    return {
        "study": study,
        "edition": edition,
        "experiment": experiment,
        "wanted": len(recorded) + len(missing),
        "recorded": len(recorded),
        "diverged": sum(record.outcome.status == "diverged" for record in recorded),
        "missing": len(missing),
        "hours": round(_hours(recorded), 2),
        "hours left": None if None in missing else round(fsum(hours or 0 for hours in missing), 2),
    }


def _hours(records: Iterable[RunRecord]) -> float:
    return sum(record.seconds.train + record.seconds.evaluate for record in records) / 3600
