"""Fast, honest, re-runnable training of small ResNets.

    import fastresnet as fr

    train, test = fr.loaders("cifar10", batch_size=512, flip="random", crop_padding=4)
    model = fr.resnet18(num_classes=10, channels=(32, 64, 128, 256), stem="3x3/1", stem_pool="none")
    result = fr.fit(model, train, test, epochs=10, schedule=fr.OneCycle(max_lr=0.4), momentum=0.9, weight_decay=5e-4)
    print(result.test_accuracy, result.seconds.train)

A name is imported when it is first used, so that what needs no torch does not wait for it. The examples in the docstrings need
`import fastresnet as fr` and `import torch` before them.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "config.data": ("DataConfig", "PruneConfig"),
    "config.models": ("DavidNetConfig", "NormConfig", "ResNetConfig", "SpeedNetConfig"),
    "config.parsing": ("load_yaml",),
    "config.recipes": ("find_recipe",),
    "config.run": ("RunConfig",),
    "config.schedules": (
        "Constant",
        "Cosine",
        "CosineRestarts",
        "Cyclic",
        "Exponential",
        "Linear",
        "MultiStep",
        "OneCycle",
        "OneCycleTail",
        "PiecewiseLinear",
        "Plateau",
    ),
    "config.train": ("LarsConfig", "MuonConfig", "TrainConfig"),
    "data.images": ("Dataset", "ImageSet", "from_tensors"),
    "data.loaders": ("loaders",),
    "data.sources": ("load_dataset",),
    "errors": ("UserError",),
    "models.build": ("build_model",),
    "models.davidnet": ("DavidNet",),
    "models.resnet": ("ResNet", "resnet10", "resnet18", "resnet34"),
    "models.saved": ("SavedModel", "load_model", "save_model"),
    "models.speednet": ("SpeedNet",),
    "records.record": ("EpochRecord", "RunRecord"),
    "records.store": ("Store", "load_frame"),
    "study.experiment": ("Experiment", "Results"),
    "study.study": ("Study", "open_study"),
    "training.evaluation": ("evaluate",),
    "training.fit": ("fit",),
    "training.loop": ("FitResult",),
    "training.progress": ("TakenStep", "Watcher"),
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
