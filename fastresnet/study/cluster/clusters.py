"""Clusters to train on: worker processes on this machine, those of a scheduler's address, or jobs of SLURM."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastresnet.config.parsing import load_yaml
from fastresnet.errors import UserError
from fastresnet.study.cluster.slurm import SlurmConfig, open_slurm, worker_environment

WORKER_ENVIRONMENT = worker_environment(threads=1)
"""Environment of the workers on this machine, in place of Dask's own, whose MALLOC_TRIM_THRESHOLD_ gives the memory of every
activation back to the system at each step."""
PATIENCE_SECONDS = 60.0
"""How long a cluster may be without a worker that can train before it is given up; a file for SLURM says its own."""
RESTART_SECONDS = 60.0
"""How long a worker process of this machine may take to start again before another takes its place. Dask's own 15 s are
not enough on a busy machine, where it would then go on without any."""
LOCAL_PATIENCE_SECONDS = 10 * RESTART_SECONDS
POLL_SECONDS = 1.0


class ClusterLost(RuntimeError):
    """The scheduler, or the last worker that could train, is gone; finished runs are recorded."""


@dataclass
class Cluster:
    """A Dask cluster as trials see it: workers that train one at a time, each with a GPU where one is needed."""

    name: str
    client: Any
    gpu: bool
    patience: float
    """Seconds without a worker that can train after which the cluster is given up."""
    remedy: str = "start some"
    """What helps where there is no worker at all."""
    ask: Callable[[int], None] = lambda trials: None
    """Told how many trials are left, so that the cluster may grow or shrink to them."""
    _slots: int = 0
    _counted: float = field(default=float("-inf"))
    _without_since: float | None = None
    """When a look first found no worker that can train, if none has found one since."""

    @property
    def resources(self) -> dict[str, float]:
        """What a trial claims of its worker."""
        return {"GPU": 1} if self.gpu else {}

    def slots(self) -> int:
        """Workers that can train, counted once a second. Raises ClusterLost if there has been none for too long."""
        now = time.monotonic()
        if now - self._counted < POLL_SECONDS:
            return self._slots
        try:
            workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        except (OSError, TimeoutError) as error:
            raise ClusterLost(f"--dask {self.name}: the scheduler is lost ({error}); the same command goes on") from error
        self._slots = sum(not self.gpu or worker["resources"].get("GPU", 0) >= 1 for worker in workers)
        self._counted = now
        # not since the last look: nobody looks while a result is fetched, which can take long from a worker that is gone
        if self._slots:
            self._without_since = None
        elif self._without_since is None:
            self._without_since = now
        elif now - self._without_since > self.patience:
            raise ClusterLost(self._complaint(len(workers)))
        return self._slots

    def _complaint(self, others: int) -> str:
        waited = f"for {self.patience:g} s"
        if others:
            return f"--dask {self.name}: none of {others} workers has offered a GPU {waited}; start them with --resources GPU=1"
        return f"--dask {self.name}: there has been no worker {waited}: {self.remedy}; the same command goes on"


@contextmanager
def open_cluster(name: str, device: str | None) -> Iterator[Cluster]:
    """The cluster that `--dask` names: "local", the address of a scheduler, or a file that describes SLURM's jobs.

    Raises UserError if a package is missing, nothing answers at the address, or the file is faulty.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise UserError("--dask: Dask is not installed; get it with: pip install 'fastresnet[dask]'") from error
    gpu = (device or "").startswith("cuda")
    with ExitStack() as stack:
        if name == "local":
            stack.enter_context(_environment_kept())
            restarts = {"distributed.deploy.lost-worker-timeout": RESTART_SECONDS}
            stack.enter_context(dask.config.set({"distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT} | restarts))
            # a GPU trains one run at a time; nothing listens beyond this machine, not even the page of Dask about itself
            options = {"n_workers": 1, "resources": {"GPU": 1}} if gpu else {}
            # no limit of its own: Dask's, a worker's share of the memory, would kill runs that fit
            options |= {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": "127.0.0.1:0"}
            cluster = stack.enter_context(LocalCluster(**options))
            workers = len(cluster.worker_spec)

            def replace_lost(_trials: int) -> None:
                cluster.scale(workers)

            client = stack.enter_context(Client(cluster))
            yield Cluster(name, client, gpu, LOCAL_PATIENCE_SECONDS, "see their errors above", replace_lost)
        elif name.endswith((".yml", ".yaml")):
            config = load_yaml(Path(name), SlurmConfig)
            slurm, ask = stack.enter_context(open_slurm(name, config, gpu))
            remedy = f"see squeue, and the logs in {config.log_folder}"
            yield Cluster(name, stack.enter_context(Client(slurm)), gpu, 60 * config.wait_minutes, remedy, ask)
        else:
            try:
                client = stack.enter_context(Client(name, timeout=20))
            except (OSError, ValueError, TypeError, RuntimeError) as error:
                raise UserError(
                    f"--dask {name}: no scheduler answers there ({' '.join(str(error).split())}); "
                    "allowed: tcp://HOST:PORT, tls://HOST:PORT, local or FILE.yml"
                ) from error
            yield Cluster(name, client, gpu, PATIENCE_SECONDS)


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Takes back what nannies set for their workers: they set it in this process, whose later children would inherit it."""
    before = os.environ.copy()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
