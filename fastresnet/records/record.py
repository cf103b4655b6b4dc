"""The record of a run: its whole configuration, every epoch, and the machine it ran on. Does not import torch."""

from datetime import datetime
from statistics import fmean
from typing import Literal, Self

from pydantic import Field, model_validator

from fastresnet.config import RunConfig
from fastresnet.config.base import Frozen


def in_percent(share: float | None, digits: int = 2) -> str:
    """A share or an accuracy in [0, 1] as "94.00 %"; a dash for None."""
    return "—" if share is None else f"{100 * share:.{digits}f} %"


def as_printed(accuracy: float) -> str:
    """An accuracy in [0, 1] with the digits that the original prints, as "74.52 %" or "90 %"."""
    return f"{round(100 * accuracy, 2):g} %"


class EpochRecord(Frozen):
    """Results of one epoch. Accuracies are in [0, 1], losses in nats.

    A loss that is not finite is None. The test results of an epoch that was not evaluated are None.

    >>> batch = torch.zeros(8, 1, 28, 28), torch.arange(8)
    >>> result = fr.fit(fr.resnet10(in_channels=1), [batch], epochs=2)
    >>> result.epochs[-1].lr, result.epochs[-1].test_accuracy
    (0.1, None)
    """

    epoch: int
    """Counted from 1."""
    lr: float
    """Learning rate of the epoch's last step."""
    train_loss: float | None
    """Mean cross-entropy of the training batches in nats, with label smoothing if there is any, as `test_loss` never has; None if
    it was not finite."""
    train_accuracy: float
    """Accuracy on the augmented training batches, each scored by the weights before its own step."""
    test_loss: float | None
    test_accuracy: float | None
    """Accuracy on the test images, or on the held-out ones of a run with `data.validation_images`."""
    train_seconds: float
    evaluate_seconds: float
    weight_norm: float | None = None
    """Euclidean norm of all convolutions' weights at the end of the epoch; None unless the run was asked for it."""
    test_accuracy_by_batch: float | None = None
    """Test accuracy with batch norm's statistics taken from each test batch, not from training; None unless the run was asked
    for it."""


class Seconds(Frozen):
    """Wall-clock seconds per phase of a run. `fastresnet.compute.costs` defines the phases."""

    build: float
    prepare: float
    train: float
    evaluate: float


class StepSeconds(Frozen):
    """Wall-clock seconds of all training steps, per part of a step. `fastresnet.compute.costs.STEP_PARTS` defines the parts."""

    loader: float
    transfer: float
    forward: float
    backward: float
    optimiser: float


class Machine(Frozen):
    """Hardware that a run was timed on."""

    processor: str
    cores: int
    threads: int
    memory_gib: int
    device: str
    """Device type as torch names it: cpu, cuda or mps."""
    gpu: str | None
    system: str


class Origin(Frozen):
    """What trained a run, or a part of it: hardware, package versions, and revision of the source."""

    machine: Machine
    versions: dict[str, str]
    source_revision: str
    """Commit of the source that ran, with "+changes" if the working tree differed from it."""


class DataRecord(Frozen):
    """The images that a run used: kind of source, and number of images and digest of each split."""

    source: str
    train_images: int
    train_digest: str
    test_images: int
    test_digest: str


class Outcome(Frozen):
    """How a run ended. `diverged` means that the loss was no longer finite."""

    status: Literal["finished", "diverged", "failed"]
    reason: str | None = None


