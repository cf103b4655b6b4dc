"""One run of a study, trained and recorded by this process or by a worker of a Dask cluster. Free of torch until then."""

import multiprocessing
import threading
from datetime import UTC, datetime
from pathlib import Path

from fastresnet.errors import UserError
from fastresnet.records.folders import Place
from fastresnet.records.record import RunRecord
from fastresnet.records.store import Store
from fastresnet.study.experiment import Run

_ONE_AT_A_TIME = threading.Lock()
"""torch's random generator and its count of memory belong to the process, not to one of its threads."""


class RunFailed(RuntimeError):
    """A run ended in an exception: the message says which, why, and where that is recorded."""


def train_and_save(run: Run, store: Store, data_dir: Path | None, device: str | None, *, progress: bool) -> RunRecord:
    """Trains one run from its checkpoint, if it has one, and saves its record.

    A run that raises is recorded as failed and raises RunFailed. A request that cannot be served raises UserError
    and records nothing.
    """
    from fastresnet.data.sources import cache_folder
    from fastresnet.training.runs import train

    started = datetime.now(UTC)
    checkpoint = cache_folder() / "checkpoints" / f"{run.config.hash}-seed{run.seed}.pt"
    try:
        record = train(run.config, run.seed, data_dir=data_dir, device=device, checkpoint=checkpoint, progress=progress).record
    except UserError:
        raise
    except Exception as error:
        raise record_failure(run, store, f"{type(error).__name__}: {error}", device, started) from error
    store.save(record, run.study, run.experiment, run.variant)
    checkpoint.unlink(missing_ok=True)
    return record


def record_failure(run: Run, store: Store, reason: str, device: str | None, started: datetime) -> RunFailed:
    """Records a run as failed; the error to raise says which, why, and where that is recorded.

    A run that another process has ended meanwhile keeps the record of that one.
    """
    from fastresnet.training.runs import failed_record

    if store.find(*run.key):
        where = "not recorded: another process has ended the run"
    else:
        record = failed_record(run.config, run.seed, reason, device, started)
        where = f"recorded in {store.save(record, run.study, run.experiment, run.variant)}"
    return RunFailed(f"{run.experiment} {run.variant} seed {run.seed} failed: {reason}; {where}")


def train_trial(run: Run, folders: tuple[Place, ...], data_dir: Path | None, device: str | None) -> RunRecord:
    """Trains a run and saves its record, or finds that another worker has, before it was lost.

    Raises what `fastresnet.study.study.train_and_save` does.
    """
    # a Dask worker is a daemon, which may have no children, and would start a loader's processes otherwise than is usual here
    multiprocessing.current_process().daemon = False
    multiprocessing.set_start_method(None, force=True)
    store = Store(folders)
    with _ONE_AT_A_TIME:
        return store.find(run.config.hash, run.seed) or train_and_save(run, store, data_dir, device, progress=False)


def record_killed(run: Run, folders: tuple[Place, ...], device: str | None, reason: str) -> RunRecord:
    """Records a run as failed for a reason that it could not live to record itself. Raises RunFailed."""
    raise record_failure(run, Store(folders), reason, device, datetime.now(UTC))
