"""The one door to torchvision.

PyPI's torchvision wheel is linked against a CUDA build of torch. Beside a CPU-only torch its compiled operators do not
load and the import stops at "operator torchvision::nms does not exist" (pytorch/vision#9077). Data sets, transforms and
models need none of them, so it is enough to declare the two missing schemas and import again.
"""

import importlib
from types import ModuleType

import torch

_MISSING_OPERATORS = ("nms", "qnms")
_declared: list[torch.library.Library] = []  # a declaration lasts as long as its Library object


def import_torchvision(submodule: str) -> ModuleType:
    """Imports `torchvision.SUBMODULE`, on a CPU-only torch too."""
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
