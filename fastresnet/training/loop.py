"""The training loop: epochs, evaluations, checkpoints.

    result = train_epochs(config.train, model, train_batches, test_batches, timer=Timer(device))

Nothing in the loop waits for the device: losses stay there until the epoch ends. The end of the epoch is
also when a loss that is not finite is noticed; the run then ends as `diverged`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastresnet.compute.costs import Timer
from fastresnet.compute.provenance import origin
from fastresnet.config import TrainConfig
from fastresnet.data.batches import ImageBatches
from fastresnet.data.loaders import Batches
from fastresnet.errors import UserError, first_line
from fastresnet.records.record import EpochRecord, Origin, Outcome, Seconds, in_percent
from fastresnet.records.torch_files import write_state
from fastresnet.training.checkpoints import read_checkpoint
from fastresnet.training.evaluation import Score, evaluate
from fastresnet.training.feed import Feed
from fastresnet.training.measuring import with_batch_statistics
from fastresnet.training.probes import weight_norm
from fastresnet.training.progress import TakenStep, Watcher
from fastresnet.training.step import Steps


@dataclass(frozen=True)
class FitResult:
    """Result of training: its epochs, its outcome, and the network that was evaluated (with EMA, the averaged weights).

    >>> batch = torch.zeros(8, 1, 28, 28), torch.arange(8)
    >>> result = fr.fit(fr.resnet10(in_channels=1), [batch], epochs=2)
    >>> result.outcome.status, len(result.epochs), result.test_accuracy
    ('finished', 2, None)
    """

    epochs: tuple[EpochRecord, ...]
    outcome: Outcome
    """Whether training `finished`, or `diverged`: the loss stopped being a finite number."""
    seconds: Seconds
    model: nn.Module
    score: Score | None
    """Accuracy and loss of the last evaluation of this call; None if it evaluated nothing."""
    steps: Steps
    origins: tuple[Origin, ...]
    """What trained the run: several if it was interrupted and went on elsewhere, the last one last."""

    @property
    def test_accuracy(self) -> float | None:
        """Test accuracy at the end, in [0, 1]; None without test batches, or if the run diverged."""
        return None if self.outcome.status == "diverged" else self.epochs[-1].test_accuracy

    def __repr__(self) -> str:
        accuracy = "" if self.test_accuracy is None else f", test accuracy {in_percent(self.test_accuracy)}"
        return f"FitResult({self.outcome.status}, {len(self.epochs)} epochs{accuracy}, {self.seconds.train:.1f} s of training)"


def train_epochs(
    config: TrainConfig,
    model: nn.Module,
    train_batches: Batches,
    test_batches: Batches | None,
    *,
    timer: Timer,
    checkpoint: Path | None = None,
    identity: str = "",
    watchers: Sequence[Watcher] = (),
) -> FitResult:
    """Trains a network in place, evaluating as configured if there are test batches.

    With `checkpoint`, the state is saved to that file after every epoch, and training resumes from a file that is already
    there. Raises UserError if that file was saved under another `identity`. On a CPU the resumed run equals the uninterrupted one
    bit for bit. The processes of the batches' group train one network together.
    """
    loop = _Loop(config, model, train_batches, timer, watchers)
    try:
        if checkpoint:
            loop.restore(checkpoint, identity)
        while not loop.finished:
            loop.run_epoch(test_batches)
            if checkpoint and not loop.finished:
                loop.save(checkpoint, identity)
            for watcher in watchers:  # once the epoch is kept, since a watcher may end the run
                watcher.epoch_done(loop.epochs[-1])
    finally:
        evaluated = loop.steps.finish()
    outcome = Outcome(status="finished")
    if loop.diverged:
        outcome = Outcome(status="diverged", reason=f"the loss was not finite in epoch {len(loop.epochs)}")
    seconds = Seconds(**timer.seconds)
    return FitResult(tuple(loop.epochs), outcome, seconds, evaluated, loop.score, loop.steps, tuple(loop.origins))


class _Loop:
    """Training in progress: the state that a checkpoint has to hold."""

    def __init__(
        self, config: TrainConfig, model: nn.Module, batches: Batches, timer: Timer, watchers: Sequence[Watcher]
    ) -> None:
        self.config, self.batches, self.group, self.timer, self.watchers = config, batches, batches.group, timer, watchers
        total = max(1, round(config.epochs * len(batches)))
        self.steps = Steps(config, model, total, timer.device, batches.group)
        self.epochs: list[EpochRecord] = []
        self.score: Score | None = None
        self.origins = [origin(timer.device)]
        self.feed = Feed(batches, timer.device, self.steps.parts)

    @property
    def diverged(self) -> bool:
        if not self.epochs:
            return False
        last = self.epochs[-1]
        return last.train_loss is None or (last.test_accuracy is not None and last.test_loss is None)

    @property
    def finished(self) -> bool:
        return self.diverged or self.steps.finished

    def run_epoch(self, test_batches: Batches | None) -> None:
        """Trains one epoch, or the rest of the run if that is shorter, and evaluates if an evaluation is due."""
        index = len(self.epochs)
        before = dict(self.timer.seconds)
        with self.timer.phase("train"), self.steps.on_their_stream:  # a phase waits for the device at both ends
            loss, accuracy = self._train_epoch(index)
            self.group.average(self.steps.per_process_state())
        score = None
        due = (index + 1) % self.config.evaluate_every == 0 or self.steps.finished
        if test_batches and due and math.isfinite(loss):
            with self.timer.phase("evaluate"):
                score = self.score = self._evaluate(self.steps.evaluated_model, test_batches)
        by_batch = None
        if test_batches and score and "batch-statistics" in self.config.measure:
            by_batch = self._evaluate(with_batch_statistics(self.steps.evaluated_model), test_batches).accuracy
        norm = weight_norm(self.steps.model) if "weight-norm" in self.config.measure else None
        self.epochs.append(
            EpochRecord(
                epoch=index + 1,
                lr=self.steps.lr,
                train_loss=loss if math.isfinite(loss) else None,
                train_accuracy=accuracy,
                test_loss=score.loss if score and math.isfinite(score.loss) else None,
                test_accuracy=score and score.accuracy,
                train_seconds=self.timer.seconds["train"] - before["train"],
                evaluate_seconds=self.timer.seconds["evaluate"] - before["evaluate"],
                weight_norm=norm if norm is not None and math.isfinite(norm) else None,
                test_accuracy_by_batch=by_batch,
            )
        )

    def _train_epoch(self, index: int) -> tuple[float, float]:
        """Trains one epoch; returns the mean loss and the accuracy over its images."""
        self.steps.model.train()
        epoch_losses = [epoch.train_loss or 0.0 for epoch in self.epochs]
        losses: list[Tensor] = []
        image_losses: list[Tensor] = []
        correct: list[Tensor] = []
        num_images, group = 0, self.group
        for images, labels in self.feed.epoch(index):
            loss, logits = self.steps.take(images, labels, epoch_losses)
            losses.append(loss * len(labels))
            correct.append((logits.argmax(dim=1) == labels).sum())
            if self.batches.losses is not None:
                image_losses.append(functional.cross_entropy(logits.float(), labels, reduction="none"))
            num_images += len(labels) * group.size
            for watcher in self.watchers:
                watcher.step_done(TakenStep(self.steps.taken, self.steps.total, len(labels) * group.size, loss, self.steps.lr))
            if self.steps.finished:
                break
        if not losses:
            raise UserError("train: an epoch without a batch; allowed: batches that can be gone through again")
        if isinstance(self.batches, ImageBatches) and image_losses and not self.steps.finished:
            self.batches.note_losses(index, torch.cat(image_losses))
        if not self.steps.finished:
            self.feed.begin(index + 1)
        # the only transfer from the device per epoch, besides the losses per image
        total_loss, num_correct = group.sum(torch.stack([torch.stack(losses).sum(), torch.stack(correct).sum()])).tolist()
        return total_loss / num_images, num_correct / num_images

    def _evaluate(self, model: nn.Module, batches: Batches) -> Score:
        return evaluate(
            model,
            batches,
            precision=self.config.precision,
            channels_last=self.config.channels_last,
            test_flip=self.config.test_flip,
            test_shift=self.config.test_shift,
            test_share=self.config.test_share,
        )

    def save(self, path: Path, identity: str) -> None:
        """Writes the state atomically: a reader finds the old file or the new one. Only the first process of the group writes."""
        own = {
            "random": torch.get_rng_state(),
            "device_random": torch.cuda.get_rng_state(self.timer.device) if self.timer.device.type == "cuda" else None,
            "seconds": dict(self.timer.seconds),
            "step_seconds": dict(self.steps.parts.seconds),
        }
        state = {
            "identity": identity,
            **self.steps.state_dict(),
            "epochs": [epoch.model_dump_json() for epoch in self.epochs],
            "origins": [each.model_dump_json() for each in self.origins],
            "image_losses": self.batches.losses,
            "processes": self.group.gather(own),
        }
        if self.group.is_first:
            write_state(state, path)

    def restore(self, path: Path, identity: str) -> None:
        """Resumes from a saved state, if there is one. Raises UserError if the file is damaged or belongs to another run."""
        state = read_checkpoint(path, identity, self.timer.device, self.group)
        if state is None:
            return
        try:
            self._take_up(state)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise UserError(
                f"{path}: a checkpoint of another version of fastresnet or torch ({first_line(error)}); remove it to start the "
                "run again"
            ) from error
        for watcher in self.watchers:
            watcher.resumed(self.epochs, self.steps.taken)

    def _take_up(self, state: dict[str, Any]) -> None:
        self.steps.load_state_dict(state)
        self.epochs = [EpochRecord.model_validate_json(epoch) for epoch in state["epochs"]]
        earlier = map(Origin.model_validate_json, state["origins"])
        self.origins[:-1] = (each for each in earlier if each != self.origins[-1])
        if self.batches.losses is not None:
            self.batches.losses = state["image_losses"].cpu().reshape_as(self.batches.losses)
        own = state["processes"][self.group.rank]
        torch.set_rng_state(own["random"].cpu())
        if own["device_random"] is not None:
            torch.cuda.set_rng_state(own["device_random"].cpu(), self.timer.device)
        self.timer.seconds["train"] = 0.0  # what prepared the network, which the checkpoint replaces
        for timer, saved in ((self.timer, own["seconds"]), (self.steps.parts, own["step_seconds"])):
            for phase, seconds in saved.items():
                timer.seconds[phase] += seconds
