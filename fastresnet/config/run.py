"""What a run is: frozen, strict models of its data, network and training, and the hash that names it. Free of torch.

    config = parsing.load_yaml(Path("run.yml"), RunConfig)
    shorter = config.with_changes({"train.epochs": 2})

The hash covers only values that differ from their default. A default therefore never changes its value or its meaning,
and a new switch defaults to what was done before it existed: old records then keep serving the requests they served.
"""

import hashlib
import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from fastresnet.config.base import Fraction, Settings
from fastresnet.config.datasets import SPECS
from fastresnet.config.models import FUSED_ACTIVATIONS, ModelConfig, ResNetConfig, SpeedNetConfig
from fastresnet.config.parsing import parse
from fastresnet.config.schedules import Constant, Schedule
from fastresnet.errors import UserError

GIVEN = "given"
"""Name of a data set that the caller hands over."""
ImageSize = Annotated[int, Field(ge=8)]
Precision = Literal["fp32", "fp16", "bf16"]


class PruneConfig(Settings):
    """Soft pruning of easy images, those whose last loss is below the mean of all (after InfoBatch, Qin et al., 2024, which also
    weighs up what it keeps of them).

    An epoch has as many images as ever. Where easy ones are skipped it is more than one pass over the set, in which the hard ones
    come again; its training loss and accuracy are theirs accordingly.
    """

    skip: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability that a pass leaves out an easy image."""
    start: PositiveInt = 1
    """Epochs before the first that skips: losses must be known."""


class DataConfig(Settings):
    """Which images, how many, in which batches, how augmented.

    Augmentations act on the images at their own size, in pixels of that size; `image_size` resizes afterwards.
    """

    name: str = "cifar10"
    """A data set of `fastresnet data list`, `folder:PATH` (train/CLASS/*.png and test/CLASS/*.png) or `tensors:PATH.npz`; `given`
    for one that the caller of `train` hands over."""
    train_images: PositiveInt | None = None
    """Stratified subset of the training images; None takes all."""
    test_images: PositiveInt | None = None
    """Stratified subset of the test images; None takes all."""
    validation_images: NonNegativeInt = 0
    """Held out of the training images and evaluated on in place of the test set, for tuning."""
    image_size: ImageSize | None = None
    """Side in pixels after a bilinear resize; None keeps the images as they are."""
    size_curriculum: tuple[tuple[NonNegativeFloat, ImageSize], ...] = ()
    """(epoch, side): from that epoch on, a fraction allowed, training images are resized to that side. `tensor` only."""
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
    prune: PruneConfig | None = None
    """Skip some of the easy images; None trains on every image once an epoch."""
    flip_test: bool = False
    """Mirror each test image by chance as well: a mistake of the original report's, kept to show what it does."""

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
        return self


class MuonConfig(Settings):
    """Muon for the convolutions (Jordan, 2024): momentum, then the nearest semi-orthogonal matrix as the update.

    The schedule's learning rate is Muon's; weights are kept at the norm of an orthogonal matrix, so none decay.
    """

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.6
    iterations: PositiveInt = 3
    """Newton-Schulz iterations."""


class LarsConfig(Settings):
    """LARS for the convolutions (You et al., 2017): each layer's step is a share of the norm of its weights."""

    trust: PositiveFloat = 0.001
    """That share, where the schedule's learning rate is 1 and without momentum."""


Measure = Literal["weight-norm", "gradient-norm", "channels", "eigenvalues", "recall", "test-halves"]


class TrainConfig(Settings):
    """Optimiser, schedule, and the numerics of the loop."""

    epochs: Annotated[float, Field(gt=0)] = 10.0
    """May be a fraction: 0.5 trains on half of the batches of one epoch."""
    schedule: Schedule = Constant(lr=0.1)
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    nesterov: bool = False
    weight_decay: NonNegativeFloat = 0.0
    """Each step takes this share, times the schedule's learning rate, off the weights of SGD."""
    bias_lr_factor: PositiveFloat = 1.0
    """Learning rate of every bias over the schedule's (Page, 2019), and of the scales of batch norm where they are trained."""
    head_lr_factor: PositiveFloat = 1.0
    """Learning rate of the classifier's weights over the schedule's."""
    muon: MuonConfig | None = None
    """Muon for the convolutions, SGD for the rest; None takes SGD for all."""
    lars: LarsConfig | None = None
    """LARS for the convolutions, SGD for the rest."""
    micro_batch: Annotated[int, Field(ge=4)] | None = None
    """A batch is computed in equal pieces of at most this many images, whose gradients add up, so that activations stay in
    the processor's cache. Batch norm sees a piece at a time."""
    lookahead: PositiveInt | None = None
    """Steps between two moves of Lookahead's slow weights (Zhang et al., 2019), whose pull fades as the run goes on."""
    freeze: tuple[tuple[Fraction, PositiveInt], ...] = ()
    """(share of the run, parts): from there on the network's first parts are no longer trained. The stem is one part,
    each group or stage another."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Precision = "fp32"
    """`fp16` and `bf16` run under autocast; `fp16` scales the loss."""
    channels_last: bool = True
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Evaluate an exponential moving average of the weights, updated every step."""
    test_flip: bool = False
    """Average the logits of every test image and its mirror image."""
    test_shift: NonNegativeInt = 0
    """Average also over the image moved by this many pixels to the upper left and to the lower right, half the weight."""
    test_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Average over those views only for this share of the images, the least confident ones; the others have one view."""
    compile: bool = False
    """Train through torch.compile: faster steps after a compilation that the clock counts as training."""
    cuda_graph: bool = False
    """Record a step's kernels once and have them repeated by one call: on one GPU; elsewhere it has no effect."""
    fused_kernels: bool = False
    """Compute by kernels in Triton what stands between the convolutions of a `speednet`, in few passes over memory, its patches,
    the gradients of its narrow filters, and what Muon does beside matrix products: on a GPU; elsewhere it has no effect. GELU is
    then off by up to 1e-4, and patches and gradients in fp32 are products in TF32."""
    matmul_gradients: bool = False
    """Take the gradients of 3x3 filters from matrix products where images are small, as `compute.kernels.convolution` says: on
    a processor, and faster on one with AMX; elsewhere it has no effect."""
    time_parts: bool = False
    """Time the parts of every step, waiting for the device between them."""
    evaluate_every: PositiveInt = 1
    """Epochs between evaluations; the last epoch is always evaluated."""
    measure: tuple[Measure, ...] = ()
    """What the record is to hold besides: see `fastresnet.training.measuring`."""

    @model_validator(mode="after")
    def _possible(self) -> "TrainConfig":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: needs momentum > 0")
        if self.muon and self.lars:
            raise ValueError("lars: the convolutions have muon already; allowed: one of the two")
        if self.cuda_graph:
            hindered = {
                "precision": self.precision == "fp16",  # whose loss scale is decided on by the processor
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


_OF_THE_SCHEDULE = {"train.lr": "lr", "train.learning_rate": "lr", "train.max_lr": "max_lr"}
"""What is looked for in `TrainConfig` and stands in its schedule."""


class RunConfig(Settings):
    """All that a run's result depends on, save its seed and the machine."""

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
        """Twelve hexadecimal digits that name this configuration."""
        changed = {part: _non_defaults(getattr(self, part), implied=ResNetConfig) for part in type(self).model_fields}
        return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:12]

    def with_changes(self, changes: Mapping[str, Any]) -> "RunConfig":
        """A copy with some values replaced, each named by its path: `{"train.epochs": 2, "train.schedule.max_lr": 0.2}`. A
        schedule may be given as one.

        Raises UserError for a path or value that is not allowed.
        """
        values = self.model_dump(mode="json")
        for path, value in changes.items():
            section, *between, key = path.split(".") if "." in path else (path, "")
            if not key or section not in values:
                raise UserError(f"{path}: unknown key; allowed: SECTION.KEY with a section of {', '.join(values)}")
            if path in _OF_THE_SCHEDULE:
                raise UserError(
                    f"{path}: a learning rate belongs to its schedule; allowed: train.schedule.{_OF_THE_SCHEDULE[path]}"
                )
            inner = values[section]
            for step in between:
                inner = inner.get(step)
                if not isinstance(inner, dict):
                    raise UserError(f"{path}: {step} holds nothing with a name; allowed: {section}.{step}=VALUE")
            inner[key] = value
        return parse(values, RunConfig, "changes")


def _non_defaults(part: BaseModel, implied: type[BaseModel] | None = None) -> dict[str, Any]:
    """Values that differ from their default, and which of several models this is, unless it is the `implied` one."""
    kept = {}
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if value != field.default or (name == "kind" and type(part) is not implied):
            kept[name] = _non_defaults(value) if isinstance(value, BaseModel) else value
    return kept
