"""Batches of images from any source, for `fit` or for the user's own training loop."""

from collections.abc import Iterator, Sized
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler

from fastresnet.compute.device import choose_device
from fastresnet.compute.processes import ALONE, ProcessGroup
from fastresnet.config import DataConfig
from fastresnet.config.data import GIVEN
from fastresnet.config.datasets import SPECS
from fastresnet.config.parsing import parse
from fastresnet.config.seeds import check_seed
from fastresnet.data.batches import ImageBatches, TensorBatches
from fastresnet.data.images import Dataset, ImageSet, from_tensors
from fastresnet.data.sources import load_dataset
from fastresnet.data.worker_batches import WorkerBatches
from fastresnet.errors import UserError
from fastresnet.records.folders import at_home

_MANY_CLASSES = 100_000
"""Largest label of a few images that is not taken for a mistake."""
Source = str | Path | Dataset | tuple[ImageSet, ImageSet] | tuple[Tensor, Tensor, Tensor, Tensor]


def loaders(
    data: Source,
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
    data_dir: str | Path | None = None,
    **settings: Any,
) -> tuple[ImageBatches, ImageBatches]:
    """Batches of a data set for training and for testing.

    `data` is a name of `fastresnet data list`; a folder of images (train/CLASS/*.png and test/CLASS/*.png); a file .npz of
    tensors; a `Dataset`; an `ImageSet` for training and one for testing (of one, `ImageSet.hold_out` makes two); or four tensors,
    images uint8 [N, C, H, W] and labels int64 [N] of both. `settings` are those of `DataConfig`.

    Iterating over one yields an epoch of pairs of normalised images float32 [B, C, H, W] and labels int64 [B]; iterating again
    yields the next epoch. Order and augmentation depend on `seed` and the epoch alone; those of the loader `worker` also on its
    number of processes, and on torch's generator if it has none. Raises UserError for settings that are not allowed or do not
    fit the data.

    >>> train, test = fr.loaders("fashion-sample", batch_size=100, flip="random")
    >>> images, labels = next(iter(train))
    >>> images.shape, labels.shape
    (torch.Size([100, 1, 28, 28]), torch.Size([100]))
    """
    if "name" in settings:
        raise UserError(f"loaders: name: the data set is the first argument, got name={settings['name']!r} as well")
    name = _name(data) if isinstance(data, str | Path) else GIVEN
    config, seed, chosen = parse({"name": name, **settings}, DataConfig, "loaders"), check_seed(seed), choose_device(device)
    dataset = load_dataset(name, data_dir, image_size=config.image_size) if isinstance(data, str | Path) else _given(data)
    return make_batches(config, dataset, chosen, seed)


def make_batches(
    config: DataConfig, dataset: Dataset, device: torch.device, seed: int, group: ProcessGroup = ALONE
) -> tuple[ImageBatches, ImageBatches]:
    """The training batches and the batches to evaluate on (the test set, or a held-out part of the training set).

    Raises UserError if the data set has fewer images than the configuration asks for, or images too small for it, or if
    its batches cannot be shared equally by the group.
    """
    train, test = dataset.train, dataset.test
    if config.validation_images:
        train, test = train.hold_out(config.validation_images)
    train, test = (
        each.subset(number, key)
        for each, number, key in ((train, config.train_images, "train_images"), (test, config.test_images, "test_images"))
    )
    side = min(train.images.shape[-2:])
    if max(config.crop_padding, config.cutout) >= side:
        raise UserError(f"crop_padding and cutout must be below the images' side, {side}")
    if config.batch_size % group.size:
        raise UserError(
            f"batch_size: {group.size} processes share it; allowed: multiples of {group.size}, got {config.batch_size}"
        )
    if (smallest := min(len(train), config.batch_size)) < 2 * group.size:
        raise UserError(f"batch_size: batch norm needs batches of at least {2 * group.size} images, got {smallest}")
    shared = (config, dataset, device, seed, group)
    if config.loader == "tensor":
        return TensorBatches(train, *shared, training=True), TensorBatches(test, *shared, training=False)
    return WorkerBatches(train, *shared, training=True), WorkerBatches(test, *shared, training=False)


def _name(place: str | Path) -> str:
    """The value of `DataConfig.name` for a name, a folder or a file."""
    if isinstance(place, str) and place in SPECS:
        return place
    file = at_home(place)
    kind = "tensors" if file.suffix == ".npz" else "folder" if file.is_dir() else None
    return f"{kind}:{place}" if kind and not str(place).startswith(f"{kind}:") else str(place)


