"""Figures printed in the original report (COMP3010, 2023) and the posts it follows: single runs, on an RTX 2060 and a V100.

Accuracies are in [0, 1], seconds as printed. Values that a source shows only in a plot are left out.
"""

from typing import NamedTuple

EPOCH_IMAGES = {"fashion-mnist": 60_000, "cifar10": 50_000}
"""Training images per epoch in the report, by data set."""
EPOCHS = {"fashion-mnist": 10, "cifar10": 20}
"""Epochs after which the report prints an accuracy, by data set."""


class OriginalEpoch(NamedTuple):
    """A row of the report's tables: one epoch. A field is None if the table has no such column."""

    epoch: int
    test_accuracy: float
    seconds: float | None = None
    train_loss: float | None = None
    train_accuracy: float | None = None


F8_FULL = (
    OriginalEpoch(1, 0.7438, 11.80, 0.6911),
    OriginalEpoch(2, 0.7945, 10.09, 0.5365),
    OriginalEpoch(3, 0.8101, 9.60, 0.4947),
    OriginalEpoch(4, 0.8440, 9.64, 0.3901),
    OriginalEpoch(5, 0.8576, 10.08, 0.3138),
    OriginalEpoch(6, 0.8520, 10.11, 0.3189),
    OriginalEpoch(7, 0.8733, 9.99, 0.2556),
    OriginalEpoch(8, 0.8832, 10.05, 0.2380),
    OriginalEpoch(9, 0.8958, 9.87, 0.2097),
)
"""Epochs of the report's F8 with channels 64-128-256-512; it does not print the tenth."""

F8_HALF = (
    OriginalEpoch(1, 0.7343, 8.53, 0.7406),
    OriginalEpoch(2, 0.8287, 7.91, 0.4162),
    OriginalEpoch(3, 0.8478, 7.92, 0.3710),
    OriginalEpoch(4, 0.8535, 8.02, 0.3938),
    OriginalEpoch(5, 0.8483, 7.94, 0.3398),
    OriginalEpoch(6, 0.8716, 7.98, 0.2799),
    OriginalEpoch(7, 0.8784, 8.02, 0.2662),
    OriginalEpoch(8, 0.8706, 7.99, 0.2469),
    OriginalEpoch(9, 0.8825, 7.89, 0.2520),
    OriginalEpoch(10, 0.8865, 8.00, 0.2261),
)
"""Epochs of the report's F8 with channels 32-64-128-256."""

C9 = (
    OriginalEpoch(1, 0.4021, train_accuracy=0.2619),
    OriginalEpoch(2, 0.4963, train_accuracy=0.3559),
    OriginalEpoch(3, 0.5485, train_accuracy=0.4129),
    OriginalEpoch(4, 0.5744, train_accuracy=0.4585),
    OriginalEpoch(5, 0.5963, train_accuracy=0.4912),
    OriginalEpoch(6, 0.6337, train_accuracy=0.5204),
    OriginalEpoch(7, 0.6370, train_accuracy=0.5471),
    OriginalEpoch(8, 0.6657, train_accuracy=0.5704),
    OriginalEpoch(9, 0.6595, train_accuracy=0.5916),
    OriginalEpoch(10, 0.6806, train_accuracy=0.6102),
    OriginalEpoch(11, 0.6976, train_accuracy=0.6286),
    OriginalEpoch(12, 0.6962, train_accuracy=0.6458),
    OriginalEpoch(13, 0.7039, train_accuracy=0.6614),
    OriginalEpoch(14, 0.7041, train_accuracy=0.6766),
    OriginalEpoch(15, 0.7248, train_accuracy=0.6907),
    OriginalEpoch(16, 0.7271, train_accuracy=0.7050),
    OriginalEpoch(17, 0.7302, train_accuracy=0.7189),
    OriginalEpoch(18, 0.7396, train_accuracy=0.7325),
    OriginalEpoch(19, 0.7435, train_accuracy=0.7455),
    OriginalEpoch(20, 0.7452, train_accuracy=0.7580),
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


def seconds_to(rows: tuple[OriginalEpoch, ...], accuracy: float) -> float | None:
    """Seconds until the epochs of a table first reach an accuracy; None if they never do."""
    elapsed = 0.0
    for row in rows:
        elapsed += row.seconds or 0.0
        if row.test_accuracy >= accuracy:
            return elapsed
    return None
