"""A clock that jumps changes no duration."""

import random
import sys
import time
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from fastresnet.training.runs import train


class JumpingTime(datetime):
    """A time of day that nobody can predict; keeps what it answered."""

    answers: ClassVar[list[datetime]] = []
    jumps = random.Random(10)

    @classmethod
    def now(cls, tz=None):
        cls.answers.append(datetime.fromtimestamp(cls.jumps.uniform(1.4e9, 2.0e9), tz))
        return cls.answers[-1]


@pytest.fixture
def jumping_time(monkeypatch):
    """Every module of the library that asks for the time of day is answered with another."""
    for name, module in list(sys.modules.items()):
        if name.startswith("fastresnet.") and getattr(module, "datetime", None) is datetime:
            monkeypatch.setattr(module, "datetime", JumpingTime)
    monkeypatch.setattr(time, "time", lambda: JumpingTime.now(UTC).timestamp())


@pytest.mark.faults(
    "Clock", "The time of day jumps by up to nineteen years, either way, whenever it is asked for", "Durations as before"
)
def test_durations_do_not_follow_the_time_of_day(attempts, tiny, jumping_time):
    for number in range(attempts.times(20, 2)):
        with attempts.attempt(f"run {number}"):
            start = time.perf_counter()
            record = train(tiny, seed=number).record
            assert record.started in JumpingTime.answers
            seconds = record.seconds.model_dump().values()
            assert all(each >= 0 for each in seconds)
            assert sum(seconds) <= time.perf_counter() - start
            assert all(epoch.train_seconds > 0 for epoch in record.epochs)
