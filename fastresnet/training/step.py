"""The training step, the same for every precision and device.

    steps = Steps(config.train, model, 100, timer.device, ALONE)
    with steps.on_their_stream:
        loss, logits = steps.take(images, labels, epoch_losses=[])

Nothing in a step waits for the device.
"""

import copy
import importlib
import math
import operator
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fastresnet.compute.costs import STEP_PARTS, Timer, training_flops_per_image
from fastresnet.compute.cuda_graphs import StepGraphs, step_stream
from fastresnet.compute.device import PRECISIONS, in_layout
from fastresnet.compute.kernels.convolution import set_matmul_gradients
from fastresnet.compute.processes import ProcessGroup, gradient_sync
from fastresnet.config import TrainConfig
from fastresnet.config.models import FUSED_ACTIVATIONS
from fastresnet.errors import UserError
from fastresnet.models.checks import taking
from fastresnet.models.protocols import Freezable
from fastresnet.models.speednet import SpeedNet
from fastresnet.training.optim import Lookahead, load_optimizer, make_optimizers, set_rates


class Steps:
    """Takes the training steps of a run. Holds the network, the optimisers, and all other state that a step changes."""

    def __init__(self, config: TrainConfig, model: nn.Module, total: int, device: torch.device, group: ProcessGroup) -> None:
        """`total` is the number of steps in the run."""
        self.config, self.model, self.total, self.group = config, model, total, group
        self.parts = Timer(device, STEP_PARTS, enabled=config.time_parts)
        if config.fused_kernels and not (isinstance(model, SpeedNet) and model.config.activation in FUSED_ACTIVATIONS):
            allowed = f"a SpeedNet with {' or '.join(FUSED_ACTIVATIONS)}"
            raise UserError(f"fused_kernels: {type(model).__name__} has layers without such kernels; allowed: {allowed}")
        if config.freeze and not isinstance(model, Freezable):
            raise UserError(f"freeze: {type(model).__name__} names nothing to freeze; allowed: a network that has freezable()")
        parts = len(list(cast(Freezable, model).freezable())) if config.freeze else 0
        if (most := max((number for _, number in config.freeze), default=0)) > parts:
            raise UserError(f"freeze: {type(model).__name__} has {parts} parts to freeze, got {most}")
        if config.lookahead and config.lookahead >= total:
            raise UserError(f"lookahead: {config.lookahead} steps until the first update; allowed: fewer than the run's, {total}")
        self._layout = torch.channels_last if config.channels_last else torch.contiguous_format
        # like Module.to(memory_format=...), which fails on weights of five dimensions
        model.to(device)._apply(lambda weight: weight.to(memory_format=self._layout) if weight.ndim == 4 else weight)
        self._fused = _fused_layers() if config.fused_kernels and device.type == "cuda" else None
        if self._fused:
            self._fused.fuse(model)
        set_matmul_gradients(model, config.matmul_gradients and device.type == "cpu")
        graphed = config.cuda_graph and device.type == "cuda" and group.size == 1
        self.optimizers = make_optimizers(config, model, graphed=graphed, fused=self._fused is not None)
        self._forward = group.replicate(model, compiled=config.compile, freezes=bool(config.freeze))
        self._lookahead = Lookahead(model, config.lookahead) if config.lookahead else None
        # loss scaling guards fp16 against underflow; bf16 has the range of fp32
        self._scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self._average: AveragedModel | None = None
        if config.ema_decay is not None:
            self._average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True)
        self._graphs = StepGraphs() if graphed else None
        self.on_their_stream = torch.cuda.stream(step_stream(device)) if graphed else nullcontext()
        """Context in which to take steps. The device must have finished all work before it is entered and after it is left."""
        self.taken = 0
        self.lr = 0.0
        """Learning rate of the last step."""
        self._num_frozen = 0
        # images trained on, by what determines their cost: the shape [C, H, W] and the number of frozen parts
        self._images_trained: Counter[tuple[tuple[int, ...], int]] = Counter()
        self._trained = [parameter.requires_grad for parameter in model.parameters()]

    @property
    def finished(self) -> bool:
        return self.taken >= self.total

    @property
    def evaluated_model(self) -> nn.Module:
        """The network to evaluate: with EMA, the one with averaged weights."""
        return self.model if self._average is None else self._average.module

    def take(self, images: Tensor, labels: Tensor, epoch_losses: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Takes a step on a batch on the device, images [N, C, H, W] and labels [N]. Returns its mean loss and its logits, which
        the next step may overwrite. `epoch_losses` are the mean losses of the epochs so far."""
        self._follow_schedule(epoch_losses)
        if self._graphs:
            loss, logits = self._graphs(self._update, images, labels, self._num_frozen)
        else:
            loss, logits = self._update(images, labels)
        self.taken += 1
        self._images_trained[tuple(images.shape[1:]), self._num_frozen] += len(labels) * self.group.size
        if self._lookahead is not None:
            self._lookahead.step_done(self.taken, self.total)
        if self._average is not None:
            self._average.update_parameters(self.model)
            for own, kept in zip(self.model.buffers(), self._average.module.buffers(), strict=True):
                if not own.is_floating_point():  # torch averages whole numbers, too
                    kept.copy_(own)
        return loss, logits

    def _follow_schedule(self, epoch_losses: Sequence[float]) -> None:
        """Sets the learning rate, the momentum and the frozen parts for the coming step."""
        schedule = self.config.schedule
        self.lr = schedule(self.taken, self.total, epoch_losses)
        set_rates(self.optimizers, self.lr, schedule.momentum(self.taken, self.total))
        self._num_frozen = max((number for share, number in self.config.freeze if self.taken >= share * self.total), default=0)
        _freeze(self.model, self._num_frozen)

    def _update(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Takes the optimisers' step, with gradients from micro-batches of at most `micro_batch` images; returns mean loss and
        logits."""
        self.model.zero_grad(set_to_none=True)
        num_pieces = math.ceil(len(labels) / (self.config.micro_batch or len(labels)))
        pieces: list[tuple[Tensor, Tensor]] = []
        for piece in zip(images.tensor_split(num_pieces), labels.tensor_split(num_pieces), strict=True):
            with gradient_sync(self._forward, more=len(pieces) + 1 < num_pieces):
                pieces.append(self._backward(*piece, share=len(piece[1]) / len(labels)))
        with self.parts.phase("optimiser"):
            for optimizer in filter(_has_gradients, self.optimizers):  # the scaler refuses one whose layers are all frozen
                self._scaler.step(optimizer)
            self._scaler.update()
        return torch.stack([loss for loss, _ in pieces]).sum(), torch.cat([logits for _, logits in pieces])

    def _backward(self, images: Tensor, labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Adds the gradients of one micro-batch. Returns its share of the batch's loss, and its logits."""
        config = self.config
        images = in_layout(images, self._layout)
        autocast = torch.autocast(images.device.type, PRECISIONS[config.precision], enabled=config.precision != "fp32")
        with self.parts.phase("forward"), autocast:
            with taking(list(images.shape), self.model, "train"):
                logits = self._forward(images)
            loss = functional.cross_entropy(logits, labels, label_smoothing=config.label_smoothing) * share
        with self.parts.phase("backward"):
            self._scaler.scale(loss).backward()
        return loss.detach(), logits.detach()

    def finish(self) -> nn.Module:
        """Frees the gradients, thaws what was frozen, and restores torch's layers in place of fused ones; returns the network to
        evaluate, in evaluation mode."""
        self._graphs = None
        self.model.zero_grad(set_to_none=True)  # gradients lie in the memory of CUDA graphs and would keep it allocated
        for parameter, trained in zip(self.model.parameters(), self._trained, strict=True):
            parameter.requires_grad_(trained)
        if self._fused:
            for network in (self.model, self.evaluated_model):
                self._fused.unfuse(network)
        self.model.eval()
        return self.evaluated_model.eval()

    def per_process_state(self) -> Iterator[Tensor]:
        """Yields the state that differs between processes: the buffers of batch norm, in the network and in its averages."""
        yield from self.model.buffers()
        if self._average:
            yield from self._average.buffers()
        if self._lookahead:
            yield from self._lookahead.slow

    def training_flops(self) -> float:
        """Floating-point operations of all steps so far, in all processes."""
        shadow, total = copy.deepcopy(self.model), 0.0
        for parameter, trained in zip(shadow.parameters(), self._trained, strict=True):
            parameter.requires_grad_(trained)
        shadow.to("meta")  # no sooner, since weights that layers share become several
        for (shape, frozen), num_images in sorted(self._images_trained.items(), key=lambda item: item[0][1]):
            _freeze(shadow, frozen)
            total += num_images * training_flops_per_image(shadow, shape)
        return total

    def state_dict(self) -> dict[str, Any]:
        """State that the coming steps depend on, for a checkpoint."""
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "lookahead": self._lookahead and self._lookahead.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": self._average.state_dict() if self._average else None,
            "step": self.taken,
            "images_trained": [[list(shape), frozen, count] for (shape, frozen), count in self._images_trained.items()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Loads the state of a checkpoint. A state that does not fit raises the errors of torch or Python, of several types."""
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            load_optimizer(optimizer, saved)
        if self._lookahead:
            self._lookahead.load_state_dict(state["lookahead"])
        self._scaler.load_state_dict(state["scaler"])
        if self._average:
            self._average.load_state_dict(state["average"])
        self.taken = operator.index(state["step"])  # raises TypeError unless it is a whole number
        self._images_trained = Counter({(tuple(shape), frozen): count for shape, frozen, count in state["images_trained"]})


def _has_gradients(optimizer: torch.optim.Optimizer) -> bool:
    return any(parameter.grad is not None for group in optimizer.param_groups for parameter in group["params"])


def _fused_layers() -> ModuleType | None:
    """The module `models.fused`; None, with a warning, if Triton is not installed, which it needs."""
    try:
        return importlib.import_module("fastresnet.models.fused")
    except ModuleNotFoundError as error:
        warnings.warn(f"train.fused_kernels: {error.name} is not installed; torch's own, slower ones are taken", stacklevel=4)
        return None


def _freeze(model: nn.Module, number: int) -> None:
    """Freezes the first `number` parts of a network. Parts that are frozen already stay frozen."""
    for part in islice(cast(Freezable, model).freezable(), number) if number else ():
        part.requires_grad_(False)
