"""Optimisers: SGD with parameter groups, Muon or LARS for the convolutions, and Lookahead on top of them.

optimizers = make_optimizers(config.train, model)
set_rates(optimizers, lr, momentum=None)
"""

import importlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fastresnet.compute.cuda_graphs import concurrently
from fastresnet.config import TrainConfig

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of Muon's quintic iteration (Jordan, 2024). It is steep at zero, so that small singular values grow fast. All
of them come near one without converging to it."""
_FADING = 0.95
"""Share of Lookahead's slow weights that is kept per step at the very end of a run (Jordan, 2024)."""


def make_optimizers(
    config: TrainConfig, model: nn.Module, *, graphed: bool = False, fused: bool = False
) -> list[torch.optim.Optimizer]:
    """The optimisers of a run. Every parameter group has a `factor`: its learning rate as a multiple of the schedule's.

    Parameters are grouped by shape: biases and trained scales of batch norm are vectors, the classifier is a matrix, filters of
    convolutions have four dimensions. SGD trains all other shapes at the schedule's rate. If steps are captured in CUDA graphs
    (`graphed`), learning rates are tensors on the parameters' device. `fused` lets Muon use Triton kernels.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    filters = [parameter for parameter in trained if parameter.ndim == 4]
    groups = [
        _group([parameter for parameter in trained if parameter.ndim <= 1], config.bias_lr_factor, config),
        _group([parameter for parameter in trained if parameter.ndim == 2], config.head_lr_factor, config),
        _group([parameter for parameter in trained if parameter.ndim == 3 or parameter.ndim > 4], 1.0, config),
    ]
    optimizers: list[torch.optim.Optimizer] = []
    if config.muon and filters:
        optimizers.append(Muon(filters, momentum=config.muon.momentum, iterations=config.muon.iterations, fused=fused))
    elif config.lars and filters:
        optimizers.append(Lars(filters, trust=config.lars.trust, momentum=config.momentum, weight_decay=config.weight_decay))
    else:
        groups.insert(0, _group(filters, 1.0, config))
    if groups := [group for group in groups if group["params"]]:
        # only torch's fused SGD reads a learning rate from the device
        sgd = torch.optim.SGD(groups, lr=1.0, momentum=config.momentum, nesterov=config.nesterov, fused=graphed or None)
        optimizers.append(sgd)
    if graphed:
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = torch.tensor(1.0, device=group["params"][0].device)
    return optimizers


def _group(parameters: list[nn.Parameter], factor: float, config: TrainConfig) -> dict[str, Any]:
    # torch multiplies weight decay by the group's rate: divided by the factor, it follows the schedule's rate
    return {"params": parameters, "factor": factor, "weight_decay": config.weight_decay / factor}


def set_rates(optimizers: Iterable[torch.optim.Optimizer], lr: float, momentum: float | None) -> None:
    """Sets every group's learning rate to its factor times `lr`, and the momentum of SGD and LARS unless it is None."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            rate = lr * group["factor"]
            group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate
            if momentum is not None and not isinstance(optimizer, Muon):
                group["momentum"] = momentum


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Loads a saved state, except for `lr` and `fused`: their form depends on the device."""
    own: list[dict[str, Any]] = [{key: group[key] for key in ("lr", "fused") if key in group} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, kept in zip(optimizer.param_groups, own, strict=True):
        group.update(kept)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum with orthogonalised updates: a filter bank [out, in, H, W] counts as a matrix of one row per filter.

    Before each step a bank is scaled to norm sqrt(out), that of an orthogonal matrix, which bounds it without weight decay
    (Jordan, 2024). With `fused`, `fastresnet.compute.kernels.triton_muon` computes all but the matrix products.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], *, momentum: float = 0.6, iterations: int = 3, fused: bool = False
    ) -> None:
        super().__init__(params, {"lr": 1.0, "factor": 1.0, "momentum": momentum, "iterations": iterations})
        kernels = importlib.import_module("fastresnet.compute.kernels.triton_muon") if fused else None
        self._step: Callable[..., None]
        self._step, self._orthogonal = (kernels.muon_step, _orthogonal) if kernels else (_muon_step, orthogonalise)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Takes one step. `closure` belongs to torch's interface and is not called."""
        for group in self.param_groups:
            orthogonal = partial(self._orthogonal, iterations=group["iterations"])
            for parameter in concurrently(group["params"]):
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "average" not in state:
                    state["average"] = torch.zeros_like(parameter)
                self._step(parameter, state["average"], group["lr"], group["momentum"], orthogonal)


_SMALLEST_NORM = 1e-7
"""Below this norm, weights are not scaled up: those that begin at zero have no direction to keep."""


