"""Images from anywhere as batches: for `fit`, or for a training loop of one's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastresnet.compute.device import choose_device
from fastresnet.compute.processes import ALONE, ProcessGroup
from fastresnet.config import DataConfig
from fastresnet.config.datasets import SPECS
from fastresnet.config.parsing import parse
from fastresnet.config.run import GIVEN
from fastresnet.data.batches import Batches, ImageBatches, make_batches
from fastresnet.data.images import Dataset, ImageSet, from_tensors
from fastresnet.data.sources import load_dataset
from fastresnet.errors import UserError

Source = str | Path | Dataset | tuple[ImageSet, ImageSet] | tuple[Tensor, Tensor, Tensor, Tensor]


def loaders(
    data: Source, *, seed: int = 0, device: str | None = None, data_dir: str | Path | None = None, **settings: Any
) -> tuple[ImageBatches, ImageBatches]:
    """Batches for training and for testing.

    `data` is a name of `fastresnet data list`; a folder of images (train/CLASS/*.png and test/CLASS/*.png); a file .npz of
    tensors; a `Dataset`; an `ImageSet` for training and one for testing; or four tensors, images uint8 [N, C, H, W] and labels
    int64 [N] of both. `settings` are those of `DataConfig`.

    Iterating over one gives an epoch of pairs of images float32 [B, C, H, W], normalised, and labels int64 [B], and the next
    epoch the next time. Order and augmentation depend on `seed` and the epoch alone. Raises UserError for settings that are not
    allowed, or that do not fit the data.

        >>> train, test = loaders("fashion-sample", batch_size=100, flip="random")
        >>> images, labels = next(iter(train))
        >>> images.shape, labels.shape
        (torch.Size([100, 1, 28, 28]), torch.Size([100]))
    """
    name = _name(data) if isinstance(data, str | Path) else GIVEN
    config = parse({"name": name, **settings}, DataConfig, "loaders")
    folder = Path(data_dir) if data_dir else None
    dataset = load_dataset(name, folder) if isinstance(data, str | Path) else _given(data)
    return make_batches(config, dataset, choose_device(device), seed)


def _name(place: str | Path) -> str:
    """A place as `DataConfig.name` spells it."""
    if isinstance(place, str) and place in SPECS:
        return place
    kind = "tensors" if Path(place).suffix == ".npz" else "folder" if Path(place).is_dir() else None
    return f"{kind}:{place}" if kind and not str(place).startswith(f"{kind}:") else str(place)


def _given(data: Dataset | tuple[ImageSet, ImageSet] | tuple[Tensor, Tensor, Tensor, Tensor]) -> Dataset:
    if isinstance(data, Dataset):
        return data
    if len(data) == 4:
        classes = tuple(str(label) for label in range(max(int(labels.max()) for labels in data[1::2]) + 1))
        data = ImageSet(data[0], data[1], classes), ImageSet(data[2], data[3], classes)
    return from_tensors(GIVEN, *data)


@dataclass
class IterableBatches:
    """Any sequence of (images [B, C, H, W], labels [B]) as the trainer sees batches, for example a torch DataLoader."""

    iterable: Any
    device: torch.device
    group: ProcessGroup = ALONE
    losses: Tensor | None = None
    prefetchable: bool = False

    def __post_init__(self) -> None:
        if not hasattr(self.iterable, "__len__") or iter(self.iterable) is self.iterable:
            raise UserError(
                f"batches: {type(self.iterable).__name__} has no length or can be gone through only once; "
                "allowed: loaders(), a DataLoader, a list of (images, labels)"
            )

    def __len__(self) -> int:
        return len(self.iterable)

    def epoch(self, index: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of one epoch."""
        yield from self.iterable

    def note_losses(self, epoch: int, losses: Tensor) -> None:
        """Nothing here depends on losses."""


def as_batches(batches: Any, device: torch.device) -> Batches:
    """What `loaders` made as it is, any other iterable of batches with the device to train on. Raises UserError for one that
    cannot be gone through again and again."""
    return batches if isinstance(batches, ImageBatches | IterableBatches) else IterableBatches(batches, device)
