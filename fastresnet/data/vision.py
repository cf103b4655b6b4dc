"""The import of torchvision, which also works with a CPU-only torch.

PyPI's torchvision wheel is linked against a CUDA build of torch. With a CPU-only torch, its compiled operators do not load, and
the import fails with "operator torchvision::nms does not exist" (pytorch/vision#9077). Data sets, transforms and models need none
of these operators, so it is enough to declare the two missing schemas and import again.
"""

import importlib
from types import ModuleType

import torch

_MISSING_OPERATORS = ("nms", "qnms")
_declared: list[torch.library.Library] = []  # a declaration lasts as long as its Library object


def import_torchvision(submodule: str) -> ModuleType:
    """Imports `torchvision.SUBMODULE`, even with a CPU-only torch."""
    try:
        return importlib.import_module(f"torchvision.{submodule}")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error) or _declared:
            raise
    library = torch.library.Library("torchvision", "DEF")
    for operator in _MISSING_OPERATORS:
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
    return importlib.import_module(f"torchvision.{submodule}")
