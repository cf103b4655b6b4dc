"""The myrtle study: what each experiment compares, and that it is one thing at a time."""

from itertools import pairwise

import pytest
import yaml

from fastresnet.chapters.myrtle_notes import experiments
from fastresnet.chapters.myrtle_steps import Parameters, backbones, ladder
from fastresnet.config import RunConfig
from fastresnet.config.parsing import parse
from tests.conftest import ROOT

EDITIONS = ("quick", "cpu", "gpu")
CLAIMS = {
    *("M0", "M1a", "M1b", "M2a", "M2b", "M2c", "M3a", "M3b", "M4a", "M4b", "M4c", "M4d", "M5a", "M5b", "M6a", "M6b"),
    *("M7a", "M7b", "M7c", "M7d", "M8a", "M8b", "M8c", "M8d", "M8e", "M8f", "M8g", "M8h", "M8i"),
}


@pytest.fixture(params=EDITIONS)
def parameters(request):
    values = yaml.safe_load((ROOT / "params" / request.param / "myrtle_notes.yml").read_text())
    return parse(values, Parameters, request.param)


def flat(config, prefix=""):
    """A configuration's values by path."""
    values = {}
    for name, value in (config.model_dump(mode="json") if isinstance(config, RunConfig) else config).items():
        values |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return values


def differences(one, other):
    first, second = flat(one), flat(other)
    return {path for path in first.keys() | second.keys() if first.get(path) != second.get(path)}


def test_every_claim_of_the_posts_is_asked(parameters):
    asked = {experiment.id for experiment in experiments(parameters)}
    assert {name.split("-")[0] for name in asked} == CLAIMS


def test_each_step_of_the_ladder_and_of_the_backbones_changes_one_thing(parameters):
    rungs = ladder(parameters)
    changed = [differences(one, other) for one, other in pairwise(list(rungs.values())[3:])]
    assert changed == [
        {"model.pool_first"},
        {"train.label_smoothing"},
        {"model.activation"},
        {"model.norm.group_size"},
        {"model.norm.frozen_scale"},
        {"model.whitened"},
        {"train.ema_decay"},
        {"train.test_flip"},
    ]
    bones = list(backbones(parameters).values())
    assert [differences(one, other) for one, other in pairwise(bones)] == [
        {"model.repeated_norm"},
        {"model.halving"},
        {"model.halving"},
        {"model.final_pool"},
        {"model.norm.scale_start"},
    ]


def test_ladders_first_steps_are_batch_size_cutout_and_the_network(parameters):
    resnet, larger, cutout, david, *_ = ladder(parameters).values()
    assert differences(resnet, larger) == {"data.batch_size"}
    assert differences(larger, cutout) == {"data.cutout"}
    assert {path.split(".")[0] for path in differences(cutout, david)} == {"model"}
    assert all(config.train.evaluate_every == 1 for config in ladder(parameters).values())


def test_two_rungs_of_the_ladder_are_the_very_runs_of_m0(parameters):
    found = {experiment.id: experiment.variants for experiment in experiments(parameters)}
    for claim in ("M8b", "M8c", "M8d", "M8e", "M8f", "M8g", "M8h"):
        assert len(found[claim]) == 2
        assert all(found["M0"][name] == config for name, config in found[claim].items())
    names = [list(found[claim])[1] for claim in ("M8b", "M8c", "M8d", "M8e", "M8f", "M8g", "M8h")]
    assert names == list(found["M0"])[4:11]


def test_variants_of_a_claim_differ_and_only_where_it_says(parameters):
    """A single path for most; for others those that its question names."""
    may_differ = {
        "M1a": {"model.repeated_norm"},
        "M1a-time": {"model.repeated_norm"},
        "M1b": {"data.loader", "data.num_workers"},
        "M2a": {"data.batch_size", "train.schedule.max_lr"},
        "M2b": {"data.batch_size", "train.schedule.lr"},
        "M2b-half": {"data.train_images", "train.epochs", "train.schedule.lr"},
        "M2c": {"train.schedule.max_lr"},
        "M3a": {"train.precision"},
        "M3b": {"train.epochs", "data.cutout"},
        "M4d": {"model.residuals"},
        "M5a": {"train.schedule.max_lr", "train.weight_decay"},
        "M5a-momentum": {"train.schedule.max_lr", "train.momentum"},
        "M5b": {"train.schedule.max_lr", "model.residuals"},
        "M6a": {"model.weight_scale"},
        "M6b": {"model.weight_scale", "train.weight_decay", "train.lars", "train.lars.trust"},
        "M7a": {"model.norm.kind"},
        "M7b": {"model.norm.kind", "train.schedule.max_lr"},
        "M7c": {"model.norm.kind"},
        "M7d": {"model.norm.kind", "model.norm.group_size"},
        "M8a": {"data.loader"},
        "M8b-time": {"model.pool_first"},
        "M8i": {"train.test_flip"},
    }
    found = {experiment.id: list(experiment.variants.values()) for experiment in experiments(parameters)}
    for claim, allowed in may_differ.items():
        first, *others = found[claim]
        assert len({config.hash for config in found[claim]}) == len(found[claim]), claim
        for other in others:
            assert differences(first, other) <= allowed, claim


def test_halves_take_as_many_steps_as_the_whole(parameters):
    (halves,) = (experiment.variants for experiment in experiments(parameters) if experiment.id == "M2b-half")

    def steps(config):
        return config.train.epochs * -(-(config.data.train_images or 50_000) // config.data.batch_size)

    assert len({round(steps(config)) for config in halves.values()}) <= 2  # a last batch may be cut off
    assert max(map(steps, halves.values())) / min(map(steps, halves.values())) < 1.05
