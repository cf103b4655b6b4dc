"""The variant of a recipe is the one that computes fastest here, as timed once per machine and version of torch."""

import re
from unittest.mock import Mock

import pytest
import torch

from fastresnet.cli import training as cli
from fastresnet.compute.processes import ALONE
from fastresnet.config.recipes import RECIPES, find_recipe
from fastresnet.training import runs, variants
from fastresnet.training.variants import choose_variant

from .conftest import command_here

CPU = torch.device("cpu")
RECIPE = find_recipe("cifar10-83")
WAYS = {"cpu": ("fp32", False), "cpu-bf16": ("bf16", False), "cpu-amx": ("bf16", True)}


@pytest.fixture
def clock(monkeypatch, tmp_path):
    """Passes take as long as said of each of WAYS in their order; also counts them. The cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def seconds(config, layer, images):
        passes.append((config.train.precision, bool(getattr(layer, "matmul_gradients", False))))
        return told[passes[-1]]

    told, passes = {}, []
    monkeypatch.setattr(variants, "_pass_seconds", seconds)

    def tell(*seconds):
        told.update(zip(WAYS.values(), seconds, strict=False))
        return passes

    return tell


@pytest.mark.parametrize(
    ("seconds", "chosen"), [((0.02, 0.01, 0.011), "cpu-bf16"), ((0.01, 0.02, 0.03), "cpu"), ((0.05, 0.04, 0.02), "cpu-amx")]
)
def test_fastest_variant_is_chosen_whatever_the_processor_says_of_itself(clock, seconds, chosen):
    clock(*seconds)
    choice = choose_variant(RECIPE, CPU)
    assert choice.variant == chosen
    assert all(f"{name} {1e3 * each:.3g} ms" in str(choice) for name, each in zip(WAYS, seconds, strict=True))
    assert "the fastest for a convolution of 128 channels at 7x7 pixels" in str(choice)


def test_times_are_kept_for_the_machine_and_the_version_of_torch(clock, monkeypatch):
    passes = clock(0.01, 0.02, 0.02)
    first = choose_variant(RECIPE, CPU)
    count = len(passes)
    clock(0.09)
    assert choose_variant(RECIPE, CPU) == first
    assert choose_variant(find_recipe("cifar10-90"), CPU).milliseconds == first.milliseconds  # the same layer and batch
    assert len(passes) == count
    monkeypatch.setattr(torch, "__version__", "9.9")
    assert choose_variant(RECIPE, CPU).variant == "cpu-bf16"


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"cpu": "x"}', '{"cuda": -1}'])
def test_times_that_are_none_are_taken_anew(clock, tmp_path, content):
    clock(0.01, 0.02, 0.02)
    choose_variant(RECIPE, CPU)
    (file,) = (tmp_path / "cache").rglob("variants/*.json")
    kept = file.read_text()
    file.write_text(content)
    assert choose_variant(RECIPE, CPU).variant == "cpu"
    assert file.read_text() == kept


def test_hopeless_variant_is_tried_with_few_images_alone(clock):
    passes = clock(0.01, 0.041, 0.02)
    choice = choose_variant(RECIPE, CPU)
    assert set(choice.milliseconds) == {"cpu", "cpu-amx"}
    assert "cpu-bf16 over 4 times as long" in str(choice)
    assert passes.count(("bf16", False)) == 5
    assert passes.count(("fp32", False)) > 4


def test_choice_changes_no_random_number(clock):
    clock(0.01, 0.02, 0.02)
    torch.manual_seed(1)
    choose_variant(RECIPE, CPU)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.rand(1) == drawn


@pytest.mark.parametrize(("device", "variant"), [("cuda", "cuda"), ("mps", "cpu")])
def test_other_devices_have_one_variant(device, variant):
    assert choose_variant(RECIPE, torch.device(device)).variant == variant


def test_recipe_is_timed_for_real_in_its_own_shape(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    widest = {
        "cifar10-83": "a convolution of 128 channels at 7x7 pixels",
        "fashion-80": "a convolution of 64 channels at 2x2 pixels",
    }
    for name, layer in widest.items():
        choice = choose_variant(find_recipe(name), CPU)
        assert choice.layer == layer
        assert choice.milliseconds[choice.variant] == min(choice.milliseconds.values())
        assert 0.01 < choice.milliseconds[choice.variant] < 10_000


def test_named_variant_overrules(capsys):
    config = cli._run_config("cifar10-83", [], None, "cpu-bf16", ALONE)
    assert config == RECIPE.config("cpu-bf16")
    assert not capsys.readouterr().err


def test_training_a_recipe_says_which_variant_and_why(clock, monkeypatch):
    clock(0.03, 0.02, 0.04)
    monkeypatch.setattr(runs, "train", train := Mock(side_effect=RuntimeError("enough")))
    told = command_here("train", "cifar10-83").stderr
    assert train.call_args.args[0] == RECIPE.config("cpu-bf16")
    assert re.search("cifar10-83: variant cpu-bf16, bf16, the fastest for .*: cpu 30 ms, cpu-bf16 20 ms", told)


def test_recipes_shows_the_choice_here(clock):
    clock(0.01, 0.02, 0.03)
    lines = command_here("recipes", "--here").stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(RECIPES)
