"""The fault matrix: which faults were injected, how often, and in how many cases the library did what it promises.

`make faults` writes it. Does not import torch.
"""

from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from fastresnet.config.base import Frozen
from fastresnet.errors import UserError
from fastresnet.records.record import Machine
from fastresnet.study.project import committed_results


class FaultRow(Frozen):
    """One kind of fault: what was done, what had to hold, how many times it was tried and how many times it held."""

    fault: str
    done: str
    promise: str
    tried: int
    held: int
    seconds: float


class FaultMatrix(Frozen):
    """The rows of one run of `make faults`, and the machine it ran on."""

    rows: tuple[FaultRow, ...]
    machine: Machine
    versions: dict[str, str]
    source_revision: str


def fault_file() -> Path:
    """The path of the committed fault matrix."""
    return committed_results() / "faults.json"


def read_matrix(path: Path) -> FaultMatrix:
    """Reads a matrix that `make faults` wrote. Raises UserError naming the file if it is none."""
    try:
        return FaultMatrix.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path}: not a fault matrix: {error.errors()[0]['msg']}; write it with: make faults") from error


def fault_table(matrix: FaultMatrix) -> pd.DataFrame:
    """One row per fault, as the page shows it. Rows in the same words are added up; a repeated name of a fault is left blank."""
    frame = pd.DataFrame([row.model_dump() for row in matrix.rows])
    frame = frame.groupby(["fault", "done", "promise"], sort=False, as_index=False).sum()
    frame["fault"] = frame["fault"].where(~frame["fault"].duplicated(), "")
    frame["seconds"] = frame["seconds"].round().astype(int)
    frame = frame[["fault", "tried", "held", "done", "promise", "seconds"]]
    return frame.rename(columns={"done": "what was done", "promise": "what had to hold"})


def fault_caption(matrix: FaultMatrix) -> str:
    """Totals, hardware, versions and revision of a fault matrix, as one Markdown paragraph."""
    tried, held = (sum(getattr(row, name) for row in matrix.rows) for name in ("tried", "held"))
    return (
        f"*{tried:,} tries, {held:,} held, {sum(row.seconds for row in matrix.rows) / 60:.0f} minutes; "
        f"{matrix.machine.processor}, {matrix.machine.threads} thread{'s' * (matrix.machine.threads != 1)} per process; "
        f"{', '.join(f'{package} {version}' for package, version in matrix.versions.items())}; "
        f"revision {matrix.source_revision}.*"
    )
