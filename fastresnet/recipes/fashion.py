"""Recipes for FashionMNIST."""

from fastresnet.config import RunConfig
from fastresnet.recipes.base import short_run


def fashion_80(device: str) -> RunConfig:
    """80 % on FashionMNIST: the original report's target, which it reached in 16.44 s on an RTX 2060.

    cpu: not measured yet.
    gpu: not measured yet.
    """
    return short_run(device, {"model.widths": [16, 32, 32], "train.epochs": 0.05, "data.batch_size": 100})


def fashion_89(device: str) -> RunConfig:
    """88.65 % on FashionMNIST: where the original report's ten epochs ended, after 80.2 s on an RTX 2060.

    cpu: not measured yet.
    gpu: not measured yet.
    """
    return short_run(device, {"model.widths": [16, 32, 32], "train.epochs": 0.3, "data.batch_size": 100})


def fashion_90(device: str) -> RunConfig:
    """90 % on FashionMNIST.

    cpu: not measured yet.
    gpu: not measured yet.
    """
    return short_run(device, {"model.widths": [24, 48, 48], "train.epochs": 0.5, "data.batch_size": 100})


def fashion_93(device: str) -> RunConfig:
    """93 % on FashionMNIST.

    cpu: not measured yet.
    gpu: not measured yet.
    """
    changes = {
        "model.widths": [32, 128, 128],
        "train.epochs": 2,
        "data.batch_size": 250,
        "data.flip": "alternating",
        "train.micro_batch": 125,
        "train.test_flip": True,
        "train.test_shift": 1,
        "train.test_share": 0.25,
    }
    return short_run(device, changes)