def _muon_step(
    parameter: Tensor, average: Tensor, lr: Tensor | float, momentum: float, orthogonal: Callable[[Tensor], Tensor]
) -> None:
    """A step for one filter bank with a gradient; `average` is its momentum buffer."""
    assert parameter.grad is not None
    average.mul_(momentum).add_(parameter.grad)
    ahead = parameter.grad.add(average, alpha=momentum)
    update = _as_bank(orthogonal(_as_matrix(ahead)), ahead.shape)
    parameter.mul_(len(parameter) ** 0.5 / parameter.norm().clamp_min(_SMALLEST_NORM))
    if isinstance(lr, Tensor):
        parameter.sub_(update * lr)
    else:
        parameter.add_(update, alpha=-lr)


def _as_matrix(bank: Tensor) -> Tensor:
    """A filter bank [out, in, H, W] as a matrix [out, H * W * in]; a view if the bank is in channels_last, the trainer's layout.
    Orthogonality does not depend on the order of the columns."""
    return bank.permute(0, 2, 3, 1).flatten(1)


def _as_bank(matrix: Tensor, shape: torch.Size) -> Tensor:
    num_filters, channels, height, width = shape
    return matrix.reshape(num_filters, height, width, channels).permute(0, 3, 1, 2)


class Lars(torch.optim.Optimizer):
    """SGD with momentum that multiplies each layer's gradient plus weight decay by a trust ratio (You et al., 2017): `trust`
    times the norm of the layer's weights over the sum of the norms of its gradient and of its weight decay."""

    def __init__(self, params: Iterable[nn.Parameter], *, trust: float, momentum: float, weight_decay: float) -> None:
        defaults = {"lr": 1.0, "factor": 1.0, "trust": trust, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Takes one step. `closure` belongs to torch's interface and is not called."""
        for group in self.param_groups:
            decay = group["weight_decay"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                norm = parameter.norm()
                trusted = group["trust"] * norm / (parameter.grad.norm() + decay * norm + 1e-12)
                rate = torch.where(norm > 0, trusted, 1.0)  # else weights that begin at zero would stay there
                step = (parameter.grad + decay * parameter) * rate
                state = self.state[parameter]
                state["average"] = step if "average" not in state else state["average"].mul_(group["momentum"]).add_(step)
                parameter.add_(state["average"], alpha=-group["lr"])


def orthogonalise(matrix: Tensor, iterations: int) -> Tensor:
    """Brings the singular values of a matrix near one by a few Newton-Schulz iterations.

    An iteration is X <- (a + b G + c G^2) X with the Gram matrix G = X X^T. Every factor is a polynomial in the first G. In
    single precision the factors are therefore multiplied together first, and then once with X, which is much larger.
    """
    normed = matrix / (matrix.norm() + 1e-7)
    # on a GPU, half precision saves more than fewer operations do, but it is too coarse for powers of G
    return _orthogonal(normed.bfloat16() if matrix.device.type == "cuda" else normed, iterations).to(matrix.dtype)


def _orthogonal(matrix: Tensor, iterations: int) -> Tensor:
    """Orthogonalises a matrix whose norm is already one, as `orthogonalise` does."""
    iterated = _one_by_one if matrix.dtype == torch.bfloat16 else _multiplied_out
    if matrix.shape[0] > matrix.shape[1]:
        return iterated(matrix.T, iterations).T  # the smaller of the two Gram matrices
    return iterated(matrix, iterations)


def _one_by_one(x: Tensor, iterations: int) -> Tensor:
    a, b, c = _COEFFICIENTS
    for _ in range(iterations):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _multiplied_out(x: Tensor, iterations: int) -> Tensor:
    a, b, c = _COEFFICIENTS
    gram, product = x @ x.T, None
    for left in reversed(range(iterations)):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor if product is None else factor @ product
        if left:
            gram = factor @ gram @ factor
    return x if product is None else product @ x


class Lookahead:
    """Slow copies of the weights, towards which the fast ones are pulled back every few steps (Zhang et al., 2019).

    The share of the slow weights that is kept grows with the cube of the run's progress, as in Jordan (2024), so that they
    average over more and more steps. At the end the slow weights replace the fast ones.
    """

    def __init__(self, model: nn.Module, every: int) -> None:
        self.every = every
        tensors = [each for each in model.state_dict().values() if isinstance(each, Tensor) and each.is_floating_point()]
        self._fast = list({each.data_ptr(): each for each in tensors}.values())  # weights that layers share, once
        self.slow = [tensor.clone() for tensor in self._fast]

    @torch.no_grad()
    def step_done(self, step: int, total_steps: int) -> None:
        """Moves the slow weights towards the fast ones, and sets the fast ones to them, if this is due after `step` steps."""
        last = step >= total_steps
        if step % self.every and not last:
            return
        kept = 1.0 if last else _FADING**self.every * (step / total_steps) ** 3
        for slow, fast in zip(self.slow, self._fast, strict=True):
            slow.lerp_(fast, 1 - kept)
            fast.copy_(slow)

    def state_dict(self) -> dict[str, Any]:
        """The slow weights, for a checkpoint."""
        return {"slow": self.slow}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Loads the slow weights from a checkpoint."""
        for slow, saved in zip(self.slow, state["slow"], strict=True):
            slow.copy_(saved)
