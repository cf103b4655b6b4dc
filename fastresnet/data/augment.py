"""Random augmentation of a whole batch of uint8 images [N, C, H, W], without a loop over the images.

Random numbers come from a CPU generator given by the caller, so that a batch is the same on every device. Where the
images are a team's share of a batch, they are drawn for the whole of it.
"""

import torch
from torch import Tensor

from fastresnet.device import moved
from fastresnet.distributed import ALONE, Team


def random_flip(images: Tensor, generator: torch.Generator, team: Team = ALONE) -> Tensor:
    """Mirrors each image left to right with probability 1/2."""
    return mirror(images, team.share(torch.rand(len(images) * team.size, generator=generator)) < 0.5)


def alternating_flip(images: Tensor, indices: Tensor, epoch: int) -> Tensor:
    """Mirrors each image in every other epoch: half of them, chosen by `indices` [N], in the even ones.

    Two epochs in a row show both forms of every image, which random flips do only half of the time (Jordan, 2024).
    """
    # a multiplicative hash, so that which half an image falls in has nothing to do with its place in the set
    half = (indices * 2654435761 >> 16) % 2
    return mirror(images, (half + epoch) % 2 == 0)


def mirror(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirrors the chosen images (bool [N]) left to right."""
    chosen = moved(chosen, images.device)
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def random_crop(images: Tensor, padding: int, generator: torch.Generator, team: Team = ALONE) -> Tensor:
    """Shifts each image by up to `padding` pixels both ways; what comes in over the edge is a reflection."""
    num_images, _, height, width = images.shape
    shifts = team.share(torch.randint(-padding, padding + 1, (2, num_images * team.size, 1), generator=generator), dim=1)
    down, right = moved(shifts, images.device)
    rows = _reflect(torch.arange(height, device=images.device) + down, height)  # [N, H]
    columns = _reflect(torch.arange(width, device=images.device) + right, width)  # [N, W]
    which = torch.arange(num_images, device=images.device)
    # indices on both sides of the channel slice put it last: [N, H, W, C], which is channels_last once permuted
    return images[which[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _reflect(position: Tensor, size: int) -> Tensor:
    position = position.abs()
    return torch.where(position < size, position, 2 * (size - 1) - position)


def cutout(images: Tensor, side: int, colour: Tensor, generator: torch.Generator, team: Team = ALONE) -> Tensor:
    """Paints a square of `side` pixels, wholly inside each image, in one colour (uint8 [C]) (DeVries and Taylor, 2017)."""
    num_images, _, height, width = images.shape
    top = team.share(torch.randint(0, height - side + 1, (num_images * team.size, 1), generator=generator))
    left = team.share(torch.randint(0, width - side + 1, (num_images * team.size, 1), generator=generator))
    rows = (torch.arange(height) >= top) & (torch.arange(height) < top + side)  # [N, H]
    columns = (torch.arange(width) >= left) & (torch.arange(width) < left + side)  # [N, W]
    hole = moved(rows, images.device)[:, :, None] & moved(columns, images.device)[:, None, :]
    return torch.where(hole[:, None], moved(colour, images.device)[None, :, None, None], images)
