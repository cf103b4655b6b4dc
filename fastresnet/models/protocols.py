"""Optional interfaces of a network beyond `nn.Module`. Networks without them can be trained, too, without these features."""

from collections.abc import Callable, Iterator
from typing import Protocol, cast, runtime_checkable

from torch import Tensor, nn


def set_prepared(model: nn.Module, _: object) -> None:
    """Sets `prepared` after `load_state_dict`, whose hook it is: other first filters would not fit the weights loaded."""
    cast(Prepared, model).prepared = True


@runtime_checkable
class Freezable(Protocol):
    """A network whose first parts can be frozen (`TrainConfig.freeze`)."""

    def freezable(self) -> Iterator[nn.Module]:
        """Yields the parts that can be frozen, from first to last."""
        ...


@runtime_checkable
class Prepared(Protocol):
    """A network that is initialised from training images before its first step."""

    prepared: bool
    """Whether that has been done, or weights were loaded: another set of images would replace what was learned on."""

    def prepare(self, first_images: Callable[[int], Tensor]) -> None:
        """Initialises weights from data. `first_images(n)` returns the first n training images, normalised [n, C, H, W]."""
        ...
