"""What a run is: strict, frozen, hashed settings. Free of torch."""

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
