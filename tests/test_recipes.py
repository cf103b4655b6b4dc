"""Recipes: their variants for devices, and what is said of them."""

import pytest

from fastresnet import report
from fastresnet.chapters import frontier_page
from fastresnet.config import recipes
from fastresnet.errors import UserError
from fastresnet.study import open_study

from .conftest import command

NAMES = list(recipes.RECIPES)


def test_recipes_are_listed_with_what_the_records_hold():
    listed = command("recipes").stdout
    for name in NAMES:
        results = open_study("frontier", edition="cpu").recorded(name)
        assert f"cpu: {report.describe_runs(results.records['recipe'])}" in listed
        assert not (on_a_gpu := frontier_page.gpu_runs(name)) or f"gpu: {report.describe_runs(on_a_gpu)}" in listed


@pytest.mark.parametrize("name", NAMES)
def test_variants_for_processors_differ_in_how_they_compute_alone(name):
    plain, bf16, amx = (recipes.find_recipe(name).config(variant) for variant in ("cpu", "cpu-bf16", "cpu-amx"))
    assert plain.train.precision == "fp32"
    assert bf16 == plain.with_changes({"train.precision": "bf16"})
    assert amx == bf16.with_changes({"train.matmul_gradients": True})


@pytest.mark.parametrize("name", NAMES)
def test_variant_for_a_gpu_trains_the_same_network_on_the_same_images(name):
    on_cpu, on_gpu = (recipes.find_recipe(name).config(variant) for variant in ("cpu", "cuda"))
    assert on_gpu.model == on_cpu.with_changes({"model.norm_momentum": on_gpu.model.norm_momentum}).model
    assert (on_gpu.data.name, on_gpu.data.crop_padding, on_gpu.data.cutout) == (
        on_cpu.data.name,
        on_cpu.data.crop_padding,
        on_cpu.data.cutout,
    )
    assert (on_gpu.train.precision, on_gpu.train.micro_batch, on_gpu.train.cuda_graph) == ("bf16", None, True)
    assert on_gpu.train.fused_kernels
    assert not on_gpu.train.compile


def test_no_recipe_touches_the_test_set_before_its_end():
    for recipe in recipes.RECIPES.values():
        assert recipe.config("cpu").train.evaluate_every > recipe.config("cpu").train.epochs


def test_unknown_recipe_is_refused_with_those_there_are():
    with pytest.raises(UserError, match="no recipe 'cifar10-97'; allowed: fashion-80, .*cifar10-96"):
        recipes.find_recipe("cifar10-97")
