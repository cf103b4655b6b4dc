"""Clusters that others start: what the page "Scaling" says of keys is done here by its own commands."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager

import psutil
import pytest

from fastresnet.config.parsing import load_yaml
from fastresnet.study.cluster.clusters import ClusterLost, open_cluster
from fastresnet.study.cluster.slurm import SlurmConfig

from .conftest import ROOT, command, free_port, refused, study_of, wait_for

pytestmark = pytest.mark.slow

FILES = ROOT / "params" / "cluster"


@contextmanager
def running(*commands, cwd, **environment):
    """Commands of Dask, run until the block ends."""
    lines = [[sys.executable, "-m", "dask", *arguments] for arguments in commands]
    processes = [subprocess.Popen(line, cwd=cwd, env={**os.environ, **environment}) for line in lines]
    try:
        yield processes
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(20)


def study_run(address, folder, **environment):
    arguments = ("study", "run", "fashionmnist_speed", "--only", "F8", "-p", "f8_epochs=1", "-p", "f8_stem_channels=[16]")
    return command(*arguments, "--results", folder / "results", "--dask", address, **environment)


def test_local_workers_are_on_loopback_and_leave_this_process_its_environment(monkeypatch):
    for name in ("OMP_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_", "MALLOC_ARENA_MAX"):  # as nannies of other tests leave them
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    with open_cluster("local", None) as cluster:
        wait_for(cluster.slots)
        assert cluster.client.run(os.getenv, "OMP_NUM_THREADS") == dict.fromkeys(cluster.client.ncores(), "1")
        kept = cluster.client.run(lambda: (os.getenv("MALLOC_TRIM_THRESHOLD_"), os.getenv("MALLOC_ARENA_MAX")))
        limits = cluster.client.run(lambda dask_worker: dask_worker.memory_manager.memory_limit)
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        listening = [
            each.laddr.ip for one in processes for each in one.net_connections("tcp") if each.status == psutil.CONN_LISTEN
        ]
    assert os.environ == before
    assert set(kept.values()) == {(None, "1")}  # which Dask would make give freed memory back
    assert set(limits.values()) == {None}  # a worker may take what memory there is
    assert set(listening) == {"127.0.0.1"}


def test_encrypted_cluster_trains_for_those_with_a_key_and_refuses_others(tmp_path):
    page = (ROOT / "book" / "scaling.md").read_text()
    (line,) = re.findall(r"openssl req .*", page)
    (tmp_path / "keys").mkdir()
    subprocess.run(line.split(), cwd=tmp_path, check=True, capture_output=True)
    settings = (FILES / "tls.yml").read_text().replace("keys/", f"{tmp_path}/keys/")
    (tmp_path / "tls.yml").write_text(settings)
    port, keys = free_port(), {"DASK_CONFIG": str(tmp_path / "tls.yml")}
    address = f"tls://127.0.0.1:{port}"
    scheduler = ("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    with running(scheduler, ("worker", address, "--nthreads", "1", "--no-dashboard"), cwd=tmp_path, **keys):
        done = study_run(address, tmp_path, **keys)
        assert done.returncode == 0, done.stderr
        assert len(list((tmp_path / "results").rglob("*.json"))) == 1
        assert "no scheduler answers there" in refused(study_run(address, tmp_path / "others"))
        assert "no scheduler answers there" in refused(study_run(address.replace("tls", "tcp"), tmp_path / "others"))


def test_lost_scheduler_ends_the_study_with_its_finished_runs_kept(tiny, tmp_path):
    address = f"tcp://127.0.0.1:{free_port()}"
    study = study_of(tmp_path / "records", (0, 1, 2), one=tiny)
    scheduler = ("scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard")
    with running(scheduler, ("worker", address, "--nthreads", "1", "--no-dashboard"), cwd=tmp_path) as processes:
        trained = study.train_missing(dask=address)
        next(trained)
        processes[0].kill()
        with pytest.raises(ClusterLost, match=f"--dask {address}: the scheduler is lost"):
            list(trained)
    assert len(study.missing()) < 3


def test_example_for_slurm_is_a_valid_one():
    assert load_yaml(FILES / "slurm.yml", SlurmConfig).max_jobs == 8
