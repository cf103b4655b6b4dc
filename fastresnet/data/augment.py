"""Random augmentation of a whole batch of uint8 images [N, C, H, W], without a loop over the images.

A mirrored or shifted image has the same pixels in other positions. The positions are therefore computed first, and one kernel
then copies each pixel once. Random numbers come from the caller's CPU generator, so that a batch is the same on every device. If
the images are one process's share of a batch, random numbers are drawn for the whole batch.

    grid = random_flip(random_crop(PixelGrid.whole(indices, 32, 32), 4, generator), generator)
    batch = grid.read(pixels)
"""

from typing import NamedTuple

import torch
from torch import Tensor

from fastresnet.compute.device import to_device
from fastresnet.compute.processes import ALONE, ProcessGroup


class PixelGrid(NamedTuple):
    """Positions from which the pixels of a batch are read: images (int64 [N]), rows (int64 [N, H]) and columns (int64 [N, W]), on
    the device of the pixels."""

    images: Tensor
    rows: Tensor
    columns: Tensor

    @classmethod
    def whole(cls, indices: Tensor, height: int, width: int) -> "PixelGrid":
        """The grid that reads the images with the given indices [N] unchanged."""
        rows, columns = (torch.arange(side, device=indices.device).expand(len(indices), -1) for side in (height, width))
        return cls(indices, rows, columns)

    def read(self, pixels: Tensor) -> Tensor:
        """Reads the batch [N, C, H, W], in channels_last, from the pixels [M, C, height, width] of a set on the same device."""
        # indices on both sides of the channel slice put it last: [N, H, W, C], which is channels_last once permuted
        read = pixels[self.images[:, None, None], :, self.rows[:, :, None], self.columns[:, None, :]]
        return read.permute(0, 3, 1, 2)


def random_flip(grid: PixelGrid, generator: torch.Generator, group: ProcessGroup = ALONE) -> PixelGrid:
    """Mirrors each image left to right with probability 1/2."""
    drawn = group.share(torch.rand(len(grid.images) * group.size, generator=generator))
    return _mirror(grid, to_device(drawn < 0.5, grid.images.device))


def alternating_flip(grid: PixelGrid, epoch: int) -> PixelGrid:
    """Mirrors each image in every other epoch: one half of the images in even epochs, the other half in odd epochs.

    Two consecutive epochs show both forms of every image, which random flips do only half of the time (Jordan, 2024).
    """
    # a multiplicative hash, so that an image's half is independent of its position in the data set
    half = (grid.images * 2654435761 >> 16) % 2
    return _mirror(grid, (half + epoch) % 2 == 0)


def _mirror(grid: PixelGrid, chosen: Tensor) -> PixelGrid:
    return grid._replace(columns=torch.where(chosen[:, None], grid.columns.flip(-1), grid.columns))


def random_crop(grid: PixelGrid, padding: int, generator: torch.Generator, group: ProcessGroup = ALONE) -> PixelGrid:
    """Shifts each image at random by up to `padding` pixels in both directions, with reflection at the edges."""
    size = (2, len(grid.images) * group.size, 1)
    drawn = group.share(torch.randint(-padding, padding + 1, size, generator=generator), dim=1)
    down, right = to_device(drawn, grid.images.device)
    return grid._replace(rows=_shift(grid.rows, down), columns=_shift(grid.columns, right))


def _shift(positions: Tensor, by: Tensor) -> Tensor:
    size = positions.shape[1]
    source = (torch.arange(size, device=by.device) + by).abs()
    return positions.gather(1, torch.where(source < size, source, 2 * (size - 1) - source))


def cutout(images: Tensor, side: int, colour: Tensor, generator: torch.Generator, group: ProcessGroup = ALONE) -> Tensor:
    """Fills a random square of `side` pixels, wholly inside each image, with a colour uint8 [C] (DeVries and Taylor, 2017)."""
    num_images, _, height, width = images.shape
    top = group.share(torch.randint(0, height - side + 1, (num_images * group.size, 1), generator=generator))
    left = group.share(torch.randint(0, width - side + 1, (num_images * group.size, 1), generator=generator))
    rows = (torch.arange(height) >= top) & (torch.arange(height) < top + side)  # [N, H]
    columns = (torch.arange(width) >= left) & (torch.arange(width) < left + side)  # [N, W]
    hole = to_device(rows, images.device)[:, :, None] & to_device(columns, images.device)[:, None, :]
    return torch.where(hole[:, None], to_device(colour, images.device)[None, :, None, None], images)
