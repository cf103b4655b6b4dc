"""Disks that are full and folders that cannot be written to or are gone: one line, and what was there before stays."""

import resource
import shutil
import signal
import subprocess

import pytest

from .processes import Process, left_over, run
from .test_killed import STUDY, TRAIN, check_end, records, start_training, trained, whole, whole_study, write_run  # noqa: F401

PROMISE = "Exit code 1 or 2 and one line that names the file or folder; nothing half; with room again, all as uninterrupted"


class FileSizeLimit:
    """No file may grow beyond so many bytes; the system then answers "file too large", as it answers when a disk is full."""

    def __init__(self, limit):
        self.limit = limit

    def __call__(self, folder):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, self.limit))


def check_failed(process, folder):
    """The promise, where the process could not write."""
    assert process.wait() in (1, 2), (process.wait(), process.errors)
    assert process.errors.startswith("fastresnet: "), process.errors
    assert process.errors.count("\n") == 1, process.errors
    assert left_over(folder) == []


@pytest.mark.faults("Disk full", "Files limited to 100 bytes up to 100 kB (RLIMIT_FSIZE) under `train` and `study run`", PROMISE)
def test_files_that_may_not_grow(attempts, whole, whole_study, tmp_path):  # noqa: F811
    for limit in (100, 1_000, 3_000, 10_000, 30_000, 100_000)[: attempts.times(None, 2)]:
        folder = tmp_path / f"train {limit}"
        with attempts.attempt(f"train, {limit} bytes"):
            check_failed(start_training(folder, before=FileSizeLimit(limit)), folder)
            check_end(start_training(folder), folder)
            assert trained(folder) == whole[0]
        folder = tmp_path / f"study {limit}"
        if limit > 10_000:  # records and checkpoints of the study's small networks are smaller than that
            continue
        with attempts.attempt(f"study, {limit} bytes"):
            check_failed(run(STUDY, folder, before=FileSizeLimit(limit))[0], folder)
            assert run(STUDY, folder)[0].wait() == 0
            assert records(folder) == whole_study[0]


@pytest.fixture
def mounted(tmp_path):
    """Mounts a small file system of its own at a path; skipped where that is not allowed."""
    places = []

    def mount(path, options):
        path.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, text=True)
        if done.returncode:
            pytest.skip("only the superuser of a whole machine can mount a disk to fill")
        places.append(path)

    yield mount
    for path in places:
        subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.faults("Disk full", "`train` into a file system of 64 kB up to 512 kB (tmpfs)", PROMISE)
def test_disk_that_fills(attempts, mounted, whole, tmp_path):  # noqa: F811
    for size in (64, 128, 256, 512)[: attempts.times(None, 1)]:
        folder = tmp_path / str(size)
        mounted(folder / "small", f"size={size}k")
        arguments = tuple(f"small/{word}" if word.endswith((".pt", ".json")) else word for word in TRAIN)
        with attempts.attempt(f"{size} kB"):
            write_run(folder)
            process, _ = run(arguments, folder)
            if process.wait() == 0:  # it was large enough
                assert left_over(folder) == []
                continue
            check_failed(process, folder)


@pytest.mark.faults("Folders", "Results, checkpoints or output in a folder that is read-only (tmpfs) or a file", PROMISE)
def test_folder_that_cannot_be_written_to(attempts, mounted, tmp_path):
    mounted(tmp_path / "fixed", "ro")
    (tmp_path / "file").touch()
    for place in ("fixed", "file"):
        target = tmp_path / place
        for number, arguments in enumerate(
            (
                (*STUDY[:6], target / "results", *STUDY[7:]),
                ("train", "run.yml", "--checkpoint", target / "run.pt"),
                ("train", "run.yml", "--record", target / "record.json"),
                ("train", "run.yml", "--save", target / "model.pt"),
            )
        ):
            folder = tmp_path / f"{place} {number}"
            write_run(folder)
            with attempts.attempt(f"{place}: {arguments[:2]}"):
                check_failed(run(arguments, folder)[0], folder)


@pytest.mark.faults(
    "Folders", "The folder of results or of checkpoints removed while a study runs", "The study ends as if nothing had been"
)
def test_folder_that_vanishes(attempts, whole_study, tmp_path):  # noqa: F811
    expected, seconds = whole_study
    for number in range(attempts.times(8, 1)):
        folder = tmp_path / str(number)
        with attempts.attempt(f"study {number}"):
            process = Process(STUDY, folder)
            process.kill(seconds * (number + 1) / 10, 0)  # waits, and only asks whether the process is there
            shutil.rmtree(folder / ("results", "cache")[number % 2], ignore_errors=True)
            process.wait()
            assert run(STUDY, folder)[0].wait() == 0
            assert records(folder) == expected
            assert left_over(folder) == []
