"""Builds a network from its configuration."""

from collections.abc import Callable
from typing import Any

import torch

from fastresnet.config.models import DavidNetConfig, ModelConfig, ResNetConfig, SpeedNetConfig
from fastresnet.config.seeds import check_seed, generator_seed
from fastresnet.errors import UserError
from fastresnet.models.davidnet import DavidNet
from fastresnet.models.resnet import ResNet
from fastresnet.models.speednet import SpeedNet

_NETWORKS: dict[type, Callable[[Any], ResNet | SpeedNet | DavidNet]] = {
    ResNetConfig: ResNet,
    SpeedNetConfig: SpeedNet,
    DavidNetConfig: DavidNet,
}


def build_model(config: ModelConfig, seed: int) -> ResNet | SpeedNet | DavidNet:
    """A freshly initialised network. Equal seeds give equal weights, and torch's global generator is not changed. Raises
    UserError for another configuration or seed.

    >>> model = fr.build_model(fr.SpeedNetConfig(in_channels=1), seed=0)
    >>> model(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    if type(config) not in _NETWORKS:
        allowed = ", ".join(kind.__name__ for kind in _NETWORKS)
        raise UserError(f"build_model: {type(config).__name__} configures no network; allowed: {allowed}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator_seed(check_seed(seed)))  # that of processors alone, which makes the weights
        return _NETWORKS[type(config)](config)


def check_image_size(config: ModelConfig, image_size: int) -> None:
    """Raises UserError if images of this side are too small for the network."""
    smallest, needed_by = config.smallest_image()
    if image_size < smallest:
        raise UserError(f"image_size: {image_size} is too small for {needed_by}; allowed: at least {smallest}")
