"""Trains and records one run of a study, in this process or in a Dask worker. Torch is loaded only for the training."""

import hashlib
import multiprocessing
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from fastresnet.errors import MachineFault, UserError
from fastresnet.records.atomic import claimed
from fastresnet.records.folders import Place, absolute, cache_folder, usable_cache
from fastresnet.records.record import Outcome, RunRecord, Seconds
from fastresnet.records.store import Store, read_all
from fastresnet.study.experiment import Run

_ONE_AT_A_TIME = threading.Lock()
"""Lets one run train at a time: torch's random generator and its memory statistics belong to the process, not to a thread."""


class RunFailed(RuntimeError):
    """A run ended in an exception. The message names the run, the reason, and the place of the record.

    A worker that cannot save the record where the study keeps its own hands it over as `record`.
    """

    def __init__(self, message: str, record: RunRecord | None = None) -> None:
        super().__init__(message)
        self.record = record

    def __reduce__(self) -> tuple[type["RunFailed"], tuple[str, RunRecord | None]]:
        return RunFailed, (str(self), self.record)


@contextmanager
def named_if_it_ends(failures: Sequence[str]) -> Iterator[None]:
    """Warns of the failures so far if an error ends a study in the block before it could name them at its end."""
    try:
        yield
    except Exception:
        if failures:
            warnings.warn("; ".join(failures), stacklevel=2)
        raise


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
    except UserError as error:
        raise UserError(f"{run.experiment} {run.variant} seed {run.seed}: {error}") from error
    except (OSError, MachineFault):
        raise
    except Exception as error:
        raise record_failure(run, store, f"{type(error).__name__}: {error}", device, started) from error
    store.save(record, run.study, run.experiment, run.variant)
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    return record


@contextmanager
def claimed_run(run: Run, store: Store, *, wait: bool) -> Iterator[bool]:
    """Keeps a run of a store for this process during the block, among those with the same cache. Yields whether it could; with
    `wait`, it waits for another process that has it, with a warning. Workers of a cluster claim nothing."""
    with ExitStack() as stack:
        ours = True
        with suppress(OSError, UserError):  # a cache that cannot be used keeps nobody from training
            folder = cache_folder() / "checkpoints"
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / _name(run, store)
            ours = stack.enter_context(claimed(file))
            if wait and not ours:
                said = f"{run.experiment} {run.variant} seed {run.seed}: another process has {file}.lock: waiting"
                warnings.warn(said, stacklevel=2)
                ours = stack.enter_context(claimed(file, wait=True))
        yield ours


def _checkpoint(run: Run, store: Store) -> Path | None:
    """The file of a run's checkpoint; None if the cache cannot be used."""
    folder = usable_cache("checkpoints", "a run that is interrupted has to begin again")
    return folder / _name(run, store) if folder else None


def _name(run: Run, store: Store) -> str:
    """Name of a run's checkpoint. A run that is repeated for another store has another one, since it would not be independent if
    it went on from the first one's."""
    place = hashlib.sha256(str(absolute(store.folders[0])).encode()).hexdigest()[:8]
    return f"{run.config.hash}-seed{run.seed}-{place}.pt"


def record_failure(run: Run, store: Store, reason: str, device: str | None, started: datetime) -> RunFailed:
    """Records a run as failed and returns the error to raise, which names the run, the reason, and the place of the record.

    If another process has recorded the run meanwhile, that record is kept.
    """
    from fastresnet.compute.device import choose_device
    from fastresnet.compute.provenance import origin

    if store.find(*run.key):
        where = "another process has recorded the run meanwhile"
    else:
        record = RunRecord(
            config_hash=run.config.hash,
            seed=run.seed,
            config=run.config,
            outcome=Outcome(status="failed", reason=reason),
            epochs=(),
            seconds=Seconds(build=0, prepare=0, train=0, evaluate=0),
            training_flops=0,
            peak_memory_bytes=0,
            parameters=0,
            data=None,
            **dict(origin(choose_device(device))),
            started=started,
        )
        where = f"recorded in {store.save(record, run.study, run.experiment, run.variant)}"
    return RunFailed(f"{run.experiment} {run.variant} seed {run.seed} failed: {reason}; {where}")


def train_trial(
    run: Run, folders: tuple[Place, ...], data_dir: str | Path | None, device: str | None, marker: str | None = None
) -> RunRecord:
    """Trains a run and saves its record, or returns the record that a worker saved before it was lost.

    A worker leaves saving to the study if it cannot use the study's folders, or has others at their paths, where it finds no file
    `marker`. Raises the errors of `train_and_save`.
    """
    # a Dask worker is a daemon, which may not have children, and changes the start method of a DataLoader's processes
    multiprocessing.current_process().daemon = False
    multiprocessing.set_start_method(None, force=True)
    with _ONE_AT_A_TIME, _reachable(run, folders, marker) as (store, recorded):
        return recorded or train_and_save(run, store, data_dir, device, progress=False)


def record_killed(run: Run, folders: tuple[Place, ...], device: str | None, reason: str, marker: str | None = None) -> RunRecord:
    """Records a run as failed for a `reason` that killed its workers, so that they could not record it. Raises RunFailed."""
    with _reachable(run, folders, marker) as (store, _):
        raise record_failure(run, store, reason, device, datetime.now(UTC))


@contextmanager
def _reachable(run: Run, folders: tuple[Place, ...], marker: str | None) -> Iterator[tuple[Store, RunRecord | None]]:
    """Yields the study's store with the record of a run, if there is one. If the study's folders cannot be reached from here, it
    yields a store of its own, and a RunFailed in the block takes its record along."""
    store = Store(folders)
    try:
        store.check_writable()
        if marker:
            (Path(folders[0]) / marker).stat()
        recorded = store.find(*run.key)
    except (UserError, OSError):
        pass
    else:
        yield store, recorded
        return
    with TemporaryDirectory() as folder:
        try:
            yield Store(folder), None
        except RunFailed as error:
            (kept,) = read_all(Path(folder))
            raise RunFailed(str(error).partition("; recorded in ")[0], kept.record) from error
