"""Figures printed in the original report (COMP3010, 2023) and the posts it follows: single runs, on an RTX 2060 and a V100.

Accuracies are in [0, 1], seconds as printed. Values that a source shows only in a plot are left out.
"""

from typing import NamedTuple

HARDWARE = "one RTX 2060 (6 GB), i7-9700K, 16 GB of memory; single runs"


EPOCH_IMAGES = {"fashion-mnist": 60_000, "cifar10": 50_000}
"""Training images per epoch in the report, by data set."""


class OriginalEpoch(NamedTuple):
    """A row of the report's tables: one epoch. A field is None if the table has no such column."""

    epoch: int
    test_accuracy: float
    seconds: float | None = None
    train_loss: float | None = None
    train_accuracy: float | None = None


F8_FULL = tuple(
    OriginalEpoch(epoch, accuracy, seconds, loss)
    for epoch, (loss, seconds, accuracy) in enumerate(
        (
            (0.6911, 11.80, 0.7438),
            (0.5365, 10.09, 0.7945),
            (0.4947, 9.60, 0.8101),
            (0.3901, 9.64, 0.8440),
            (0.3138, 10.08, 0.8576),
            (0.3189, 10.11, 0.8520),
            (0.2556, 9.99, 0.8733),
            (0.2380, 10.05, 0.8832),
            (0.2097, 9.87, 0.8958),
        ),
        1,
    )
)
"""Epochs of the report's F8 with channels 64-128-256-512; it does not print the tenth."""

F8_HALF = tuple(
    OriginalEpoch(epoch, accuracy, seconds, loss)
    for epoch, (loss, seconds, accuracy) in enumerate(
        (
            (0.7406, 8.53, 0.7343),
            (0.4162, 7.91, 0.8287),
            (0.3710, 7.92, 0.8478),
            (0.3938, 8.02, 0.8535),
            (0.3398, 7.94, 0.8483),
            (0.2799, 7.98, 0.8716),
            (0.2662, 8.02, 0.8784),
            (0.2469, 7.99, 0.8706),
            (0.2520, 7.89, 0.8825),
            (0.2261, 8.00, 0.8865),
        ),
        1,
    )
)
"""Epochs of the report's F8 with channels 32-64-128-256."""

C9 = tuple(
    OriginalEpoch(epoch, test, train_accuracy=train)
    for epoch, (test, train) in enumerate(
        (
            (0.4021, 0.2619),
            (0.4963, 0.3559),
            (0.5485, 0.4129),
            (0.5744, 0.4585),
            (0.5963, 0.4912),
            (0.6337, 0.5204),
            (0.6370, 0.5471),
            (0.6657, 0.5704),
            (0.6595, 0.5916),
            (0.6806, 0.6102),
            (0.6976, 0.6286),
            (0.6962, 0.6458),
            (0.7039, 0.6614),
            (0.7041, 0.6766),
            (0.7248, 0.6907),
            (0.7271, 0.7050),
            (0.7302, 0.7189),
            (0.7396, 0.7325),
            (0.7435, 0.7455),
            (0.7452, 0.7580),
        ),
        1,
    )
)
"""Epochs of the report's C9, with training and test images mirrored at random; 11.3 to 13.8 s per epoch."""

C13 = {
    "base": (0.8306, 13.12),
    "no pool": (0.858, 15.9),
    "3x3 stem": (0.8783, 17.19),
    "3x3 stem, no pool": (0.9142, None),
    "3x3 stem, no pool, quarter width": (0.90, 20.0),
}
"""The report's C13 by architecture: accuracy after 20 epochs, seconds per epoch. Of an extra convolution it says only "no
change". The last row is "one of several with fewer channels", its time "about 20 s"."""

FINAL = {"fast": (0.8306, 262.0), "accurate": (0.90, 412.0)}
"""The report's two final models: accuracy, seconds of training. It gives the second's as "about 2 min 30 s" more."""

M0_SECONDS = {
    "ResNet-18": 297.0,
    "larger batch": 256.0,
    "cutout": 154.0,
    "DAVIDnet": 70.0,
    "pool first": 64.0,
    "label smoothing": 59.0,
    "CELU": 52.0,
    "ghost batch norm": 46.0,
    "frozen scales": 43.0,
    "whitened patches": 36.0,
    "moving average": 33.5,
    "flip averaging": 26.0,
}
"""Seconds to 94 % on a V100 in the posts, each step on top of those before it. The step to cutout includes half precision.
DAVIDnet took 79 s at first; its 70 s include the last post's augmentation on the GPU."""

M1A_SECONDS = {"norm repeated": 356.0, "norm once": 323.0}
"""Seconds of the whole run in the first post, as a reader's notes give them."""

M2A_SECONDS = {"batch 128": 297.0, "batch 512": 256.0}
"""Seconds to 94 % on a V100 in the posts. With the larger batch, three of five runs reached it."""

M3A_SECONDS = {"fp32": 256.0, "fp16": 186.0}
"""Seconds to 94 % on a V100 in the third post, with batch norm in single precision."""

M4A = {
    "shortest path": (0.559, 36.0),
    "norm not repeated": (0.560, 32.0),
    "3x3/2": (0.856, 36.0),
    "max pool": (0.897, 43.0),
    "global max pool": (0.907, 47.0),
    "scales start at one": (0.911, 47.0),
}
"""The fourth post's backbones, each with the changes before it: test accuracy, seconds on a V100."""

M4D = {"layers 1, 3": (0.9408, 79.0)}
"""The fourth post's network, by the layers with a residual branch: test accuracy, seconds on a V100."""

M8I_SECONDS = {"plain": M0_SECONDS["moving average"], "flip averaged": M0_SECONDS["flip averaging"]}
"""The last two of `M0_SECONDS`, by the names of M8i's variants. Flip averaging lets training stop sooner."""


def seconds_to(rows: tuple[OriginalEpoch, ...], accuracy: float) -> float | None:
    """Seconds until the epochs of a table first reach an accuracy; None if they never do."""
    elapsed = 0.0
    for row in rows:
        elapsed += row.seconds or 0.0
        if row.test_accuracy >= accuracy:
            return elapsed
    return None
