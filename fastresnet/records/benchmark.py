"""What is kept of a contender. Free of torch."""

from fastresnet.config.base import Frozen


class Row(Frozen):
    """What was measured of a contender. Times in seconds, accuracies and shares in [0, 1]."""

    contest: str
    target: float
    contender: str
    whole_runs: bool
    """False: times are seconds per step, over a few steps, times the steps of a whole run."""
    epochs_source: str
    rounds: int
    epoch_seconds: float
    """Median over the rounds."""
    seconds: float | None
    """Median seconds to the target. A whole run counts its training up to the first evaluation at the target, and that
    evaluation; all of its training if it never gets there. Where only steps were timed it is training alone. None if nobody
    knows how many epochs the target takes."""
    seconds_interval: tuple[float, float] | None
    """95 % bootstrap interval of that median over the rounds."""
    at_least: bool = False
    """True: no whole run was at the target by then, so that `seconds` is a lower bound."""
    accuracy: float | None = None
    """Mean test accuracy at the end of whole runs."""
    passed: float | None
    """Share of whole runs that were at the target at some evaluation."""
    epochs_to_target: float | None = None
    """Epochs that `seconds` of whole runs are counted for, median."""
    images_per_second: float
    gflops_per_second: float
    share_of_peak: float
    """Operations per second over those of the fastest convolution measured in this process."""
    outside_model: float | None
    """Share of the training seconds that the batches take by themselves; None where nobody can tell."""
    peak_memory_bytes: int
    joules: float | None = None
    """Median energy of the GPU over a whole run."""
