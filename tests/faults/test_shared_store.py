"""Several processes that run one study into one folder, with one cache, do not disturb one another."""

import pytest

from .processes import Process, left_over
from .test_killed import STUDY, records, whole_study  # noqa: F401


@pytest.mark.faults(
    "One store",
    "Eight processes at once run one study into one folder of records, with one cache",
    "All end well; every record is there, whole, and that of a single process, bit for bit",
)
def test_processes_share_a_store(attempts, whole_study, tmp_path):  # noqa: F811
    expected, _ = whole_study
    for number in range(attempts.times(5, 1)):
        shared = tmp_path / str(number)
        arguments = (*STUDY[:6], shared / "results", *STUDY[7:])
        with attempts.attempt(f"round {number}", count=8):
            processes = [
                Process(arguments, shared / f"process {each}", XDG_CACHE_HOME=str(shared / "cache")) for each in range(8)
            ]
            for process in processes:
                assert process.wait() == 0, process.errors
            assert records(shared) == expected
            assert left_over(shared) == []
