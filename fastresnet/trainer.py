"""The training loop: one for every precision and device.

    result = fit(config.train, model, train_batches, test_batches, timer=Timer(device))

Nothing in the loop waits for the device: losses stay there until the epoch ends. That is also when a loss that is no
longer a finite number is noticed, and the run ends as `diverged`.
"""

import copy
import math
import operator
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fastresnet.checkpoints import read_checkpoint, write_checkpoint
from fastresnet.config import TrainConfig
from fastresnet.data.batches import Batches
from fastresnet.device import PRECISIONS
from fastresnet.distributed import accumulate
from fastresnet.errors import UserError, first_line
from fastresnet.evaluation import Score, evaluate
from fastresnet.graphs import StepGraphs
from fastresnet.optim import Lookahead, make_optimizers, set_rates
from fastresnet.probes import weight_norm
from fastresnet.progress import ProgressBar
from fastresnet.records import EpochRecord, Outcome
from fastresnet.timing import STEP_PARTS, Timer, training_flops_per_image


@dataclass(frozen=True)
class FitResult:
    """What a fit leaves: its epochs, how it ended, and the network that was evaluated (the average under EMA)."""

    epochs: tuple[EpochRecord, ...]
    outcome: Outcome
    training_flops: float
    model: nn.Module
    step_seconds: dict[str, float] | None
    """By part of a step, where the configuration asks for it."""


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
    for bit. The processes of the batches' team train one network together.
    """
    loop = _Loop(config, model, train_batches, timer, bar)
    if checkpoint:
        loop.restore(checkpoint, identity)
    while not loop.finished:
        loop.run_epoch(test_batches)
        if checkpoint and not loop.finished:
            loop.save(checkpoint, identity)
    outcome = Outcome(status="finished")
    if loop.diverged:
        outcome = Outcome(status="diverged", reason=f"the loss was not finite in epoch {len(loop.epochs)}")
    step_seconds = loop.parts.seconds if config.time_parts else None
    return FitResult(tuple(loop.epochs), outcome, loop.training_flops(), loop.evaluated_model, step_seconds)


def _freeze(model: nn.Module, parts: int) -> None:
    """Stops training the first parts of a network; those frozen before stay so."""
    for part in islice(model.parts(), parts) if parts else ():  # type: ignore[operator]
        part.requires_grad_(False)


class _Loop:
    """A fit in progress: everything that a checkpoint has to hold."""

    def __init__(self, config: TrainConfig, model: nn.Module, batches: Batches, timer: Timer, bar: ProgressBar | None) -> None:
        self.config, self.model, self.batches, self.timer, self.bar = config, model, batches, timer, bar
        self.team, device = batches.team, timer.device
        self.parts = Timer(device, STEP_PARTS, enabled=config.time_parts)
        self.layout = torch.channels_last if config.channels_last else torch.contiguous_format
        model.to(device).to(memory_format=self.layout)  # type: ignore[call-overload]  # missing from torch's stubs
        graphed = config.cuda_graph and device.type == "cuda" and self.team.size == 1
        self.optimizers = make_optimizers(config, model, graphed=graphed)
        self.forward = self.team.replicate(model, compiled=config.compile, freezes=bool(config.freeze))
        self.lookahead = Lookahead(model, config.lookahead) if config.lookahead else None
        self.lr = 0.0
        # the scale only guards fp16, whose smallest numbers vanish; bf16 has the range of fp32
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.average: AveragedModel | None = None
        if config.ema_decay is not None:
            self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True)
        self.graphs = StepGraphs() if graphed else None
        # a graph is recorded on a stream of its own; everything else of a step goes there too, and nobody waits for anybody
        self.stream = torch.cuda.stream(torch.cuda.Stream(device)) if graphed else nullcontext()
        self.epochs: list[EpochRecord] = []
        self.step = 0
        self.frozen_parts = 0
        # images trained on, by what one costs: its shape [C, H, W], and the parts that were frozen
        self.images_trained: Counter[tuple[tuple[int, ...], int]] = Counter()
        self._shadow = copy.deepcopy(model).to("meta")

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
        with self.timer.phase("train"), self.stream:
            loss, accuracy = self._train_epoch(index)
            self.team.average(self._seen_apart())
        score = None
        due = (index + 1) % self.config.evaluate_every == 0 or self.step >= self.total_steps
        if due and math.isfinite(loss):
            with self.timer.phase("evaluate"):
                score = self._evaluate(test_batches)
        self.epochs.append(
            EpochRecord(
                epoch=index + 1,
                lr=self.lr,
                train_loss=loss if math.isfinite(loss) else None,
                train_accuracy=accuracy,
                test_loss=score.loss if score and math.isfinite(score.loss) else None,
                test_accuracy=score and score.accuracy,
                train_seconds=self.timer.seconds["train"] - before["train"],
                evaluate_seconds=self.timer.seconds["evaluate"] - before["evaluate"],
                weight_norm=weight_norm(self.model) if "weight-norm" in self.config.measure else None,
            )
        )
        if self.bar:
            self.bar.epoch_done(self.epochs[-1])

    def _train_epoch(self, index: int) -> tuple[float, float]:
        """Mean loss and accuracy over the epoch's images."""
        self.model.train()
        losses: list[Tensor] = []
        correct: list[Tensor] = []
        num_images, team, batches = 0, self.team, self.batches.epoch(index)
        while batch := self._next(batches):
            images, labels = batch
            loss, logits = self._train_step(images, labels)
            losses.append(loss * len(labels))
            correct.append((logits.argmax(dim=1) == labels).sum())
            num_images += len(labels) * team.size
            self.images_trained[tuple(images.shape[1:]), self.frozen_parts] += len(labels) * team.size
            if self.bar:
                self.bar.step_done(len(labels) * team.size, loss)
            if self.step >= self.total_steps:
                break
        # the one transfer of the epoch
        total_loss, num_correct = team.sum(torch.stack([torch.stack(losses).sum(), torch.stack(correct).sum()])).tolist()
        return total_loss / num_images, num_correct / num_images

    def _seen_apart(self) -> Iterator[Tensor]:
        """What differs from process to process: all that batch norm keeps of its share of the images."""
        yield from self.model.buffers()
        if self.average:
            yield from self.average.buffers()
        if self.lookahead:
            yield from self.lookahead.slow

    def _next(self, batches: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor] | None:
        """The next batch, on the device; None after the last."""
        with self.parts.phase("loader"):
            batch = next(batches, None)
        if batch is None:
            return None
        with self.parts.phase("transfer"):
            images, labels = (each.to(self.timer.device, non_blocking=True) for each in batch)
            return images, labels

    def _train_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Takes one step of the schedule; returns the batch's mean loss and its logits."""
        self._follow_schedule()
        if self.graphs:
            loss, logits = self.graphs(self._update, images, labels, self.frozen_parts)
        else:
            loss, logits = self._update(images, labels)
        self.step += 1
        if self.lookahead is not None:
            self.lookahead.step_done(self.step, self.total_steps)
        if self.average is not None:
            self.average.update_parameters(self.model)
        return loss, logits

    def _update(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Takes one optimiser step."""
        self.model.zero_grad(set_to_none=True)
        num_pieces = math.ceil(len(labels) / (self.config.micro_batch or len(labels)))
        pieces: list[tuple[Tensor, Tensor]] = []
        for piece in zip(images.tensor_split(num_pieces), labels.tensor_split(num_pieces), strict=True):
            with accumulate(self.forward, more=len(pieces) + 1 < num_pieces):
                pieces.append(self._backward(*piece, share=len(piece[1]) / len(labels)))
        with self.parts.phase("optimiser"):
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
            self.scaler.update()
        return torch.stack([loss for loss, _ in pieces]).sum(), torch.cat([logits for _, logits in pieces])

    def _backward(self, images: Tensor, labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Adds a piece's gradients; returns its share of the batch's loss, and its logits."""
        config = self.config
        images = images.contiguous(memory_format=self.layout)
        autocast = torch.autocast(images.device.type, PRECISIONS[config.precision], enabled=config.precision != "fp32")
        with self.parts.phase("forward"), autocast:
            logits = self.forward(images)
            loss = functional.cross_entropy(logits, labels, label_smoothing=config.label_smoothing) * share
        with self.parts.phase("backward"):
            self.scaler.scale(loss).backward()
        return loss.detach(), logits.detach()

    def _follow_schedule(self) -> None:
        """Sets what the coming step is taken with: learning rate, momentum, the parts that are still trained."""
        schedule, step, total_steps = self.config.schedule, self.step, self.total_steps
        self.lr = schedule(step, total_steps, [epoch.train_loss or 0.0 for epoch in self.epochs])
        set_rates(self.optimizers, self.lr, schedule.momentum(step, total_steps))
        self.frozen_parts = max((parts for share, parts in self.config.freeze if step >= share * total_steps), default=0)
        _freeze(self.model, self.frozen_parts)

    def training_flops(self) -> float:
        """Operations of all training steps so far."""
        total = 0.0
        for (shape, frozen), num_images in sorted(self.images_trained.items(), key=lambda item: item[0][1]):
            _freeze(self._shadow, frozen)
            total += num_images * training_flops_per_image(self._shadow, shape)
        return total

    def _evaluate(self, batches: Batches) -> Score:
        return evaluate(
            self.evaluated_model,
            batches,
            precision=PRECISIONS[self.config.precision],
            channels_last=self.config.channels_last,
            test_flip=self.config.test_flip,
            test_shift=self.config.test_shift,
            test_share=self.config.test_share,
        )

    def save(self, path: Path, identity: str) -> None:
        """Writes the state in one move: a reader finds the old file or the new one."""
        own = {
            "random": torch.get_rng_state(),
            "device_random": torch.cuda.get_rng_state(self.timer.device) if self.timer.device.type == "cuda" else None,
            "seconds": dict(self.timer.seconds),
            "step_seconds": dict(self.parts.seconds),
        }
        state = {
            "identity": identity,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "lookahead": self.lookahead and self.lookahead.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "epochs": [epoch.model_dump_json() for epoch in self.epochs],
            "step": self.step,
            "images_trained": [[list(shape), frozen, count] for (shape, frozen), count in self.images_trained.items()],
            "processes": self.team.gather(own),
        }
        write_checkpoint(state, path, self.team)

    def restore(self, path: Path, identity: str) -> None:
        """Takes up a saved state, if there is one. Raises UserError if the file is damaged or of another run."""
        state = read_checkpoint(path, identity, self.timer.device, self.team)
        if state is None:
            return
        try:
            self._take_up(state)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise UserError(
                f"{path}: a checkpoint of another version of fastresnet or torch ({first_line(error)}); remove it to start the "
                "run again"
            ) from error
        if self.bar:
            self.bar.resume(self.epochs, self.step)

    def _take_up(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        if self.lookahead:
            self.lookahead.load_state_dict(state["lookahead"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.epochs = [EpochRecord.model_validate_json(epoch) for epoch in state["epochs"]]
        self.step = operator.index(state["step"])  # a whole number, or an error
        self.images_trained = Counter({(tuple(shape), frozen): count for shape, frozen, count in state["images_trained"]})
        own = state["processes"][self.team.rank]
        torch.set_rng_state(own["random"].cpu())
        if own["device_random"] is not None:
            torch.cuda.set_rng_state(own["device_random"].cpu(), self.timer.device)
        for timer, saved in ((self.timer, own["seconds"]), (self.parts, own["step_seconds"])):
            for phase, seconds in saved.items():
                timer.seconds[phase] += seconds
