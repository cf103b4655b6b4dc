"""The record of a benchmark, and of each contender in it. Does not import torch."""

from fastresnet.config.base import Frozen
from fastresnet.records.record import Origin

FEWEST_FOR_AN_INTERVAL = 6
"""Rounds whose median has an interval of 95 %; fewer have none within their range."""


class StepPart(Frozen):
    """A part of the training steps of a contender."""

    name: str
    share: float
    """Share of the seconds of the steps."""
    gflops_per_second: float | None
    """None for parts whose operations are not counted."""


class Row(Frozen):
    """Measurements of one contender (a recipe or a peer) at the target of one recipe. Times are in seconds, accuracies and
    shares in [0, 1]."""

    contest: str
    target: float
    contender: str
    whole_runs: bool
    """Whether whole runs were timed. If not, times are extrapolated from a few steps to the steps of a whole run."""
    epochs_source: str
    rounds: int
    epoch_seconds: float
    """Seconds per epoch, median over the rounds."""
    seconds: float | None
    """Median seconds to the target. For a whole run, this is its training up to the first evaluation at the target, and that
    evaluation, or all of its training if it never reaches the target. For extrapolated times, this is training alone. None if
    the number of epochs to the target is unknown."""
    seconds_interval: tuple[float, float] | None
    """Range of `seconds` over the rounds; of `FEWEST_FOR_AN_INTERVAL` rounds or more, a 95 % bootstrap interval."""
    at_least: bool = False
    """Whether `seconds` is a lower bound, because no whole run reached the target."""
    accuracy: float | None = None
    """Mean test accuracy at the end of whole runs."""
    passed: float | None
    """Share of whole runs that reached the target at some evaluation."""
    epochs_to_target: float | None = None
    """Median number of epochs that `seconds` covers, for whole runs."""
    images_per_second: float
    gflops_per_second: float
    share_of_peak: float
    """Operations per second, as a share of those of the fastest convolution measured in the same process."""
    share_of_product_peak: float | None = None
    """The same as a share of those of a large matrix product; None in records from before this was measured."""
    outside_model: float | None
    """Share of the training seconds that making the batches takes by itself; None if unknown."""
    parts: tuple[StepPart, ...] = ()
    """Where our recipe's steps spend their time, largest first; empty for peers, and in records from before this was measured."""
    peak_memory_bytes: int
    joules: float | None = None
    """Energy of the GPU per whole run, median over the runs. Of the package airbench, it includes an evaluation per epoch, which
    its own clock leaves out."""


class Benchmark(Origin):
    """A benchmark: its rows, and the machine, the versions and the revision of the source that they were measured with."""

    rows: tuple[Row, ...]
