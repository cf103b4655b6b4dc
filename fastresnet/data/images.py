"""Images in memory: a uint8 tensor with labels, and a digest that identifies its content."""

import hashlib
import math
from collections.abc import Collection, Set
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from fastresnet.errors import UserError, check_type


@dataclass(frozen=True)
class ImageSet:
    """Labelled images of one split: `images` uint8 [N, C, H, W], `labels` int64 [N] in [0, len(class_names)).

    Raises UserError for other tensors.

    >>> images, labels = torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.tensor([0, 1, 0, 1])
    >>> fr.ImageSet(images, labels, class_names=("cat", "dog"))
    ImageSet(4 images [3, 32, 32], 2 classes)
    """

    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        names = self.class_names
        in_order = isinstance(names, Collection) and not isinstance(names, str | Set)
        if not in_order or not all(isinstance(name, str) for name in names):
            raise UserError(f"class_names must be texts in the order of the labels, got {names!r:.80}")
        # so that a list of the same names is equal, and texts of other libraries can be saved
        object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))
        for field in ("images", "labels"):
            if not isinstance(tensor := getattr(self, field), Tensor):
                raise UserError(
                    f"{field} must be a torch.Tensor, got {type(tensor).__name__}; torch.from_numpy makes one of an array"
                )
            if tensor.is_meta or tensor.layout != torch.strided:
                raise UserError(f"{field} must have a value for each element, got {tensor.layout} on {tensor.device}")
            object.__setattr__(self, field, tensor.cpu())
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or 0 in self.images.shape[1:]:
            raise UserError(f"images must be uint8 [N, C, H, W], got {self.images.dtype} {list(self.images.shape)}")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise UserError(f"labels must be int64 [{len(self.images)}], got {self.labels.dtype} {list(self.labels.shape)}")
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.class_names):
            raise UserError(
                f"labels must lie in [0, {len(self.class_names)}), the number of class names; "
                f"got {int(self.labels.min())} to {int(self.labels.max())}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"ImageSet({len(self):,} images {list(self.images.shape[1:])}, {len(self.class_names)} classes)"

    @cached_property
    def digest(self) -> str:
        """`content_digest` of the images in their present order."""
        return content_digest(self.images.numpy(), self.labels.numpy())

    def subset(self, num_images: int | None, key: str = "num_images") -> "ImageSet":
        """A stratified subset: the first images of every class, in the same class proportions. None keeps all.

        Raises UserError, which names `key`, if there are fewer images than asked for.
        """
        if num_images is None or num_images == len(self):
            return self
        if not _is_count(num_images) or not 0 < num_images <= len(self):
            raise UserError(f"{key}: asked for {num_images!r} images; allowed: 1 to {len(self)}")
        return self._chosen(self._by_class_rank()[:num_images])

    def hold_out(self, num_images: int) -> tuple["ImageSet", "ImageSet"]:
        """Splits off a stratified validation set: (the rest, the held-out `num_images`).

        Raises UserError if nothing would be held out, or left to train on.
        """
        if not _is_count(num_images) or not 0 < num_images < len(self):
            raise UserError(
                f"validation_images: asked for {num_images!r} of {len(self)}; allowed: at least 1, and fewer than all"
            )
        order = self._by_class_rank()
        # `subset` keeps the first ranks, so the last ones are held out
        return self._chosen(order[:-num_images]), self._chosen(order[-num_images:])

    def _chosen(self, indices: Tensor) -> "ImageSet":
        indices = torch.sort(indices).values
        return ImageSet(self.images[indices], self.labels[indices], self.class_names)

    def _by_class_rank(self) -> Tensor:
        """Indices of the images, ordered so that every prefix holds the classes in proportion."""
        position = torch.empty(len(self), dtype=torch.float64)
        for label in self.labels.unique():
            members = (self.labels == label).nonzero().flatten()
            position[members] = (torch.arange(len(members), dtype=torch.float64) + 0.5) / len(members)
        return torch.argsort(position, stable=True)


@dataclass(frozen=True)
class Dataset:
    """A data set: both splits, the training set's channel statistics for pixels in [0, 1], and the source of the data.

    Raises UserError if a split is empty, if the two differ in shape or classes, or unless there is one mean and one deviation
    above 0 for each channel.

    >>> dataset = fr.load_dataset("fashion-sample")
    >>> len(dataset.train), len(dataset.test), dataset.mean, dataset.train.class_names[0]
    (4000, 1000, (0.286,), 'T-shirt/top')
    """

    name: str
    train: ImageSet
    test: ImageSet
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        train, test = self.train, self.test
        for each in (train, test):
            check_type(each, ImageSet, f"{self.name}: each split")
        if not (len(train) and len(test)):
            raise UserError(f"{self.name}: {len(train)} training and {len(test)} test images; allowed: at least one of each")
        ours, theirs = (list(each.images.shape[1:]) for each in (train, test))
        if ours != theirs:
            raise UserError(f"{self.name}: train and test differ: images {ours} and {theirs}")
        if train.class_names != test.class_names:
            unshared = sorted(set(train.class_names) ^ set(test.class_names))
            raise UserError(f"{self.name}: train and test differ in their classes: {', '.join(unshared[:5]) or 'their order'}")
        for field in ("mean", "std"):
            try:  # files hold no numbers of numpy or torch
                object.__setattr__(self, field, tuple(map(float, getattr(self, field))))
            except (TypeError, ValueError) as error:
                raise UserError(f"{self.name}: {field}: {error}; allowed: a number per channel") from error
        channels = self.train.images.shape[1]
        if not (
            len(self.mean) == len(self.std) == channels and all(map(math.isfinite, self.mean + self.std)) and min(self.std) > 0
        ):
            allowed = f"a finite number per channel, {channels} each, those of std above 0"
            raise UserError(f"{self.name}: mean {self.mean} and std {self.std}; allowed: {allowed}")


def from_tensors(name: str, train: ImageSet, test: ImageSet, source: str = "tensors given by the caller") -> Dataset:
    """A data set of the caller's own tensors, with statistics measured on the training images.

    Raises UserError if a split is empty, or the two differ in shape or classes.

    >>> images, labels = torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.tensor([0, 1, 0, 1])
    >>> pets = fr.ImageSet(images, labels, class_names=("cat", "dog"))
    >>> fr.from_tensors("pets", train=pets, test=pets).mean
    (0.0, 0.0, 0.0)
    """
    check_type(train, ImageSet, f"{name}: train")
    mean, std = channel_statistics(train.images)
    return Dataset(name, train, test, mean, std, source)


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, for pixels scaled to [0, 1]. A constant channel gets std 1."""
    # a histogram of the 256 values is exact and needs no float copy of the set
    values = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in images.unbind(dim=1):
        weights = torch.bincount(channel.flatten(), minlength=256).double()
        mean = (weights * values).sum() / weights.sum()
        variance = (weights * (values - mean) ** 2).sum() / weights.sum()
        means.append(float(mean))
        constant = weights.count_nonzero() == 1  # its variance may be rounding noise
        stds.append(1.0 if constant else float(variance.sqrt()))
    return tuple(means), tuple(stds)


def canonical_order(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Indices that sort uint8 images [N, ...] by the hash of label and pixels.

    Publishers order the same images differently. After this sort, the first n images are the same for every source, and their
    order is independent of their classes.
    """
    keys = [hashlib.sha256(label.tobytes() + image.tobytes()).digest() for image, label in zip(images, labels, strict=True)]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def content_digest(images: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 over the pixels, then the labels as little-endian int64, in the order given."""
    digest = hashlib.sha256(np.ascontiguousarray(images).data)
    digest.update(np.ascontiguousarray(labels.astype("<i8", copy=False)).data)
    return digest.hexdigest()
