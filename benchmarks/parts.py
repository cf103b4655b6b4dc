"""Where the time of a training step goes, by kind of operation, from torch's profiler."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.profiler_util import FunctionEvent

from benchmarks.programs import Program
from fastresnet.data.images import Dataset
from fastresnet.records.benchmark import StepPart

_KINDS = {
    "batch norm": "batch_norm",
    "activation": "gelu|relu|silu|elu|threshold|tanh",
    "pooling": "pool|aten::maximum",
    "matrix products": r"aten::(mm|addmm|bmm|baddbmm)$",
}
"""By part of a step: a pattern of the names of torch's operations."""
_OPTIMISER, _OTHER = "optimiser", "batches, copies, loss and others"
_SMALLEST = 0.01
"""Share of the time from which on convolutions of one shape are a part of their own."""


def step_parts(program: Program, dataset: Dataset, steps: int) -> tuple[StepPart, ...]:
    """The parts of some training steps on a processor, largest first. Matrix products of the optimiser count as its own; those
    of the network are the classifier, and the convolutions that are computed as matrix products."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True, with_flops=True) as profile:
        program.run(dataset, torch.device("cpu"), 0, steps)
    microseconds: Counter[str] = Counter()
    flops: dict[str, float] = defaultdict(float)
    for event in profile.events() or ():
        part = _part(event)
        microseconds[part] += event.self_cpu_time_total
        flops[part] += _flops(event)
    total = sum(microseconds.values())
    rest = "convolutions of other shapes"
    small = [part for part, spent in microseconds.items() if part.startswith("convolution ") and spent < _SMALLEST * total]
    for part in small:
        microseconds[rest] += microseconds.pop(part)
        flops[rest] += flops.pop(part)
    return tuple(
        StepPart(name=part, share=spent / total, gflops_per_second=flops[part] / spent / 1e3 if flops[part] else None)
        for part, spent in microseconds.most_common()
    )


def _part(event: FunctionEvent) -> str:
    if any(each.name.startswith("Optimizer.step") for each in _with_parents(event)):
        return _OPTIMISER
    if "conv" in event.name and event.name.startswith("aten::"):
        shapes: Any = event.input_shapes[1:] if "backward" in event.name else event.input_shapes
        (_, _, height, width), (outputs, inputs, rows, columns) = shapes[:2]
        return f"convolution {inputs} to {outputs}, {rows}x{columns}, at {height}x{width}"
    return next((part for part, pattern in _KINDS.items() if re.search(pattern, event.name)), _OTHER)


def _with_parents(event: FunctionEvent) -> Iterator[FunctionEvent]:
    found: FunctionEvent | None = event
    while found is not None:
        yield found
        found = found.cpu_parent


def _flops(event: FunctionEvent) -> float:
    """Floating-point operations of an event without its children. The profiler counts all but the gradients of convolutions."""
    if event.cpu_parent and event.cpu_parent.name == event.name:  # under autocast, an operation is seen twice
        return 0.0
    if event.name != "aten::convolution_backward":
        return float(event.flops or 0)
    shapes: Any = event.input_shapes
    outputs, _, (_, *filters) = shapes[:3]
    *_, (of_inputs, of_filters, _) = event.concrete_inputs
    return 2.0 * (of_inputs + of_filters) * math.prod(outputs) * math.prod(filters)
