"""Chooses the variant of a recipe for a device.

On a processor the variants differ only in how they compute. Which is fastest depends on more than the instructions that the
processor has, so it is measured: each variant computes the recipe's widest convolution, forward and backward, for a fraction of
a second. The times are kept in the cache, for this machine and version of torch.
"""

import copy
import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from pydantic import PositiveFloat, TypeAdapter, ValidationError
from torch import Tensor, nn

from fastresnet.compute.device import PRECISIONS, in_layout
from fastresnet.compute.kernels.convolution import set_matmul_gradients
from fastresnet.compute.provenance import describe_machine
from fastresnet.config import RunConfig
from fastresnet.config.datasets import SPECS
from fastresnet.config.recipes import Recipe
from fastresnet.config.recipes.base import Variant
from fastresnet.errors import UserError
from fastresnet.models.build import build_model
from fastresnet.records.atomic import replacing
from fastresnet.records.folders import usable_cache

_ON_A_PROCESSOR: tuple[Variant, ...] = ("cpu", "cpu-bf16", "cpu-amx")
_PROBED, _TIMED = 0.5e9, 4e9
"""Operations of a forward and a backward pass: of the first try of each variant, and of those that are timed."""
_HOPELESS = 4
"""Multiple of the fastest first try from which on a variant is not timed: bf16 that is emulated takes ten times as long."""
_ROUNDS = 4
_TIMES = TypeAdapter(dict[Variant, PositiveFloat])


@dataclass(frozen=True)
class Choice:
    """The variant chosen for a recipe on a device."""

    recipe: Recipe
    variant: Variant
    layer: str = ""
    """The convolution that was timed."""
    milliseconds: Mapping[Variant, float] | None = None
    """Fastest pass of each variant that came near the fastest; None if there was nothing to choose."""

    def __str__(self) -> str:
        chosen = f"{self.recipe.name}: variant {self.variant}, {self.recipe.config(self.variant).train.precision}"
        if not self.milliseconds:
            return chosen
        times = [f"{variant} {each:.3g} ms" for variant, each in self.milliseconds.items()]
        slow = [variant for variant in _ON_A_PROCESSOR if variant not in self.milliseconds]
        times += [f"{' and '.join(slow)} over {_HOPELESS} times as long"] if slow else []
        return f"{chosen}, the fastest for {self.layer}: {', '.join(times)}"


def choose_variant(recipe: Recipe, device: torch.device) -> Choice:
    """The fastest variant of a recipe on a device; on a processor by timing, or as timed before."""
    if device.type != "cpu":
        return Choice(recipe, "cuda" if device.type == "cuda" else "cpu")
    layer, shape = _widest(recipe.config("cpu"))
    named = f"a convolution of {layer.out_channels} channels at {shape[-2]}x{shape[-1]} pixels"
    where = describe_machine(device).model_dump_json(), torch.__version__
    folder = usable_cache("variants", "the variants of a recipe are timed for each run anew")
    file = folder / f"{sha256(repr((named, shape, where)).encode()).hexdigest()[:16]}.json" if folder else None
    milliseconds = _read(file) if file else None
    if milliseconds is None:
        milliseconds = _time_variants(recipe, layer, shape)
        if file:
            with suppress(OSError, UserError), replacing(file) as partial:
                partial.write_text(json.dumps(milliseconds))
    return Choice(recipe, min(milliseconds, key=milliseconds.__getitem__), named, milliseconds)


def _read(file: Path) -> dict[Variant, float] | None:
    """The times in a file; None if it is missing or holds something else."""
    try:
        return _TIMES.validate_json(file.read_bytes()) or None
    except (OSError, ValidationError):
        return None


def _widest(config: RunConfig) -> tuple[nn.Conv2d, torch.Size]:
    """The convolution with the most weights in a recipe's network, and the shape [N, C, H, W] of its input for one batch."""
    spec = SPECS[config.data.name]
    model = build_model(config.model, seed=0).to("meta")
    seen: list[tuple[nn.Conv2d, torch.Size]] = []
    hooks = [
        each.register_forward_pre_hook(lambda layer, inputs: seen.append((layer, inputs[0].shape)))
        for each in model.modules()
        if isinstance(each, nn.Conv2d)
    ]
    images = config.train.micro_batch or config.data.batch_size
    model(torch.empty(images, spec.channels, spec.image_size, spec.image_size, device="meta"))
    for hook in hooks:  # else they would be timed, too, in copies of the layer
        hook.remove()
    return max(seen, key=lambda each: each[0].weight.numel())


def _time_variants(recipe: Recipe, layer: nn.Conv2d, shape: torch.Size) -> dict[Variant, float]:
    """Milliseconds of the fastest pass of each variant through a layer. Variants are timed in turn, so that other load on the
    machine slows down all of them."""
    flops = 6 * layer.weight.numel() * shape[-2] * shape[-1]
    passes: dict[Variant, tuple[RunConfig, nn.Conv2d]] = {}
    for variant in _ON_A_PROCESSOR:
        config = recipe.config(variant)
        own = copy.deepcopy(layer).to_empty(device="cpu")
        weight = torch.full(own.weight.shape, 1e-3)  # not random: that would change what the run draws
        own.weight = nn.Parameter(in_layout(weight, torch.channels_last))
        set_matmul_gradients(own, config.train.matmul_gradients)
        passes[variant] = config, own

    def best(variants: Iterable[Variant], rounds: int, most: float) -> dict[Variant, float]:
        images = in_layout(torch.ones(max(1, min(shape[0], round(most / flops))), *shape[1:]), torch.channels_last)
        times = [{variant: _pass_seconds(*passes[variant], images) for variant in variants} for _ in range(rounds + 1)]
        return {variant: 1e3 * min(each[variant] for each in times[1:]) for variant in variants}  # the first is the warm-up

    first = best(_ON_A_PROCESSOR, _ROUNDS, _PROBED)
    return best([each for each in first if first[each] <= _HOPELESS * min(first.values())], _ROUNDS, _TIMED)


def _pass_seconds(config: RunConfig, layer: nn.Conv2d, images: Tensor) -> float:
    start = time.perf_counter()
    with torch.autocast("cpu", PRECISIONS[config.train.precision], enabled=config.train.precision != "fp32"):
        out = layer(images.requires_grad_())
    out.backward(out.detach())
    return time.perf_counter() - start
