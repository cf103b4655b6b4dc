"""Disks that are full and folders that cannot be written to or are gone: one line, and what was there before stays."""

import random
import resource
import shutil
import signal
import subprocess
from itertools import product

import pytest

from .processes import Process, left_over, run
from .test_killed import STUDY, TRAIN, check_end, records, start_training, trained, whole, whole_study, write_run  # noqa: F401

PROMISE = "Exit code 1 and one line that names the file; nothing half; with room again, all as uninterrupted"
FILES = ("run.pt", "record.json", "model.pt")


class FileSizeLimit:
    """No file may grow beyond so many bytes; the system then answers "file too large", as it answers when a disk is full."""

    def __init__(self, limit):
        self.limit = limit

    def __call__(self, folder):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, self.limit))


def check_failed(process, code, *names):
    """The promise, where the process could not write to one of these."""
    assert process.wait() == code, (process.wait(), process.errors)
    assert process.errors.startswith("fastresnet: "), process.errors
    assert process.errors.count("\n") == 1, process.errors
    assert any(name in process.errors for name in names), process.errors
    assert left_over(process.folder) == []


@pytest.mark.faults("Disk full", "Files limited to 300 bytes up to 100 kB (RLIMIT_FSIZE) under `train` and `study run`", PROMISE)
def test_files_that_may_not_grow(attempts, whole, whole_study, tmp_path):  # noqa: F811
    for limit in (300, 1_000, 3_000, 10_000, 30_000, 100_000)[: attempts.times(None, 1)]:
        folder = tmp_path / f"train {limit}"
        with attempts.attempt(f"train, {limit} bytes"):
            check_failed(start_training(folder, before=FileSizeLimit(limit)), 1, *FILES)
            check_end(start_training(folder), folder)
            assert trained(folder) == whole[0]
        folder = tmp_path / f"study {limit}"
        if limit > 10_000:  # records and checkpoints of the study's small networks are smaller than that
            continue
        with attempts.attempt(f"study, {limit} bytes"):
            check_failed(run(STUDY, folder, before=FileSizeLimit(limit))[0], 1, "checkpoints/", "-seed0.json: ")
            assert run(STUDY, folder)[0].wait() == 0
            assert records(folder) == whole_study[0]


def inside(place, *names):
    """`TRAIN` with these files in a folder below its own."""
    return tuple(f"{place}/{word}" if word in names else word for word in TRAIN)


@pytest.fixture
def mount(tmp_path):
    """Mounts a small file system of its own at a path, or changes its options; skips the test where that is not allowed."""
    places = []

    def change(path, options):
        path.mkdir(parents=True, exist_ok=True)
        options = f"remount,{options}" if path in places else options
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, text=True)
        if done.returncode:
            pytest.skip("only the superuser of a whole machine can mount a disk to fill")
        places.append(path)

    yield change
    for path in set(places):
        subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.faults("Disk full", "`train` into a file system of 16 kB up to 384 kB (tmpfs)", PROMISE)
def test_disk_that_fills(attempts, mount, whole, tmp_path):  # noqa: F811
    for size in (16, 64, 128, 192, 256, 384)[: attempts.times(None, 1)]:  # two checkpoints are more
        folder = tmp_path / str(size)
        write_run(folder)
        mount(folder / "small", f"size={size}k")
        with attempts.attempt(f"{size} kB"):
            check_failed(run(inside("small", *FILES), folder)[0], 1, *(f"small/{name}" for name in FILES))
            mount(folder / "small", "size=4m")
            check_end(run(inside("small", *FILES), folder)[0], folder)
            assert trained(folder) == whole[0]


@pytest.mark.faults(
    "Folders",
    "Results, checkpoint, record or network in a folder that is read-only (tmpfs) or a file",
    "Exit code 2 and one line that names the folder, before any training; once it can be written to, all as uninterrupted",
)
def test_folder_that_cannot_be_written_to(attempts, mount, whole, whole_study, tmp_path):  # noqa: F811
    study = tuple("there/results" if word == "results" else word for word in STUDY)
    for number, (kind, arguments) in enumerate(
        product(("read-only", "file"), [study, *(inside("there", name) for name in FILES)][: attempts.times(None, 2)])
    ):
        folder = tmp_path / str(number)
        there = folder / "there"
        write_run(folder)
        there.touch() if kind == "file" else mount(there, "ro")
        with attempts.attempt(f"{kind}: {arguments}"):
            check_failed(run(arguments, folder)[0], 2, "there/", "/there: ")
            assert [*folder.rglob("*.pt"), *folder.rglob("*.json")] == []
            there.unlink() if kind == "file" else mount(there, "rw")
            there.mkdir(exist_ok=True)
            check_end(run(arguments, folder)[0], folder)
            if arguments == study:
                assert records(there) == whole_study[0]
            else:
                assert trained(folder) == whole[0]


@pytest.mark.faults(
    "Folders",
    "The folder of results or of checkpoints removed while a study runs",
    "It ends well, or with exit code 1 and one line; run again, it ends with the records of an undisturbed one",
)
def test_folder_that_vanishes(attempts, whole_study, tmp_path):  # noqa: F811
    expected, seconds = whole_study
    moments, wanted = random.Random(11), attempts.times(8, 1)
    while attempts.tried < wanted:
        folder = tmp_path / str(attempts.tried)
        process = Process(STUDY, folder)
        running = process.kill(moments.uniform(0, seconds), 0)  # only asks whether it is
        removed = folder / ("results", "cache")[attempts.tried % 2]
        if not (running and removed.exists()):
            process.wait()
            shutil.rmtree(folder)
            continue
        with attempts.attempt(f"study {attempts.tried}"):
            shutil.rmtree(removed, ignore_errors=True)
            assert process.wait() in (0, 1), (process.wait(), process.errors)
            assert len(process.errors.splitlines()) == process.wait(), process.errors
            assert process.errors.startswith("fastresnet: " * process.wait()), process.errors
            assert run(STUDY, folder)[0].wait() == 0
            assert records(folder) == expected
            assert left_over(folder) == []
