"""Named configurations, each designed to reach one test accuracy. Does not import torch.

    find_recipe("cifar10-94").config("cpu-bf16")

A recipe has four variants: for any processor, for processors with native bf16 vectors, for processors with bf16 matrix units,
and for GPUs. `training.variants.choose_variant` chooses the variant for a device.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from fastresnet.config import RunConfig
from fastresnet.config.recipes import cifar10, fashion
from fastresnet.config.recipes.base import Variant
from fastresnet.errors import UserError


@dataclass(frozen=True)
class Recipe:
    """A named configuration for each kind of device, with the test accuracy that it is designed to reach."""

    name: str
    target: float
    """Mean test accuracy over seeds that the recipe is designed to reach, in [0, 1]."""
    config: Callable[[Variant], RunConfig]

    @property
    def description(self) -> str:
        """The recipe's target and the reasons for its settings, from the docstring of `config`."""
        return inspect.getdoc(self.config) or ""


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("fashion-80", 0.80, fashion.fashion_80),
        Recipe("fashion-89", 0.8865, fashion.fashion_89),
        Recipe("fashion-90", 0.90, fashion.fashion_90),
        Recipe("fashion-93", 0.93, fashion.fashion_93),
        Recipe("fashion-94", 0.94, fashion.fashion_94),
        Recipe("cifar10-83", 0.8306, cifar10.cifar10_83),
        Recipe("cifar10-90", 0.90, cifar10.cifar10_90),
        Recipe("cifar10-91", 0.9142, cifar10.cifar10_91),
        Recipe("cifar10-94", 0.94, cifar10.cifar10_94),
        Recipe("cifar10-95", 0.95, cifar10.cifar10_95),
        Recipe("cifar10-96", 0.96, cifar10.cifar10_96),
    )
}


def find_recipe(name: str) -> Recipe:
    """Finds a recipe, a configuration made for one accuracy, by its name. Raises UserError for an unknown name.

    >>> recipe = fr.find_recipe("cifar10-94")
    >>> recipe.target, recipe.config("cuda").train.precision
    (0.94, 'bf16')
    """
    if name not in RECIPES:
        raise UserError(f"no recipe {name!r}; allowed: {', '.join(RECIPES)}")
    return RECIPES[name]
