"""Configuration of a run, as strictly checked and frozen settings. Does not import torch."""

from fastresnet.config.data import DataConfig, PruneConfig
from fastresnet.config.models import DavidNetConfig, NormConfig, ResNetConfig, SpeedNetConfig
from fastresnet.config.run import RunConfig
from fastresnet.config.train import LarsConfig, Measure, MuonConfig, Precision, TrainConfig

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
