"""A cluster trains what this process would, whatever becomes of its workers."""

import functools
import os
import re
import signal
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import psutil
import pytest
import torch

from fastresnet.errors import UserError
from fastresnet.records.folders import LocalFolder
from fastresnet.records.store import Store, read_record
from fastresnet.study import Experiment, RunFailed, Study
from fastresnet.study.cluster import ClusterLost, clusters, spreading
from fastresnet.study.cluster.clusters import WORKER_ENVIRONMENT
from fastresnet.study.trial import train_trial

from .conftest import command, command_here, refused, started, study_of, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def make_study(tiny, tmp_path):
    """A study of two variants and two seeds, its records in a folder of its own."""

    def make(folder="records", device=None, **variants):
        experiment = Experiment("A", "?", variants or {"one": tiny, "two": tiny.with_changes({"train.momentum": 0.5})}, (0, 1))
        return Study("trial", "cpu", {"A": experiment}, Store([tmp_path / folder]), device=device)

    return make


@pytest.fixture
def cluster(monkeypatch):
    """Two worker processes on this machine, each in the care of a nanny."""
    from distributed import LocalCluster

    for name, value in WORKER_ENVIRONMENT.items():  # a nanny sets them in this process, too, and for good
        monkeypatch.setenv(name, str(value))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as started:
        yield started


def losses(trained):
    return {(run.variant, run.seed): record.epochs[-1].test_loss for run, record in trained}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("changes", [{}, {"data.loader": "worker", "data.num_workers": 2, "data.flip": "random"}])
def test_workers_train_the_same_runs_and_the_store_is_listed_once(make_study, tiny, cluster, monkeypatch, changes):
    one = tiny.with_changes(changes)
    variants = {"one": one, "two": one.with_changes({"train.momentum": 0.5})}
    expected, listings, names = losses(make_study(**variants).train_missing()), [], LocalFolder.names
    monkeypatch.setattr(LocalFolder, "names", lambda folder, pattern: listings.append(pattern) or names(folder, pattern))
    elsewhere = make_study("dask", **variants)
    assert losses(elsewhere.train_missing(dask=cluster.scheduler_address)) == pytest.approx(expected, rel=1e-6)
    assert len(listings) == 1  # for what is missing; workers, which look for the runs of others, are processes of their own
    assert elsewhere.missing() == []


