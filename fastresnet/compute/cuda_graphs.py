"""CUDA graphs and streams, which keep a GPU busy with the small kernels of a small network.

A training step launches several hundred kernels, and many take longer to launch than to run. A CUDA graph holds all of them
and is launched with one call. Kernels that do not depend on each other run concurrently.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import cycle

import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor]
Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""A function that takes a training step on images [N, C, H, W] and labels [N] and returns its loss and its logits."""


@dataclass(frozen=True)
class _Captured:
    """A CUDA graph with the tensors that it reads from and writes its results to."""

    graph: torch.cuda.CUDAGraph
    images: Tensor
    labels: Tensor
    results: tuple[Tensor, Tensor]


class StepGraphs:
    """The CUDA graphs of a run, one per batch shape and `kind` of step.

    Everything that a step reads besides its batch must keep its address in memory. Numbers that change from step to step, such as
    learning rates, must be tensors on the device.

    The first step of each shape and kind runs without a graph, so that torch chooses its kernels and optimisers create their
    state. The second is captured. Call this on `step_stream`, since the default stream does not allow capture.
    """

    def __init__(self) -> None:
        torch.cuda.empty_cache()  # else the memory of an earlier run's graphs stays reserved
        self._captured: dict[Hashable, _Captured | None] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, step: Step, images: Tensor, labels: Tensor, kind: Hashable) -> tuple[Tensor, Tensor]:
        """Takes a step and returns its results, which the next step overwrites. Steps that differ in more than the shape of their
        batch must differ in `kind`."""
        key = (images.shape, images.stride(), kind)
        if key not in self._captured:
            self._captured[key] = None
            return step(images, labels)
        captured = self._captured[key]
        if captured is None:
            captured = self._captured[key] = self._capture(step, images, labels)
        captured.images.copy_(images)
        captured.labels.copy_(labels)
        captured.graph.replay()
        return captured.results

    def _capture(self, step: Step, images: Tensor, labels: Tensor) -> _Captured:
        """Captures a step as a graph without executing it."""
        images, labels = images.clone(), labels.clone()
        if torch.cuda.mem_get_info()[0] < torch.cuda.memory_reserved():
            torch.cuda.empty_cache()  # frees what the first step left, since a graph needs as much memory again
        graph = torch.cuda.CUDAGraph()
        # torch.cuda.graph() would empty the cache and synchronise each time; "thread_local" lets a loader's threads go on
        graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
        try:
            results = step(images, labels)
        except BaseException:
            with suppress(RuntimeError):  # it only says that the capture failed, not why
                graph.capture_end()
            raise
        graph.capture_end()
        return _Captured(graph, images, labels, results)


def concurrently(tensors: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yields the tensors, on a GPU with alternating CUDA streams, so that the kernels of a loop's iterations run concurrently.
    The iterations must be independent of each other, and the loop must not be left early."""
    if not tensors or tensors[0].device.type != "cuda":
        yield from tensors
        return
    here, streams = torch.cuda.current_stream(tensors[0].device), _streams(tensors[0].device)[1:-1][: len(tensors)]
    try:
        for tensor, stream in zip(tensors, cycle(streams), strict=False):
            stream.wait_stream(here)
            with torch.cuda.stream(stream):
                yield tensor
    finally:
        for stream in streams:
            here.wait_stream(stream)


def prefetched(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """Yields the batches, made on a separate CUDA stream on a GPU, so that none waits for the previous step."""
    if device.type != "cuda":
        yield from batches
        return
    here, stream = torch.cuda.current_stream(device), _streams(device)[-1]
    while True:
        with torch.cuda.stream(stream):
            batch = next(batches, None)
        if batch is None:
            return
        here.wait_stream(stream)
        for tensor in (each for each in batch if each.is_cuda):
            tensor.record_stream(here)  # its memory is not reused before the step has finished
        yield batch


def step_stream(device: torch.device) -> torch.cuda.Stream:
    """The CUDA stream on which training steps run and are captured."""
    return _streams(device)[0]


@cache
def _streams(device: torch.device) -> tuple[torch.cuda.Stream, ...]:
    """CUDA streams that all runs share, since cuBLAS reserves memory for each stream."""
    return tuple(torch.cuda.Stream(device) for _ in range(10))
