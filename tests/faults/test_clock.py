"""A clock that jumps changes no duration."""

import random
import time

import pytest

from fastresnet.runs import train


@pytest.mark.faults(
    "Clock", "The time of day jumps by up to ten years, either way, whenever it is asked for", "Durations as before"
)
def test_durations_do_not_follow_the_time_of_day(attempts, tiny, monkeypatch):
    jumps = random.Random(10)
    for number in range(attempts.times(20, 2)):
        with attempts.attempt(f"run {number}"), monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: jumps.uniform(1.4e9, 2.0e9))
            start = time.perf_counter()
            record = train(tiny, seed=number).record
            seconds = record.seconds.model_dump().values()
            assert all(each >= 0 for each in seconds)
            assert sum(seconds) <= time.perf_counter() - start
            assert all(epoch.train_seconds > 0 for epoch in record.epochs)
