"""Loss and accuracy of a network on a set of images."""

import math
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastresnet.compute.device import PRECISIONS, in_layout
from fastresnet.config import Precision
from fastresnet.data.batches import ImageBatches
from fastresnet.data.loaders import Batches, as_batches, check_labels
from fastresnet.errors import UserError
from fastresnet.models.checks import check_logits, check_network, taking


class Score(NamedTuple):
    """Result of an evaluation: mean cross-entropy in nats, and share of images whose largest logit is their label, in [0, 1]."""

    loss: float
    accuracy: float
    halves: tuple[float, float]
    """Accuracies on the images at even and at odd places of each batch: choose by one half, report the other."""


@torch.no_grad()  # not inference_mode, whose tensors a network that keeps some could not train with
def evaluate(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]] | Batches,
    *,
    precision: Precision = "fp32",
    channels_last: bool = True,
    test_flip: bool = False,
    test_shift: int = 0,
    test_share: float = 1.0,
) -> Score:
    """Scores a network, on its own device, on batches of `loaders` or any iterable of (images, labels), such as a DataLoader.

    The network is left in evaluation mode. For test-time augmentation, `test_flip` averages the logits of each image and its
    mirror image, and `test_shift` adds views moved diagonally by that many pixels. Only a share `test_share` of each batch, its
    least confident images, gets these views. Each process of a group scores its own batches; all return the common score.
    Raises UserError if there is no batch, one is not what the network can take, or an option is not allowed.

    >>> _, test = fr.loaders("fashion-sample", test_images=100)
    >>> score = fr.evaluate(fr.resnet10(in_channels=1), test)
    >>> 0 <= score.accuracy <= 1
    True
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision: got {precision!r}; allowed: {', '.join(PRECISIONS)}")
    if not isinstance(test_share, Real) or not 0 < test_share <= 1:
        raise UserError(f"test_share: must be above 0 and at most 1, got {test_share!r}")
    if not isinstance(test_shift, Integral) or test_shift < 0:
        raise UserError(f"test_shift: must be a whole number of at least 0, got {test_shift!r}")
    check_network(model)
    model.eval()
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    batches = as_batches(batches, device)
    if not len(batches):
        raise UserError("batches: there is no batch to score")
    dtype = PRECISIONS[precision]
    loss_sum = torch.zeros((), device=device)
    num_correct = torch.zeros(2, dtype=torch.int64, device=device)  # at even and at odd places
    num_images = torch.zeros(2, dtype=torch.int64)
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def forward(images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, dtype, enabled=precision != "fp32"), taking(list(images.shape), model, "batches"):
            logits = model(in_layout(images, layout))
        check_logits(logits, model)
        return logits.float()

    for batch in batches.epoch(0):
        images, labels = (each.to(device, non_blocking=True) for each in batch)
        logits = forward(images)
        check_labels(batches.images.labels if isinstance(batches, ImageBatches) else batch[1], logits.shape[1], "batches")
        if test_flip or test_shift:
            doubtful = least_confident(logits, test_share)
            logits[doubtful] = average_views(forward, images[doubtful], logits[doubtful], flip=test_flip, shift=test_shift)
        # summed on the device, so that nothing waits for it until the end
        loss_sum = loss_sum + functional.cross_entropy(logits, labels, reduction="sum")
        correct = logits.argmax(dim=1) == labels
        num_correct = num_correct + torch.stack([correct[0::2].sum(), correct[1::2].sum()])
        num_images += torch.tensor([(len(labels) + 1) // 2, len(labels) // 2])
    loss_sum, num_correct, num_images = map(batches.group.sum, (loss_sum, num_correct, num_images.to(device)))
    total = int(num_images.sum())
    if not total:
        raise UserError("batches: there was no batch to score; allowed: batches that can be gone through again")
    even, odd = (num_correct / num_images).tolist()
    return Score(float(loss_sum) / total, int(num_correct.sum()) / total, (even, odd))


def check_shift(test_shift: int, side: int) -> None:
    """Raises UserError if views of images with this shorter side, 0 if they have no height and width, cannot be moved by
    `test_shift` pixels."""
    if test_shift and test_shift >= side:
        raise UserError(f"test_shift: must be below the images' side, {side}, got {test_shift}")


def least_confident(logits: Tensor, share: float) -> Tensor:
    """Indices of the least confident share of logits [N, classes], rounded up: their two largest values are closest."""
    first, *second = logits.topk(min(2, logits.shape[1]), dim=1).values.unbind(dim=1)
    return (first - second[0] if second else first).argsort()[: math.ceil(len(logits) * share)]


def average_views(forward: Callable[[Tensor], Tensor], images: Tensor, logits: Tensor, *, flip: bool, shift: int) -> Tensor:
    """Test-time augmentation: mean logits over views of images [N, C, H, W]. `logits` are those of the unchanged images.

    With a `shift`, the two moved views together have half of the weight. Reflection fills the pixels at their edges.
    """

    def with_mirror(view: Tensor, first: Tensor | None = None) -> Tensor:
        first = forward(view) if first is None else first
        return (first + forward(view.flip(-1))) / 2 if flip else first

    centre = with_mirror(images, logits)
    if not shift:
        return centre
    height, width = images.shape[-2:]
    check_shift(shift, min(height, width))
    padded = functional.pad(images, (shift,) * 4, mode="reflect")
    upper_left, lower_right = padded[..., 2 * shift :, 2 * shift :], padded[..., :height, :width]
    return centre / 2 + (with_mirror(upper_left) + with_mirror(lower_right)) / 4
