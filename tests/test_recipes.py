"""Recipes: what their docstrings say is what the committed records hold."""

import re

import pytest

from fastresnet import recipes, report
from fastresnet.config import RunConfig
from fastresnet.errors import UserError
from fastresnet.study import open_study

NAMES = list(recipes.RECIPES)


@pytest.mark.parametrize("name", NAMES)
def test_docstring_says_what_the_records_hold(name):
    recipe = recipes.find_recipe(name)
    results = open_study("frontier", edition="cpu").recorded(name)
    expected = "not measured yet." if results is None else report.describe_runs(results.records["recipe"])
    said = re.search(r"^cpu: (.*?)(?=^gpu: )", recipe.description, re.MULTILINE | re.DOTALL)
    assert said
    assert " ".join(said[1].split()) == expected


@pytest.mark.parametrize("name", NAMES)
def test_gpu_variant_differs_from_the_processor_variant(name):
    recipe = recipes.find_recipe(name)
    cpu, gpu = recipe.config("cpu"), recipe.config("cuda")
    assert isinstance(cpu, RunConfig)
    assert (cpu.train.precision, gpu.train.precision) == ("fp32", "fp16")
    assert cpu.data == gpu.data
    assert cpu.hash != gpu.hash


def test_no_recipe_touches_the_test_set_before_its_end():
    for recipe in recipes.RECIPES.values():
        assert recipe.config("cpu").train.evaluate_every > recipe.config("cpu").train.epochs


def test_unknown_recipe_is_refused_with_those_there_are():
    with pytest.raises(UserError, match="no recipe 'cifar10-95'; allowed: fashion-80, .*cifar10-93"):
        recipes.find_recipe("cifar10-95")
