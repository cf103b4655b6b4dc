"""Energy that a GPU uses, by NVIDIA's counter."""

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from fastresnet.errors import UserError

T = TypeVar("T")


def energy_joules(device: torch.device) -> float | None:
    """Joules that the GPU has used since its driver was loaded, from NVIDIA's counter. None on other devices, and None with a
    warning if the GPU has no counter. Raises UserError if nvidia-ml-py is not installed."""
    if device.type != "cuda":
        return None
    try:
        import pynvml
    except ModuleNotFoundError as error:
        raise UserError("energy needs nvidia-ml-py; pip install 'fastresnet[peers]'") from error
    uuid = str(torch.cuda.get_device_properties(device).uuid)  # NVML counts GPUs that are hidden from torch, too
    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")) / 1e3
    except pynvml.NVMLError as error:
        warnings.warn(f"no joules: NVIDIA's counter answers {error}", stacklevel=2)
        return None


def energy_of(work: Callable[[], T], device: torch.device) -> tuple[T, float | None]:
    """Calls `work`; returns its result and the joules that the GPU used meanwhile, or None without an energy counter."""
    before = energy_joules(device)
    result = work()
    after = energy_joules(device)
    return result, None if before is None or after is None else after - before
