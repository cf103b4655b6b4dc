"""What the page on scaling shows: examples, and the recorded cost of handing out runs. Free of torch."""

import json
from typing import Any

import pandas as pd

from fastresnet.bench.scheduling import SchedulingRow
from fastresnet.errors import UserError
from fastresnet.project import committed_results, project_root


def table() -> pd.DataFrame:
    """A row a number of trials and place: seconds of them all, milliseconds of one, trials a second."""
    rows = [SchedulingRow.model_validate(row) for row in _record()["rows"]]
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


def caption() -> str:
    """On what the costs were measured, with which versions."""
    record = _record()
    machine, versions = record["machine"], record["versions"]
    return (
        f"{machine['processor']}, {machine['cores']} cores; Python {versions['python']}, Dask {versions['dask']}; revision "
        f"{record['source_revision']}; each number of trials once."
    )


def example(name: str) -> str:
    """A file of params/cluster as a block of YAML. Raises UserError for one that is not there."""
    folder = project_root() / "params" / "cluster"
    if not (folder / name).is_file():
        raise UserError(f"no example {name!r}; allowed: {', '.join(sorted(each.name for each in folder.iterdir()))}")
    return f"```yaml\n{(folder / name).read_text(encoding='utf-8')}```"


def _record() -> dict[str, Any]:
    """The benchmark of `results/bench`. Raises UserError if it is not there."""
    path = committed_results() / "bench" / "scheduling.json"
    if not path.is_file():
        raise UserError(f"{path}: not there; it is made by: fastresnet study scheduling --json {path}")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
