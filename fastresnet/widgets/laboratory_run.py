"""A run of the laboratory, as far as it has been trained. It is trained in a thread, while the laboratory shows it."""

import math
import threading
from collections.abc import Callable
from typing import Any

from torch import Tensor

import fastresnet
from fastresnet.config import RunConfig
from fastresnet.errors import first_line
from fastresnet.records.record import EpochRecord, RunRecord
from fastresnet.training.progress import TakenStep, Watcher

_MOST_POINTS = 300


class Stopped(Exception):
    """Ends a run that somebody has stopped."""


class LaboratoryRun(Watcher):
    """A run: its configuration, the name of its schedule, possibly "", and the curves so far, as pairs of epoch and value."""

    def __init__(
        self, config: RunConfig, name: str, network: str, stop: threading.Event, changed: Callable[["LaboratoryRun"], None]
    ) -> None:
        self.config, self.name, self.network, self._stop, self._changed = config, name, network, stop, changed
        self.state, self.steps, self.share_done = "waiting", 0, 0.0
        self.record: RunRecord | None = None
        self.rates: list[tuple[float, float]] = []
        self.losses: list[tuple[float, float]] = []
        self.accuracies: list[tuple[float, float]] = []
        self._sum: float | Tensor = 0.0
        self._summed = 0

    def train(self) -> None:
        """Trains, until the end or until it is stopped. What goes wrong is told by `state`, in one line."""
        self.state = "training"
        try:
            self.record = fastresnet.train(self.config, watch=self).record
            self.state = self.record.outcome.reason or self.record.outcome.status
        except Stopped:
            self.state = f"stopped after {self.steps} steps"
        except Exception as error:  # shown in the list of runs; in a thread, nobody would see it
            self.state = f"failed: {first_line(error)}"

    def step_done(self, step: TakenStep) -> None:
        """Notes the rate, and the mean loss since it was last noted."""
        if self._stop.is_set():
            raise Stopped
        self.steps, self.share_done = step.number, step.number / step.total
        self._sum, self._summed = self._sum + step.loss, self._summed + 1
        if step.number % math.ceil(step.total / _MOST_POINTS) == 0 or step.number == step.total:
            epoch, loss = self.share_done * self.config.train.epochs, float(self._sum) / self._summed
            self.rates.append((epoch, step.lr))
            if math.isfinite(loss):  # JSON knows no other numbers
                self.losses.append((epoch, loss))
            self._sum, self._summed = 0.0, 0
        self._changed(self)

    def epoch_done(self, epoch: EpochRecord) -> None:
        """Notes the accuracy."""
        if epoch.test_accuracy is not None:
            self.accuracies.append((min(epoch.epoch, self.config.train.epochs), epoch.test_accuracy))

    def shown(self) -> dict[str, Any]:
        """The run's names, state, schedule and curves, as the widget's script displays them."""
        curves = {"rates": [*self.rates], "losses": [*self.losses], "accuracies": [*self.accuracies]}
        train, said = self.config.train, {"name": self.name, "network": self.network, "state": self.state}
        return {**said, "schedule": train.schedule.model_dump(mode="json"), "epochs": train.epochs, **curves}
