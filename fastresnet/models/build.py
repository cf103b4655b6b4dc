"""From a configuration to a network."""

import torch

from fastresnet.config.models import DavidNetConfig, ModelConfig, ResNetConfig, SpeedNetConfig
from fastresnet.errors import UserError
from fastresnet.models.davidnet import DavidNet
from fastresnet.models.resnet import ResNet
from fastresnet.models.speednet import SpeedNet


def build_model(config: ModelConfig, seed: int) -> ResNet | SpeedNet | DavidNet:
    """A freshly initialised network; equal seeds give equal weights and leave torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        match config:
            case ResNetConfig():
                return ResNet(config)
            case SpeedNetConfig():
                return SpeedNet(config)
            case DavidNetConfig():
                return DavidNet(config)


def check_image_size(config: ModelConfig, image_size: int) -> None:
    """Raises UserError if images of this side are too small for the network."""
    match config:
        case SpeedNetConfig():
            smallest = config.patch + config.patch_stride * (2 ** len(config.widths) - 1)
            reason = f"patches of {config.patch} and {len(config.widths)} groups that halve the image"
        case DavidNetConfig():
            # a strided convolution rounds up: one pixel can always be halved
            smallest = 2 ** (len(config.widths) - 1) if config.halving == "3x3, max pool" else 1
            reason = f"{len(config.widths) - 1} layers that halve the image"
        case ResNetConfig():
            smallest = 1 if config.stem_padding else (7 if config.stem == "7x7/2" else 3)
            reason = f"a {config.stem} stem"
    if image_size < smallest:
        raise UserError(f"image_size: {image_size} is too small for {reason}; allowed: at least {smallest}")
