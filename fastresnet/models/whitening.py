"""Filters that whiten the patches of a training set (Page, 2019): a first layer that need not be learned."""

import torch
from torch import Tensor
from torch.nn import functional

WHITENING_EPSILON = 5e-4
"""Added to the eigenvalues, in squared units of normalised pixels: what counts as noise (Jordan, 2024)."""
WHITENING_IMAGES = 5_000


def whitening_filters(images: Tensor, patch: int) -> Tensor:
    """Filters [C * patch^2, C, patch, patch] that turn patches of images [N, C, H, W] into uncorrelated features of unit
    variance: the eigenvectors of the patches' covariance over the roots of its eigenvalues, largest eigenvalue first."""
    channels = images.shape[1]
    size = channels * patch**2
    covariance, num_patches = torch.zeros(size, size, dtype=torch.float64, device=images.device), 0
    for some in images[:WHITENING_IMAGES].split(100):  # small enough for the cache
        patches = functional.unfold(some, patch).double()  # [N, C * patch^2, places]
        covariance += (patches @ patches.mT).sum(dim=0)
        num_patches += patches.shape[0] * patches.shape[2]
    covariance /= num_patches
    eigenvalues, eigenvectors = torch.linalg.eigh(covariance)
    filters = (eigenvectors / (eigenvalues + WHITENING_EPSILON).sqrt()).T.flip(0)
    return filters.reshape(-1, channels, patch, patch).to(images.dtype)
