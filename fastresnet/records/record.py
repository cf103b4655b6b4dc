"""What is kept of a run: its whole configuration, every epoch, and what it ran on. Free of torch."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from fastresnet.config import RunConfig
from fastresnet.config.base import Frozen


class EpochRecord(Frozen):
    """One epoch. Accuracies in [0, 1], losses in nats.

    A loss that is not a finite number is None; so are the test columns of an epoch that was not evaluated.
    """

    epoch: int
    lr: float
    """Learning rate of the epoch's last step."""
    train_loss: float | None
    train_accuracy: float
    """Over the batches as they came, augmented, while the weights moved."""
    test_loss: float | None
    test_accuracy: float | None
    train_seconds: float
    evaluate_seconds: float
    weight_norm: float | None = None
    """Euclidean norm of all convolutions' weights at the end of the epoch, where the run was asked for it."""


class Seconds(Frozen):
    """Wall seconds by phase; `fastresnet.compute.costs` says what each counts."""

    build: float
    prepare: float
    train: float
    evaluate: float


class StepSeconds(Frozen):
    """Wall seconds of all training steps by part; `fastresnet.compute.costs.STEP_PARTS` says what each is."""

    loader: float
    transfer: float
    forward: float
    backward: float
    optimiser: float


class Machine(Frozen):
    """Hardware a run was timed on."""

    processor: str
    cores: int
    threads: int
    memory_gib: int
    device: str
    """torch's name of its type: cpu, cuda, mps."""
    gpu: str | None
    system: str


class DataRecord(Frozen):
    """Which images: the source's kind and the digest of each split as it was used."""

    source: str
    train_images: int
    train_digest: str
    test_images: int
    test_digest: str


class Outcome(Frozen):
    """How a run ended: `diverged` means that the loss stopped being a finite number."""

    status: Literal["finished", "diverged", "failed"]
    reason: str | None = None


class RunRecord(Frozen):
    """One run. `config.hash` and `seed` together name it."""

    schema_version: Literal[1] = 1
    config_hash: str
    seed: int
    config: RunConfig
    outcome: Outcome
    epochs: tuple[EpochRecord, ...]
    seconds: Seconds
    processes: tuple[Seconds, ...] = ()
    """Seconds of every process, by rank, of a run over several; `seconds` and `machine` are then the first one's."""
    step_seconds: StepSeconds | None = None
    """Seconds by part of a step, for a run that timed them."""
    measured: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """What the run was asked to measure, by name: a value a layer, or an eigenvalue each."""
    training_flops: float
    """Operations of all training steps: convolutions and matrix products, forward and backward."""
    peak_memory_bytes: int
    """Peak memory of the process; of a run over several processes, that of the largest."""
    parameters: int
    data: DataRecord | None
    machine: Machine
    versions: dict[str, str]
    source_revision: str
    """The commit that ran, with "+changes" where the working tree differed from it."""
    started: datetime
    started_from: str | None = None
    """Digest of the saved weights that training began with; None for a fresh network."""

    def __repr__(self) -> str:
        accuracy = "" if self.test_accuracy is None else f", test accuracy {self.test_accuracy:.2%}"
        seconds = f"{self.seconds.train:.1f} s of training"
        return f"RunRecord({self.config_hash}, seed {self.seed}, {self.outcome.status}{accuracy}, {seconds})"

    @property
    def test_accuracy(self) -> float | None:
        """Accuracy at the end, in [0, 1]; None for a run that never was evaluated."""
        return self.epochs[-1].test_accuracy if self.epochs else None

    @property
    def epochs_trained(self) -> float:
        """Epochs, also where the last is a fraction or the run ended before its time."""
        return min(len(self.epochs), self.config.train.epochs)

    @property
    def images_trained(self) -> float:
        """Images of all training steps, each time that one was used."""
        return self.epochs_trained * (self.data.train_images if self.data else 0)

    def seconds_to(self, accuracy: float) -> float | None:
        """Training seconds until an evaluation first reached an accuracy; None if none did."""
        elapsed = 0.0
        for epoch in self.epochs:
            elapsed += epoch.train_seconds
            if epoch.test_accuracy is not None and epoch.test_accuracy >= accuracy:
                return elapsed
        return None
