"""Small measurements that need no training."""

import copy
import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from fastresnet.config import DataConfig
from fastresnet.data.batches import make_batches
from fastresnet.data.images import Dataset


def gradient_under_weight_scale(model: nn.Module, images: Tensor, labels: Tensor, scales: Sequence[float]) -> pd.DataFrame:
    """How each convolution's gradient changes when its weights are multiplied by r, in double precision.

    Takes images [N, C, H, W] and labels [N]. Returns a row a scale and layer: scale, layer, `gradient` (norm at scale r
    over norm at 1) and `loss` (the loss at scale r minus that at 1). Every convolution must be followed by batch norm,
    as all of the study's are; its epsilon is set to nothing for the measurement, so that invariance is exact.
    """
    model = copy.deepcopy(model).double().train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-30
    convolutions = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    original = {name: module.weight.detach().clone() for name, module in convolutions.items()}

    def measure(scale: float) -> tuple[float, dict[str, float]]:
        for name, module in convolutions.items():
            module.weight.data = original[name] * scale
        model.zero_grad()
        loss = functional.cross_entropy(model(images.double()), labels)
        loss.backward()
        norms = {name: module.weight.grad for name, module in convolutions.items()}
        return float(loss.detach()), {name: float(gradient.norm()) for name, gradient in norms.items() if gradient is not None}

    loss_at_one, norm_at_one = measure(1.0)
    rows = []
    for scale in scales:
        loss, norms = measure(scale)
        rows += [
            {"scale": scale, "layer": name, "gradient": norm / norm_at_one[name], "loss": loss - loss_at_one}
            for name, norm in norms.items()
        ]
    return pd.DataFrame(rows)


def worker_memory(config: DataConfig, dataset: Dataset, workers: Sequence[int]) -> pd.DataFrame:
    """Memory of a DataLoader's worker processes once each has given a batch, without what they share with each other.

    Returns a row a number of workers: workers, `gibibytes` (their proportional set sizes, added up; Linux only).
    """
    rows = []
    for number in workers:
        loading = config.model_copy(update={"loader": "worker", "num_workers": number})
        batches, _ = make_batches(loading, dataset, torch.device("cpu"), seed=0)
        epoch = batches.epoch(0)
        for _ in range(max(number, 1)):
            next(epoch)
        sizes = [_proportional_set_size(process.pid) for process in multiprocessing.active_children() if process.pid]
        rows.append({"workers": number, "gibibytes": sum(sizes) / 2**30})
        del epoch  # ends the workers
    return pd.DataFrame(rows)


def _proportional_set_size(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.split("Pss:")[1].split()[0]) * 1024
