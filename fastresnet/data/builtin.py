"""Two small data sets that need no download: a sample of FashionMNIST inside the package, and a stand-in for CIFAR-10.

The stand-in has the shapes of CIFAR-10, but its ten classes are coloured textures drawn by a formula. It exists so that
three-channel code runs without a download; an accuracy on it says nothing about CIFAR-10.
"""

from importlib import resources

import numpy as np

from fastresnet.data.formats import Arrays

FILE = "fashion_sample.npz"
_SEEDS = {"train": 10, "test": 11}
_NUM_IMAGES = {"train": 4_000, "test": 1_000}
_SIDE = 32
_NUM_CLASSES = 10


def read_sample(split: str) -> Arrays:
    """Images uint8 [N, 1, 28, 28] and labels int64 [N] of the sample's "train" (4,000) or "test" (1,000) split: the first of
    every class of the full data set."""
    with resources.files(__package__).joinpath(FILE).open("rb") as stream, np.load(stream) as file:
        return file[f"{split}_images"], file[f"{split}_labels"].astype(np.int64)


def draw_standin(split: str) -> Arrays:
    """Generates a split ("train" or "test") of the stand-in for CIFAR-10: images uint8 [N, 3, 32, 32] and labels int64 [N].

    Class k is a grating at k * 18 degrees with its own hue and a random phase, wavelength and brightness. The noise is so strong
    that a line of code cannot separate the classes.
    """
    # numpy guarantees the stream of PCG64; integer noise keeps the pixels equal on every machine
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
