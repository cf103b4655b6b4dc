"""Trains and records one run of a study, in this process or in a Dask worker. Torch is loaded only for the training."""

import hashlib
import multiprocessing
import threading
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from fastresnet.errors import MachineFault, UserError, first_line
from fastresnet.records.folders import Place, absolute, usable_cache
from fastresnet.records.record import RunRecord
from fastresnet.records.store import Store
from fastresnet.study.experiment import Run

_ONE_AT_A_TIME = threading.Lock()
"""Lets one run train at a time: torch's random generator and its memory statistics belong to the process, not to a thread."""


class RunFailed(RuntimeError):
    """A run ended in an exception. The message names the run, the reason, and the place of the record."""


def train_and_save(run: Run, store: Store, data_dir: str | Path | None, device: str | None, *, progress: bool) -> RunRecord:
    """Trains one run from its checkpoint, if it has one, and saves its record.

    A run that raises is recorded as failed and raises RunFailed. Nothing is recorded of a configuration that cannot be used,
    which raises UserError, or of a fault of the surroundings, such as a full disk, which raises OSError or MachineFault.
    """
    from fastresnet.training.runs import train

    started = datetime.now(UTC)
    checkpoint = _checkpoint(run, store)
    try:
        record = train(run.config, run.seed, data_dir=data_dir, device=device, checkpoint=checkpoint, progress=progress).record
    except (UserError, OSError, MachineFault):
        raise
    except Exception as error:
        raise record_failure(run, store, f"{type(error).__name__}: {error}", device, started) from error
    store.save(record, run.study, run.experiment, run.variant)
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    return record


def _checkpoint(run: Run, store: Store) -> Path | None:
    """The file of a run's checkpoint; None if the cache cannot be used. A run that is repeated for another store has another one,
    since it would not be independent if it went on from the first one's."""
    folder = usable_cache("checkpoints", "a run that is interrupted has to begin again")
    place = hashlib.sha256(str(absolute(store.folders[0])).encode()).hexdigest()[:8]
    return folder / f"{run.config.hash}-seed{run.seed}-{place}.pt" if folder else None


def record_failure(run: Run, store: Store, reason: str, device: str | None, started: datetime) -> RunFailed:
    """Records a run as failed and returns the error to raise, which names the run, the reason, and the place of the record.

    If another process has recorded the run meanwhile, that record is kept.
    """
    from fastresnet.training.runs import failed_record

    if store.find(*run.key):
        where = "another process has recorded the run meanwhile"
    else:
        record = failed_record(run.config, run.seed, reason, device, started)
        where = f"recorded in {store.save(record, run.study, run.experiment, run.variant)}"
    return RunFailed(f"{run.experiment} {run.variant} seed {run.seed} failed: {reason}; {where}")


def train_trial(run: Run, folders: tuple[Place, ...], data_dir: str | Path | None, device: str | None) -> RunRecord:
    """Trains a run and saves its record, or returns the record that a worker saved before it was lost.

    A worker that cannot use the study's folders leaves saving to the study. Raises the errors of `train_and_save`.
    """
    # a Dask worker is a daemon, which may not have children, and changes the start method of a DataLoader's processes
    multiprocessing.current_process().daemon = False
    multiprocessing.set_start_method(None, force=True)
    store = Store(folders)
    with _ONE_AT_A_TIME:
        try:
            store.check_writable()
            recorded = store.find(*run.key)
        except (UserError, OSError) as error:
            return _train_elsewhere(run, data_dir, device, first_line(error))
        return recorded or train_and_save(run, store, data_dir, device, progress=False)


def _train_elsewhere(run: Run, data_dir: str | Path | None, device: str | None, reason: str) -> RunRecord:
    """Trains a run that cannot be saved on this machine, for a `reason` that the message of a failure gives."""
    with TemporaryDirectory() as folder:
        try:
            return train_and_save(run, Store(folder), data_dir, device, progress=False)
        except RunFailed as error:
            raise RunFailed(f"{str(error).partition('; recorded in ')[0]}; not recorded: {reason}") from error


def record_killed(run: Run, folders: tuple[Place, ...], device: str | None, reason: str) -> RunRecord:
    """Records a run as failed for a `reason` that killed its workers, so that they could not record it. Raises RunFailed."""
    raise record_failure(run, Store(folders), reason, device, datetime.now(UTC))
