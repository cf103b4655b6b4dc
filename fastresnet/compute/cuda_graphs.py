"""What keeps a GPU busy with the small kernels of a small network.

A step is some hundreds of them, and telling a GPU of each takes longer than its work on many. A CUDA graph holds them all, and
one call starts it; those that need not wait for one another fill the GPU together.
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
"""Takes a step on images [N, C, H, W] and labels [N], and returns its loss and its logits."""


@dataclass(frozen=True)
class _Captured:
    """A graph, and the places in memory from which it reads and where it leaves its results."""

    graph: torch.cuda.CUDAGraph
    images: Tensor
    labels: Tensor
    results: tuple[Tensor, Tensor]


class StepGraphs:
    """The graphs of a run: one for every shape of a batch, and for every `kind` of step on it.

    All that a step reads besides its batch must stay where it is in memory; numbers that change from step to step, such as
    learning rates, must be tensors on the device.

    The first step of its sort is taken as it comes, so that torch chooses its kernels and optimisers make their state; the second
    is recorded on its way. To be called on `step_stream`, for nothing can be recorded on the default one.
    """

    def __init__(self) -> None:
        torch.cuda.empty_cache()  # until then torch keeps the memory of an earlier run's graphs from everybody
        self._captured: dict[Hashable, _Captured | None] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, step: Step, images: Tensor, labels: Tensor, kind: Hashable) -> tuple[Tensor, Tensor]:
        """Takes a step and returns its results, which the next one overwrites. `kind` differs wherever the step does in more than
        the shape of its batch."""
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
        """Records a step without taking it."""
        images, labels = images.clone(), labels.clone()
        if torch.cuda.mem_get_info()[0] < torch.cuda.memory_reserved():
            torch.cuda.empty_cache()  # what the first step left, since a graph needs as much again, of its own
        graph = torch.cuda.CUDAGraph()
        # torch.cuda.graph() would empty the cache each time, and wait for the device; a loader's threads may go on
        graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
        try:
            results = step(images, labels)
        except BaseException:
            with suppress(RuntimeError):  # it says what the error has done to the recording, not what it was
                graph.capture_end()
            raise
        graph.capture_end()
        return _Captured(graph, images, labels, results)


def concurrently(tensors: Sequence[Tensor]) -> Iterator[Tensor]:
    """The tensors of a loop whose turns have nothing to do with one another, and which is not left early: on a GPU, what one turn
    asks for does not wait for what those before it asked for."""
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
    """Yields the batches unchanged. On a GPU they are made on a stream of their own, so that none waits for the step before
    it."""
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
            tensor.record_stream(here)  # its memory is not given away before the step is done with it
        yield batch


def step_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream on which steps are taken and recorded."""
    return _streams(device)[0]


@cache
def _streams(device: torch.device) -> tuple[torch.cuda.Stream, ...]:
    """Streams that all runs share, since cuBLAS sets memory aside for each stream."""
    return tuple(torch.cuda.Stream(device) for _ in range(10))
