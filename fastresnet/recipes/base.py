"""What the recipes have in common."""

from typing import Any

from fastresnet.config import DataConfig, MuonConfig, RunConfig, SpeedNetConfig, TrainConfig
from fastresnet.schedules import Linear

SHORT_RUN = RunConfig(
    data=DataConfig(name="fashion-mnist", test_batch_size=250),
    model=SpeedNetConfig(in_channels=1, norm_momentum=0.3),
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
"""For a few seconds or minutes. Found by `fastresnet tune` with 5,000 images held out of FashionMNIST's training set, for
runs of 0.06 epochs; rounded."""

LONG_RUN = RunConfig(
    data=DataConfig(test_batch_size=250, flip="alternating", crop_padding=2),
    model=SpeedNetConfig(norm_momentum=0.05),
    train=TrainConfig(
        schedule=Linear(start_lr=0.24),
        momentum=0.85,
        nesterov=True,
        weight_decay=0.0167,
        bias_lr_factor=442,
        head_lr_factor=0.085,
        muon=MuonConfig(momentum=0.6, iterations=3),
        label_smoothing=0.2,
        micro_batch=125,
        freeze=((0.35, 1),),
        test_flip=True,
        test_shift=1,
        test_share=0.25,
        evaluate_every=1_000,
    ),
)
"""For several epochs of CIFAR-10: the rates of airbench94 with Muon (Jordan, 2025) in this library's terms. They were made
for batches of 2,000 and have not been tuned for smaller ones."""


def for_device(config: RunConfig, device: str) -> RunConfig:
    """A recipe's variant for a type of device.

    A processor computes a batch in pieces that stay in its cache; a GPU wants it whole, in half precision and compiled.
    """
    if device == "cuda":
        return config.with_changes({"train.micro_batch": None, "train.precision": "fp16", "train.compile": True})
    return config


def short_run(device: str, changes: dict[str, Any]) -> RunConfig:
    """`SHORT_RUN` with changes, for a type of device."""
    return for_device(SHORT_RUN.with_changes(changes), device)


def long_run(device: str, changes: dict[str, Any]) -> RunConfig:
    """`LONG_RUN` with changes, for a type of device."""
    return for_device(LONG_RUN.with_changes(changes), device)
