"""Fast, honest, re-runnable training of small ResNets.

    import fastresnet
    config = fastresnet.load_yaml(path, fastresnet.RunConfig)
    result = fastresnet.train(config, seed=0)
    result.record.test_accuracy

A name is imported when it is first used, so that what needs no torch does not wait for it.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fastresnet.config import DataConfig, ModelConfig, RunConfig, TrainConfig, load_yaml
    from fastresnet.data.batches import TensorBatches, WorkerBatches, make_batches
    from fastresnet.data.images import Dataset, ImageSet, from_tensors
    from fastresnet.data.sources import load_dataset
    from fastresnet.errors import UserError
    from fastresnet.evaluation import evaluate
    from fastresnet.models.resnet import ResNet, build_model
    from fastresnet.records import EpochRecord, RunRecord
    from fastresnet.runs import RunResult, train
    from fastresnet.store import Store, load_frame
    from fastresnet.study import Experiment, Results, Study, open_study
    from fastresnet.timing import Timer
    from fastresnet.trainer import fit

_MODULES = {
    "config": ("DataConfig", "ModelConfig", "RunConfig", "TrainConfig", "load_yaml"),
    "data.batches": ("TensorBatches", "WorkerBatches", "make_batches"),
    "data.images": ("Dataset", "ImageSet", "from_tensors"),
    "data.sources": ("load_dataset",),
    "errors": ("UserError",),
    "evaluation": ("evaluate",),
    "models.resnet": ("ResNet", "build_model"),
    "records": ("EpochRecord", "RunRecord"),
    "runs": ("RunResult", "train"),
    "store": ("Store", "load_frame"),
    "study": ("Experiment", "Results", "Study", "open_study"),
    "timing": ("Timer",),
    "trainer": ("fit",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
