"""Recipes for CIFAR-10."""

from fastresnet.config import RunConfig
from fastresnet.recipes.base import speed_run


def cifar10_83(device: str) -> RunConfig:
    """83.06 % on CIFAR-10.

    cpu: not measured yet.
    gpu: not measured yet.
    """
    return speed_run(
        device,
        {"model.widths": [32, 128, 128], "train.epochs": 1, "data.batch_size": 250},
    )


def cifar10_90(device: str) -> RunConfig:
    """90 % on CIFAR-10.

    cpu: not measured yet.
    gpu: not measured yet.
    """
    return speed_run(
        device,
        {"model.widths": [64, 128, 256], "train.epochs": 3, "data.batch_size": 250},
    )


def cifar10_91(device: str) -> RunConfig:
    """91.42 % on CIFAR-10.

    cpu: not measured yet.
    gpu: not measured yet.
    """
    return speed_run(
        device,
        {"model.widths": [64, 256, 256], "train.epochs": 3, "data.batch_size": 250},
    )


def cifar10_94(device: str) -> RunConfig:
    """94 % on CIFAR-10.

    cpu: not measured yet.
    gpu: not measured yet.
    """
    return speed_run(
        device,
        {"model.widths": [64, 256, 256], "train.epochs": 8, "data.batch_size": 500},
    )
