"""Batches of normalised images: what two loaders share, and the one that works on whole batches on the device.

For `batches.epoch(e)`, both yield pairs of images float32 [B, C, H, W] and labels int64 [B]. `TensorBatches` yields them on the
device; `WorkerBatches`, which has a file of its own, in memory, pinned for a GPU. The order of the images and the augmentation
of `TensorBatches` depend only on the seed and the epoch, so a resumed run sees the same batches. With pruning, the order also
depends on the losses that the trainer reports after each epoch. Without augmentation, both loaders yield equal labels and
pixels. In training, a last batch of a single image is dropped, since batch norm cannot use it.

With several processes, each gets an equal share of every training batch, at least two images. Up to one image per process, or
a last batch that is too small, is dropped for that. In evaluation, each process gets whole batches in turn.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from fastresnet.compute.device import to_device
from fastresnet.compute.processes import ALONE, ProcessGroup
from fastresnet.config import DataConfig
from fastresnet.config.seeds import generator_seed
from fastresnet.data import augment
from fastresnet.data.images import Dataset, ImageSet
from fastresnet.data.vision import import_torchvision


class ImageBatches:
    """Base class of both loaders: the order of the images, the number of batches, and the share of each process."""

    def __init__(
        self,
        images: ImageSet,
        config: DataConfig,
        dataset: Dataset,
        device: torch.device,
        seed: int,
        group: ProcessGroup = ALONE,
        *,
        training: bool,
    ) -> None:
        self._epochs_begun = 0
        self.config, self.device, self.seed, self.group, self.training = config, device, seed, group, training
        self.batch_size = config.batch_size if training else config.test_batch_size
        last = len(images) % self.batch_size
        dropped = last if last < 2 * group.size else last % group.size
        self.num_images = len(images) - training * dropped
        self.images, self._pixels = images, images.images
        self.losses = torch.full((len(images),), torch.nan) if training and config.prune else None
        """Last loss of each training image [images], NaN for images not seen yet. None if nothing depends on the losses."""
        self.prefetchable = self.losses is None
        """Whether the batches of an epoch can be made before the previous epoch has ended."""
        self.mean, self.std = torch.tensor(dataset.mean), torch.tensor(dataset.std)
        self._resize = import_torchvision("transforms.v2.functional").resize

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} batches, {self.num_images:,} images, on {self.device})"

    def __len__(self) -> int:
        return -(-self.num_images // self.batch_size)

    def epoch(self, index: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of one epoch."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of the next epoch."""
        self._epochs_begun += 1
        return self.epoch(self._epochs_begun - 1)

    def sides(self, epochs: float) -> set[int | None]:
        """The sides in pixels that images are resized to in a run of so many epochs; None is their original size."""
        curriculum = [each for each in self.config.size_curriculum if self.training and each[0] < epochs]
        return {side for _, side in curriculum} | ({self.config.image_size} if not curriculum or curriculum[0][0] > 0 else set())

    def first_images(self, num_images: int, side: int | None = None) -> Tensor:
        """The first images as float32 [at most num_images, C, H, W]. They are resized, to `side` pixels if given, and normalised,
        but neither shuffled nor augmented."""
        pixels = self._pixels[:num_images].to(self.device)
        if side := side or self.config.image_size:
            pixels = self._resized(pixels, side)
        mean, std = (each[:, None, None].to(self.device) for each in (self.mean, self.std))
        return pixels.float().div_(255).sub_(mean).div_(std)

    def _resized(self, pixels: Tensor, side: int) -> Tensor:
        """Resizes uint8 images [N, C, H, W] to [N, C, side, side]."""
        num_images, channels, height, width = pixels.shape
        if channels == 1 and num_images % 4 == 0:  # torch resizes four channels at a time, so take four grey images as one
            pixels = pixels.reshape(-1, 4, height, width)
        return self._resize(pixels, [side, side], antialias=True).reshape(num_images, channels, side, side)

    @property
    def _mean_colour(self) -> Tensor:
        return (255 * self.mean).round().to(torch.uint8)

    def note_losses(self, epoch: int, losses: Tensor) -> None:
        """Stores the losses [n], on any device, of the images that this process had in an epoch, in their order. An image that
        came more than once gets the mean of its losses."""
        assert self.losses is not None
        indices = torch.cat([indices for _, indices in self._shares(epoch)])[: len(losses)]
        sums = torch.zeros(2, len(self.images)).index_add_(1, indices, torch.stack([losses.cpu(), torch.ones(len(losses))]))
        total, times = self.group.sum(sums.to(self.device)).cpu()
        self.losses = torch.where(times > 0, total / times, self.losses)

    def _shares(self, epoch: int) -> Iterator[tuple[int, Tensor]]:
        """Yields this process's share of each batch: the position of the batch in the epoch, and indices of images."""
        for position, indices in enumerate(self._order(epoch).split(self.batch_size)):
            if self.training:
                yield position, self.group.share(indices)
            elif position % self.group.size == self.group.rank:
                yield position, indices

    def _generator(self, epoch: int, rank: int = 0) -> torch.Generator:
        return torch.Generator().manual_seed((generator_seed(self.seed) + rank * 1_000_003) * 1_000_003 + epoch)

    def _order(self, epoch: int) -> Tensor:
        """Indices of the images in the order of an epoch: shuffled in training, ascending in evaluation."""
        if not self.training:
            return torch.arange(self.num_images)
        generator = self._generator(epoch)
        order = self._pass(epoch, generator)
        while len(order) < self.num_images:
            order = torch.cat([order, self._pass(epoch, generator)])
        return order[: self.num_images]

    def _pass(self, epoch: int, generator: torch.Generator) -> Tensor:
        """Shuffled indices of the images for one pass over the set, without the easy images that it skips."""
        shuffled = torch.randperm(len(self.images), generator=generator)
        prune = self.config.prune
        if self.losses is None or prune is None or epoch < prune.start:
            return shuffled
        easy = self.losses[shuffled] < self.losses.nanmean()
        return shuffled[~(easy & (torch.rand(len(shuffled), generator=generator) < prune.skip))]


