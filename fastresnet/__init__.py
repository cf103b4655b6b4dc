"""Fast, honest, re-runnable training of small ResNets.

    import fastresnet
    config = fastresnet.load_yaml(path, fastresnet.RunConfig)
    result = fastresnet.train(config, seed=0)
    result.record.test_accuracy

A name is imported when it is first used, so that what needs no torch does not wait for it.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "config.models": ("DavidNetConfig", "NormConfig", "ResNetConfig", "SpeedNetConfig"),
    "config.parsing": ("load_yaml",),
    "config.run": ("DataConfig", "LarsConfig", "MuonConfig", "RunConfig", "TrainConfig"),
    "compute.costs": ("Timer",),
    "data.batches": ("TensorBatches", "WorkerBatches", "make_batches"),
    "data.images": ("Dataset", "ImageSet", "from_tensors"),
    "data.sources": ("load_dataset",),
    "errors": ("UserError",),
    "models.build": ("build_model",),
    "models.resnet": ("ResNet",),
    "models.speednet": ("SpeedNet",),
    "records.record": ("EpochRecord", "RunRecord"),
    "records.store": ("Store", "load_frame"),
    "study.study": ("Experiment", "Results", "Study", "open_study"),
    "training.evaluation": ("evaluate",),
    "training.loop": ("fit",),
    "training.runs": ("RunResult", "train"),
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
