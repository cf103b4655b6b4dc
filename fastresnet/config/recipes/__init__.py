"""Named configurations, each made for one test accuracy. Free of torch.

    find_recipe("cifar10-94").config("cpu-bf16")

A recipe has a variant for any processor, one for processors that multiply vectors of bf16 natively, one for those that multiply
matrices of it and one for GPUs; `device.recipe_variant` tells which is made for a device.
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
    """A name, the test accuracy that it is made for, and the configuration for a kind of device."""

    name: str
    target: float
    """Mean test accuracy over seeds, in [0, 1]."""
    config: Callable[[Variant], RunConfig]

    @property
    def description(self) -> str:
        """What it is made for, and why it is as it is."""
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
    """A recipe by its name. Raises UserError for an unknown one."""
    if name not in RECIPES:
        raise UserError(f"no recipe {name!r}; allowed: {', '.join(RECIPES)}")
    return RECIPES[name]
