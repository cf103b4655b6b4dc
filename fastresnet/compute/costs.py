"""Costs of a run: seconds per phase, floating-point operations and peak memory.

A timer measures four phases: `build` (the network), `prepare` (loading and checking the data, moving it to the device), `train`
(whitening, all training steps and their batches) and `evaluate`. The device is synchronised at both ends of each phase. Making
the optimisers, saving checkpoints and further measurements belong to no phase; the progress bar, and whatever else follows the
steps, belongs to `train`. If a run asks for it, a second timer measures the parts of every training step.
"""

import copy
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fastresnet.compute.allocator import give_back_freed_memory

PHASES = ("build", "prepare", "train", "evaluate")
STEP_PARTS = ("loader", "transfer", "forward", "backward", "optimiser")
"""The parts of a training step: waiting for a batch, moving it to the device, network and loss, gradients, weight update."""


class Timer:
    """Adds up the seconds of each phase on one device. A timer that is not `enabled` neither measures nor synchronises."""

    def __init__(self, device: torch.device, phases: Sequence[str] = PHASES, *, enabled: bool = True) -> None:
        self.device, self.enabled = device, enabled
        self.seconds = dict.fromkeys(phases, 0.0)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the seconds of the `with` block to the phase `name`, also if the block raises."""
        if not self.enabled:
            yield
            return
        synchronise(self.device)
        start = time.perf_counter()
        try:
            yield
        finally:
            synchronise(self.device)
            self.seconds[name] += time.perf_counter() - start


def synchronise(device: torch.device) -> None:
    """Waits until the device has finished all its queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def training_flops_per_image(model: nn.Module, image_shape: tuple[int, ...]) -> float:
    """Floating-point operations per image of one forward and backward pass. A multiply-accumulate counts as two.

    torch's FlopCounterMode counts convolutions and matrix products on the meta device, without computing them. Frozen parts
    have no backward pass.
    """
    shadow = copy.deepcopy(model).to("meta").train()
    images = torch.empty(2, *image_shape, device="meta")  # two images: batch norm refuses a single one
    with FlopCounterMode(display=False) as counter:
        shadow(images).sum().backward()
    return counter.get_total_flops() / 2


def reset_peak_memory(device: torch.device) -> None:
    """Starts a new measurement of peak memory, if the system allows it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    give_back_freed_memory()
    # where this fails (not Linux, no permission), peak_memory_bytes covers the process's whole life
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes(device: torch.device) -> int:
    """Peak memory in bytes since the last reset: memory allocated on a GPU, else the resident memory of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        import resource  # not on Windows

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def autocast_slowdown(device: torch.device, dtype: torch.dtype) -> float:
    """Time of a small convolution under autocast to `dtype`, as a multiple of its time in fp32, measured when called."""
    layer = nn.Conv2d(32, 32, 3, padding=1).to(device)
    images = torch.randn(16, 32, 16, 16, device=device)

    def seconds(enabled: bool) -> float:
        times = []
        for _ in range(4):  # the first is the warm-up
            synchronise(device)
            start = time.perf_counter()
            with torch.no_grad(), torch.autocast(device.type, dtype, enabled=enabled):
                layer(images)
            synchronise(device)
            times.append(time.perf_counter() - start)
        return min(times[1:])

    return seconds(True) / seconds(False)