class RunRecord(Frozen):
    """The record of one run, which `config.hash` and `seed` identify.

    >>> data = {"name": "fashion-sample", "train_images": 100, "test_images": 100}
    >>> config = fr.RunConfig(data=data, model={"depth": 10, "in_channels": 1}, train={"epochs": 1})
    >>> record = fr.train(config).record
    >>> record.outcome.status, record.seed, record.config_hash == config.hash
    ('finished', 0, True)
    """

    schema_version: Literal[1] = 1
    config_hash: str
    seed: int
    config: RunConfig
    outcome: Outcome
    epochs: tuple[EpochRecord, ...]
    seconds: Seconds
    processes: tuple[Seconds, ...] = ()
    """Seconds of each process, by rank, if the run had several. `seconds` and `machine` are then the first process's."""
    step_seconds: StepSeconds | None = None
    """Seconds per part of a training step; None unless the run timed them."""
    measured: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """Values of the additional measurements, by name: `fastresnet.training.measuring` describes them."""
    training_flops: float
    """Floating-point operations of all training steps: convolutions and matrix products, forward and backward."""
    peak_memory_bytes: int
    """Peak memory of the process. For several processes, the largest of their peaks."""
    parameters: int
    data: DataRecord | None
    machine: Machine
    versions: dict[str, str]
    source_revision: str
    """Commit of the source that ran, with "+changes" if the working tree differed from it."""
    earlier: tuple[Origin, ...] = ()
    """What trained the parts before an interruption, if not the same as the rest."""
    started: datetime
    started_from: str | None = None
    """Digest of the saved weights that training began with; None for a fresh network."""

    @model_validator(mode="after")
    def _trained(self) -> Self:
        if self.outcome.status != "failed" and not (self.epochs and self.seconds.train > 0):
            raise ValueError(f"a run that {self.outcome.status} has epochs, and seconds of training")
        return self

    def __repr__(self) -> str:
        accuracy = "" if self.test_accuracy is None else f", test accuracy {in_percent(self.test_accuracy)}"
        seconds = f"{self.seconds.train:.1f} s of training"
        return f"RunRecord({self.config_hash}, seed {self.seed}, {self.outcome.status}{accuracy}, {seconds})"

    @property
    def test_accuracy(self) -> float | None:
        """Test accuracy after the last epoch, in [0, 1], on held-out training images if the run was evaluated on these; None if
        it was not evaluated, or diverged."""
        return self.epochs[-1].test_accuracy if self.epochs and self.outcome.status != "diverged" else None

    @property
    def train_accuracy(self) -> float | None:
        """Accuracy on the training batches of the last epoch, in [0, 1]; None if the run has not finished."""
        return self.epochs[-1].train_accuracy if self.outcome.status == "finished" else None

    @property
    def settled_accuracy(self) -> float | None:
        """Mean of the test accuracies of the last five epochs, in [0, 1]; None if the run has none at its end. At a constant
        rate, accuracy moves by points from epoch to epoch, and the last one is partly luck."""
        accuracies = [epoch.test_accuracy for epoch in self.epochs[-5:] if epoch.test_accuracy is not None]
        return None if self.test_accuracy is None else fmean(accuracies)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """All that trained a part of the run."""
        last = Origin(machine=self.machine, versions=self.versions, source_revision=self.source_revision)
        return (*self.earlier, last)

    @property
    def epochs_trained(self) -> float:
        """Number of epochs trained. It is fractional if the last epoch was, and smaller if the run ended early."""
        return min(len(self.epochs), self.config.train.epochs)

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return max(1, round(self.epochs_trained * self._steps_per_epoch)) if self.data else 0

    @property
    def images_trained(self) -> int:
        """Number of images in all training steps. An image counts each time it is used."""
        epochs, steps = divmod(self.steps, self._steps_per_epoch)
        return epochs * self.data.train_images + steps * self.config.data.batch_size if self.data else 0

    @property
    def _steps_per_epoch(self) -> int:
        return -(-self.data.train_images // self.config.data.batch_size) if self.data else 1

    def epochs_to(self, accuracy: float) -> int | None:
        """Number of epochs until an evaluation first reached an accuracy; None if none did."""
        reached = (number for number, epoch in enumerate(self.epochs, 1) if (epoch.test_accuracy or 0.0) >= accuracy)
        return next(reached, None)

    def seconds_to(self, accuracy: float) -> float | None:
        """Training seconds until an evaluation first reached an accuracy; None if none did."""
        epochs = self.epochs_to(accuracy)
        return None if epochs is None else sum(epoch.train_seconds for epoch in self.epochs[:epochs])
