"""What a chapter's module declares: its parameters in each edition, and the experiments that they make."""

import importlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from fastresnet.config import RunConfig
from fastresnet.config.datasets import SPECS
from fastresnet.config.parsing import parse, read_yaml
from fastresnet.errors import UserError
from fastresnet.study.experiment import Experiment
from fastresnet.study.project import parameter_file

STUDIES = ("myrtle_notes", "fashionmnist_speed", "cifar10_accuracy", "frontier", "findings")
"""Modules of `fastresnet.chapters` that declare a study, in the order of the book. They import this package, so it loads
them by name."""


def edition_parameters(name: str, edition: str) -> dict[str, Any]:
    """The checked parameters of a study's edition. Raises UserError for an unknown study or edition, or a faulty file."""
    declared = find_study(name).Parameters
    path = parameter_file(name, edition)
    return parse(read_yaml(path), declared, str(path)).model_dump(mode="json")


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The values of parameters with some of them changed; of the seeds by experiment, only those of the experiments named."""
    own, others = changes.get("seeds_of"), values.get("seeds_of")
    both = {"seeds_of": {**others, **own}} if isinstance(own, Mapping) and isinstance(others, Mapping) else {}
    return {**values, **changes, **both}


def declare(
    name: str, values: Mapping[str, Any], where: str, original: Mapping[str, Any] | None = None
) -> tuple[Any, tuple[Experiment, ...]]:
    """Checks a study's parameters and declares its experiments. Raises UserError, naming `where`, for values not allowed.

    If values do not go together, the error names those that would do so with the `original` one instead.
    """
    study = find_study(name)
    checked = parse(values, study.Parameters, where)
    try:
        experiments = study.experiments(checked)
    except (ValidationError, UserError) as error:
        lines = [line["msg"] for line in error.errors()] if isinstance(error, ValidationError) else [str(error)]
        reasons = dict.fromkeys(line.removeprefix("Value error, ").removeprefix("changes: ") for line in lines)
        guilty = [
            f"{key}={values[key]}"
            for key, value in (original or {}).items()
            if values[key] != value and _go_together(study, {**values, key: value})
        ]
        named = ", ".join(guilty) or "these values do not go together"
        raise UserError(f"{where}: {named}: {'; '.join(reasons)}") from error
    seeds_of = getattr(checked, "seeds_of", {})
    if unknown := set(seeds_of) - {each.id for each in experiments}:
        raise UserError(
            f"{where}: seeds_of: no experiment {min(unknown)!r}; allowed: {', '.join(each.id for each in experiments)}"
        )
    with_seeds = (replace(each, seeds=seeds_of.get(each.id, each.seeds)) for each in experiments)
    return checked, tuple(scaled(each, checked.scale) for each in with_seeds)


def scaled(experiment: Experiment, scale: float) -> Experiment:
    """An experiment with a factor on its training images and on its batches, also on those of ghost batch norm. Runs that time
    parts of their steps keep theirs.

    Raises UserError if there are not as many images, hardly one would be left, or variants that differ would have batches of the
    same size.
    """
    if scale == 1:
        return experiment
    variants: dict[str, RunConfig] = {}
    named: dict[str, str] = {}
    for name, config in experiment.variants.items():
        variants[name] = here = _scaled(config, scale, f"scale={scale:g}: {experiment.id}")
        twin = named.setdefault(here.hash, name)
        if experiment.variants[twin] != config:
            raise UserError(
                f"scale={scale:g}: makes {twin!r} and {name!r} of {experiment.id} the same run; allowed: a scale nearer to 1"
            )
    return replace(experiment, variants=variants)


def _scaled(config: RunConfig, scale: float, where: str) -> RunConfig:
    if config.train.time_parts:
        return config
    all_images = SPECS[config.data.name].num_train - config.data.validation_images
    images = config.data.train_images or all_images
    if not 2 <= round(scale * images) <= all_images:
        allowed = f"{2 / images:.1g} to {all_images / images:g}"
        raise UserError(f"{where} has {images:,} of {all_images:,} training images; allowed: {allowed}")
    changes = {"data.train_images": round(scale * images), "data.batch_size": max(round(scale * config.data.batch_size), 2)}
    norm = getattr(config.model, "norm", None)
    if norm and norm.group_size:
        changes["model.norm.group_size"] = max(round(scale * norm.group_size), 2)
    return config.with_changes(changes)


def _go_together(study: Any, values: Mapping[str, Any]) -> bool:
    try:
        study.experiments(parse(values, study.Parameters, ""))
    except ValueError:
        return False
    return True


def find_study(name: str) -> Any:
    """The module that declares a study: its `Parameters` and `experiments`. Raises UserError for an unknown name."""
    if name not in STUDIES:
        raise UserError(f"no study {name!r}; allowed: {', '.join(STUDIES)}")
    return importlib.import_module(f"fastresnet.chapters.{name}")


def parameter_lines(name: str) -> list[str]:
    """The lines of a chapter's cell of parameters: name, value in the quick edition, type and meaning, as
    `papermill --help-notebook` reads them. Raises UserError for an unknown name."""
    declared = find_study(name).Parameters
    schema = declared.model_json_schema()
    values = edition_parameters(name, "quick")
    lines = []
    for key, field in declared.model_fields.items():
        kind = _kind(schema["properties"][key], schema.get("$defs", {}))
        meaning = " ".join((field.description or "").split()).partition(". ")[0].rstrip(".")
        lines.append(f"{key} = {_literal(values[key])}  # type: {kind} {meaning}.")
    return lines


def _kind(schema: Mapping[str, Any], named: Mapping[str, Any]) -> str:
    """The Python type of the values that a JSON schema allows, as a notebook has them."""
    if "anyOf" in schema:
        return "|".join(_kind(each, named) for each in schema["anyOf"])
    if "$ref" in schema:
        return _kind(named[schema["$ref"].rpartition("/")[2]], named)
    kind = {"integer": "int", "number": "float", "string": "str", "boolean": "bool", "null": "None"}.get(schema["type"])
    if schema["type"] == "array":
        return f"list[{_kind(schema.get('items') or schema['prefixItems'][0], named)}]"
    return kind or "dict"


def _literal(value: Any) -> str:
    """A value as Python source, with double quotes."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(key)}: {_literal(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return json.dumps(value) if isinstance(value, str) else repr(value)
