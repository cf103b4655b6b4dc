"""Random augmentation of a whole batch of uint8 images [N, C, H, W], without a loop over the images.

A mirrored or shifted image is the same pixels in other places. So where to read them is settled first, and then each pixel is
copied once, by one kernel. Random numbers come from a CPU generator given by the caller, so that a batch is the same on every
device. Where the images are a team's share of a batch, they are drawn for the whole of it.

    places = random_flip(random_crop(Places.whole(indices, 32, 32), 4, generator), generator)
    batch = places.read(pixels)
"""

from typing import NamedTuple

import torch
from torch import Tensor

from fastresnet.compute.device import moved
from fastresnet.compute.processes import ALONE, Team


class Places(NamedTuple):
    """Where the pixels of a batch are read: in which images (int64 [N]), rows (int64 [N, H]) and columns (int64 [N, W]), on the
    device of those pixels."""

    images: Tensor
    rows: Tensor
    columns: Tensor

    @classmethod
    def whole(cls, indices: Tensor, height: int, width: int) -> "Places":
        """Of the images with some indices [N] every pixel, where it is."""
        rows, columns = (torch.arange(side, device=indices.device).expand(len(indices), -1) for side in (height, width))
        return cls(indices, rows, columns)

    def read(self, pixels: Tensor) -> Tensor:
        """The batch [N, C, H, W], in channels_last, from the pixels [M, C, height, width] of a set on the same device."""
        # indices on both sides of the channel slice put it last: [N, H, W, C], which is channels_last once permuted
        read = pixels[self.images[:, None, None], :, self.rows[:, :, None], self.columns[:, None, :]]
        return read.permute(0, 3, 1, 2)


def random_flip(places: Places, generator: torch.Generator, team: Team = ALONE) -> Places:
    """Mirrors each image left to right with probability 1/2."""
    drawn = team.share(torch.rand(len(places.images) * team.size, generator=generator))
    return _mirror(places, moved(drawn < 0.5, places.images.device))


def alternating_flip(places: Places, epoch: int) -> Places:
    """Mirrors each image in every other epoch: half of them, chosen by their indices, in the even ones.

    Two epochs in a row show both forms of every image, which random flips do only half of the time (Jordan, 2024).
    """
    # a multiplicative hash, so that which half an image falls in has nothing to do with its place in the set
    half = (places.images * 2654435761 >> 16) % 2
    return _mirror(places, (half + epoch) % 2 == 0)


def _mirror(places: Places, chosen: Tensor) -> Places:
    return places._replace(columns=torch.where(chosen[:, None], places.columns.flip(-1), places.columns))


def random_crop(places: Places, padding: int, generator: torch.Generator, team: Team = ALONE) -> Places:
    """Shifts each image by up to `padding` pixels both ways; what comes in over the edge is a reflection."""
    size = (2, len(places.images) * team.size, 1)
    drawn = team.share(torch.randint(-padding, padding + 1, size, generator=generator), dim=1)
    down, right = moved(drawn, places.images.device)
    return places._replace(rows=_shift(places.rows, down), columns=_shift(places.columns, right))


def _shift(positions: Tensor, by: Tensor) -> Tensor:
    size = positions.shape[1]
    source = (torch.arange(size, device=by.device) + by).abs()
    return positions.gather(1, torch.where(source < size, source, 2 * (size - 1) - source))


def cutout(images: Tensor, side: int, colour: Tensor, generator: torch.Generator, team: Team = ALONE) -> Tensor:
    """Paints a square of `side` pixels, wholly inside each image, in one colour (uint8 [C]) (DeVries and Taylor, 2017)."""
    num_images, _, height, width = images.shape
    top = team.share(torch.randint(0, height - side + 1, (num_images * team.size, 1), generator=generator))
    left = team.share(torch.randint(0, width - side + 1, (num_images * team.size, 1), generator=generator))
    rows = (torch.arange(height) >= top) & (torch.arange(height) < top + side)  # [N, H]
    columns = (torch.arange(width) >= left) & (torch.arange(width) < left + side)  # [N, W]
    hole = moved(rows, images.device)[:, :, None] & moved(columns, images.device)[:, None, :]
    return torch.where(hole[:, None], moved(colour, images.device)[None, :, None, None], images)
