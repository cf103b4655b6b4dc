"""Configuration of a whole run, and the hash that identifies it. Does not import torch.

    config = parsing.load_yaml(Path("run.yml"), RunConfig)
    shorter = config.with_changes({"train.epochs": 2})

The hash covers only values that differ from their default. A default therefore never changes its value or its meaning, and a
new option defaults to the behaviour before it existed. Old records then still answer the same requests.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel, model_validator

from fastresnet.config.base import Settings
from fastresnet.config.data import DataConfig
from fastresnet.config.datasets import SPECS
from fastresnet.config.models import FUSED_ACTIVATIONS, ModelConfig, ResNetConfig, SpeedNetConfig
from fastresnet.config.parsing import parse, suggestion
from fastresnet.config.train import RATES, TrainConfig
from fastresnet.errors import UserError


class RunConfig(Settings):
    """Configuration of a run: everything that its result depends on, except the seed and the machine.

    >>> config = fr.RunConfig(model={"depth": 34}, train={"epochs": 5})
    >>> print(config.with_changes({"train.momentum": 0.9}).to_yaml())
    data: {}
    model: {depth: 34}
    train: {epochs: 5.0, momentum: 0.9}
    <BLANKLINE>
    """

    data: DataConfig = DataConfig()
    model: ModelConfig = ResNetConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _fits(self) -> "RunConfig":
        spec = SPECS.get(self.data.name)
        if spec and self.model.in_channels != spec.channels:
            raise ValueError(f"model.in_channels: {spec.name} images have {spec.channels}, got {self.model.in_channels}")
        if spec and self.model.num_classes != spec.num_classes:
            raise ValueError(f"model.num_classes: {spec.name} has {spec.num_classes}, got {self.model.num_classes}")
        if self.train.fused_kernels and not (
            isinstance(self.model, SpeedNetConfig) and self.model.activation in FUSED_ACTIVATIONS
        ):
            raise ValueError(f"train.fused_kernels: there are some for a speednet with {' or '.join(FUSED_ACTIVATIONS)} alone")
        return self

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that identify this configuration."""
        return hashlib.sha256(json.dumps(self._changed(), sort_keys=True).encode()).hexdigest()[:12]

    def to_yaml(self) -> str:
        """The YAML file of this configuration, as `fastresnet train` reads it: all that differs from a default."""
        return yaml.safe_dump(json.loads(json.dumps(self._changed())), sort_keys=False, default_flow_style=None)

    def _changed(self) -> dict[str, Any]:
        return {part: _non_defaults(getattr(self, part), implied=ResNetConfig) for part in type(self).model_fields}

    def with_changes(self, changes: Mapping[str, Any]) -> "RunConfig":
        """A copy with some values replaced, each identified by its path: `{"train.epochs": 2, "train.schedule.max_lr": 0.2}`. A
        schedule may also be replaced as a whole. With another kind of schedule or network, its other values begin at their
        defaults.

        Raises UserError for a path or value that is not allowed.
        """
        values = self.model_dump(mode="json")
        known = [f"{section}.{key}" for section, keys in values.items() for key in keys]
        # whole values before their parts, and kinds before other parts, whichever way they are ordered
        for path, value in sorted(changes.items(), key=lambda change: (change[0].count("."), not change[0].endswith(".kind"))):
            section, *between, key = path.split(".") if "." in path else (path, "")
            if not key or section not in values:
                hint = suggestion(path, known)
                raise UserError(f"{path}: unknown key{hint}; allowed: SECTION.KEY with a section of {', '.join(values)}")
            if path.removeprefix("train.") in RATES:
                fields = (name for name in type(self.train.schedule).model_fields if name.endswith(("lr", "points")))
                allowed = ", ".join(f"train.schedule.{name}" for name in fields)
                raise UserError(f"{path}: a learning rate belongs to its schedule; allowed: {allowed}")
            inner = values[section]
            for step in between:
                if step not in inner:
                    key = step  # an unknown key, which is refused below
                    break
                if inner[step] is None:
                    inner[step] = {}
                inner = inner[step]
                if not isinstance(inner, dict):
                    raise UserError(f"{path}: {step} has no keys; allowed: {path.partition(f'.{step}.')[0]}.{step}=VALUE")
            if key == "kind" and inner.get(key) != value:
                inner.clear()
            inner[key] = dict(value) if isinstance(value, dict) else value  # a part of it may be changed further
        return parse(values, RunConfig, "changes")


def _non_defaults(part: BaseModel, implied: type[BaseModel] | None = None) -> dict[str, Any]:
    """Values that differ from their defaults. The `kind` of a model is always among them, except for the `implied` class."""
    kept = {}
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if value != field.default or (name == "kind" and type(part) is not implied):
            kept[name] = _non_defaults(value) if isinstance(value, BaseModel) else value
    return kept
