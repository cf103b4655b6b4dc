"""What a run is: frozen, strict models of its data, network and training, and the hash that names it. Free of torch.

    config = load_yaml(Path("run.yml"), RunConfig)
    shorter = config.with_changes({"train.epochs": 2})

The hash covers only values that differ from their default. A default therefore never changes its value or its meaning,
and a new switch defaults to what was done before it existed: old records then keep serving the requests they served.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, Field, NonNegativeFloat, NonNegativeInt, PositiveInt, ValidationError, model_validator

from fastresnet.data.specs import SPECS
from fastresnet.errors import UserError
from fastresnet.schedules import Constant, Frozen, Schedule

Model = TypeVar("Model", bound=BaseModel)


class DataConfig(Frozen):
    """Which images, how many, in which batches, how augmented.

    Augmentations act on the images at their own size, in pixels of that size; `image_size` resizes afterwards.
    """

    name: str = "cifar10"
    """A data set of `fastresnet data list`, `folder:PATH` (train/CLASS/*.png and test/CLASS/*.png) or `tensors:PATH.npz`."""
    train_images: PositiveInt | None = None
    """Stratified subset of the training images; None takes all."""
    test_images: PositiveInt | None = None
    """Stratified subset of the test images; None takes all."""
    validation_images: NonNegativeInt = 0
    """Held out of the training images and evaluated on in place of the test set, for tuning."""
    image_size: Annotated[int, Field(ge=8)] | None = None
    """Side in pixels after a bilinear resize; None keeps the images as they are."""
    batch_size: PositiveInt = 128
    test_batch_size: PositiveInt = 500
    loader: Literal["tensor", "worker"] = "tensor"
    """`tensor`: whole set on the device, augmented a batch at a time; `worker`: a DataLoader, an image at a time."""
    num_workers: NonNegativeInt = 0
    """Processes of the `worker` loader; 0 loads in the training process."""
    flip: Literal["none", "random", "alternating"] = "none"
    """`alternating`: each image mirrored every other epoch (Jordan, 2024), `tensor` loader only."""
    crop_padding: NonNegativeInt = 0
    """Reflected pixels on each side before a random crop back to size."""
    cutout: NonNegativeInt = 0
    """Side in pixels of a random square set to the mean colour."""

    @model_validator(mode="after")
    def _possible(self) -> "DataConfig":
        if self.name not in SPECS and not self.name.startswith(("folder:", "tensors:")):
            raise ValueError(f"name: no data set {self.name!r}; allowed: {', '.join(SPECS)}, folder:PATH, tensors:PATH.npz")
        if self.loader == "worker" and self.flip == "alternating":
            raise ValueError("flip: 'alternating' needs loader 'tensor'; with 'worker' allowed: none, random")
        if self.loader == "tensor" and self.num_workers:
            raise ValueError("num_workers: loader 'tensor' has no workers; allowed: 0, or loader 'worker'")
        return self


class ModelConfig(Frozen):
    """The original report's ResNet and the switches it tried; the defaults are torchvision's `resnet18`."""

    depth: Literal[10, 18, 34] = 18
    """Weighted layers on the main path: one, two, or three to six basic blocks a stage."""
    channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 128, 256, 512)
    """Channels of the four stages; the stem has those of the first."""
    stem: Literal["7x7/2", "3x3/1"] = "7x7/2"
    """Kernel and stride of the first convolution."""
    stem_padding: bool = True
    stem_pool: Literal["max", "average", "none"] = "max"
    """Pooling 3x3/2 after the stem."""
    extra_conv: bool = False
    """One more convolution, norm and activation in every residual branch."""
    activation: Literal["relu", "leaky-relu", "elu", "celu", "gelu", "silu", "tanh"] = "relu"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability of dropping a feature before the classifier."""
    in_channels: PositiveInt = 3
    num_classes: Annotated[int, Field(ge=2)] = 10


class TrainConfig(Frozen):
    """SGD, its schedule, and the numerics of the loop."""

    epochs: Annotated[float, Field(gt=0)] = 10.0
    """May be a fraction: 0.5 trains on half of the batches of one epoch."""
    schedule: Schedule = Constant(lr=0.1)
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    nesterov: bool = False
    weight_decay: NonNegativeFloat = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    """`fp16` and `bf16` run under autocast; `fp16` scales the loss."""
    channels_last: bool = True
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Evaluate an exponential moving average of the weights, updated every step."""
    test_flip: bool = False
    """Average the logits of every test image and its mirror image."""
    evaluate_every: PositiveInt = 1
    """Epochs between evaluations; the last epoch is always evaluated."""

    @model_validator(mode="after")
    def _possible(self) -> "TrainConfig":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: needs momentum > 0")
        return self


class RunConfig(Frozen):
    """All that a run's result depends on, save its seed and the machine."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _fits(self) -> "RunConfig":
        spec = SPECS.get(self.data.name)
        if spec and self.model.in_channels != spec.channels:
            raise ValueError(f"model.in_channels: {spec.name} images have {spec.channels}, got {self.model.in_channels}")
        if spec and self.model.num_classes != spec.num_classes:
            raise ValueError(f"model.num_classes: {spec.name} has {spec.num_classes}, got {self.model.num_classes}")
        return self

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that name this configuration."""
        changed = {part: _non_defaults(getattr(self, part)) for part in type(self).model_fields}
        return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:12]

    def with_changes(self, changes: Mapping[str, Any]) -> "RunConfig":
        """A copy with some values replaced, each named by its path, as in `{"train.epochs": 2}`.

        Raises UserError for a path or value that is not allowed.
        """
        values = self.model_dump(mode="json")
        for path, value in changes.items():
            section, _, key = path.partition(".")
            if not key or section not in values:
                raise UserError(f"{path}: unknown key; allowed: SECTION.KEY with a section of {', '.join(values)}")
            values[section][key] = value
        return parse(values, RunConfig, "changes")


def _non_defaults(part: BaseModel) -> dict[str, Any]:
    kept = {}
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if name == "kind" or value != field.default:
            kept[name] = _non_defaults(value) if isinstance(value, BaseModel) else value
    return kept


def load_yaml(path: Path, model: type[Model]) -> Model:
    """Reads and checks a YAML file. Raises UserError naming file, key and what is allowed."""
    return parse(read_yaml(path), model, str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping. Raises UserError naming the file, and the line where it is not YAML."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:  # a date that does not exist is a ValueError
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a mapping of keys to values, got {type(values).__name__}")
    return values


def parse_assignment(text: str) -> tuple[str, Any]:
    """Reads `key=value`, the value as YAML: `flag=true` is a truth value and `sizes=[1, 2]` a list.

    Raises UserError if there is no key or the value is not YAML.
    """
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"\w+(\.\w+)?", key):
        raise UserError(f"-p {text}: expected KEY=VALUE")
    if re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value):  # YAML 1.1 reads 5e-4 as text
        return key, float(value)
    try:
        return key, yaml.safe_load(value)
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"-p {text}: the value is not valid YAML: {' '.join(str(error).split())}") from error


def parse(values: Mapping[str, Any], model: type[Model], where: str) -> Model:
    """Checks values as strictly as JSON would be: 2 passes for a float, "2" for nothing but a string.

    Raises UserError with one line that names each bad key and what is allowed there.
    """
    try:
        return model.model_validate_json(json.dumps(values))
    except (TypeError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise UserError("; ".join(f"{where}: {_explain(line, model)}" for line in error.errors())) from error
        raise UserError(f"{where}: {error}") from error


def _explain(error: Any, model: type[BaseModel]) -> str:
    location = [str(part) for part in error["loc"]]
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        allowed = _keys_beside(model, location)
        close = difflib.get_close_matches(location[-1], allowed, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        return f"{key}: unknown key{hint}; allowed: {', '.join(allowed)}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "float_type" and isinstance(error["input"], str):
        message += f", got the text {error['input']!r} (YAML reads 5e-4 as text: write 5.0e-4)"
    elif "input" in error and not isinstance(error["input"], dict):
        message += f", got {error['input']!r}"
    return f"{key}: {message}" if key else message


def _keys_beside(model: type[BaseModel], location: list[str]) -> list[str]:
    """The keys allowed where an unknown one was found; a schedule's location also names its kind."""
    for part in location[:-1]:
        field = model.model_fields.get(part)
        if field is None:
            break
        if part == "schedule":
            kinds = {kind.model_fields["kind"].default: kind for kind in field.annotation.__args__}  # type: ignore[union-attr]
            model = kinds[location[-2]]
            break
        model = field.annotation  # type: ignore[assignment]
    return list(model.model_fields)
