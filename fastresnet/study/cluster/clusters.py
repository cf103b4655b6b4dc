"""Dask clusters to train on: worker processes on this machine, the workers of a scheduler elsewhere, or jobs of SLURM."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fastresnet.compute.surroundings import check_loopback
from fastresnet.config.parsing import load_yaml
from fastresnet.errors import UserError
from fastresnet.study.cluster.slurm import SlurmConfig, open_slurm, worker_environment

WORKER_ENVIRONMENT = worker_environment(threads=1)
"""Environment variables of the workers on this machine. They replace Dask's own, whose MALLOC_TRIM_THRESHOLD_ returns the
memory of every activation to the system at each step."""
PATIENCE_SECONDS = 60.0
"""Seconds without a worker that can train after which a cluster is given up. A file for SLURM sets its own."""
RESTART_SECONDS = 60.0
"""Seconds that a worker process on this machine may take to restart before another replaces it. Dask's default of 15 s is too
short on a busy machine, and would leave the cluster without workers."""
LOCAL_PATIENCE_SECONDS = 10 * RESTART_SECONDS
POLL_SECONDS = 1.0


class ClusterLost(RuntimeError):
    """The scheduler, or the last worker that could train, is gone; finished runs are recorded."""


@dataclass
class Cluster:
    """A Dask cluster whose workers train one trial at a time, each with a GPU if trials need one."""

    name: str
    client: Any
    gpu: bool
    patience: float
    """Seconds without a worker that can train after which the cluster is given up."""
    remedy: str = "start some"
    """Advice in the error message for a cluster without any worker."""
    set_demand: Callable[[int], None] = lambda trials: None
    """Called with the number of trials left, so that the cluster can grow or shrink to it."""
    _slots: int = 0
    _counted: float = float("-inf")
    _without_since: float | None = None
    """Time of the first count without a worker that can train; None if the latest count found one."""

    @property
    def resources(self) -> dict[str, float]:
        """Dask resources that a trial claims from its worker."""
        return {"GPU": 1} if self.gpu else {}

    def slots(self) -> int:
        """Number of workers that can train, counted once per second. Raises ClusterLost if there has been none for too long."""
        now = time.monotonic()
        if now - self._counted < POLL_SECONDS:
            return self._slots
        try:
            found = self.client.scheduler_info(n_workers=-1)
            if "workers" not in found:  # the client has noticed already
                raise OSError("no connection")
        except (OSError, TimeoutError) as error:
            raise ClusterLost(f"--dask {self.name}: the scheduler is lost ({error}); the same command goes on") from error
        workers = found["workers"].values()
        self._slots = sum(not self.gpu or worker["resources"].get("GPU", 0) >= 1 for worker in workers)
        self._counted = now
        # not measured from the last count: none is made while a result is fetched, which takes long from a lost worker
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
    """Opens the cluster that `--dask` names: "local", the address of a scheduler, or a file that describes SLURM's jobs.

    Raises UserError if a package is missing, nothing answers at the address, or the file is faulty, and MachineFault if workers
    cannot talk to this process.
    """
    if not name.strip():
        raise UserError("--dask: names no cluster; allowed: local, a scheduler's address, or a file")
    try:
        import dask
        from distributed import Client, LocalCluster
        from tornado.ioloop import PeriodicCallback
    except ImportError as error:
        raise UserError("--dask: Dask is not installed; get it with: pip install 'fastresnet[dask]'") from error
    gpu = (device or "").startswith("cuda")
    with ExitStack() as stack:
        if name == "local":
            from fastresnet.compute.device import choose_device

            gpu = choose_device(device).type != "cpu"
            check_loopback()
            stack.enter_context(_environment_kept())
            settings = {
                "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
                "distributed.deploy.lost-worker-timeout": RESTART_SECONDS,
                # nannies see a process that ends; silence while a machine sleeps would end workers, and count against their runs
                "distributed.scheduler.worker-ttl": None,
            }
            stack.enter_context(dask.config.set(settings))
            # a GPU trains one run at a time; everything listens on this machine only, Dask's dashboard included
            options = {"n_workers": 1, "resources": {"GPU": 1}} if gpu else {}
            # no memory limit: Dask's default, a worker's share of the memory, would kill runs that fit
            options |= {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": "127.0.0.1:0"}
            options["silence_logs"] = logging.ERROR  # an interruption would add warnings of nannies to its one line
            cluster = stack.enter_context(LocalCluster(**options))
            replace_lost = PeriodicCallback(partial(cluster.scale, len(cluster.worker_spec)), 1000 * POLL_SECONDS)
            cluster.periodic_callbacks["replace lost workers"] = replace_lost  # which ends with the cluster
            cluster.loop.add_callback(replace_lost.start)
            client = stack.enter_context(Client(cluster))
            yield Cluster(name, client, gpu, LOCAL_PATIENCE_SECONDS, "see their errors above")
        elif name.endswith((".yml", ".yaml")):
            config = load_yaml(Path(name), SlurmConfig)
            slurm, set_demand = stack.enter_context(open_slurm(name, config, gpu))
            remedy = f"see squeue, and the logs in {config.log_folder}"
            yield Cluster(name, stack.enter_context(Client(slurm)), gpu, 60 * config.wait_minutes, remedy, set_demand)
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
    """Restores the environment of this process: nannies set their workers' variables in it, and later children inherit them."""
    before = os.environ.copy()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
