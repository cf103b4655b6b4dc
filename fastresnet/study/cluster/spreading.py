"""Spreads trials over a cluster, one per worker at a time, so that a worker that dies takes no other trial with it.

A run saves its own record before it returns it. A lost worker therefore costs at most the run that it was training. Workers
need this package. If they see other folders than this process does, the records are saved here.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import NamedTemporaryFile
from typing import Any, TypeVar
from uuid import uuid4

from tqdm import tqdm

from fastresnet.errors import UserError
from fastresnet.records.folders import Place, absolute, is_url
from fastresnet.records.record import RunRecord
from fastresnet.records.store import Store
from fastresnet.study.cluster.clusters import POLL_SECONDS, Cluster, ClusterLost, open_cluster
from fastresnet.study.experiment import Run
from fastresnet.study.trial import RunFailed, named_if_it_ends, record_killed, train_trial

Item = TypeVar("Item")


def train_with_dask(
    runs: Sequence[Run], store: Store, data_dir: str | Path | None, device: str | None, name: str, *, progress: bool
) -> Iterator[tuple[Run, RunRecord]]:
    """Trains runs on the cluster that `name` names, as in `open_cluster`, and yields each with its record when it ends.

    A run that raises, or that kills every worker it is given to, is recorded as failed. Raises RunFailed at the end if some
    failed, UserError if the cluster or a configuration cannot be used, and ClusterLost if the cluster goes away.
    """
    if not runs:
        return
    failures: list[str] = []
    bar = tqdm(total=len(runs), unit="run", file=sys.stderr, disable=not progress)
    with bar, _marked(store.folders[0]) as marker, named_if_it_ends(failures), open_cluster(name, device) as cluster:
        from distributed import KilledWorker

        def show(workers: int) -> None:
            bar.set_postfix_str(f"{len(failures)} failed, {workers} worker{'s' * (workers != 1)}")

        folders = tuple(map(absolute, store.folders))  # a worker has a working directory of its own
        data = data_dir and Path(data_dir).absolute()
        train = partial(train_trial, folders=folders, data_dir=data, device=device, marker=marker)
        killed = partial(record_killed, folders=folders, device=device, marker=marker)
        for run, future in spread(cluster, runs, train, killed, show):
            bar.update()
            error = future.exception()
            names = run.study, run.experiment, run.variant
            if error is None:
                record = _fetched(future, cluster)
                if store.find_saved(run.key, *names) is None:
                    store.save(record, *names)
                bar.clear()  # leaves the line free for the caller's own output
                yield run, record
            elif isinstance(error, RunFailed):
                saved = f"; recorded in {store.save(error.record, *names)}" if error.record else ""
                failures.append(f"{error}{saved}")
            elif isinstance(error, KilledWorker):
                failures.append(f"{run.experiment} {run.variant} seed {run.seed} failed: not even its failure could be recorded")
            elif isinstance(error, ImportError):
                raise UserError(
                    f"--dask {name}: a worker cannot load what it needs ({error}); install fastresnet there"
                ) from error
            else:
                raise error
    if failures:
        raise RunFailed("; ".join(failures))


@contextmanager
def _marked(place: Place) -> Iterator[str | None]:
    """Makes a file in a local folder for the time of the block, and yields its name: a worker that does not find it there sees
    another disk. Yields None for a URL."""
    if is_url(place):
        yield None
        return
    Path(place).mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=place, prefix=".study-") as file:
        yield Path(file.name).name


def _fetched(future: Any, cluster: Cluster) -> RunRecord:
    """The result of a finished future. Raises ClusterLost if nobody can hand it over any more: its worker has ended since."""
    try:
        record: RunRecord = future.result(timeout=cluster.patience)
    except TimeoutError as error:
        waited = f"no worker has handed over a finished run for {cluster.patience:g} s"
        raise ClusterLost(f"--dask {cluster.name}: {waited}; the same command goes on") from error
    return record


def spread(
    cluster: Cluster,
    items: Sequence[Item],
    work: Callable[[Item], Any],
    killed: Callable[..., Any],
    show: Callable[[int], None] = lambda workers: None,
) -> Iterator[tuple[Item, Any]]:
    """Runs `work` on each item, on some worker, and yields the item with its finished future.

    If as many workers as Dask allows die while they work on an item, `killed` runs on it instead, with the reason. `show` is
    called with the number of workers about once per second. Raises ClusterLost if the cluster goes away.
    """
    from distributed import KilledWorker

    topics = {id(item): f"fastresnet-{uuid4()}" for item in items}
    waiting = deque((item, partial(_begin, topics[id(item)], work, item), False) for item in items)
    running: dict[str, tuple[Item, bool, Any]] = {}
    ended: SimpleQueue[Any] = SimpleQueue()
    while waiting or running:
        workers = cluster.slots()
        cluster.set_demand(len(waiting) + len(running))
        show(workers)
        while waiting and len(running) < workers:
            item, call, given_up = waiting.popleft()
            # impure, so that Dask never returns an older result of the same run
            future = cluster.client.submit(call, pure=False, resources=cluster.resources)
            running[future.key] = item, given_up, future
            future.add_done_callback(ended.put)
        try:
            future = ended.get(timeout=POLL_SECONDS)
        except Empty:
            continue
        item, given_up, _ = running.pop(future.key)
        if future.cancelled():
            raise ClusterLost(f"--dask {cluster.name}: the scheduler is lost; the same command goes on")
        error = future.exception()
        if isinstance(error, KilledWorker) and not given_up:
            begun = len(cluster.client.get_events(topics[id(item)]))
            if begun <= error.allowed_failures:  # Dask also counts workers that died with the item still in their queue
                waiting.append((item, partial(_begin, topics[id(item)], work, item), False))
                continue
            reason = f"KilledWorker: {begun} workers died while they trained it"
            waiting.append((item, partial(killed, item, reason=reason), True))
        else:
            yield item, future


def _begin(topic: str, work: Callable[[Item], Any], item: Item) -> Any:
    """Tells the scheduler that a worker begins with an item, and works on it."""
    from distributed import get_client

    get_client().log_event(topic, "begun")
    return work(item)
