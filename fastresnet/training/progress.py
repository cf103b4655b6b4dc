"""The progress bar of a run: images per second, time left, loss and accuracy."""

import sys
import time
from collections.abc import Sequence

from torch import Tensor
from tqdm import tqdm

from fastresnet.records.record import EpochRecord

_SECONDS_BETWEEN_LOSSES = 1.0


class ProgressBar:
    """A plain text bar on standard error. Reading the loss waits for the device, so it happens at most once per second."""

    def __init__(self, label: str, total_images: int, batch_size: int) -> None:
        self._bar = tqdm(desc=label, total=total_images, unit="image", unit_scale=True, file=sys.stderr)
        self._batch_size = batch_size
        self._loss = self._accuracy = "-"
        self._read_at = 0.0

    def step_done(self, num_images: int, loss: Tensor) -> None:
        """Counts a training step."""
        self._bar.update(num_images)
        if time.perf_counter() - self._read_at > _SECONDS_BETWEEN_LOSSES:
            self._loss = f"{float(loss):.3f}"
            self._show()

    def epoch_done(self, epoch: EpochRecord) -> None:
        """Shows an epoch's mean training loss and, where it was evaluated, its accuracy."""
        self._loss = "not finite" if epoch.train_loss is None else f"{epoch.train_loss:.3f}"
        if epoch.test_accuracy is not None:
            self._accuracy = f"{epoch.test_accuracy:.2%}"
        self._show()

    def resume(self, epochs: Sequence[EpochRecord], step: int) -> None:
        """Continues the bar from a checkpoint: its epochs and its number of steps."""
        self._bar.initial = self._bar.n = step * self._batch_size
        self.epoch_done(epochs[-1])

    def close(self) -> None:
        """Closes the bar and leaves its last state on the screen."""
        self._bar.close()

    def _show(self) -> None:
        self._read_at = time.perf_counter()
        self._bar.set_postfix_str(f"loss {self._loss}, accuracy {self._accuracy}")
