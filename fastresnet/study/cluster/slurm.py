"""Jobs of a SLURM cluster as Dask workers, through dask-jobqueue: each job is one worker that trains one run at a time."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from fastresnet.config.base import Frozen
from fastresnet.errors import UserError


class SlurmConfig(Frozen):
    """Settings of the SLURM jobs that train runs, and bounds on their number."""

    partition: str | None = None
    """Partition to submit to; None takes SLURM's default."""
    account: str | None = None
    walltime: Annotated[str, Field(pattern=r"^(\d+-)?\d{1,2}:\d{2}:\d{2}$")] = "01:00:00"
    """Time limit of a job, which trains one run after another. A run that is cut short continues in another job."""
    cores: PositiveInt = 1
    """Cores per job, and number of torch's threads."""
    memory: Annotated[str, Field(pattern=r"^\d+ ?[KMGT]i?B$")] = "4 GiB"
    gpu: bool = False
    """Whether each job has a GPU. A study whose device is cuda needs one."""
    min_jobs: NonNegativeInt = 0
    """Jobs that are kept even when fewer runs are left."""
    max_jobs: PositiveInt = 1
    python: str = sys.executable
    """Python interpreter of an environment with this package, on a path that the nodes see."""
    log_folder: Path = Path("slurm-logs")
    """Folder for the jobs' logs, on a path that the nodes see. While the study runs it also holds the keys of its workers."""
    interface: str | None = None
    """Network interface that nodes and this machine share, for example ib0."""
    setup: tuple[str, ...] = ()
    """Shell commands to run before the worker starts, for example module load."""
    directives: tuple[str, ...] = ()
    """Further options for sbatch, for example --constraint=a100."""
    wait_minutes: PositiveFloat = 60.0
    """Minutes without any worker after which the study is given up."""

    @model_validator(mode="after")
    def _possible(self) -> "SlurmConfig":
        if self.min_jobs > self.max_jobs:
            raise ValueError(f"min_jobs: at most max_jobs, {self.max_jobs}")
        return self


def worker_environment(threads: int) -> dict[str, int]:
    """Environment variables of a worker: the number of its threads, and a single heap for all of them. Workers do not train in
    the main thread, and `fastresnet.compute.allocator` serves other threads only with a single heap."""
    return {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "MALLOC_ARENA_MAX": 1}


@contextmanager
def open_slurm(name: str, config: SlurmConfig, gpu: bool) -> Iterator[tuple[Any, Callable[[int], None]]]:
    """Yields a Dask cluster, at first without jobs, and a function to call with the number of trials left. The cluster then has
    one job per trial, within the bounds of the configuration, and replaces a job that ends too early.

    The scheduler runs in this process and accepts only its own jobs: both sides identify themselves by temporary keys.
    Raises UserError if a package or SLURM is missing, or SLURM refuses such a job.
    """
    try:
        import cryptography  # noqa: F401
        import dask_jobqueue  # noqa: F401
    except ImportError as error:
        raise UserError(f"--dask {name}: {error}; get what is missing with: pip install 'fastresnet[slurm]'") from error
    if gpu and not config.gpu:
        raise UserError(f"{name}: gpu: the study's device is cuda; allowed: true")
    config.log_folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="keys-", dir=config.log_folder.resolve()) as keys,
        _slurm_cluster(config, _security(Path(keys))) as cluster,
    ):
        _check(name, cluster.job_script())
        jobs = cluster.adapt(Adaptive=_jobs_for_trials(), minimum_jobs=config.min_jobs, maximum_jobs=config.max_jobs)

        def set_demand(trials: int) -> None:
            jobs.trials = trials

        yield cluster, set_demand


def _security(folder: Path) -> Any:
    """TLS keys by which scheduler, workers and client identify themselves, in files that only their owner may read."""
    from distributed.security import Security

    made, files = Security.temporary(), {}
    for name, text in (("cert", made.tls_ca_file), ("key", made.tls_client_key)):
        files[name] = str(folder / f"{name}.pem")
        Path(files[name]).write_text(text)
    roles = {f"tls_{role}_{name}": file for role in ("client", "scheduler", "worker") for name, file in files.items()}
    return Security(require_encryption=True, tls_ca_file=files["cert"], **roles)


def _slurm_cluster(config: SlurmConfig, security: Any) -> Any:
    from dask_jobqueue.slurm import SLURMCluster

    return SLURMCluster(
        queue=config.partition,
        account=config.account,
        walltime=config.walltime,
        cores=1,  # Dask's cores: one run at a time
        job_cpu=config.cores,
        memory=config.memory,
        processes=1,
        python=config.python,
        log_directory=str(config.log_folder.resolve()),
        interface=config.interface,
        security=security,
        scheduler_options={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        worker_extra_args=["--no-dashboard", *(("--resources", "GPU=1") if config.gpu else ())],
        job_extra_directives=[*(("--gres=gpu:1",) if config.gpu else ()), *config.directives],
        job_script_prologue=[_environment(config.cores), *config.setup],
    )


def _jobs_for_trials() -> Any:
    """Dask's adaptive scaling, changed to one job per trial and to replace lost jobs."""
    from distributed.deploy import Adaptive

    class JobsForTrials(Adaptive):
        cluster: Any
        trials = 0

        async def target(self) -> int:
            return self.trials

        async def recommendations(self, target: int) -> dict[str, Any]:
            if len(self.cluster.workers) < len(self.plan) <= target:
                return {"status": "up", "n": len(self.plan)}
            found: dict[str, Any] = await super().recommendations(target)
            return found

    return JobsForTrials


def _environment(cores: int) -> str:
    """The shell command that sets the environment of a job's worker: one thread per core, and no MALLOC_TRIM_THRESHOLD_, by which
    Dask would return freed memory to the system at each step."""
    values = {"MALLOC_TRIM_THRESHOLD_": None, **worker_environment(cores)}
    return f'export DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON="{values}"'


def _check(name: str, script: str) -> None:
    """Raises UserError unless SLURM would take the job."""
    try:
        tried = subprocess.run(["sbatch", "--test-only"], input=script, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise UserError(f"--dask {name}: there is no sbatch here; allowed: a machine from which jobs of SLURM start") from error
    if tried.returncode:
        raise UserError(f"{name}: SLURM refuses such a job: {' '.join(tried.stderr.split())}")