def test_relative_folder_of_results_is_the_studys_own_not_one_beside_its_workers(tiny, cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the workers have started elsewhere
    assert len(list(study_of("records", one=tiny).train_missing(dask=cluster.scheduler_address))) == 1
    assert len(list((tmp_path / "records").rglob("*.json"))) == 1


@pytest.mark.usefixtures("one_thread")
def test_run_of_a_killed_worker_is_done_again_from_its_checkpoint(make_study, tiny, cluster):
    long = tiny.with_changes({"train.epochs": 12})
    checkpoints = Path(os.environ["XDG_CACHE_HOME"]) / "fastresnet" / "checkpoints"
    started = {nanny.pid for nanny in cluster.workers.values()}

    def kill_workers_in_mid_run():
        wait_for(lambda: list(checkpoints.glob(f"{long.hash}-*.pt")))
        for pid in started:
            psutil.Process(pid).kill()

    killer = threading.Thread(target=kill_workers_in_mid_run)
    killer.start()
    trained = losses(make_study("dask", long=long).train_missing(dask=cluster.scheduler_address))
    killer.join()
    assert not started & {nanny.pid for nanny in cluster.workers.values()}
    assert trained == pytest.approx(losses(make_study(long=long).train_missing()), rel=1e-6)
    assert not list(checkpoints.glob(f"{long.hash}-*.pt"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_study_takes_its_workers_along_and_goes_on(how, tmp_path):
    arguments = ["study", "run", "fashionmnist_speed", "--only", "F8", "--results", tmp_path / "results"]
    arguments += ["-p", "f8_epochs=2", "-p", "f8_stem_channels=[16]", "-p", "seeds=[0, 1, 2]", "--dask", "local"]
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    checkpoints = tmp_path / "fastresnet" / "checkpoints"
    with started(*arguments, **environment) as process:
        wait_for(lambda: list(checkpoints.glob("*.pt")))
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    *_, line = errors.splitlines()
    assert line.startswith("fastresnet: interrupted; what is recorded is kept, and a study")
    assert len(workers) >= 2
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
    assert command(*arguments, **environment).returncode == 0
    assert len(list((tmp_path / "results").rglob("*.json"))) == 3
    assert not list(checkpoints.glob("*"))


def test_machine_that_sleeps_costs_no_worker(tmp_path):
    """Dask would end a worker that it has not heard of for five minutes, here for five seconds, and blame the run for it."""
    arguments = ["study", "run", "fashionmnist_speed", "--only", "F8", "--results", tmp_path / "results"]
    arguments += ["-p", "f8_epochs=1000", "-p", "f8_stem_channels=[16]", "--dask", "local"]
    environment = {"XDG_CACHE_HOME": str(tmp_path), "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "1s"}
    with started(*arguments, **environment) as process:
        wait_for(lambda: list((tmp_path / "fastresnet" / "checkpoints").glob("*.pt")))
        study = psutil.Process(process.pid)
        everyone = [study, *study.children(recursive=True)]
        for each in everyone:
            each.suspend()
        time.sleep(10)
        for each in everyone:
            each.resume()
        time.sleep(3)
        awake = {study, *study.children(recursive=True)}
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert set(everyone) <= awake


def poisoned(run, **options):
    """Kills its worker, as a kernel without memory does, with each run of one seed."""
    if run.seed == 1:
        os._exit(1)
    return train_trial(run, **options)


# half a second is less than any process takes: a worker that is slow to start again is replaced
@pytest.mark.parametrize("restart", [clusters.RESTART_SECONDS, 0.5])
def test_run_that_kills_every_worker_has_failed_and_the_others_are_trained(make_study, tmp_path, monkeypatch, restart):
    monkeypatch.setattr(spreading, "train_trial", poisoned)
    monkeypatch.setattr(clusters, "RESTART_SECONDS", restart)
    trained = []
    with pytest.raises(RunFailed, match="A (one|two) seed 1 failed: KilledWorker: [4-7] workers died .*; A (one|two) seed 1"):
        for run, _ in make_study().train_missing(dask="local"):
            trained.append((run.variant, run.seed))
    assert sorted(trained) == [("one", 0), ("two", 0)]
    records = [read_record(path) for path in (tmp_path / "records").rglob("*.json")]
    assert sorted((record.seed, record.outcome.status) for record in records) == [
        (0, "finished"),
        (0, "finished"),
        (1, "failed"),
        (1, "failed"),
    ]
    reasons = [record.outcome.reason for record in records if record.seed]
    assert all(re.fullmatch(r"KilledWorker: [4-7] workers died while they trained it", reason) for reason in reasons)


def test_result_that_no_worker_hands_over_ends_the_study():
    cluster = SimpleNamespace(name="local", patience=5.0)
    with pytest.raises(ClusterLost, match="no worker has handed over a finished run for 5 s; the same command goes on"):
        spreading._fetched(Mock(result=Mock(side_effect=TimeoutError)), cluster)


def raising(run, **options):
    """Trains with an optimiser that has no room for the second seed."""
    from fastresnet.training import runs

    def out_of_memory(*_, **__):
        raise MemoryError("no room for 1 GB")

    kept = runs.train_epochs
    runs.train_epochs = out_of_memory if run.seed == 1 else kept
    try:
        return train_trial(run, **options)
    finally:
        runs.train_epochs = kept


def test_run_that_raises_is_recorded_by_its_worker_and_the_others_are_trained(make_study, cluster, monkeypatch):
    monkeypatch.setattr(spreading, "train_trial", raising)
    study = make_study()
    with pytest.raises(RunFailed, match="A one seed 1 failed: OutOfMemory: .*no room for 1 GB.*; recorded in .*seed1.json"):
        list(study.train_missing(dask=cluster.scheduler_address))
    assert {run.seed for run in study.missing()} == {1}
    monkeypatch.undo()
    assert len(list(study.train_missing(dask=cluster.scheduler_address))) == 2


def test_request_that_no_worker_can_serve_stops_the_study(make_study, tiny, cluster):
    large = tiny.with_changes({"data.batch_size": 1})
    with pytest.raises(UserError, match="batch norm needs batches of at least 2 images"):
        list(make_study(large=large).train_missing(dask=cluster.scheduler_address))


@pytest.mark.parametrize("folder", ["other", "file/that-cannot-be"])
def test_records_of_workers_with_another_disk_are_kept_here(folder, make_study, cluster, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(spreading, "train_trial", functools.partial(elsewhere, tmp_path / folder))
    study = make_study()
    assert len(list(study.train_missing(dask=cluster.scheduler_address))) == 4
    assert study.missing() == []


def elsewhere(folder, run, folders, **options):
    return train_trial(run, folders=(folder,), **options)


def test_worker_whose_disk_holds_an_older_record_trains_anew(make_study, cluster, monkeypatch, tmp_path):
    older = {run.key: record for run, record in make_study("other").train_missing()}
    monkeypatch.setattr(spreading, "train_trial", functools.partial(elsewhere, tmp_path / "other"))
    trained = {run.key: record for run, record in make_study().train_missing(dask=cluster.scheduler_address)}
    assert set(trained) == set(older)
    assert all(record.started > older[key].started for key, record in trained.items())
    assert not list((tmp_path / "records").glob(".study-*"))


def raising_elsewhere(folder, run, folders, **options):
    return raising(run, folders=(folder,), **options)


def test_failure_on_a_worker_with_another_disk_is_recorded_here(make_study, cluster, monkeypatch, tmp_path):
    monkeypatch.setattr(spreading, "train_trial", functools.partial(raising_elsewhere, tmp_path / "other"))
    with pytest.raises(RunFailed, match=r"no room for 1 GB.*; recorded in .*records/trial/A/one-\w+-seed1.json"):
        list(make_study().train_missing(dask=cluster.scheduler_address))
    statuses = [read_record(path).outcome.status for path in (tmp_path / "records").rglob("*.json")]
    assert sorted(statuses) == ["failed", "failed", "finished", "finished"]


@pytest.mark.parametrize(
    ("begun", "end"),
    [
        ([0, 3, 3], "trained"),  # three times four workers died, most of them with the item in their queue
        ([4], "KilledWorker: 4 workers died while they trained it"),
        ([1, 5], "KilledWorker: 5 workers died while they trained it"),
    ],
)
def test_item_is_given_up_only_if_workers_died_while_they_worked_on_it(begun, end):
    """Dask counts a worker's death against every item in its queue, also against those that it had not begun."""
    from distributed import KilledWorker

    tries = iter(range(10))

    def submit(call, **_):
        future = Future()
        future.key = next(tries)
        if future.key < len(begun):
            future.set_exception(KilledWorker("item", None, 3))
        else:
            future.set_result("trained" if call.func is spreading._begin else call())
        return future

    events = iter(begun)
    client = SimpleNamespace(submit=submit, get_events=lambda topic: ["begun"] * next(events))
    cluster = SimpleNamespace(name="test", client=client, resources={}, slots=lambda: 1, set_demand=lambda trials: None)
    ((item, future),) = spreading.spread(cluster, ["item"], work=None, killed=lambda item, reason: reason)
    assert (item, future.result()) == ("item", end)


def on_the_processor(run, device, **options):
    """Says which worker trained it, and needs no GPU for that."""
    from distributed import get_worker

    record = train_trial(run, device="cpu", **options)
    return record.model_copy(update={"measured": {"gpus of the worker": (get_worker().state.total_resources.get("GPU", 0),)}})


def test_gpu_of_this_machine_has_one_worker_also_if_nobody_names_it(monkeypatch):
    monkeypatch.setattr("fastresnet.compute.device.choose_device", lambda device: torch.device("cuda"))
    with clusters.open_cluster("local", None) as found:
        found.client.wait_for_workers(1)
        assert found.gpu
        assert len(found.client.scheduler_info()["workers"]) == 1


def test_run_on_a_gpu_claims_one(make_study, monkeypatch):
    from distributed import Nanny, Scheduler, SpecCluster

    monkeypatch.setattr(spreading, "train_trial", on_the_processor)
    worker = {"cls": Nanny, "options": {"nthreads": 4, "host": "127.0.0.1"}}
    with_gpu = {"cls": Nanny, "options": {**worker["options"], "resources": {"GPU": 1}}}
    scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "dashboard": False}}
    with SpecCluster(workers={"without": worker, "with": with_gpu}, scheduler=scheduler) as mixed:
        trained = list(make_study(device="cuda").train_missing(dask=mixed.scheduler_address))
    assert [record.measured["gpus of the worker"] for _, record in trained] == [(1.0,)] * 4


def test_cluster_without_a_gpu_is_refused_for_runs_that_need_one(make_study, cluster, monkeypatch):
    monkeypatch.setattr(clusters, "PATIENCE_SECONDS", 1.0)
    with pytest.raises(ClusterLost, match="none of 2 workers has offered a GPU for 1 s; start them with --resources GPU=1"):
        list(make_study(device="cuda").train_missing(dask=cluster.scheduler_address))


def test_scheduler_that_the_client_has_lost_already_ends_the_study_in_a_sentence():
    # dask.distributed then says nothing of workers, rather than that it has no connection
    cluster = clusters.Cluster("tcp://h:1", SimpleNamespace(scheduler_info=lambda n_workers: {}), gpu=False, patience=60)
    with pytest.raises(clusters.ClusterLost, match=r"--dask tcp://h:1: the scheduler is lost \(no connection\)"):
        cluster.slots()


def test_cluster_is_given_up_only_if_it_was_seen_without_workers_for_that_long(monkeypatch):
    """Where nobody has looked for long, its workers may be just starting anew."""
    cluster = clusters.Cluster("local", None, gpu=False, patience=60)

    def look(now, workers):
        monkeypatch.setattr(clusters, "time", SimpleNamespace(monotonic=lambda: now))
        cluster.client = SimpleNamespace(scheduler_info=lambda n_workers: {"workers": workers})
        return cluster.slots()

    one = {"tcp://here": {"resources": {}}}
    looks = ((0.0, one), (100.0, {}), (130.0, one), (140.0, {}), (200.0, {}))
    assert [look(*each) for each in looks] == [1, 0, 1, 0, 0]
    with pytest.raises(ClusterLost, match="no worker for 60 s"):
        look(201.0, {})


def test_absent_scheduler_is_refused(tmp_path):
    line = refused(command_here("study", "run", "myrtle_notes", "--results", tmp_path, "--dask", "nonsense://x"))
    assert "no scheduler answers there" in line
