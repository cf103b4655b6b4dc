"""Measurements of networks and of DataLoaders that need no training."""

import copy
import multiprocessing
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from fastresnet.compute.device import in_double
from fastresnet.config import DataConfig
from fastresnet.data.images import Dataset
from fastresnet.data.loaders import make_batches
from fastresnet.errors import UserError
from fastresnet.models.layers import ACTIVATIONS

_ACTIVATION_TYPES = tuple(type(make()) for make in ACTIVATIONS.values())
_EIGENVALUE_TOLERANCE = 1e-3  # relative; the compared spectra differ by whole factors


def gradient_under_weight_scale(model: nn.Module, images: Tensor, labels: Tensor, scales: Sequence[float]) -> pd.DataFrame:
    """How each convolution's gradient changes when its weights are multiplied by r, in double precision.

    Takes images [N, C, H, W] and labels [N]. Returns one row per scale and layer: scale, layer, `gradient` (norm at scale r
    over norm at 1) and `loss` (the loss at scale r minus that at 1). Every convolution must be followed by batch norm.
    Batch norm's epsilon is set to 1e-30 for the measurement, so that the invariance is exact.
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


def leading_eigenvalues(model: nn.Module, images: Tensor, labels: Tensor, count: int) -> list[float]:
    """The `count` eigenvalues of largest magnitude of the Hessian of the mean cross-entropy over the trained weights.

    Takes images [N, C, H, W] and labels [N]. The network is measured in its current mode, training or evaluation, and left as
    it was. Returns the largest magnitude first, to a relative 1e-3, in nats per squared unit of weight. The method is Lanczos on
    products with the Hessian (ARPACK; Ghorbani et al., 2019). Raises UserError unless 0 < count < number of trained weights.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh  # an optional package that training needs for nothing else

    model = copy.deepcopy(model)  # a forward pass moves batch norm's running statistics
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    size = sum(weight.numel() for weight in weights)
    if not 0 < count < size:
        raise UserError(f"count: the Hessian has {size} eigenvalues, asked for {count}; allowed: 1 to {size - 1}")
    loss = functional.cross_entropy(model(images), labels)
    # one graph serves all products; a weight that the loss does not depend on has a gradient of zero
    gradients = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
    gradient = torch.cat([each.flatten() for each in gradients])

    def product(vector: np.ndarray) -> np.ndarray:
        direction = torch.as_tensor(vector.ravel(), dtype=gradient.dtype, device=gradient.device)
        products = torch.autograd.grad(gradient, weights, direction, retain_graph=True, materialize_grads=True)
        return in_double(torch.cat([each.flatten() for each in products])).cpu().numpy()

    hessian = LinearOperator((size, size), matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)  # ARPACK's own start differs from call to call
    basis = min(size, max(4 * count, 20))  # with scipy's default, twice the count, close eigenvalues take many restarts
    found = eigsh(hessian, k=count, which="LM", ncv=basis, v0=start, tol=_EIGENVALUE_TOLERANCE, return_eigenvectors=False)
    return sorted(map(float, found), key=abs, reverse=True)


def channel_statistics(model: nn.Module, images: Tensor) -> pd.DataFrame:
    """Mean and standard deviation of the channels after every activation and in the output, in the order of computation.

    Takes images [N, C, H, W]. The network is measured in its current mode and left as it was. Returns one row per layer: layer
    (its name; the last is `output`), depth (from 1), `channel_mean` (absolute value of a channel's mean over images and
    positions, averaged over channels), `channel_std` (standard deviation about that mean, likewise averaged) and
    `constant_share` (mean of the channels' squared means over the mean square of all values, in [0, 1]). At a share of 1 every
    channel is constant, whatever the image; for standard normal values a ReLU leaves 1/pi.
    """
    model = copy.deepcopy(model)
    rows: list[dict[str, object]] = []

    def record(layer: str, values: Tensor) -> None:
        channels = in_double(values.detach()).transpose(0, 1).flatten(start_dim=1)  # [channels, images and positions]
        means, mean_square = channels.mean(dim=1), channels.square().mean()
        rows.append(
            {
                "layer": layer,
                "depth": len(rows) + 1,
                "channel_mean": float(means.abs().mean()),
                "channel_std": float(channels.std(dim=1, correction=0).mean()),
                "constant_share": float(means.square().mean() / mean_square),
            }
        )

    for name, module in model.named_modules():
        if isinstance(module, _ACTIVATION_TYPES):
            module.register_forward_hook(lambda _module, _inputs, output, name=name: record(name, output))
    with torch.no_grad():
        record("output", model(images))
    return pd.DataFrame(rows)


def weight_norm(model: nn.Module) -> float:
    """Euclidean norm of all convolutions' weights together. Batch norm cancels the scale of these weights."""
    squares = [in_double(module.weight.detach()).square().sum() for module in model.modules() if isinstance(module, nn.Conv2d)]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0


def worker_memory(config: DataConfig, dataset: Dataset, workers: Sequence[int]) -> pd.DataFrame:
    """Memory of a DataLoader's worker processes once each has made a batch, as the sum of their proportional set sizes (PSS).

    A page that processes share is split among them. Returns one row per number of workers: workers, `gibibytes`. Linux only.
    """
    rows = []
    for number in workers:
        loading = config.model_copy(update={"loader": "worker", "num_workers": number})
        batches, _ = make_batches(loading, dataset, torch.device("cpu"), seed=0)
        epoch = batches.epoch(0)
        with warnings.catch_warnings():
            # more workers than cores are measured on purpose
            warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
            for _ in range(max(number, 1)):
                next(epoch)
        sizes = [_proportional_set_size(process.pid) for process in multiprocessing.active_children() if process.pid]
        rows.append({"workers": number, "gibibytes": sum(sizes) / 2**30})
        del epoch  # ends the workers
    return pd.DataFrame(rows)


def _proportional_set_size(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.split("Pss:")[1].split()[0]) * 1024
