"""Configuration of a run: its data, network and training, and the hash that identifies it. Does not import torch.

    config = parsing.load_yaml(Path("run.yml"), RunConfig)
    shorter = config.with_changes({"train.epochs": 2})

The hash covers only values that differ from their default. A default therefore never changes its value or its meaning, and a
new option defaults to the behaviour before it existed. Old records then still answer the same requests.
"""

import hashlib
import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from fastresnet.config.base import Fraction, Settings
from fastresnet.config.datasets import SPECS
from fastresnet.config.models import FUSED_ACTIVATIONS, ModelConfig, ResNetConfig, SpeedNetConfig
from fastresnet.config.parsing import parse, suggestion
from fastresnet.config.schedules import Constant, Schedule
from fastresnet.errors import UserError

GIVEN = "given"
"""Name for a data set that the caller passes in."""
ImageSize = Annotated[int, Field(ge=8)]
Precision = Literal["fp32", "fp16", "bf16"]


class PruneConfig(Settings):
    """Configuration of soft pruning, which skips easy images at random (after InfoBatch, Qin et al., 2024).

    An image is easy if its last loss is below the mean loss.

    Unlike InfoBatch, it does not increase the weight of the easy images that it keeps. An epoch still has the usual number of
    images: after a pass that skips easy images, another pass begins, in which hard images come again. The epoch's training loss
    and accuracy count them each time.

    >>> fr.DataConfig(prune=fr.PruneConfig(skip=0.3)).prune
    PruneConfig(skip=0.3, start=1)
    """

    skip: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability that a pass over the training images skips an easy image."""
    start: PositiveInt = 1
    """Number of epochs before the first that skips images, since their losses must be known."""


class DataConfig(Settings):
    """Configuration of the images: data set, subsets, loader, batches and augmentation.

    Augmentations act on images of the original size, before `image_size` resizes them.

    >>> data = fr.DataConfig(name="cifar10", batch_size=512, flip="random", crop_padding=4)
    >>> fr.RunConfig(data=data).data.batch_size
    512
    """

    name: str = "cifar10"
    """Data set: a name of `fastresnet data list`, `folder:PATH` (with train/CLASS/*.png and test/CLASS/*.png; see "Pictures of
    your own" in the book) or `tensors:PATH.npz`, or `given` for a data set that the caller of `train` passes in."""
    train_images: PositiveInt | None = None
    """Size of a stratified subset of the training images; None takes all."""
    test_images: PositiveInt | None = None
    """Size of a stratified subset of the test images; None takes all."""
    validation_images: NonNegativeInt = 0
    """Number of training images that are held out and evaluated on instead of the test set, for tuning."""
    image_size: ImageSize | None = None
    """Side in pixels after a bilinear resize; None keeps the original size. Pictures of a folder that differ in size are resized
    when they are read."""
    size_curriculum: tuple[tuple[NonNegativeFloat, ImageSize], ...] = ()
    """Pairs (epoch, side): from that epoch on, which may be fractional, training images have that side. `tensor` only."""
    batch_size: PositiveInt = 128
    test_batch_size: PositiveInt = 500
    loader: Literal["tensor", "worker"] = "tensor"
    """`tensor` keeps the whole set on the device and augments whole batches; `worker` is a DataLoader for single images."""
    num_workers: Annotated[int, Field(ge=0, le=1024)] = 0
    """Worker processes of the `worker` loader; 0 loads in the training process."""
    flip: Literal["none", "random", "alternating"] = "none"
    """How training images are mirrored. `alternating` mirrors each in every other epoch (Jordan, 2024); `tensor` loader only."""
    crop_padding: NonNegativeInt = 0
    """Pixels of reflection padding on each side before a random crop to the original size."""
    cutout: NonNegativeInt = 0
    """Side in pixels of a random square set to the mean colour."""
    prune: PruneConfig | None = None
    """Pruning of easy images; None trains on every image once per epoch."""
    flip_test: bool = False
    """Whether test images are mirrored at random, too: a mistake of the original report, kept to show its effect."""

    @model_validator(mode="after")
    def _possible(self) -> "DataConfig":
        if self.name not in (*SPECS, GIVEN) and not self.name.startswith(("folder:", "tensors:")):
            raise ValueError(f"name: no data set {self.name!r}; allowed: {', '.join(SPECS)}, folder:PATH, tensors:PATH.npz")
        if self.loader == "worker" and self.flip == "alternating":
            raise ValueError("flip: 'alternating' needs loader 'tensor'; with 'worker' allowed: none, random")
        if self.loader == "tensor" and self.num_workers:
            raise ValueError("num_workers: loader 'tensor' has no workers; allowed: 0, or loader 'worker'")
        if self.loader == "worker" and self.size_curriculum:
            raise ValueError("size_curriculum: needs loader 'tensor'")
        if any(after <= before for (before, _), (after, _) in pairwise(self.size_curriculum)):
            raise ValueError(f"size_curriculum: epochs must strictly increase, got {list(self.size_curriculum)}")
        if spec := SPECS.get(self.name):
            test = self.validation_images or spec.num_test
            there = {"train_images": spec.num_train - self.validation_images, "test_images": test}
            for key, most in there.items():
                if (asked := getattr(self, key)) and asked > most:
                    raise ValueError(f"{key}: asked for {asked} images; allowed: at most {most} of {self.name}")
        return self


class MuonConfig(Settings):
    """Configuration of Muon, an optimiser for the convolutions (Jordan, 2024).

    Its update is the semi-orthogonal matrix nearest to the gradient with momentum. It uses the schedule's learning rate. It keeps
    weights at the norm of an orthogonal matrix, so they have no weight decay.

    >>> fr.TrainConfig(muon=fr.MuonConfig(iterations=5)).muon
    MuonConfig(momentum=0.6, iterations=5)
    """

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.6
    iterations: PositiveInt = 3
    """Newton-Schulz iterations per step."""


class LarsConfig(Settings):
    """Configuration of LARS, an optimiser for the convolutions (You et al., 2017).

    The size of each layer's step is proportional to the norm of its weights.

    >>> fr.TrainConfig(lars=fr.LarsConfig(trust=0.002)).lars
    LarsConfig(trust=0.002)
    """

    trust: PositiveFloat = 0.001
    """Trust coefficient: size of a step over the norm of the weights, for a learning rate of 1 and without momentum."""


_RATES = ("lr", "learning_rate", "max_lr")
"""Keys that users look for in `TrainConfig`, although a learning rate belongs to the schedule."""
Measure = Literal["weight-norm", "gradient-norm", "channels", "eigenvalues", "recall", "test-halves"]


class TrainConfig(Settings):
    """Configuration of training and evaluation: optimisers, schedule, precision, kernels and test-time augmentation.

    >>> train = fr.TrainConfig(epochs=5, schedule=fr.OneCycle(max_lr=0.4), momentum=0.9)
    >>> fr.RunConfig(train=train).train.schedule.max_lr
    0.4
    """

    epochs: Annotated[float, Field(gt=0)] = 10.0
    """Number of epochs, which may be fractional: 0.5 trains on half of the batches of one epoch."""
    schedule: Schedule = Constant(lr=0.1)
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    nesterov: bool = False
    weight_decay: NonNegativeFloat = 0.0
    """Weight decay of SGD: each step reduces the weights by this share times the schedule's learning rate."""
    bias_lr_factor: PositiveFloat = 1.0
    """Learning rate of biases and trained batch-norm scales, as a multiple of the schedule's (Page, 2019)."""
    head_lr_factor: PositiveFloat = 1.0
    """Learning rate of the classifier's weights, as a multiple of the schedule's."""
    muon: MuonConfig | None = None
    """Muon for the convolutions and SGD for the rest; None uses no Muon."""
    lars: LarsConfig | None = None
    """LARS for the convolutions and SGD for the rest; None uses no LARS."""
    micro_batch: Annotated[int, Field(ge=4)] | None = None
    """Most images per micro-batch. A batch is computed in equal micro-batches with accumulated gradients, so that activations
    stay in the processor's cache. Batch norm takes its statistics per micro-batch."""
    lookahead: PositiveInt | None = None
    """Steps between two updates of Lookahead's slow weights (Zhang et al., 2019), whose influence fades during the run."""
    freeze: tuple[tuple[Fraction, PositiveInt], ...] = ()
    """Pairs (share of the run, number of parts): from that point on, so many first parts of the network are frozen. The stem is
    one part, and each group, layer or stage is another."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Precision = "fp32"
    """Precision of the computation. `fp16` and `bf16` use autocast, and `fp16` also uses loss scaling."""
    channels_last: bool = True
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay per step of an exponential moving average of the weights, which is then evaluated; None keeps no average."""
    test_flip: bool = False
    """Test-time augmentation: average the logits of each test image and its mirror image."""
    test_shift: NonNegativeInt = 0
    """Test-time augmentation: shift each image by this many pixels to the upper left and lower right, with half the weight."""
    test_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the test images with test-time augmentation, the least confident ones. The others are evaluated once."""
    compile: bool = False
    """Train with torch.compile. Steps are faster, but the compilation counts as training time."""
    cuda_graph: bool = False
    """Capture each kind of training step as a CUDA graph and replay it with one call. Has an effect on a single GPU only."""
    fused_kernels: bool = False
    """Use Triton kernels for a `speednet` on a GPU: between convolutions, for the first layer, for the gradients of narrow
    filters, and for Muon except its matrix products. GELU then has an error of up to 1e-4, and the first layer and those
    gradients use TF32 for fp32. Has no effect on other devices."""
    matmul_gradients: bool = False
    """Compute the gradients of 3x3 filters as matrix products where images are small: see `compute.kernels.convolution`. This
    applies to processors only, and is faster on those with AMX."""
    time_parts: bool = False
    """Time the parts of every training step. The device is synchronised between them."""
    evaluate_every: PositiveInt = 1
    """Epochs between evaluations; the last epoch is always evaluated."""
    measure: tuple[Measure, ...] = ()
    """Additional measurements to store in the record: see `fastresnet.training.measuring`."""

    @model_validator(mode="before")
    @classmethod
    def _rate_in_the_schedule(cls, values: Any) -> Any:
        for key in _RATES:
            if isinstance(values, dict) and key in values:
                lr = values[key]
                allowed = f"schedule=Constant(lr={lr}), OneCycle(max_lr={lr}) or another; in YAML: {{kind: constant, lr: {lr}}}"
                raise ValueError(f"{key}: a learning rate belongs to its schedule; allowed: {allowed}")
        return values

    @model_validator(mode="after")
    def _possible(self) -> "TrainConfig":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: needs momentum > 0")
        if self.muon and self.lars:
            raise ValueError("lars: muon already trains the convolutions; allowed: one of the two")
        if self.cuda_graph:
            hindered = {
                "precision": self.precision == "fp16",  # the processor updates its loss scale
                "lars": self.lars is not None,
                "time_parts": self.time_parts,
                "schedule": self.schedule.momentum(0, 1) is not None,
            }
            for name in (name for name, hinders in hindered.items() if hinders):
                raise ValueError(f"cuda_graph: a step cannot be recorded with {name} as it is; set cuda_graph to false")
        if self.compile and self.fused_kernels:
            raise ValueError("fused_kernels: torch.compile makes kernels of its own; allowed: one of the two")
        if self.compile and self.matmul_gradients:
            raise ValueError("matmul_gradients: not tried with torch.compile; allowed: one of the two")
        if any(after <= before for before, after in pairwise(self.freeze)):
            raise ValueError(f"freeze: shares must increase, got {list(self.freeze)}")
        return self


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
        schedule may also be replaced as a whole.

        Raises UserError for a path or value that is not allowed.
        """
        values = self.model_dump(mode="json")
        known = [f"{section}.{key}" for section, keys in values.items() for key in keys]
        for path, value in changes.items():
            section, *between, key = path.split(".") if "." in path else (path, "")
            if not key or section not in values:
                hint = suggestion(path, known)
                raise UserError(f"{path}: unknown key{hint}; allowed: SECTION.KEY with a section of {', '.join(values)}")
            if path.removeprefix("train.") in _RATES:
                fields = (name for name in type(self.train.schedule).model_fields if name.endswith(("lr", "points")))
                allowed = ", ".join(f"train.schedule.{name}" for name in fields)
                raise UserError(f"{path}: a learning rate belongs to its schedule; allowed: {allowed}")
            inner = values[section]
            for step in between:
                if step not in inner:
                    key = step  # an unknown key, which is refused below
                    break
                inner = inner[step]
                if not isinstance(inner, dict):
                    raise UserError(f"{path}: {step} has no keys; allowed: {section}.{step}=VALUE")
            inner[key] = value
        return parse(values, RunConfig, "changes")


def _non_defaults(part: BaseModel, implied: type[BaseModel] | None = None) -> dict[str, Any]:
    """Values that differ from their defaults. The `kind` of a model is always among them, except for the `implied` class."""
    kept = {}
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if value != field.default or (name == "kind" and type(part) is not implied):
            kept[name] = _non_defaults(value) if isinstance(value, BaseModel) else value
    return kept
