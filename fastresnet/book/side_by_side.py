"""Runs chapters side by side, each in a process of its own."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastresnet.book.notebooks import ChapterFailed, run_chapter
from fastresnet.errors import UserError
from fastresnet.records.folders import Place, split_place


@dataclass(frozen=True)
class ChapterRun:
    """A version of a chapter to run: its checked parameters, and the place for the executed notebook."""

    chapter: str
    parameters: Mapping[str, Any]
    output: Place


def run_side_by_side(
    versions: Sequence[ChapterRun], *, jobs: int, data_dir: Path | None = None, time_limit: float | None = None
) -> Iterator[Place]:
    """Runs versions of chapters in `jobs` processes, and yields the place of each executed notebook when it is done.

    The processes share the CPU's cores equally, unless OMP_NUM_THREADS is set, and end when this process does. Raises
    ChapterFailed at the end if some failed; the others are still run.
    """
    failures = []
    # spawned: a forked process would inherit torch's threads, and run_chapter needs a main thread of its own
    context = multiprocessing.get_context("spawn")
    jobs = max(1, min(jobs, len(versions)))
    threads = max((os.cpu_count() or 1) // jobs, 1)
    with ProcessPoolExecutor(jobs, context, initializer=_start_worker, initargs=(threads,)) as pool:
        running: dict[Future[Place], ChapterRun] = {
            pool.submit(
                run_chapter, each.chapter, each.output, dict(each.parameters), data_dir=data_dir, time_limit=time_limit
            ): each
            for each in versions
        }
        try:
            for done in as_completed(running):
                try:
                    yield done.result()
                except (ChapterFailed, UserError) as error:
                    failures.append(f"{split_place(running[done].output)[1]}: {error}")
        except BaseException:  # on Ctrl-C or SIGTERM, leaving the block would wait for the running chapters
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise
    if failures:
        raise ChapterFailed("; ".join(failures))


def _start_worker(threads: int) -> None:
    # processes that each compute on every core slow one another many times over; kernels inherit the setting
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closed terminal ends the parent, which ends the workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
    while True:  # the first signal ends a chapter and its kernel, the second an idle worker
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
