"""The variant of a recipe is the one that computes fastest here, as timed once per machine and version of torch."""

import re

import pytest
import torch

from fastresnet.cli import training as cli
from fastresnet.compute.processes import ALONE
from fastresnet.config.recipes import RECIPES, find_recipe
from fastresnet.training import runs, variants
from fastresnet.training.variants import choose_variant

from .conftest import command_here, refused

CPU = torch.device("cpu")
RECIPE = find_recipe("cifar10-83")
WAY = {"cpu": ("fp32", False), "cpu-bf16": ("bf16", False), "cpu-amx": ("bf16", True)}


@pytest.fixture
def clock(monkeypatch, tmp_path):
    """Passes take as long as said of each variant; also counts them. The cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def seconds(config, layer, images):
        passes.append((config.train.precision, bool(getattr(layer, "matmul_gradients", False))))
        return told[passes[-1]]

    told, passes = {}, []
    monkeypatch.setattr(variants, "_pass_seconds", seconds)

    def tell(**seconds):
        told.update({WAY[variant.replace("_", "-")]: value for variant, value in seconds.items()})
        return passes

    return tell


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({"cpu": 0.02, "cpu_bf16": 0.01, "cpu_amx": 0.011}, "cpu-bf16"),
        ({"cpu": 0.01, "cpu_bf16": 0.02, "cpu_amx": 0.03}, "cpu"),
        ({"cpu": 0.05, "cpu_bf16": 0.04, "cpu_amx": 0.02}, "cpu-amx"),
    ],
)
def test_fastest_variant_is_chosen_whatever_the_processor_says_of_itself(clock, seconds, chosen):
    clock(**seconds)
    choice = choose_variant(RECIPE, CPU)
    assert choice.variant == chosen
    assert all(f"{name.replace('_', '-')} {1e3 * each:.3g} ms" in str(choice) for name, each in seconds.items())
    assert "the fastest for a convolution of 128 channels at 7x7 pixels" in str(choice)


def test_times_are_kept_for_the_machine_and_the_version_of_torch(clock, monkeypatch):
    passes = clock(cpu=0.01, cpu_bf16=0.02, cpu_amx=0.02)
    first = choose_variant(RECIPE, CPU)
    count = len(passes)
    clock(cpu=0.09)
    assert choose_variant(RECIPE, CPU) == first
    assert choose_variant(find_recipe("cifar10-90"), CPU).milliseconds == first.milliseconds  # the same layer and batch
    assert len(passes) == count
    monkeypatch.setattr(torch, "__version__", "9.9")
    assert choose_variant(RECIPE, CPU).variant == "cpu-bf16"


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"cpu": "x"}', '{"cuda": -1}'])
def test_times_that_are_none_are_taken_anew(clock, tmp_path, content):
    clock(cpu=0.01, cpu_bf16=0.02, cpu_amx=0.02)
    choose_variant(RECIPE, CPU)
    (file,) = (tmp_path / "cache").rglob("variants/*.json")
    kept = file.read_text()
    file.write_text(content)
    assert choose_variant(RECIPE, CPU).variant == "cpu"
    assert file.read_text() == kept


def test_hopeless_variant_is_tried_with_few_images_alone(clock):
    passes = clock(cpu=0.01, cpu_bf16=0.041, cpu_amx=0.02)
    choice = choose_variant(RECIPE, CPU)
    assert set(choice.milliseconds) == {"cpu", "cpu-amx"}
    assert "cpu-bf16 over 4 times as long" in str(choice)
    assert passes.count(("bf16", False)) == 2
    assert passes.count(("fp32", False)) > 4


def test_choice_changes_no_random_number(clock):
    clock(cpu=0.01, cpu_bf16=0.02, cpu_amx=0.02)
    torch.manual_seed(1)
    choose_variant(RECIPE, CPU)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.rand(1) == drawn


@pytest.mark.parametrize(("device", "variant"), [("cuda", "cuda"), ("mps", "cpu")])
def test_other_devices_have_one_variant(device, variant):
    assert choose_variant(RECIPE, torch.device(device)).variant == variant


def test_every_recipe_is_timed_for_real_in_its_own_shape(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for recipe in (RECIPE, find_recipe("fashion-80")):
        choice = choose_variant(recipe, CPU)
        assert choice.milliseconds[choice.variant] == min(choice.milliseconds.values())
        assert 0.01 < choice.milliseconds[choice.variant] < 10_000


def test_named_variant_overrules(capsys):
    config = cli._run_config("cifar10-83", [], None, "cpu-bf16", ALONE)
    assert config == RECIPE.config("cpu-bf16")
    assert not capsys.readouterr().err


def test_training_a_recipe_says_which_variant_and_why(clock, monkeypatch):
    def train(config, *_, **__):
        trained.append(config)
        raise RuntimeError("enough")

    clock(cpu=0.03, cpu_bf16=0.02, cpu_amx=0.04)
    trained = []
    monkeypatch.setattr(runs, "train", train)
    told = command_here("train", "cifar10-83").stderr
    assert trained == [RECIPE.config("cpu-bf16")]
    assert re.search("cifar10-83: variant cpu-bf16, bf16, the fastest for .*: cpu 30 ms, cpu-bf16 20 ms", told)


def test_recipes_shows_the_choice_here(clock):
    clock(cpu=0.01, cpu_bf16=0.02, cpu_amx=0.03)
    lines = command_here("recipes", "--here").stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(RECIPES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "cifar10-83", "--variant", "amx"), "--variant amx: no such variant; allowed: cpu, cpu-bf16, cpu-amx, cuda"),
        (("train", "own.yml", "--variant", "cpu"), "--variant cpu: only a recipe has variants, got own.yml"),
    ],
)
def test_variant_that_cannot_be_is_refused(arguments, message):
    assert message in refused(command_here(*arguments))
