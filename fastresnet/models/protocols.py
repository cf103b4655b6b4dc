"""What a network may offer beyond `nn.Module`, asked for only where it is used. Any other network is trained without."""

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class HasParts(Protocol):
    """A network whose first parts can be frozen (`TrainConfig.freeze`)."""

    def parts(self) -> Iterator[nn.Module]:
        """The parts that can be frozen, first to last."""
        ...


@runtime_checkable
class Prepared(Protocol):
    """A network that looks at training images before its first step."""

    def prepare(self, first_images: Callable[[int], Tensor]) -> None:
        """Sets what is set from data; `first_images(n)` gives the first n training images, normalised [n, C, H, W]."""
        ...
