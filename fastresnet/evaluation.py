"""Loss and accuracy of a network on a set of images."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from fastresnet.data.batches import Batches


class Score(NamedTuple):
    """Mean cross-entropy in nats and share of images whose largest logit is their label, in [0, 1]."""

    loss: float
    accuracy: float


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    batches: Batches,
    *,
    precision: torch.dtype = torch.float32,
    channels_last: bool = True,
    test_flip: bool = False,
) -> Score:
    """Scores a network, put into evaluation mode for it and left so.

    `test_flip` averages the logits of each image and its mirror image, at twice the cost.
    """
    model.eval()
    loss_sum, num_correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
    num_images = 0
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for images, labels in batches.epoch(0):
        with torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
            images = images.contiguous(memory_format=layout)
            logits = model(images)
            if test_flip:
                logits = (logits + model(images.flip(-1))) / 2
        logits = logits.float()
        # summed where the device is, so that nothing waits for it until the end
        loss_sum = loss_sum.to(logits.device) + functional.cross_entropy(logits, labels, reduction="sum")
        num_correct = num_correct.to(logits.device) + (logits.argmax(dim=1) == labels).sum()
        num_images += len(labels)
    return Score(float(loss_sum) / num_images, float(num_correct) / num_images)
