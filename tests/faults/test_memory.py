"""Too little memory: the run is recorded as failed, and its reason says which batch did not fit."""

import resource
from pathlib import Path

import pytest
import torch
import yaml

from fastresnet.records.store import read_record
from fastresnet.study import RunFailed
from fastresnet.training import runs

from ..conftest import study_of
from .processes import run
from .test_killed import RUN

SAYS = "Exit code 1, one line that names the batch size, and no record"
RECORDED = "Recorded as failed, with the batch size in the reason, and tried again the next time"
ROOM = 256 * 2**20


class Limit:
    """Leaves the process so many bytes more than it has."""

    def __init__(self, room):
        self.room = room

    def __call__(self, folder):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + self.room
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@pytest.mark.faults("Out of memory", "`train` in too small an address space (RLIMIT_AS)", SAYS)
def test_run_that_does_not_fit_says_so(attempts, tmp_path):
    big = {
        **RUN,
        "data": {"name": "fashion-sample", "batch_size": 4000},
        "model": {"in_channels": 1, "channels": [256, 256, 256, 256]},
    }
    for number in range(attempts.times(10, 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "run.yml").write_text(yaml.safe_dump(big))
        with attempts.attempt(f"train {number}"):
            process, _ = run(("train", "run.yml", "--record", "record.json"), folder, before=Limit((number + 1) * ROOM))
            assert process.wait() == 1, process.errors
            assert process.errors.startswith("fastresnet: out of memory with data.batch_size 4000"), process.errors
            assert process.errors.count("\n") == 1
            assert not (folder / "record.json").exists()


@pytest.mark.faults("Out of memory", "torch.OutOfMemoryError, its CPU kin and MemoryError raised in a study's run", RECORDED)
@pytest.mark.filterwarnings("ignore")
def test_failed_run_is_recorded_with_its_batch_size(attempts, tiny, tmp_path, monkeypatch):
    errors = (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore lines"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:115] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
        MemoryError("Unable to allocate 1. GiB"),
    )
    for number, error in enumerate(errors):
        folder = tmp_path / str(number)

        def out_of_memory(*_, error=error, **__):
            raise error

        study = study_of(folder, one=tiny)
        with attempts.attempt(repr(error)), monkeypatch.context() as patch:
            patch.setattr(runs, "train_epochs", out_of_memory)
            with pytest.raises(RunFailed, match="A one seed 0 failed: .*out of memory with data.batch_size 32"):
                study.run("A")
            (path,) = folder.rglob("*.json")
            record = read_record(path)
            assert record.outcome.status == "failed"
            assert "out of memory with data.batch_size 32" in record.outcome.reason
            assert "\n" not in record.outcome.reason
            assert len(study.missing()) == 1
    with attempts.attempt("an error of another kind"), monkeypatch.context() as patch:
        patch.setattr(runs, "train_epochs", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("shapes differ")))
        with pytest.raises(RunFailed, match="A one seed 0 failed: RuntimeError: shapes differ"):
            study.run("A")
