"""Configuration of a run's training: optimisers, schedule, precision and evaluation. Does not import torch."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from fastresnet.config.base import INCREASING, Fraction, Settings
from fastresnet.config.schedules import Constant, Schedule

Precision = Literal["fp32", "fp16", "bf16"]


class MuonConfig(Settings):
    """Configuration of Muon, an optimiser for the convolutions (Jordan, 2024).

    Its update is the semi-orthogonal matrix nearest to the gradient with momentum. It uses the schedule's learning rate. It keeps
    weights at the norm of an orthogonal matrix, so they have no weight decay.

    >>> fr.TrainConfig(muon=fr.MuonConfig(iterations=5)).muon
    MuonConfig(momentum=0.6, iterations=5)
    """

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.6
    """Share of the momentum buffer that a step keeps."""
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


RATES = ("lr", "learning_rate", "max_lr")
"""Keys that users look for in `TrainConfig`, although a learning rate belongs to the schedule."""
Measure = Literal["weight-norm", "gradient-norm", "channels", "eigenvalues", "recall", "test-halves", "batch-statistics"]


class TrainConfig(Settings):
    """Configuration of training and evaluation: optimisers, schedule, precision, kernels and test-time augmentation.

    >>> train = fr.TrainConfig(epochs=5, schedule=fr.OneCycle(max_lr=0.4), momentum=0.9)
    >>> fr.RunConfig(train=train).train.schedule.max_lr
    0.4
    """

    epochs: Annotated[float, Field(gt=0)] = 10.0
    """Number of epochs, which may be fractional: 0.5 trains on half of the batches of one epoch."""
    schedule: Schedule = Constant(lr=0.1)
    """Learning rate by step, and for some schedules the momentum."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of SGD's momentum buffer that a step keeps; a schedule that moves the momentum replaces it."""
    nesterov: bool = False
    """Whether SGD takes Nesterov's momentum, as torch.optim.SGD does it."""
    weight_decay: NonNegativeFloat = 0.0
    """Weight decay of SGD and LARS: this share of the weights is added to the gradient, before the momentum. Its rate is the
    schedule's, whatever the factors below."""
    bias_lr_factor: PositiveFloat = 1.0
    """Learning rate of biases and trained batch-norm scales, as a multiple of the schedule's (Page, 2019); in a network of your
    own, of all vectors."""
    head_lr_factor: PositiveFloat = 1.0
    """Learning rate of the classifier's weights, as a multiple of the schedule's; in a network of your own, of all matrices."""
    muon: MuonConfig | None = None
    """Muon for the convolutions and SGD for the rest; None uses no Muon."""
    lars: LarsConfig | None = None
    """LARS for the convolutions and SGD for the rest; None uses no LARS."""
    micro_batch: Annotated[int, Field(ge=4)] | None = None
    """Most images per micro-batch. A batch is computed in equal micro-batches with accumulated gradients, so that activations
    stay in the processor's cache. Batch norm takes its statistics per micro-batch."""
    lookahead: PositiveInt | None = None
    """Steps between two updates of Lookahead's slow weights (Zhang et al., 2019), whose influence grows during the run."""
    freeze: Annotated[tuple[tuple[Fraction, PositiveInt], ...], INCREASING] = ()
    """Pairs (share of the run, number of parts): from that point on, so many first parts of the network are frozen. The stem is
    one part, and each group, layer or stage is another."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each label that is spread evenly over all classes (Szegedy et al., 2016)."""
    precision: Precision = "fp32"
    """Precision of the computation. `fp16` and `bf16` use autocast, and `fp16` also uses loss scaling."""
    channels_last: bool = True
    """Whether images and weights have torch's memory format channels_last, which convolutions are faster in."""
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
        for key in RATES:
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
        if "batch-statistics" in self.measure and self.fused_kernels:
            raise ValueError("measure: batch-statistics needs torch's batch norm; set fused_kernels to false")
        if "batch-statistics" in self.measure and (self.test_flip or self.test_shift) and self.test_share < 1:
            raise ValueError("measure: batch-statistics needs whole batches; set test_share to 1")
        return self
