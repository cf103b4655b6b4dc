"""The sample of FashionMNIST that ships inside the package, so that every chapter can train without a download."""

from importlib import resources
from pathlib import Path

import numpy as np

from fastresnet.data.formats import Arrays
from fastresnet.data.images import Dataset

FILE = "fashion_sample.npz"


def read_sample(split: str) -> Arrays:
    """Images uint8 [N, 1, 28, 28] and labels int64 [N] of the sample's "train" (4,000) or "test" (1,000) split."""
    with resources.files(__package__).joinpath(FILE).open("rb") as stream, np.load(stream) as file:
        return file[f"{split}_images"], file[f"{split}_labels"].astype(np.int64)


def write_sample(fashion_mnist: Dataset, path: Path, num_train: int, num_test: int) -> None:
    """Writes the first images of every class of the full data set: how the shipped file was made."""
    train, test = fashion_mnist.train.subset(num_train), fashion_mnist.test.subset(num_test)
    np.savez_compressed(
        path,
        train_images=train.images.numpy(),
        train_labels=train.labels.numpy().astype(np.uint8),
        test_images=test.images.numpy(),
        test_labels=test.labels.numpy().astype(np.uint8),
    )