class TensorBatches(ImageBatches):
    """Batches from a whole data set on the device, as uint8. Augmentation acts on whole batches."""

    def __init__(self, images: ImageSet, *shared: Any, training: bool) -> None:
        super().__init__(images, *shared, training=training)
        self._pixels, self._labels = images.images.to(self.device), images.labels.to(self.device)
        # normalises uint8 pixels with one multiplication and one addition
        self._scale = (1 / (255 * self.std)).to(self.device)[:, None, None]
        self._offset = (-self.mean / self.std).to(self.device)[:, None, None]

    def epoch(self, index: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of one epoch. Repeated calls yield equal batches."""
        generator = self._generator(index)
        for position, indices in self._shares(index):
            pixels, labels = self._read(indices, index, generator)
            if self.training and self.config.cutout:
                pixels = augment.cutout(pixels, self.config.cutout, self._mean_colour, generator, self.group)
            side = self._side(index + position / len(self))
            if side:
                pixels = self._resized(pixels, side)
            yield pixels.float().mul_(self._scale).add_(self._offset), labels

    def _read(self, indices: Tensor, epoch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Some images, shifted and mirrored as configured, and their labels."""
        config = self.config
        padding = config.crop_padding if self.training else 0
        flip = config.flip if self.training else "random" if config.flip_test else "none"
        chosen = to_device(indices, self.device)
        if not padding and flip == "none":
            # index_select copies each image as one piece, whereas indexing copies pixel by pixel
            return self._pixels.index_select(0, chosen), self._labels[chosen]
        grid = augment.PixelGrid.whole(chosen, *self._pixels.shape[-2:])
        if padding:
            grid = augment.random_crop(grid, padding, generator, self.group)
        if flip == "random":
            grid = augment.random_flip(grid, generator, self.group if self.training else ALONE)
        if flip == "alternating":
            grid = augment.alternating_flip(grid, epoch)
        return grid.read(self._pixels), self._labels[chosen]

    def _side(self, epoch: float) -> int | None:
        """Side in pixels that images are resized to at an epoch, which may be fractional; None keeps their original size."""
        sides = [side for start, side in self.config.size_curriculum if self.training and start <= epoch]
        return sides[-1] if sides else self.config.image_size
