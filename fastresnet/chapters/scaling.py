"""What the page on scaling shows: examples, and the recorded costs of handing out runs and of asking for them. Free of torch."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from fastresnet.bench import status as bench
from fastresnet.bench.scheduling import SchedulingRow
from fastresnet.errors import UserError
from fastresnet.study.project import committed_results, project_root

_MADE_BY = {"scheduling": "study scheduling", "status": "bench status"}


def scheduling_table() -> pd.DataFrame:
    """A row a number of trials and place: seconds of them all, milliseconds of one, trials a second."""
    rows = [SchedulingRow.model_validate(row) for row in _record("scheduling")["rows"]]
    return pd.DataFrame(
        {
            "where": f"{row.where}, {row.workers} workers" if row.workers > 1 else row.where,
            "trials": f"{row.trials:,}",
            "seconds": f"{row.seconds:,.1f}",
            "milliseconds each": f"{1000 * row.seconds / row.trials:.2f}",
            "trials a second": f"{row.trials / row.seconds:,.0f}",
        }
        for row in sorted(rows, key=lambda row: (row.where != "in process", row.trials))
    ).set_index("where")


def status_table() -> pd.DataFrame:
    """A row a size of store: its records, those that are read, seconds of `study status`."""
    return bench.status_table(_path("status")).set_index("records")


def caption(name: str) -> str:
    """On what a benchmark of `results/bench` was measured, with which versions."""
    record = _record(name)
    machine, versions = record["machine"], record["versions"]
    dask = f", Dask {versions['dask']}" if "dask" in versions else ""
    processor = f"{machine['processor']}, {machine['cores']} cores"
    return f"{processor}; Python {versions['python']}{dask}; revision {record['source_revision']}."


def example(name: str) -> str:
    """A file of params/cluster as a block of YAML. Raises UserError for one that is not there."""
    folder = project_root() / "params" / "cluster"
    if not (folder / name).is_file():
        raise UserError(f"no example {name!r}; allowed: {', '.join(sorted(each.name for each in folder.iterdir()))}")
    return f"```yaml\n{(folder / name).read_text(encoding='utf-8')}```"


def _record(name: str) -> dict[str, Any]:
    """A benchmark of `results/bench`. Raises UserError if it is not there."""
    path = _path(name)
    if not path.is_file():
        raise UserError(f"{path}: not there; it is made by: fastresnet {_MADE_BY[name]} --json {path}")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _path(name: str) -> Path:
    return committed_results() / "bench" / f"{name}.json"
