"""Filters that whiten the patches of a training set (Page, 2019), for a first layer that need not be learned."""

import torch
from torch import Tensor

from fastresnet.compute.device import in_double

WHITENING_EPSILON = 5e-4
"""Noise level that is added to the eigenvalues, in squared units of normalised pixels (Jordan, 2024)."""


def whitening_filters(images: Tensor, patch: int, stride: int = 1) -> Tensor:
    """Filters [C * patch^2, C, patch, patch] that turn patches of images [N, C, H, W] into uncorrelated features of unit
    variance. They are the eigenvectors of the patches' second moments, each divided by the root of its eigenvalue, in descending
    order of the eigenvalues. The patches are `stride` pixels apart."""
    channels = images.shape[1]
    moments, num_patches = torch.zeros((), dtype=torch.float64), 0
    for some in images.split(100 if images.device.type == "cpu" else len(images)):  # small enough for a processor's cache
        patches = in_double(_patches(some, patch, stride))
        moments = moments + (patches @ patches.mT).sum(dim=0)
        num_patches += patches.shape[0] * patches.shape[2]
    # for so small a matrix, a processor is faster than a GPU
    eigenvalues, eigenvectors = torch.linalg.eigh(moments.cpu() / num_patches)
    filters = (eigenvectors / (eigenvalues + WHITENING_EPSILON).sqrt()).T.flip(0)
    return filters.reshape(-1, channels, patch, patch).to(images.dtype).to(images.device)


def _patches(images: Tensor, patch: int, stride: int) -> Tensor:
    """Patches [N, C * patch^2, positions] of images [N, C, H, W]. The result is that of torch's unfold, which is slower, since it
    processes one image at a time."""
    height, width = (side - patch + 1 for side in images.shape[-2:])
    shifted = [
        images[..., top : top + height : stride, left : left + width : stride] for top in range(patch) for left in range(patch)
    ]
    return torch.stack(shifted, dim=2).flatten(3).flatten(1, 2)
