"""The training loop: one for every precision and device.

    result = fit(config.train, model, train_batches, test_batches, timer=Timer(device))

Nothing in the loop waits for the device: losses stay there until the epoch ends. That is also when a loss that is no
longer a finite number is noticed, and the run ends as `diverged`.
"""

import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fastresnet.config import TrainConfig
from fastresnet.data.batches import Batches
from fastresnet.errors import UserError
from fastresnet.evaluation import Score, evaluate
from fastresnet.progress import ProgressBar
from fastresnet.records import EpochRecord, Outcome
from fastresnet.timing import Timer, autocast_slowdown

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class FitResult:
    """What a fit leaves: its epochs, how it ended, and the network that was evaluated (the average under EMA)."""

    epochs: tuple[EpochRecord, ...]
    outcome: Outcome
    images_trained: int
    model: nn.Module


def fit(
    config: TrainConfig,
    model: nn.Module,
    train_batches: Batches,
    test_batches: Batches,
    *,
    timer: Timer,
    checkpoint: Path | None = None,
    identity: str = "",
    bar: ProgressBar | None = None,
) -> FitResult:
    """Trains a network in place, evaluating as configured.

    With `checkpoint`, the whole state is saved there after every epoch, and a file that is already there is resumed;
    `identity` must then be what it was (UserError otherwise). On a CPU the resumed run equals the uninterrupted one bit
    for bit.
    """
    loop = _Loop(config, model, train_batches, timer, bar)
    if checkpoint and checkpoint.exists():
        loop.restore(checkpoint, identity)
    while not loop.finished:
        loop.run_epoch(test_batches)
        if checkpoint and not loop.finished:
            loop.save(checkpoint, identity)
    outcome = Outcome(status="finished")
    if loop.diverged:
        outcome = Outcome(status="diverged", reason=f"the loss was not finite in epoch {len(loop.epochs)}")
    return FitResult(tuple(loop.epochs), outcome, loop.images_trained, loop.evaluated_model)


def choose_device(name: str | None = None) -> torch.device:
    """The device asked for, or the fastest there is: cuda, mps, cpu. Raises UserError if torch cannot use it here."""
    available = [
        kind
        for kind, usable in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()), ("cpu", True))
        if usable
    ]
    if name is None:
        return torch.device(available[0])
    if name.partition(":")[0] not in available:
        raise UserError(f"device: torch {torch.__version__} cannot use {name!r} here; allowed: {', '.join(available)}")
    return torch.device(name)


def warn_if_autocast_is_slow(config: TrainConfig, device: torch.device) -> None:
    """Warns, with the cost measured on the spot, where half precision is slower than single precision."""
    if config.precision == "fp32" or device.type != "cpu":
        return
    slowdown = autocast_slowdown(device, PRECISIONS[config.precision])
    if slowdown > 1:
        warnings.warn(
            f"precision {config.precision} is slower than fp32 on this processor: a 3x3 convolution took {slowdown:.1f} "
            "times as long just now; use fp32 unless it is half precision itself that you study",
            stacklevel=2,
        )


