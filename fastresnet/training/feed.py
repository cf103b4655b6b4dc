"""Feeds batches to the device: each is made while the device still trains on the one before."""

from collections.abc import Iterator

import torch

from fastresnet.compute.costs import Timer
from fastresnet.compute.cuda_graphs import Batch, prefetched
from fastresnet.data.loaders import Batches


class Feed:
    """Yields the batches of each epoch on the device. `parts` times the wait for each batch and its transfer to the device."""

    def __init__(self, batches: Batches, device: torch.device, parts: Timer) -> None:
        self._batches, self._device, self._parts = batches, device, parts
        self._begun: tuple[Iterator[Batch], Batch | None] | None = None

    def epoch(self, index: int) -> Iterator[Batch]:
        """Yields images [B, C, H, W] and labels [B] of an epoch, each pair made while the device trains on the one before."""
        coming, batch = self._begun or self._start(index)
        self._begun = None
        while batch is not None:
            with self._parts.phase("transfer"):
                images, labels = (each.to(self._device, non_blocking=True) for each in batch)
            yield images, labels
            batch = self._next(coming)

    def begin(self, index: int) -> None:
        """Makes the first batch of an epoch ahead, if batches are prefetchable: during the last step of the epoch before it."""
        if self._batches.prefetchable:
            self._begun = self._start(index)

    def _start(self, index: int) -> tuple[Iterator[Batch], Batch | None]:
        coming = prefetched(self._batches.epoch(index), self._device)
        return coming, self._next(coming)

    def _next(self, coming: Iterator[Batch]) -> Batch | None:
        with self._parts.phase("loader"):
            return next(coming, None)
