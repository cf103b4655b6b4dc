"""Recipes for FashionMNIST."""

from fastresnet.config import RunConfig
from fastresnet.recipes.base import speed_run


def fashion_80(device: str) -> RunConfig:
    """80 % on FashionMNIST.

    cpu: not measured yet.
    gpu: not measured yet.
    """
    return speed_run(
        device,
        {
            "data.name": "fashion-mnist",
            "model.in_channels": 1,
            "model.widths": [16, 32, 32],
            "train.epochs": 0.05,
            "data.batch_size": 100,
        },
    )


def fashion_89(device: str) -> RunConfig:
    """88.65 % on FashionMNIST, where the original report ended after 80 s on an RTX 2060.

    cpu: not measured yet.
    gpu: not measured yet.
    """
    return speed_run(
        device,
        {
            "data.name": "fashion-mnist",
            "model.in_channels": 1,
            "model.widths": [16, 32, 32],
            "train.epochs": 0.3,
            "data.batch_size": 100,
        },
    )


def fashion_90(device: str) -> RunConfig:
    """90 % on FashionMNIST.

    cpu: not measured yet.
    gpu: not measured yet.
    """
    return speed_run(
        device,
        {
            "data.name": "fashion-mnist",
            "model.in_channels": 1,
            "model.widths": [32, 64, 64],
            "train.epochs": 0.4,
            "data.batch_size": 100,
        },
    )


def fashion_93(device: str) -> RunConfig:
    """93 % on FashionMNIST.

    cpu: not measured yet.
    gpu: not measured yet.
    """
    return speed_run(
        device,
        {
            "data.name": "fashion-mnist",
            "model.in_channels": 1,
            "model.widths": [32, 128, 128],
            "train.epochs": 3,
            "data.batch_size": 250,
        },
    )
