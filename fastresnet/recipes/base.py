"""What the recipes have in common."""

from typing import Any

from fastresnet.config import DataConfig, MuonConfig, RunConfig, SpeedNetConfig, TrainConfig
from fastresnet.schedules import Linear

SPEED_RUN = RunConfig(
    data=DataConfig(test_batch_size=250),
    model=SpeedNetConfig(norm_momentum=0.3),
    train=TrainConfig(
        schedule=Linear(start_lr=0.23),
        momentum=0.63,
        nesterov=True,
        weight_decay=0.0015,
        bias_lr_factor=150,
        head_lr_factor=0.3,
        muon=MuonConfig(momentum=0.6, iterations=3),
        label_smoothing=0.18,
        evaluate_every=1_000,
    ),
)
"""Settings found by `fastresnet tune` on images held out of FashionMNIST's training set."""


def speed_run(device: str, changes: dict[str, Any]) -> RunConfig:
    """`SPEED_RUN` with changes, for a type of device.

    A processor computes a batch in pieces that stay in its cache; a GPU wants it whole, in half precision and compiled.
    """
    config = SPEED_RUN.with_changes(changes)
    if device == "cuda":
        return config.with_changes({"train.micro_batch": None, "train.precision": "fp16", "train.compile": True})
    return config
