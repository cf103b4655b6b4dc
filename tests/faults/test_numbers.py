"""NaN and infinity: refused where they come from outside, `diverged` where training makes them, never a finished run."""

import math
import random

import numpy as np
import pytest
import torch

from fastresnet.data.builtin import read_sample
from fastresnet.data.sources import load_dataset
from fastresnet.errors import UserError
from fastresnet.training import step
from fastresnet.training.runs import train

NOT_FINITE = (math.nan, math.inf, -math.inf)
DIVERGED = "The outcome is `diverged`, the reason names the epoch, and no figure of the record is NaN"


def spoil_loss(value, batch, patch):
    """From some batch on, the loss is another value."""
    original, count = step.functional.cross_entropy, [0]

    def spoiled(*arguments, **options):
        count[0] += 1
        return original(*arguments, **options) * (1 if count[0] != batch else value)

    patch.setattr(step.functional, "cross_entropy", spoiled)


def spoil_gradient(value, batch, patch):
    """One gradient of some batch is another value."""
    original, count = step.Steps._backward, [0]

    def spoiled(taken, *arguments, **options):
        done = original(taken, *arguments, **options)
        count[0] += 1
        if count[0] == batch:
            weights = [weight for weight in taken.model.parameters() if weight.grad is not None]
            weights[0].grad.view(-1)[0] = value
        return done

    patch.setattr(step.Steps, "_backward", spoiled)


@pytest.mark.faults(
    "NaN and infinity", "In the loss or a gradient of a random batch, with and without averaged weights", DIVERGED
)
def test_number_that_is_not_finite_ends_a_run_as_diverged(attempts, tiny, monkeypatch):
    batches = random.Random(6)
    for number in range(attempts.times(60, 4)):
        spoil = (spoil_loss, spoil_gradient)[number % 2]
        value, batch = NOT_FINITE[number % 3], batches.randint(1, 8)
        config = tiny.with_changes({"train.ema_decay": 0.9}) if number % 4 < 2 else tiny
        with attempts.attempt(f"{spoil.__name__} {value} in batch {batch}"), monkeypatch.context() as patch:
            spoil(value, batch, patch)
            record = train(config, seed=number).record
            assert record.outcome.status == "diverged"
            assert f"in epoch {len(record.epochs)}" in record.outcome.reason
            assert "NaN" not in record.model_dump_json()


@pytest.mark.faults(
    "NaN and infinity", "In an array of a tensor file, as images or as labels", "Refused: one line that names the file"
)
def test_tensor_file_with_numbers_that_are_not_finite_is_refused(attempts, tmp_path):
    arrays = {
        f"{split}_{kind}": array
        for split in ("train", "test")
        for kind, array in zip(("images", "labels"), read_sample(split), strict=True)
    }
    for key in arrays:
        for value in NOT_FINITE:
            spoiled = arrays[key][:50].astype(np.float32)
            spoiled.flat[7] = value
            np.savez(tmp_path / "mine.npz", **{name: array[:50] for name, array in arrays.items()} | {key: spoiled})
            with attempts.attempt(f"{value} in {key}"), pytest.raises(UserError, match=r"mine\.npz"):
                load_dataset(f"tensors:{tmp_path / 'mine.npz'}")


@pytest.mark.faults("NaN and infinity", "In the weights of a network to start from", DIVERGED)
def test_network_of_numbers_that_are_not_finite_diverges(attempts, tiny):
    start = train(tiny).saved
    for value in NOT_FINITE:
        with torch.no_grad():
            next(start.model.parameters()).view(-1)[0] = value
        with attempts.attempt(str(value)):
            assert train(tiny, start=start).record.outcome.status == "diverged"
