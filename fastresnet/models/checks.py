"""What training and evaluation ask of anybody's network."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fastresnet.compute.memory import is_out_of_memory
from fastresnet.errors import UserError, first_line


def check_network(model: Any) -> None:
    """Raises UserError unless a model is a network whose weights have values."""
    if not isinstance(model, nn.Module):
        raise UserError(f"model: must be a torch.nn.Module, got {model!r:.200}")
    if any(weight.is_meta for weight in model.parameters()):
        raise UserError(f"model: {type(model).__name__} is on the device meta, where weights have no values")


@contextmanager
def taking(images: list[int], model: nn.Module, where: str) -> Iterator[None]:
    """Turns whatever a network raises in the block, but for memory that ran out, into UserError that names `where` and the shape
    of the images."""
    try:
        yield
    except (UserError, torch.AcceleratorError):
        raise
    except Exception as error:  # it is anybody's code
        if is_out_of_memory(error):
            raise
        remedy = "; allowed: reshape in place of view, or channels_last=False" * ("view size" in str(error))
        if images[0] == 1 and "more than 1 value per channel" in str(error):
            remedy = "; allowed: batches of two images and more, as from a DataLoader with drop_last=True"
        raise UserError(f"{where}: {type(model).__name__} cannot take images {images}: {first_line(error)}{remedy}") from error


def check_logits(logits: Any, model: nn.Module) -> None:
    """Raises UserError unless a network has returned logits [N, classes]."""
    if not isinstance(logits, Tensor) or logits.ndim != 2 or not logits.is_floating_point():
        found = f"{logits.dtype} {list(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(f"model: {type(model).__name__} must return logits [N, classes], got {found.removeprefix('torch.')}")
