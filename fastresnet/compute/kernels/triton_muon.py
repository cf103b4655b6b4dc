"""Triton kernels for all of Muon's step except its matrix products: three passes over memory, where torch needs a dozen.

Needs Triton, which torch's CUDA builds for Linux include.
"""

from collections.abc import Callable

import torch
import triton
from torch import Tensor
from triton import language as tl

_BLOCK = 2048
"""Number of values that a thread block holds in its registers at a time."""
_PROGRAMS = 128
"""Most thread blocks that compute one sum, a power of two."""


def muon_step(
    parameter: Tensor, average: Tensor, lr: Tensor | float, momentum: float, orthogonal: Callable[[Tensor], Tensor]
) -> None:
    """Takes a step of `training.optim.Muon` for one filter bank [out, in, H, W] with a gradient, on a GPU. `average` is its
    momentum buffer, in the same layout. `orthogonal` maps a bf16 matrix of norm one to a matrix of the same shape."""
    assert parameter.grad is not None
    gradient = parameter.grad
    if gradient.stride() != parameter.stride():
        gradient = torch.empty_like(parameter).copy_(gradient)
    size, out = parameter.numel(), len(parameter)
    blocks = triton.cdiv(size, _BLOCK)
    with torch.cuda.device_of(parameter):  # Triton launches kernels on the current device
        partial = torch.empty(min(_PROGRAMS, blocks), 2, device=parameter.device)
        sizes = {"size": size, "programs": len(partial), "PROGRAMS": _PROGRAMS, "BLOCK": _BLOCK}
        _average_and_sum[(len(partial),)](parameter, gradient, average, partial, size, momentum, BLOCK=_BLOCK)
        matrix = torch.empty(out, size // out, dtype=torch.bfloat16, device=parameter.device)
        _normed[(blocks,)](gradient, average, partial, matrix, momentum=momentum, **sizes)
        update = orthogonal(matrix).contiguous()
        _move[(blocks,)](parameter, update, partial, lr, norm=out**0.5, LR_IN_MEMORY=isinstance(lr, Tensor), **sizes)


@triton.jit(do_not_specialize=["size"])
def _average_and_sum(parameter, gradient, average, partial, size, momentum, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Updates the momentum buffer `average`, and writes the sums of squares of the Nesterov gradient and of the parameter."""
    of_gradient = tl.zeros((BLOCK,), tl.float32)
    of_parameter = tl.zeros((BLOCK,), tl.float32)
    for start in range(tl.program_id(0) * BLOCK, size, tl.num_programs(0) * BLOCK):
        here = start + tl.arange(0, BLOCK)
        mask = here < size
        given = tl.load(gradient + here, mask, other=0.0)
        updated = momentum * tl.load(average + here, mask, other=0.0) + given
        tl.store(average + here, updated, mask)
        ahead = given + momentum * updated
        of_gradient += ahead * ahead
        weight = tl.load(parameter + here, mask, other=0.0)
        of_parameter += weight * weight
    tl.store(partial + tl.program_id(0) * 2, tl.sum(of_gradient))
    tl.store(partial + tl.program_id(0) * 2 + 1, tl.sum(of_parameter))


@triton.jit
def _norm(partial, which, programs, PROGRAMS: tl.constexpr):  # type: ignore[no-untyped-def]
    program = tl.arange(0, PROGRAMS)
    return tl.sqrt(tl.sum(tl.load(partial + program * 2 + which, program < programs, other=0.0)))


@triton.jit(do_not_specialize=["size", "programs"])
def _normed(  # type: ignore[no-untyped-def]
    gradient, average, partial, matrix, size, momentum, programs, PROGRAMS: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Writes the Nesterov gradient, divided by its norm, to `matrix`."""
    here = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = here < size
    ahead = tl.load(gradient + here, mask) + momentum * tl.load(average + here, mask)
    tl.store(matrix + here, ahead / (_norm(partial, 0, programs, PROGRAMS) + 1e-7), mask)


@triton.jit(do_not_specialize=["size", "programs"])
def _move(  # type: ignore[no-untyped-def]
    parameter, update, partial, lr, size, norm, programs, LR_IN_MEMORY: tl.constexpr, PROGRAMS: tl.constexpr,
    BLOCK: tl.constexpr
):  # fmt: skip
    """Scales the parameter to `norm`, and subtracts the update times the learning rate."""
    here = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = here < size
    rate = tl.load(lr) if LR_IN_MEMORY else lr
    scale = norm / tl.maximum(_norm(partial, 1, programs, PROGRAMS), 1e-7)
    weight = tl.load(parameter + here, mask) * scale
    tl.store(parameter + here, weight - rate * tl.load(update + here, mask).to(tl.float32), mask)
