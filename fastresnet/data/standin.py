"""A stand-in with the shapes of CIFAR-10: ten coloured textures drawn by a formula. No photograph is in it, and no
accuracy on it says anything about CIFAR-10; it exists so that three-channel code runs without a download."""

import numpy as np

from fastresnet.data.formats import Arrays

_SEEDS = {"train": 10, "test": 11}
_NUM_IMAGES = {"train": 4_000, "test": 1_000}
_SIDE = 32
_NUM_CLASSES = 10


def draw_standin(split: str) -> Arrays:
    """Images uint8 [N, 3, 32, 32] and labels int64 [N]: class k is a grating at k * 18 degrees, with a hue of its own,
    in random phase, wavelength and brightness, under noise strong enough that a line of code cannot tell them apart."""
    # PCG64 by name: numpy promises its stream; integer-only noise keeps the pixels equal on every machine
    generator = np.random.Generator(np.random.PCG64(_SEEDS[split]))
    num_images = _NUM_IMAGES[split]
    labels = np.arange(num_images, dtype=np.int64) % _NUM_CLASSES
    angle = labels * np.pi / _NUM_CLASSES + generator.integers(-100, 101, num_images) / 1000
    wavelength = generator.integers(5, 12, num_images)
    phase = generator.integers(0, 628, num_images) / 100
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    along = rows * np.sin(angle)[:, None, None] + columns * np.cos(angle)[:, None, None]
    grating = np.sin(2 * np.pi * along / wavelength[:, None, None] + phase[:, None, None])
    hue = np.cos(2 * np.pi * (labels[:, None] / _NUM_CLASSES + np.arange(3) / 3))
    brightness = generator.integers(-40, 41, (num_images, 3))
    signal = 45 * grating[:, None] * (1 + 0.3 * hue[:, :, None, None]) + brightness[:, :, None, None]
    noise = generator.integers(-60, 61, (num_images, 3, _SIDE, _SIDE))
    pixels = np.rint(128 + signal).astype(np.int64) + noise
    return pixels.clip(0, 255).astype(np.uint8), labels
