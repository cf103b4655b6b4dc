"""Several processes that run one study into one folder, with one cache, do not disturb one another."""

import random
import signal
import time

import pytest

from .processes import Process, left_over
from .test_killed import STUDY, records, whole_study  # noqa: F401


def start(shared, count):
    """Processes that run one study into one folder of records, with one cache."""
    arguments = (*STUDY[:6], shared / "results", *STUDY[7:])
    return [Process(arguments, shared / f"process {each}", XDG_CACHE_HOME=str(shared / "cache")) for each in range(count)]


@pytest.mark.faults(
    "One store",
    "Eight processes at once run one study into one folder of records, with one cache",
    "All end well; every record is there, whole, and that of a single process, bit for bit",
)
def test_processes_share_a_store(attempts, whole_study, tmp_path):  # noqa: F811
    expected, _ = whole_study
    count = attempts.times(8, 3)
    for number in range(attempts.times(5, 1)):
        shared = tmp_path / str(number)
        with attempts.attempt(f"round {number}", count):
            for process in start(shared, count):
                assert process.wait() == 0, process.errors
            assert records(shared) == expected
            assert left_over(shared) == []


@pytest.mark.faults(
    "One store",
    "Two of four such processes killed at a random moment (SIGKILL) while the others go on",
    "Those end well; every record is there, whole, that of a single process, bit for bit, and stays so whenever it is looked at",
)
def test_processes_outlive_others_of_their_store(attempts, whole_study, tmp_path):  # noqa: F811
    expected, seconds = whole_study
    moments = random.Random(12)
    for number in range(attempts.times(2, 1)):
        shared = tmp_path / str(number)
        with attempts.attempt(f"round {number}", count=2):
            *others, third, fourth = start(shared, 4)
            for process in (third, fourth):
                process.kill(moments.uniform(0, seconds / 2), signal.SIGKILL)
                assert process.wait() == -signal.SIGKILL
            seen = {}
            while any(process.running for process in others):
                found = records(shared)  # reads each, or raises
                assert seen.keys() <= found.keys()
                assert found.items() <= expected.items()
                seen = found
                time.sleep(0.05)
            for process in others:
                assert process.wait() == 0, process.errors
            assert records(shared) == expected
            assert len(left_over(shared)) <= 2  # what the killed were writing, where nobody has written it since
