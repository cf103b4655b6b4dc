"""Experiments of the frontier chapter: whole runs of every recipe, lengths and ablations of some, and growth of the cost."""

from collections.abc import Callable
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from fastresnet.chapters.parameters import EditionParameters, Rates, Seeds, Some, Values
from fastresnet.config import RunConfig
from fastresnet.config.base import Frozen
from fastresnet.config.datasets import SPECS
from fastresnet.config.models import SpeedNetConfig
from fastresnet.config.recipes import RECIPES, find_recipe
from fastresnet.config.recipes.base import Variant
from fastresnet.errors import UserError
from fastresnet.records.record import RunRecord
from fastresnet.study import Experiment, open_study
from fastresnet.study.project import project_root


def _known(name: str) -> str:
    if name not in RECIPES:
        raise ValueError(f"no recipe {name!r}; allowed: {', '.join(RECIPES)}")
    return name


RecipeName = Annotated[str, AfterValidator(_known)]


class Ablation(NamedTuple):
    """A change to a recipe for a row of an ablation table, and what it means in plain words."""

    changes: dict[str, object]
    meaning: str


ABLATIONS = {
    "recipe": Ablation({}, "The recipe as it is."),
    "learned first layer": Ablation(
        {"model.whitened": False, "train.freeze": []}, "The first layer is trained, not made of whitened patches."
    ),
    "8 patch directions": Ablation({"model.patch_directions": 8}, "The first layer has 8 whitened directions, not all."),
    "random start": Ablation({"model.identity_start": False}, "Convolutions start at random, instead of passing their input on."),
    "average pool at the end": Ablation({"model.final_pool": "average"}, "The last feature maps are averaged."),
    "ReLU": Ablation({"model.activation": "relu"}, "ReLU instead of GELU."),
    "full-size images": Ablation({"data.size_curriculum": []}, "Images have their full size from the start, instead of growing."),
    "nothing frozen": Ablation({"train.freeze": []}, "No part is frozen during the run."),
    "first group frozen late": Ablation(
        {"train.freeze": [[0.15, 1], [0.75, 2]]}, "The first group, too, is frozen from 75 % of the run on."
    ),
    "nothing pruned": Ablation({"data.prune": None}, "Every image is used in every epoch; easy ones are not skipped."),
    "fewer pruned": Ablation({"data.prune": {"skip": 0.5}}, "Half of the easy images are skipped."),
    "one rate for all": Ablation({"train.bias_lr_factor": 1.0, "train.head_lr_factor": 1.0}, "All weights learn at one rate."),
    "SGD for Muon": Ablation(
        {"train.muon": None, "train.momentum": 0.9, "train.schedule": {"kind": "linear", "start_lr": 0.2}},
        "SGD replaces Muon.",
    ),
    "Lookahead": Ablation({"train.lookahead": 5}, "Every 5 steps the weights are pulled back to a slow average of them."),
    "no label smoothing": Ablation({"train.label_smoothing": 0.0}, "Labels are exactly 0 or 1, not softened."),
    "alternating flip": Ablation(
        {"data.flip": "alternating"}, "Half of the images are mirrored, and the other half in the next epoch."
    ),
    "random flip": Ablation({"data.flip": "random"}, "Each image is mirrored at random."),
    "crops": Ablation({"data.crop_padding": 2}, "Images are padded by 2 pixels and cropped at random."),
    "one view": Ablation({"train.test_flip": False, "train.test_shift": 0}, "Each test image is looked at once."),
    "moved views too": Ablation({"train.test_shift": 1}, "Test images are also shifted by a pixel, not only mirrored."),
    "one piece a step": Ablation({"train.micro_batch": None}, "A batch is computed whole, not in pieces."),
    "not channels_last": Ablation({"train.channels_last": False}, "Tensors have their channels first in memory."),
    "fp32": Ablation({"train.precision": "fp32"}, "Everything is computed in single precision."),
    "gradients from products": Ablation({"train.matmul_gradients": True}, "Filter gradients are matrix products."),
}
"""Rows of the ablation tables, by name: most take one ingredient out of the recipe, some put one in."""

GROWTH = {"epochs": (1, 2, 4, 8, 16), "images": (2, 4, 8, 16), "width": (2, 4, 8)}
"""Factors on each quantity in the growth runs. Factor 1 stands only once, since it is the same run for all three."""

UP_TO = "cpu"
"""The largest edition that the page shows in place of the quick one. It tells of graphics cards in a section of their own."""

SAMPLES = {"fashion-mnist": "fashion-sample", "cifar10": "cifar10-standin"}


class Ablated(Frozen):
    """A recipe, the names of its ablations (keys of `ABLATIONS`), and their seeds."""

    recipe: RecipeName
    changes: Values[str]
    seeds: Seeds | None = None
    """Seeds of these ablations; None takes `ablation_seeds`. Runs timed on a second machine need other seeds, since there is one
    record per configuration and seed."""

    @model_validator(mode="after")
    def _known(self) -> "Ablated":
        unknown = [name for name in self.changes if name not in ABLATIONS]
        if unknown:
            raise ValueError(f"changes: no ablation {unknown[0]!r}; allowed: {', '.join(ABLATIONS)}")
        if self.changes[0] != "recipe":
            raise ValueError(f"changes: the first must be 'recipe', which the others are compared with; got {self.changes[0]!r}")
        return self


