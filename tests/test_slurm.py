"""A study in the jobs of a real SLURM: the one that runs here, or one of a single node that these tests start."""

import os
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from fastresnet.config.parsing import load_yaml
from fastresnet.errors import UserError
from fastresnet.study.cluster import ClusterLost
from fastresnet.study.cluster.slurm import SlurmConfig

from .conftest import command, free_port, refused, study_of, wait_for

pytestmark = pytest.mark.slow

CONFIGURATION = """
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A SLURM that answers; skipped where there is none and none can be started."""
    if not shutil.which("sbatch"):
        pytest.skip("SLURM is not installed (Debian: slurm-wlm, munge)")
    if subprocess.run(["sinfo"], capture_output=True).returncode == 0:
        yield
        return
    if os.geteuid() or not all(map(shutil.which, ("munged", "slurmctld", "slurmd"))):
        pytest.skip("no SLURM runs here, and only root can start one")
    folder = tmp_path_factory.mktemp("slurm")
    daemons: list[subprocess.Popen] = []
    try:
        start_slurm(folder, daemons)
        yield
    finally:
        os.environ.pop("SLURM_CONF")
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(20)


def start_slurm(folder: Path, daemons: list[subprocess.Popen]) -> None:
    """Adds munged, slurmctld and slurmd, with all their files in a folder, to the processes that somebody has to end."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host, ports = socket.gethostname().partition(".")[0], [free_port(), free_port()]
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, ports=ports, folder=folder))
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")  # one in name only
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o400)
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    files = [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")]
    munged = ["munged", "--foreground", "--force", f"--key-file={folder}/key", f"--socket={folder}/munge.socket", *files]
    with (folder / "daemons.log").open("w") as log:
        for line in (munged, ["slurmctld", "-D", "-i"], ["slurmd", "-D"]):
            daemons.append(subprocess.Popen(line, stdout=log, stderr=log))
    deadline = time.monotonic() + 60
    while "idle" not in subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True).stdout:
        assert time.monotonic() < deadline, (folder / "daemons.log").read_text()
        time.sleep(0.5)


def jobs(state: str) -> list[str]:
    """Names of the jobs in a state."""
    return subprocess.run(["squeue", "-h", "-t", state, "-o", "%i"], capture_output=True, text=True).stdout.split()


@pytest.fixture
def study(tiny, tmp_path):
    return study_of(tmp_path / "records", one=tiny, two=tiny.with_changes({"train.momentum": 0.5}))


@pytest.fixture
def write(tmp_path):
    """Writes a file for SLURM."""

    def written(**values):
        path = tmp_path / "slurm.yml"
        log_folder = str(tmp_path / "logs")
        path.write_text(yaml.safe_dump({"memory": "2 GiB", "log_folder": log_folder, "wait_minutes": 2, **values}))
        return path

    return written


@pytest.mark.slurm
@pytest.mark.usefixtures("slurm")
def test_jobs_of_slurm_train_a_study_and_are_gone_afterwards(study, write, tmp_path):
    trained = list(study.train_missing(dask=str(write(max_jobs=2))))
    assert {run.variant for run, _ in trained} == {"one", "two"}
    assert study.missing() == []
    assert all(record.machine.threads == 1 for _, record in trained)
    assert list((tmp_path / "logs").glob("dask-worker-*.err"))
    assert not list((tmp_path / "logs").glob("keys-*"))
    wait_for(lambda: not jobs("running,pending,completing"))


@pytest.mark.slurm
@pytest.mark.usefixtures("slurm")
def test_job_that_slurm_refuses_is_refused_before_any_work(write):
    arguments = ("study", "run", "fashionmnist_speed", "--only", "F8", "-p", "f8_epochs=6", "--results", "/nonexistent", "--dask")
    line = refused(command(*arguments, write(partition="nowhere")))
    assert "slurm.yml: SLURM refuses such a job: " in line
    assert "invalid partition" in line.lower()


@pytest.mark.slurm
@pytest.mark.usefixtures("slurm")
def test_jobs_that_start_no_worker_are_given_up(study, write, tmp_path):
    with pytest.raises(ClusterLost, match=f"no worker for 6 s: see squeue, and the logs in {tmp_path}/logs; the same"):
        list(study.train_missing(dask=str(write(python="/bin/false", wait_minutes=0.1))))


def test_file_for_slurm_is_checked(write):
    with pytest.raises(UserError, match=r"slurm\.yml: walltime: .*pattern"):
        load_yaml(write(walltime="soon"), SlurmConfig)
    with pytest.raises(UserError, match=r"min_jobs: at most max_jobs, 1"):
        load_yaml(write(min_jobs=2), SlurmConfig)
    with pytest.raises(UserError, match=r"slurm\.yml: max_job: unknown key \(did you mean max_jobs\?\)"):
        load_yaml(write(max_job=2), SlurmConfig)


def test_study_on_a_gpu_needs_jobs_with_one(study, write):
    with pytest.raises(UserError, match=r"slurm\.yml: gpu: the study's device is cuda; allowed: true"):
        list(replace(study, device="cuda").train_missing(dask=str(write())))


@pytest.mark.slurm
@pytest.mark.usefixtures("slurm")
def test_cancelled_job_is_asked_for_anew_and_its_run_done_again(tiny, write, tmp_path):
    long = tiny.with_changes({"train.epochs": 16})
    study = study_of(tmp_path / "records", (3,), long=long)
    checkpoints = Path(os.environ["XDG_CACHE_HOME"]) / "fastresnet" / "checkpoints"

    def cancel_in_mid_run():
        wait_for(lambda: list(checkpoints.glob(f"{long.hash}-*.pt")))
        cancelled.extend(jobs("running"))
        subprocess.run(["scancel", *cancelled], check=True)

    cancelled: list[str] = []
    canceller = threading.Thread(target=cancel_in_mid_run)
    canceller.start()
    ((_, record),) = study.train_missing(dask=str(write()))
    canceller.join()
    assert len(cancelled) == 1
    assert len(record.epochs) == 16
    assert len(list((tmp_path / "logs").glob("dask-worker-*.err"))) == 2