def _given(data: Dataset | tuple[ImageSet, ImageSet] | tuple[Tensor, Tensor, Tensor, Tensor]) -> Dataset:
    if isinstance(data, Dataset):
        return data
    if isinstance(data, tuple | list) and len(data) == 4:
        if not all(isinstance(each, Tensor) and each.ndim and len(each) for each in data):
            raise UserError("loaders: four tensors must be torch.Tensors that are not empty: images and labels, twice")
        if wrong := [labels.dtype for labels in data[1::2] if labels.dtype != torch.int64]:
            raise UserError(f"loaders: labels must be int64 [N], got {wrong[0]}")
        largest = max(int(labels.max()) for labels in data[1::2])
        if largest >= max(_MANY_CLASSES, len(data[0]) + len(data[2])):
            raise UserError(f"loaders: labels count classes from 0; the largest is {largest:,}, and there are fewer images")
        classes = tuple(str(label) for label in range(largest + 1))
        data = ImageSet(data[0], data[1], classes), ImageSet(data[2], data[3], classes)
    if not isinstance(data, tuple | list) or [isinstance(each, ImageSet) for each in data] != [True, True]:
        raise UserError(
            f"loaders: {type(data).__name__} is no data set; allowed: a name, a path, a Dataset, four tensors, two ImageSets "
            "(of one, hold_out() makes two)"
        )
    return from_tensors(GIVEN, *data)


class IterableBatches:
    """Wraps any repeatable iterable of (images [B, C, H, W], labels [B]), for example a torch DataLoader.

    Each batch is checked as it comes, its labels once `classes` is set. Errors begin with `name`.
    """

    def __init__(self, iterable: Any, device: torch.device, name: str) -> None:
        self.iterable, self.device, self.group, self.name = iterable, device, ALONE, name
        self.classes: int | None = None
        self.losses: Tensor | None = None  # these batches do not depend on losses
        self.prefetchable = False
        try:
            listed = hasattr(self.iterable, "__iter__") or hasattr(self.iterable, "__getitem__")
            repeatable = len(self.iterable) >= 0 and listed and not isinstance(self.iterable, Iterator)
        except TypeError:  # a DataLoader over an IterableDataset has a __len__ that raises
            repeatable = False
        if not repeatable:
            raise UserError(
                f"{name}: {type(self.iterable).__name__} has no length, no batches, or can be gone through only once; "
                "allowed: loaders(), a DataLoader, a list of (images, labels)"
            )

    def __len__(self) -> int:
        return len(self.iterable)

    def epoch(self, index: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of one epoch. Raises UserError at one that is not images float32 and labels int64 [N]."""
        for number, batch in enumerate(self.iterable, 1):
            yield self._checked(batch, f"{self.name}: batch {number}")

    def check_all(self) -> None:
        """Raises UserError like `epoch`, if the batches lie in memory and looking at them changes nothing."""
        if type(self.iterable) in (list, tuple):
            for _ in self.epoch(0):
                pass

    def first_images(self, num_images: int) -> Tensor:
        """Images of the first batches, as they come: float32 [at most num_images, C, H, W]."""
        found: list[Tensor] = []
        for images, _ in self.epoch(0):
            found.append(images)
            if sum(map(len, found)) >= num_images:
                break
        return torch.cat(found)[:num_images].to(self.device)

    def _checked(self, batch: Any, where: str) -> tuple[Tensor, Tensor]:
        if not isinstance(batch, tuple | list) or len(batch) != 2 or not all(isinstance(each, Tensor) for each in batch):
            found = ", ".join(type(each).__name__ for each in batch) if isinstance(batch, tuple | list) else type(batch).__name__
            raise UserError(f"{where}: must be a pair of tensors (images, labels), got {found}")
        images, labels = batch
        if images.dtype != torch.float32 or labels.dtype != torch.int64 or labels.shape != images.shape[:1] or not len(labels):
            raise UserError(
                f"{where}: must be images float32 [N, ...] and labels int64 [N], got "
                f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)} and "
                f"{str(labels.dtype).removeprefix('torch.')} {list(labels.shape)}"
            )
        if self.classes is not None:
            check_labels(labels, self.classes, where)
        return images, labels


Batches = ImageBatches | IterableBatches
"""Batches for training and evaluation."""


def check_labels(labels: Tensor, classes: int, where: str) -> None:
    """Raises UserError unless labels lie in [0, classes). Labels on a graphics card, for which a step would have to wait, are not
    looked at."""
    if labels.device.type == "cpu" and len(labels):
        low, high = map(int, labels.aminmax())
        if low < 0 or high >= classes:
            raise UserError(f"{where}: labels from {low} to {high}, but the network tells {classes} classes apart")


def has_single(batches: Batches, first: int | None = None) -> bool:
    """Whether one of the batches is a single image, as far as a list or a DataLoader tells, of whose batches the first has so
    many images, if that is known."""
    if isinstance(batches, ImageBatches):
        return batches.num_images % batches.batch_size == 1 % batches.batch_size
    if type(batches.iterable) in (list, tuple):
        return any(len(labels) == 1 for _, labels in batches.epoch(0))
    sampler = getattr(batches.iterable, "batch_sampler", None)
    if type(sampler) is not BatchSampler or sampler.drop_last or not isinstance(sampler.sampler, Sized):
        return False
    size = sampler.batch_size
    return first in (None, size) and len(sampler.sampler) % size == 1 % size


def as_batches(batches: Any, device: torch.device, name: str = "batches") -> Batches:
    """Returns batches of `loaders` unchanged, and any other iterable of batches wrapped with the device to train on and with what
    errors call it. Raises UserError for an iterable that cannot be iterated over repeatedly."""
    return batches if isinstance(batches, ImageBatches | IterableBatches) else IterableBatches(batches, device, name)
