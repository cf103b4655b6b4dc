"""Configuration of a run, as strictly checked and frozen settings. Does not import torch."""

from fastresnet.config.models import DavidNetConfig, NormConfig, ResNetConfig, SpeedNetConfig
from fastresnet.config.run import DataConfig, LarsConfig, Measure, MuonConfig, Precision, PruneConfig, RunConfig, TrainConfig

__all__ = [
    "DataConfig",
    "DavidNetConfig",
    "LarsConfig",
    "Measure",
    "MuonConfig",
    "NormConfig",
    "Precision",
    "PruneConfig",
    "ResNetConfig",
    "RunConfig",
    "SpeedNetConfig",
    "TrainConfig",
]
