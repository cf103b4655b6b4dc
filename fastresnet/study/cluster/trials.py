"""What a Dask worker does: it trains one run, or records that a run has killed every worker that tried."""

import multiprocessing
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fastresnet.records.folders import Place
from fastresnet.records.record import RunRecord
from fastresnet.records.store import Store

if TYPE_CHECKING:
    from fastresnet.study import Run

_ONE_AT_A_TIME = threading.Lock()
"""torch's random generator and its count of memory belong to the process, not to one of its threads."""


def train_trial(run: "Run", folders: tuple[Place, ...], data_dir: Path | None, device: str | None) -> RunRecord:
    """Trains a run and saves its record, or finds that another worker has, before it was lost.

    Raises what `fastresnet.study.study.train_and_save` does.
    """
    from fastresnet.study import train_and_save

    # a Dask worker is a daemon, which may have no children, and would start a loader's processes otherwise than is usual here
    multiprocessing.current_process().daemon = False
    multiprocessing.set_start_method(None, force=True)
    store = Store(folders)
    with _ONE_AT_A_TIME:
        return store.find(run.config.hash, run.seed) or train_and_save(run, store, data_dir, device, progress=False)


def record_killed(run: "Run", folders: tuple[Place, ...], device: str | None, reason: str) -> RunRecord:
    """Records a run as failed for a reason that it could not live to record itself. Raises RunFailed."""
    from fastresnet.study import record_failure

    raise record_failure(run, Store(folders), reason, device, datetime.now(UTC))
