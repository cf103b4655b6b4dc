"""Batches from a torch DataLoader, whose worker processes transform one image at a time, as in the original report."""

import os
import sys
from collections.abc import Iterator
from multiprocessing.queues import Queue
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fastresnet.compute.surroundings import check_shared_memory, check_sockets
from fastresnet.data.batches import ImageBatches
from fastresnet.data.images import ImageSet
from fastresnet.data.vision import import_torchvision
from fastresnet.errors import MachineFault, last_line


class WorkerBatches(ImageBatches):
    """Batches of images on which worker processes, or this one, act one at a time."""

    def __init__(self, images: ImageSet, *shared: Any, training: bool) -> None:
        super().__init__(images, *shared, training=training)
        self.prefetchable = False  # transforms draw random numbers when an epoch is requested
        v2 = import_torchvision("transforms.v2")
        config = self.config
        height, width = images.images.shape[-2:]
        steps = []
        if training and config.crop_padding:
            steps.append(v2.RandomCrop((height, width), padding=config.crop_padding, padding_mode="reflect"))
        if config.flip == "random" if training else config.flip_test:
            steps.append(v2.RandomHorizontalFlip())
        if training and config.cutout:
            area = config.cutout**2 / (height * width)
            steps.append(v2.RandomErasing(p=1, scale=(area, area), ratio=(1, 1), value=self._mean_colour.tolist()))
        if config.image_size:
            steps.append(v2.Resize((config.image_size, config.image_size), antialias=True))
        steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(self.mean.tolist(), self.std.tolist())]
        self._transformed = _TransformedImages(images, v2.Compose(steps))
        if config.num_workers:
            check_sockets()
            side = config.image_size
            pixels = images.images.shape[1] * (side**2 if side else height * width)
            ahead = min(2 * config.num_workers, len(self))  # each process makes a batch while another of its waits
            size = min(self.batch_size, self.num_images) * pixels * torch.float32.itemsize
            check_shared_memory(ahead * size, f"num_workers {config.num_workers}, batches of {self.batch_size}")

    def epoch(self, index: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of one epoch. In worker processes, the seed and the epoch determine the random numbers of the transforms;
        without workers, the transforms draw them from torch's global generator."""
        loader = DataLoader(
            self._transformed,
            batch_sampler=[indices.tolist() for _, indices in self._shares(index)],
            num_workers=self.config.num_workers,
            generator=self._generator(index, self.group.rank),
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_end_if_unable_to_send,
        )
        try:
            yield from loader
        except OSError as error:
            raise MachineFault(
                f"num_workers {self.config.num_workers}: the processes that load images cannot work ({last_line(error)})"
            ) from error


def _end_if_unable_to_send(_worker: int) -> None:
    """Makes a DataLoader worker exit if it cannot send a batch; otherwise torch would wait for it for ever. Also makes the worker
    say nothing when a run ends before it: errors of its transforms reach the run."""

    def end(error: Exception, _batch: object) -> None:
        print(f"a process that loads images cannot send a batch: {error}", file=sys.stderr, flush=True)
        os._exit(1)

    sys.excepthook = lambda *_: None
    Queue._on_queue_feeder_error = staticmethod(end)  # type: ignore[attr-defined]  # a hook that the documentation leaves out


class _TransformedImages(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, images: ImageSet, transform: torch.nn.Module) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.transform(self.images.images[index]), self.images.labels[index]