class Lengths(Frozen):
    """Lengths of recipes to judge by training images that are held out: none of these runs sees the test set."""

    held_out: PositiveInt
    """Training images that are held out, on which the accuracy is measured; at most a tenth of a set is."""
    epochs: Annotated[dict[RecipeName, Rates], Some]
    """Numbers of epochs to try, by recipe."""
    seeds: Seeds

    def variants(self, config: Callable[[RecipeName], RunConfig]) -> dict[str, RunConfig]:
        """The runs of one seed, from the configurations of the recipes. Size curricula are stretched with the epochs."""
        return {
            f"{name}, {epochs:g} epoch{'s' * (epochs != 1)}": self._held_out(_stretched(config(name), epochs))
            for name, lengths in self.epochs.items()
            for epochs in lengths
        }

    def _held_out(self, config: RunConfig) -> RunConfig:
        return config.with_changes({"data.validation_images": min(self.held_out, SPECS[config.data.name].num_train // 10)})


def _stretched(config: RunConfig, epochs: float) -> RunConfig:
    """The configuration with another number of epochs, and its size curriculum in the same shares of them."""
    sizes = [(round(start * epochs / config.train.epochs, 3), size) for start, size in config.data.size_curriculum]
    return config.with_changes({"train.epochs": epochs, "data.size_curriculum": sizes})


class Parameters(EditionParameters):
    """Parameters of the frontier chapter: recipes with their seeds and variants, and what is ablated."""

    variant: Variant
    """Variant in which recipes are run. Any variant runs on any machine, at its own speed; the records name the machine."""
    variants: dict[RecipeName, Variant] = Field(default_factory=dict)
    """Variants by recipe, for recipes that are run in another one than `variant`."""
    recipes: dict[RecipeName, Seeds]
    """Recipes to run, each with its seeds."""
    fashion_ablated: Ablated
    """Recipe for FashionMNIST of which parts are taken away."""
    cifar10_ablated: Ablated
    """Short recipe for CIFAR-10 of which parts are taken away."""
    long_ablated: Ablated
    """Longer recipe for CIFAR-10 of which parts are taken away."""
    amx_ablated: Ablated | None = None
    """Ablations on a CPU with AMX, which multiplies matrices of bf16; None runs none."""
    lengths: Lengths
    """Lengths of recipes to judge by held-out images."""
    ablation_seeds: Seeds
    """Seeds of the ablations and of the growth runs."""
    growth_images: PositiveInt
    """Training images of the smallest growth run; the largest has 16 times as many."""
    samples: bool = False
    """Whether to train on the sample of FashionMNIST and the stand-in for CIFAR-10, which need no download."""
    train_images: PositiveInt | None = None
    """Number of training images; None takes all."""
    epochs: PositiveFloat | None = None
    """Epochs of every recipe, over which its image sizes are stretched; None takes each recipe's own."""


def experiments(parameters: Parameters) -> tuple[Experiment, ...]:
    """One experiment per recipe, lengths and ablations of some recipes, and growth with images, epochs and width."""

    def whole(name: RecipeName) -> RunConfig:
        full = find_recipe(name).config(parameters.variants.get(name, parameters.variant))
        dataset = SAMPLES[full.data.name] if parameters.samples else full.data.name
        return full.with_changes({"data.name": dataset, "data.train_images": parameters.train_images})

    def config(name: RecipeName) -> RunConfig:
        return _stretched(whole(name), parameters.epochs) if parameters.epochs else whole(name)

    recipes = [
        Experiment(
            name,
            f"How soon does a run reach {100 * RECIPES[name].target:g} %?",
            {"recipe": config(name)},
            seeds,
            RECIPES[name].config("cpu").data.name,
        )
        for name, seeds in parameters.recipes.items()
    ]
    ablated = {
        "fashion": ("on FashionMNIST", parameters.fashion_ablated),
        "cifar10": ("on CIFAR-10", parameters.cifar10_ablated),
        "long": ("in a longer run", parameters.long_ablated),
        "amx": ("where a processor multiplies matrices", parameters.amx_ablated),
    }
    ablations = [
        Experiment(
            f"{name}-ablations",
            f"What is each ingredient worth {where}?",
            {change: config(chosen.recipe).with_changes(ABLATIONS[change].changes) for change in chosen.changes},
            chosen.seeds or parameters.ablation_seeds,
        )
        for name, (where, chosen) in ablated.items()
        if chosen
    ]
    lengths = parameters.lengths
    judged = Experiment("lengths", "How long must a recipe be?", lengths.variants(whole), lengths.seeds)
    grown = _grown(config("fashion-89"), parameters.growth_images)
    growth = Experiment("growth", "How do seconds and memory grow?", grown, parameters.ablation_seeds)
    return (*recipes, judged, *ablations, growth)


def _grown(config: RunConfig, num_images: int) -> dict[str, RunConfig]:
    """A run of one epoch over `num_images`, and the same run with its epochs, images or width multiplied."""
    assert isinstance(config.model, SpeedNetConfig)
    widths = config.model.widths
    grown: dict[str, Callable[[int], dict[str, object]]] = {
        "epochs": lambda factor: {"train.epochs": factor},
        "images": lambda factor: {"data.train_images": factor * num_images},
        "width": lambda factor: {"model.widths": [factor * width for width in widths]},
    }
    one_epoch = config.with_changes({"data.train_images": num_images, "train.epochs": 1})
    return {
        f"{what}, {factor} times": one_epoch.with_changes(grown[what](factor))
        for what, factors in GROWTH.items()
        for factor in factors
    }


def recorded_runs(name: str) -> dict[str, tuple[RunRecord, ...]]:
    """The recorded runs of a recipe by device, "cpu" and "gpu"; none outside a checkout."""
    try:
        project_root()
    except UserError:  # an installed package has no records
        return {}
    found = {edition: open_study("frontier", edition=edition).recorded(name) for edition in ("cpu", "gpu")}
    return {edition: results.records["recipe"] for edition, results in found.items() if results}
