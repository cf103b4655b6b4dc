"""What it costs to hand out a run, apart from the run: trials that only save a record, in this process and on workers."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from fastresnet.config.schedules import Frozen
from fastresnet.records.folders import Place
from fastresnet.records.record import RunRecord
from fastresnet.records.store import Store, read_record
from fastresnet.study.cluster.clusters import open_cluster
from fastresnet.study.cluster.spreading import spread
from fastresnet.study.project import committed_results

TRIALS = (100, 1_000, 10_000)


class SchedulingRow(Frozen):
    """What was measured of one number of trials."""

    where: str
    """"in process", or what --dask was given."""
    trials: int
    workers: int
    """Processes that trials ran in."""
    seconds: float
    """From handing out the first trial to having the last one's record; starting the workers is no part of it."""


def measure(dask: str, trials: Sequence[int] = TRIALS) -> Iterator[SchedulingRow]:
    """Measures numbers of trials, each in this process and then on the cluster that `dask` names."""
    record = read_record(min(committed_results().glob("*/*/*.json")))
    with open_cluster(dask, device=None) as cluster, tempfile.TemporaryDirectory() as folder:
        while not cluster.slots():
            time.sleep(0.1)
        for number in trials:
            save = partial(save_record, record=record, folder=Path(folder) / f"here-{number}")
            started = time.perf_counter()
            for trial in range(number):
                save(trial)
            yield SchedulingRow(where="in process", trials=number, workers=1, seconds=time.perf_counter() - started)
            save = partial(save_record, record=record, folder=Path(folder) / f"dask-{number}")
            started = time.perf_counter()
            for _, future in spread(cluster, range(number), save, save):
                future.result()
            seconds = time.perf_counter() - started
            yield SchedulingRow(where=f"dask {dask}", trials=number, workers=cluster.slots(), seconds=seconds)


def save_record(trial: int, record: RunRecord, folder: Path) -> Place:
    """A trial without training: what is left is its record."""
    return Store([folder]).save(record.model_copy(update={"seed": trial}), "scheduling", "A", "nothing")