class _Loop:
    """A fit in progress: everything that a checkpoint has to hold."""

    def __init__(self, config: TrainConfig, model: nn.Module, batches: Batches, timer: Timer, bar: ProgressBar | None) -> None:
        self.config, self.model, self.batches, self.timer, self.bar = config, model, batches, timer, bar
        device = timer.device
        self.layout = torch.channels_last if config.channels_last else torch.contiguous_format
        model.to(device).to(memory_format=self.layout)  # type: ignore[call-overload]  # missing from torch's stubs
        self.optimizer = torch.optim.SGD(
            model.parameters(),
            lr=config.schedule(0, self.total_steps),
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
        )
        # the scale only guards fp16, whose smallest numbers vanish; bf16 has the range of fp32
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.average: AveragedModel | None = None
        if config.ema_decay is not None:
            self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True)
        self.epochs: list[EpochRecord] = []
        self.step = 0
        self.images_trained = 0

    @property
    def total_steps(self) -> int:
        return max(1, round(self.config.epochs * len(self.batches)))

    @property
    def diverged(self) -> bool:
        if not self.epochs:
            return False
        last = self.epochs[-1]
        return last.train_loss is None or (last.test_accuracy is not None and last.test_loss is None)

    @property
    def finished(self) -> bool:
        return self.diverged or self.step >= self.total_steps

    @property
    def evaluated_model(self) -> nn.Module:
        return self.model if self.average is None else self.average.module

    def run_epoch(self, test_batches: Batches) -> None:
        """Trains one epoch, or what is left of the last, and evaluates if its turn has come."""
        index = len(self.epochs)
        before = dict(self.timer.seconds)
        with self.timer.phase("train"):
            loss, accuracy = self._train_epoch(index)
        score = None
        due = (index + 1) % self.config.evaluate_every == 0 or self.step >= self.total_steps
        if due and math.isfinite(loss):
            with self.timer.phase("evaluate"):
                score = self._evaluate(test_batches)
        self.epochs.append(
            EpochRecord(
                epoch=index + 1,
                lr=self.optimizer.param_groups[0]["lr"],
                train_loss=loss if math.isfinite(loss) else None,
                train_accuracy=accuracy,
                test_loss=score.loss if score and math.isfinite(score.loss) else None,
                test_accuracy=score and score.accuracy,
                train_seconds=self.timer.seconds["train"] - before["train"],
                evaluate_seconds=self.timer.seconds["evaluate"] - before["evaluate"],
            )
        )
        if self.bar:
            self.bar.epoch_done(self.epochs[-1])

    def _train_epoch(self, index: int) -> tuple[float, float]:
        """Mean loss and accuracy over the epoch's images."""
        self.model.train()
        losses: list[Tensor] = []
        correct: list[Tensor] = []
        num_images = 0
        for images, labels in self.batches.epoch(index):
            loss, logits = self._train_step(images, labels)
            losses.append(loss * len(labels))
            correct.append((logits.argmax(dim=1) == labels).sum())
            num_images += len(labels)
            if self.bar:
                self.bar.step_done(len(labels), loss)
            if self.step >= self.total_steps:
                break
        self.images_trained += num_images
        # the one transfer of the epoch
        total_loss, num_correct = torch.stack([torch.stack(losses).sum(), torch.stack(correct).sum()]).tolist()
        return total_loss / num_images, num_correct / num_images

    def _train_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        config = self.config
        self._set_learning_rate()
        images = images.contiguous(memory_format=self.layout)
        with torch.autocast(images.device.type, PRECISIONS[config.precision], enabled=config.precision != "fp32"):
            logits = self.model(images)
            loss = functional.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.step += 1
        return loss.detach(), logits.detach()

    def _set_learning_rate(self) -> None:
        schedule = self.config.schedule
        group = self.optimizer.param_groups[0]
        group["lr"] = schedule(self.step, self.total_steps, [epoch.train_loss or 0.0 for epoch in self.epochs])
        momentum = schedule.momentum(self.step, self.total_steps)
        if momentum is not None:
            group["momentum"] = momentum

    def _evaluate(self, batches: Batches) -> Score:
        return evaluate(
            self.evaluated_model,
            batches,
            precision=PRECISIONS[self.config.precision],
            channels_last=self.config.channels_last,
            test_flip=self.config.test_flip,
        )

    def save(self, path: Path, identity: str) -> None:
        """Writes the state in one move: a reader finds the old file or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        state = {
            "identity": identity,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "epochs": [epoch.model_dump_json() for epoch in self.epochs],
            "step": self.step,
            "images_trained": self.images_trained,
            "random": torch.get_rng_state(),
            "device_random": torch.cuda.get_rng_state(self.timer.device) if self.timer.device.type == "cuda" else None,
            "seconds": dict(self.timer.seconds),
        }
        torch.save(state, partial)
        partial.replace(path)

    def restore(self, path: Path, identity: str) -> None:
        """Takes up a saved state. Raises UserError if the file is damaged or of another run."""
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.timer.device, weights_only=True)
        except Exception as error:  # torch.load names no type: a cut-off archive is a RuntimeError, others differ
            raise UserError(f"{path}: not a readable checkpoint ({error}); remove it to start the run again") from error
        if state.get("identity") != identity:
            raise UserError(
                f"{path}: a checkpoint of run {state.get('identity')}, not of {identity}; remove it or name another file"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.epochs = [EpochRecord.model_validate_json(epoch) for epoch in state["epochs"]]
        self.step, self.images_trained = state["step"], state["images_trained"]
        torch.set_rng_state(state["random"].cpu())
        if state["device_random"] is not None:
            torch.cuda.set_rng_state(state["device_random"].cpu(), self.timer.device)
        for phase, seconds in state["seconds"].items():
            self.timer.seconds[phase] += seconds
        if self.bar:
            self.bar.resume(self.epochs, self.step)
