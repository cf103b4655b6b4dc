"""Runs of a few steps, whose time stands for that of a whole epoch."""

from collections.abc import Mapping

from fastresnet.config import RunConfig

ONLY_AT_THE_END = 1000
"""Epochs between evaluations if no curve is drawn: more than any run has."""


def timed(variants: Mapping[str, RunConfig], num_images: int) -> dict[str, RunConfig]:
    """The variants cut to three epochs of `num_images`, or two batches; the fastest of them gives the seconds of a full epoch."""
    return {
        name: config.with_changes(
            {
                "data.train_images": max(num_images, 2 * config.data.batch_size),
                "data.test_images": 100,
                "train.epochs": 3,
                "train.evaluate_every": ONLY_AT_THE_END,
                "train.measure": (),
            }
        )
        for name, config in variants.items()
    }
