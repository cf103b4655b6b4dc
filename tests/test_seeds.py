"""Every seed from 0 to 2**63 - 1 gives a run of its own; any other is refused by name, before any work."""

import json

import numpy as np
import pytest
import torch

import fastresnet as fr
from fastresnet.book.notebooks import chapter_parameters
from fastresnet.config.seeds import LARGEST_SEED, generator_seed
from fastresnet.errors import UserError
from fastresnet.models.build import build_model
from fastresnet.training.runs import train
from fastresnet.widgets import RunExplorer

from .conftest import command_here, refused, study_of

OF_A_DATE = 20261128124731


@pytest.mark.parametrize(("seed", "loader"), [(OF_A_DATE, "tensor"), (LARGEST_SEED, "worker")])
def test_large_seed_is_trained_with_and_recorded(tiny, tmp_path, seed, loader):
    config = tiny.with_changes({"train.epochs": 1, "data.loader": loader, "data.crop_padding": 2, "data.test_images": 1_000})
    study = study_of(tmp_path, (seed,), one=config)
    ((_, record),) = study.train_missing()
    assert (record.seed, record.outcome.status) == (seed, "finished")
    assert study.recorded("A").seeds == (seed,)
    (shown,) = RunExplorer(tmp_path).runs
    assert json.loads(json.dumps(shown), parse_int=float)["seed"] == str(seed)  # as JavaScript reads it


def test_seeds_that_share_their_lowest_bits_differ(tiny):
    """A processor's generator takes only the lowest 32 of them."""
    seeds = (5, 5 + 2**32, 5 + 2**62)
    weights = [next(build_model(tiny.model, seed).parameters()) for seed in seeds]
    orders = [torch.cat([labels for _, labels in fr.loaders("fashion-sample", seed=seed, train_images=500)[0]]) for seed in seeds]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(weights[one], weights[other])
        assert not torch.equal(orders[one], orders[other])


def test_seeds_below_two_to_the_32_mean_what_they_always_meant():
    assert [generator_seed(seed) for seed in (0, 1, 2**32 - 1)] == [0, 1, 2**32 - 1]
    assert generator_seed(OF_A_DATE) == 4225937423


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "1", None])
def test_impossible_seed_is_refused_before_any_work(tiny, seed):
    images, labels = torch.zeros(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64)
    nowhere = tiny.with_changes({"data.name": "folder:nowhere"})
    calls = [lambda: train(nowhere, seed), lambda: fr.loaders("folder:nowhere", seed=seed)]
    calls += [lambda: fr.fit(torch.nn.Flatten(), [(images, labels)], seed=seed)]
    calls += [lambda: fr.resnet10(seed=seed)] if seed is not None else []
    for call in calls:
        with pytest.raises(UserError, match=rf"^seed: must be a whole number from 0 to {LARGEST_SEED}, got {seed!r}$"):
            call()


def test_whole_number_of_numpy_is_a_seed(tiny):
    assert train(tiny.with_changes({"train.epochs": 0.5}), np.int64(3)).record.seed == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nothing", "--seed", "-1"], f"seed: must be a whole number from 0 to {LARGEST_SEED}, got -1"),
        (["train", "nothing", "--seed", 2**63], f"seed: must be a whole number from 0 to {LARGEST_SEED}, got {2**63}"),
        (["train", "nothing", "--seed", LARGEST_SEED, "--seeds", "2"], f"got {2**63}"),
        (["study", "verify", "--seed", "-1"], f"seed: must be a whole number from 0 to {LARGEST_SEED}, got -1"),
        (["study", "run", "findings", "-p", f"seeds=[{2**63}]"], f"seeds.0: Input should be less than or equal to {2**63 - 1}"),
        (["chapter", "run", "findings", "-p", "seeds=[-1]"], "seeds.0: Input should be greater than or equal to 0, got -1"),
        (["chapter", "run", "findings", "-p", "seeds=[]"], "seeds: Tuple should have at least 1 item"),
        (["chapter", "run", "findings", "-p", "seeds=[1, 0, 1]"], "seeds: no value may come twice, got [1, 0, 1]"),
    ],
)
def test_impossible_seed_is_refused_on_the_command_line(arguments, message):
    line = refused(command_here(*arguments))
    assert message in line
    assert line.count(" got ") == 1


def test_chapter_takes_the_largest_seed():
    assert chapter_parameters("findings", "quick", {"seeds": [LARGEST_SEED]})["seeds"] == [LARGEST_SEED]
