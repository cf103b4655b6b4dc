"""`Watcher`, the base class of callbacks that follow a run, and the progress bar of the command line.

class Printed(Watcher):
    def epoch_done(self, epoch: EpochRecord) -> None:
        print(epoch.test_accuracy)

fit(model, train, test, epochs=10, watch=Printed())
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from tqdm import tqdm

from fastresnet.errors import UserError
from fastresnet.records.record import EpochRecord, in_percent

_SECONDS_BETWEEN_LOSSES = 1.0


@dataclass(frozen=True)
class TakenStep:
    """A training step that has just been taken, as a `Watcher` is told of it.

    >>> class Rates(fr.Watcher):
    ...     def step_done(self, step):
    ...         print(step.number, step.total, step.lr)
    >>> batch = torch.zeros(8, 1, 28, 28), torch.arange(8)
    >>> _ = fr.fit(fr.resnet10(in_channels=1), [batch], epochs=2, watch=Rates())
    1 2 0.1
    2 2 0.1
    """

    number: int
    """Counted from 1."""
    total: int
    """Number of steps in the run."""
    num_images: int
    """Images of the batch, over all processes."""
    loss: Tensor
    """Mean loss of the batch, or of this process's share of it, on the device: reading it waits for the device, and the next step
    may overwrite it."""
    lr: float
    """Learning rate of the step."""


class Watcher:
    """Follows a run: a subclass overrides what it wants to know of. An exception that it raises ends the run and leaves the call
    that trains.

    >>> class Printed(fr.Watcher):
    ...     def epoch_done(self, epoch):
    ...         print(epoch.epoch, epoch.test_accuracy)
    >>> batch = torch.zeros(8, 1, 28, 28), torch.arange(8)
    >>> _ = fr.fit(fr.resnet10(in_channels=1), [batch], epochs=2, watch=Printed())
    1 None
    2 None
    """

    def resumed(self, epochs: Sequence[EpochRecord], step: int) -> None:
        """Called once if the run continues from a checkpoint, with the records of its epochs and its number of steps so far."""

    def step_done(self, step: TakenStep) -> None:
        """Called after every training step."""

    def epoch_done(self, epoch: EpochRecord) -> None:
        """Called after every epoch, once it has been evaluated if that was due, and is in the checkpoint if there is one."""


def check_watcher(watch: object) -> None:
    """Raises UserError for what is neither None nor a `Watcher`."""
    if not isinstance(watch, Watcher | None):
        raise UserError(f"watch: must be an object of a subclass of fastresnet.Watcher, got {watch!r}")


class ProgressBar(Watcher):
    """A plain text bar on standard error: images per second, time left, loss and accuracy.

    Reading the loss waits for the device, so it happens at most once per second.
    """

    def __init__(self, label: str, total_images: int, batch_size: int) -> None:
        self._bar = tqdm(desc=label, total=total_images, unit="image", unit_scale=True, file=sys.stderr)
        self._batch_size = batch_size
        self._loss = self._accuracy = "-"
        self._read_at = 0.0

    def resumed(self, epochs: Sequence[EpochRecord], step: int) -> None:
        """Continues the bar from where the checkpoint was."""
        self._bar.initial = self._bar.n = step * self._batch_size
        self.epoch_done(epochs[-1])

    def step_done(self, step: TakenStep) -> None:
        """Counts a training step."""
        self._bar.update(step.num_images)
        if time.perf_counter() - self._read_at > _SECONDS_BETWEEN_LOSSES:
            self._loss = f"{float(step.loss):.3f}"
            self._show()

    def epoch_done(self, epoch: EpochRecord) -> None:
        """Shows an epoch's mean training loss and, where it was evaluated, its accuracy."""
        self._loss = "not finite" if epoch.train_loss is None else f"{epoch.train_loss:.3f}"
        if epoch.test_accuracy is not None:
            self._accuracy = in_percent(epoch.test_accuracy)
        self._show()

    def close(self) -> None:
        """Closes the bar and leaves its last state on the screen."""
        self._bar.close()

    def _show(self) -> None:
        self._read_at = time.perf_counter()
        self._bar.set_postfix_str(f"loss {self._loss}, accuracy {self._accuracy}")
