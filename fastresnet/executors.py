"""Where missing runs are trained: in this process, or by the workers of a Dask cluster.

A run saves its own record before it hands it back, so that a run lost with its worker costs no more than itself and a
run that was done already costs nothing. Workers need this package and the same paths for the records and the data.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from fastresnet.errors import UserError
from fastresnet.records import RunRecord
from fastresnet.store import Store

if TYPE_CHECKING:
    from fastresnet.study import Run

LOOPBACK = "127.0.0.1:8787"
"""Where the dashboard of a cluster on this machine listens; Dask itself would let it answer to every other machine."""
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1}
"""Of the workers on this machine: Dask's own, less its MALLOC_TRIM_THRESHOLD_, under which the memory of every activation
goes back to the system at each step and is asked for again at the next."""


def train_with_dask(
    runs: "list[Run]", store: Store, data_dir: Path | None, device: str | None, address: str
) -> "Iterator[tuple[Run, RunRecord]]":
    """Trains runs on the cluster of a Dask scheduler, yielding each with its record as it ends.

    `address` is the scheduler's, or "local" for a worker process a processor core on this machine. Raises UserError if
    Dask is not installed or no scheduler answers.
    """
    try:
        import dask
        from distributed import Client, LocalCluster, as_completed
    except ImportError as error:
        raise UserError("--dask: Dask is not installed; get it with: pip install 'fastresnet[dask]'") from error
    with ExitStack() as stack:
        try:
            stack.enter_context(dask.config.set({"distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT}))
            cluster = (
                stack.enter_context(LocalCluster(threads_per_worker=1, dashboard_address=LOOPBACK))
                if address == "local"
                else address
            )
            client = stack.enter_context(Client(cluster, timeout=20))
        except (OSError, ValueError) as error:
            raise UserError(
                f"--dask {address}: no scheduler answers there ({error}); allowed: tcp://HOST:PORT or local"
            ) from error
        # impure, so that Dask never takes an older result of the same run for this one's
        futures = {client.submit(_train, run, store.folders, data_dir, device, pure=False): run for run in runs}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _train(run: "Run", folders: tuple[Path, ...], data_dir: Path | None, device: str | None) -> RunRecord:
    from fastresnet.study import train_and_save

    store = Store(folders)
    # a scheduler that lost a worker hands its runs out again, also those whose record it had saved
    return store.find(run.config.hash, run.seed) or train_and_save(run, store, data_dir, device, progress=False)
