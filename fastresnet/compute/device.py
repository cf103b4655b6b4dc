"""Chooses the device and the number of threads of a run, and moves tensors to a device."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fastresnet.compute.costs import autocast_slowdown
from fastresnet.config import TrainConfig
from fastresnet.errors import UserError

_RELIABLE_CHANNELS = 8
_SLOWER = 2.0
"""Slowdown of a small convolution above which half precision is emulated. Below it, wide ones may gain all the same."""
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def choose_device(name: str | torch.device | None = None) -> torch.device:
    """The named device, or the first available of cuda, mps and cpu. Raises UserError if torch cannot use the named one."""
    counts = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "cpu": 1,
    }
    available = [kind for kind, count in counts.items() if count]
    if name is None:
        return torch.device(available[0])
    allowed = [each for kind in available for each in (kind, *(f"{kind}:{index}" for index in range(counts[kind])))]
    if str(name) not in allowed:
        raise UserError(f"device: torch {torch.__version__} cannot use {str(name)!r} here; allowed: {', '.join(allowed)}")
    return torch.device(name)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copies a tensor to a device. A copy to a GPU goes through pinned memory, since a copy from other memory would wait for all
    queued work of the GPU."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def in_layout(tensor: Tensor, layout: torch.memory_format) -> Tensor:
    """Converts a tensor of four dimensions to a memory format, channels_last or contiguous; returns any other unchanged."""
    return tensor.contiguous(memory_format=layout) if tensor.ndim == 4 else tensor


def in_double(tensor: Tensor) -> Tensor:
    """Converts a tensor to float64 on its device, or on the processor if the device is mps, which has no float64."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


@contextmanager
def reliable_threads(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Runs the block on one thread, with a warning, if torch's multithreaded convolutions are unreliable for a network as narrow.

    On a processor with two threads, torch 2.13's convolutions of four channels give gradients that differ from run to run, or
    never return: seen with 4 to 8 channels, 1x1 kernels, stride 2 and channels_last. Later versions are not trusted, either.
    """
    threads = torch.get_num_threads()
    narrowest = min((layer.out_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)), default=_RELIABLE_CHANNELS)
    if device.type != "cpu" or threads == 1 or narrowest >= _RELIABLE_CHANNELS or torch.__version__ < "2.13":
        yield
        return
    warnings.warn(
        f"a layer of {narrowest} channels: torch {torch.__version__} cannot be trusted with fewer than "
        f"{_RELIABLE_CHANNELS} on several threads, so this network is trained on one",
        stacklevel=4,
    )
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def warn_if_autocast_is_slow(config: TrainConfig, device: torch.device) -> None:
    """Warns if half precision is slower than single precision on a device. The warning gives the measured slowdown."""
    if config.precision == "fp32" or device.type == "mps":
        return
    # NVIDIA's GPUs compute natively in bf16 from Ampere on (compute capability 8), and in fp16 from earlier generations on
    if device.type == "cuda" and (config.precision == "fp16" or torch.cuda.get_device_capability(device)[0] >= 8):
        return
    slowdown = autocast_slowdown(device, PRECISIONS[config.precision])
    if slowdown > _SLOWER:
        warnings.warn(
            f"precision {config.precision} is slower than fp32 on this device: a 3x3 convolution took {slowdown:.1f} "
            "times as long just now; use fp32 unless you study half precision itself",
            stacklevel=2,
        )
