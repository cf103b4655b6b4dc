"""Ctrl-C and SIGTERM at any moment: one line, exit code 130, and the same command goes on from there."""

import random
import signal

import pytest

from .processes import Process, left_over, run
from .test_killed import STUDY, check_end, check_training, records, start_training, trained, whole, whole_study  # noqa: F401

PROMISE = "Exit code 130 and one line without a traceback; no partial file; the same command ends as an uninterrupted one"
STOPS = (signal.SIGINT, signal.SIGTERM)


def check_stopped(process, folder):
    """Whether the process was stopped, as the promise says, before it was done."""
    code = process.wait()
    if code == 0:
        return False
    assert code == 130, (code, process.errors)
    assert process.errors.startswith("fastresnet: interrupted; "), process.errors
    assert process.errors.count("\n") == 1, process.errors
    assert left_over(folder) == []
    return True


@pytest.mark.faults("Stopped", "SIGINT or SIGTERM at a random moment of `train --checkpoint --record --save`", PROMISE)
def test_stopped_training_goes_on(attempts, whole, tmp_path):  # noqa: F811
    expected, seconds = whole
    moments = random.Random(7)
    for number in range(attempts.times(12, 1)):
        folder = tmp_path / str(number)
        with attempts.attempt(f"run {number}", count=4):
            stops = 0
            while stops < 4:
                process = start_training(folder)
                process.kill(moments.uniform(0.05, seconds), STOPS[stops % 2])
                stops += check_stopped(process, folder)
                check_training(folder)
            check_end(start_training(folder), folder)
            assert trained(folder) == expected


@pytest.mark.faults("Stopped", "SIGINT or SIGTERM at a random moment of `study run`", PROMISE)
def test_stopped_study_goes_on(attempts, whole_study, tmp_path):  # noqa: F811
    expected, seconds = whole_study
    moments = random.Random(8)
    for number in range(attempts.times(20, 1)):
        folder = tmp_path / str(number)
        with attempts.attempt(f"study {number}", count=2):
            stops = 0
            while stops < 2:
                process = Process(STUDY, folder)
                process.kill(moments.uniform(0.05, seconds / 2), STOPS[stops])
                stops += check_stopped(process, folder)
            process, _ = run(STUDY, folder)
            assert process.wait() == 0, process.errors
            assert records(folder) == expected
