"""Counts of recorded and missing runs, as `study status` shows them. Free of torch."""

from collections.abc import Sequence
from typing import Any

from fastresnet.records.folders import Place
from fastresnet.records.store import Key, Store
from fastresnet.study import Study


def status(studies: Sequence[Study]) -> list[dict[str, Any]]:
    """One row per experiment: runs wanted, recorded, diverged and missing, hours that the recorded runs took, and hours that
    the missing ones would take at that rate (None if nothing is recorded). Each store is listed once."""
    wanted: dict[tuple[Place, ...], set[Key]] = {}
    for study in studies:
        wanted.setdefault(study.store.folders, set()).update(run.key for run in study.runs())
    found = {folders: Store(folders).find_all(keys) for folders, keys in wanted.items()}
    rows = []
    for study in studies:
        for experiment in study.experiments:
            runs = study.runs(experiment)
            recorded = [record for run in runs if (record := found[study.store.folders].get(run.key))]
            hours = sum(record.seconds.train + record.seconds.evaluate for record in recorded) / 3600
            missing = len(runs) - len(recorded)
            rows.append(
                {
                    "study": study.name,
                    "edition": study.edition,
                    "experiment": experiment,
                    "wanted": len(runs),
                    "recorded": len(recorded),
                    "diverged": sum(record.outcome.status == "diverged" for record in recorded),
                    "missing": missing,
                    "hours": round(hours, 2),
                    "hours left": round(hours / len(recorded) * missing, 2) if recorded else 0.0 if not missing else None,
                }
            )
    return rows
