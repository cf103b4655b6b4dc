"""How `study status` grows with its store: made-up stores of many records, and the whole command timed over each.

The records are copies of one of the study's own. As many as there are runs wanted hold one of those each and are read;
the others are there to be listed.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pandas as pd

from fastresnet.chapters import STUDIES
from fastresnet.config.schedules import Frozen
from fastresnet.errors import UserError
from fastresnet.records.record import RunRecord
from fastresnet.records.store import RECORDS, read_record
from fastresnet.study import Run, open_study
from fastresnet.study.project import committed_results, editions_of, project_root

SIZES = (1_000, 10_000, 100_000)


class StatusRow(Frozen):
    """What the command took over a store of one size."""

    records: int
    answered: int
    """Records that answer a wanted run, and are read."""
    rounds: int
    seconds: float
    """Of the whole command, median over the rounds."""
    slowest_seconds: float


def measure_status(sizes: tuple[int, ...] = SIZES, *, rounds: int = 3) -> Iterator[StatusRow]:
    """Times `study status --results FOLDER` over stores of some sizes, kept in the system's temporary folder meanwhile."""
    for size in sizes:
        with TemporaryDirectory(prefix="fastresnet-status-") as folder:
            answered = make_store(Path(folder), size)
            command = [sys.executable, "-m", "fastresnet", "study", "status", "--json", "--results", folder]
            seconds = []
            for _ in range(rounds):
                start = time.perf_counter()
                done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=project_root())
                seconds.append(time.perf_counter() - start)
            if not any(row["recorded"] for row in json.loads(done.stdout)):
                raise RuntimeError(f"{folder}: none of the {answered} records was counted")
            yield StatusRow(records=size, answered=answered, rounds=rounds, seconds=median(seconds), slowest_seconds=max(seconds))


def make_store(folder: Path, size: int) -> int:
    """Fills a folder with `size` records and returns how many of them answer a wanted run."""
    template = read_record(next(committed_results().glob(RECORDS)))
    runs = [run for name in STUDIES for edition in editions_of(name) for run in open_study(name, edition=edition).runs()]
    wanted = list({run.key: run for run in runs}.values())[:size]
    places = sorted({(run.study, run.experiment) for run in wanted})
    for place in places:
        folder.joinpath(*place).mkdir(parents=True)
    for run in wanted:
        _write(folder, run, template.model_copy(update={"config": run.config, "config_hash": run.config.hash, "seed": run.seed}))
    # seeds that no study asks for
    for seed in islice(count(1_000_000), size - len(wanted)):
        run = Run(*places[seed % len(places)], "other", template.config, seed)
        _write(folder, run, template.model_copy(update={"seed": seed}))
    return len(wanted)


def _write(folder: Path, run: Run, record: RunRecord) -> None:
    # not through Store.save: what is moved into its place one by one takes several times as long
    name = f"variant-{record.config_hash}-seed{record.seed}.json"
    folder.joinpath(run.study, run.experiment, name).write_text(record.model_dump_json(indent=1))


def describe_status(row: StatusRow) -> str:
    """One size on one line."""
    return (
        f"{row.records:>9,} records, {row.answered:,} of them wanted: {row.seconds:.2f} s "
        f"(median of {row.rounds}, slowest {row.slowest_seconds:.2f} s)"
    )


def status_table(path: Path) -> pd.DataFrame:
    """What `bench status --json` wrote, a row a size. Raises UserError if the file is not such a one."""
    try:
        rows = [StatusRow.model_validate(row) for row in json.loads(path.read_bytes())["rows"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not written by: fastresnet bench status --json FILE") from error
    return pd.DataFrame(
        {
            "records": f"{row.records:,}",
            "of them wanted, and read": f"{row.answered:,}",
            "seconds of `study status`": round(row.seconds, 2),
        }
        for row in rows
    )
