"""Learning-rate schedules as pure functions of the step. Does not import torch.

`schedule(step, total_steps, epoch_losses)` returns the learning rate of a step, counted from 0. `epoch_losses` are the mean
training losses of the finished epochs; only `Plateau` uses them. Where a docstring names a torch scheduler, the values
are equal step by step, which tests check.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from fastresnet.config.base import INCREASING, LARGEST_FLOAT, Fraction, Settings


class _Schedule(Settings):
    """Base class of the schedules."""

    def __call__(self, step: int, total_steps: int, epoch_losses: Sequence[float] = ()) -> float:
        """Learning rate of a step."""
        raise NotImplementedError

    def momentum(self, step: int, total_steps: int) -> float | None:
        """Momentum of a step, or None if the schedule does not change the momentum."""
        return None


class Constant(_Schedule):
    """A schedule with the same learning rate throughout.

    >>> fr.Constant(lr=0.1)(step=50, total_steps=100)
    0.1
    """

    kind: Literal["constant"] = "constant"
    lr: PositiveFloat

    def __call__(self, step: int, total_steps: int, epoch_losses: Sequence[float] = ()) -> float:
        return self.lr


class MultiStep(_Schedule):
    """A schedule that multiplies `lr` by `factor` at each milestone, a fraction of the run. In torch: MultiStepLR.

    >>> schedule = fr.MultiStep(lr=0.4, milestones=(0.5, 0.75), factor=0.5)
    >>> [schedule(step, 100) for step in (0, 50, 75)]
    [0.4, 0.2, 0.1]
    """

    kind: Literal["multi-step"] = "multi-step"
    lr: PositiveFloat
    milestones: Annotated[tuple[Fraction, ...], Field(min_length=1)]
    factor: PositiveFloat = 0.1

    @model_validator(mode="after")
    def _bounded(self) -> "MultiStep":
        if math.log10(self.lr) + len(self.milestones) * math.log10(self.factor) > math.log10(LARGEST_FLOAT):
            raise ValueError(f"factor: must be small enough for rates of at most {LARGEST_FLOAT:g}, got {self.factor:g}")
        return self

    def __call__(self, step: int, total_steps: int, epoch_losses: Sequence[float] = ()) -> float:
        passed = bisect_right([round(at * total_steps) for at in sorted(self.milestones)], step)
        return self.lr * self.factor**passed


class Linear(_Schedule):
    """A schedule that changes the learning rate linearly from `start_lr` to `end_lr`. In torch: LinearLR.

    >>> schedule = fr.Linear(start_lr=0.4)
    >>> [schedule(step, 100) for step in (0, 50, 100)]
    [0.4, 0.2, 0.0]
    """

    kind: Literal["linear"] = "linear"
    start_lr: NonNegativeFloat
    end_lr: NonNegativeFloat = 0.0

    def __call__(self, step: int, total_steps: int, epoch_losses: Sequence[float] = ()) -> float:
        return _blend(self.start_lr, self.end_lr, min(1.0, step / total_steps))


class Exponential(_Schedule):
    """A schedule that decays exponentially from `lr` to `end_lr`. In torch: ExponentialLR, whose gamma is the factor per step.

    >>> schedule = fr.Exponential(lr=1.0, end_lr=0.01)
    >>> [schedule(step, 100) for step in (0, 50, 100)]
    [1.0, 0.1, 0.01]
    """

    kind: Literal["exponential"] = "exponential"
    lr: PositiveFloat
    end_lr: PositiveFloat

    def __call__(self, step: int, total_steps: int, epoch_losses: Sequence[float] = ()) -> float:
        return self.lr * (self.end_lr / self.lr) ** (step / total_steps)


class PiecewiseLinear(_Schedule):
    """A schedule that interpolates linearly between `points`, each (fraction of the run, learning rate).

    >>> schedule = fr.PiecewiseLinear(points=((0, 0), (0.2, 0.4), (1, 0)))
    >>> [schedule(step, 100) for step in (0, 10, 20, 100)]
    [0.0, 0.2, 0.4, 0.0]
    """

    kind: Literal["piecewise-linear"] = "piecewise-linear"
    points: Annotated[tuple[tuple[Fraction, NonNegativeFloat], ...], Field(min_length=2), INCREASING]

    def __call__(self, step: int, total_steps: int, epoch_losses: Sequence[float] = ()) -> float:
        progress = step / total_steps
        if progress <= self.points[0][0]:
            return self.points[0][1]
        for (left, left_lr), (right, right_lr) in pairwise(self.points):
            if progress <= right:
                return _blend(left_lr, right_lr, (progress - left) / (right - left))
        return self.points[-1][1]


class Cosine(_Schedule):
    """A schedule that falls along half a cosine from `lr` to `end_lr`. In torch: CosineAnnealingLR, where T_max is the number of
    steps.

    >>> schedule = fr.Cosine(lr=0.4)
    >>> [schedule(step, 100) for step in (0, 50, 100)]
    [0.4, 0.2, 0.0]
    """

    kind: Literal["cosine"] = "cosine"
    lr: PositiveFloat
    end_lr: NonNegativeFloat = 0.0

    def __call__(self, step: int, total_steps: int, epoch_losses: Sequence[float] = ()) -> float:
        return _cosine_blend(self.lr, self.end_lr, step / total_steps)


class CosineRestarts(_Schedule):
    """A schedule of `num_cycles` half cosines from `lr` to `end_lr`, each `cycle_factor` times as long as the one before it.

    From Loshchilov and Hutter, 2017. In torch: CosineAnnealingWarmRestarts, where T_mult is `cycle_factor` and T_0 is the
    length of the first cycle in whole steps.

    >>> schedule = fr.CosineRestarts(lr=0.4, num_cycles=2)
    >>> [schedule(step, 100) for step in (0, 25, 50, 75, 100)]
    [0.4, 0.2, 0.4, 0.2, 0.0]
    """

    kind: Literal["cosine-restarts"] = "cosine-restarts"
    lr: PositiveFloat
    end_lr: NonNegativeFloat = 0.0
    num_cycles: Annotated[int, Field(ge=1, le=12)] = 2
    cycle_factor: Annotated[int, Field(ge=1, le=4)] = 1

    def __call__(self, step: int, total_steps: int, epoch_losses: Sequence[float] = ()) -> float:
        lengths = [self.cycle_factor**cycle for cycle in range(self.num_cycles)]
        # integer arithmetic, so that rounding cannot move a restart to the step before or after
        position = step * sum(lengths)
        for length in lengths[:-1]:
            if position < length * total_steps:
                return _cosine_blend(self.lr, self.end_lr, position / (length * total_steps))
            position -= length * total_steps
        return _cosine_blend(self.lr, self.end_lr, position / (lengths[-1] * total_steps))


class OneCycle(_Schedule):
    """A schedule that rises to `max_lr`, then falls almost to zero (Smith and Topin, 2017). In torch: OneCycleLR.

    It starts at `max_lr / div_factor`, rises for the share `warmup` of the run, and ends at its start over `final_div_factor`.
    Both parts follow half a cosine, or with `anneal` "linear" a straight line. `momentum_range` (low, high) moves the momentum
    opposite to the learning rate. It is off by default, unlike in torch.

    >>> schedule = fr.OneCycle(max_lr=0.5)
    >>> [round(schedule(step, 100), 6) for step in (0, 29, 99)]
    [0.02, 0.5, 2e-06]
    """

    kind: Literal["one-cycle"] = "one-cycle"
    max_lr: PositiveFloat
    warmup: Annotated[float, Field(gt=0, lt=1)] = 0.3
    anneal: Literal["cosine", "linear"] = "cosine"
    div_factor: Annotated[float, Field(ge=1)] = 25.0
    final_div_factor: PositiveFloat = 1e4
    momentum_range: tuple[Fraction, Fraction] | None = None

    def __call__(self, step: int, total_steps: int, epoch_losses: Sequence[float] = ()) -> float:
        start_lr = self.max_lr / self.div_factor
        return self._anneal(step, total_steps, start_lr, self.max_lr, start_lr / self.final_div_factor)

    def momentum(self, step: int, total_steps: int) -> float | None:
        if self.momentum_range is None:
            return None
        low, high = self.momentum_range
        return self._anneal(step, total_steps, high, low, high)

    def _anneal(self, step: int, total_steps: int, start: float, peak: float, end: float) -> float:
        # torch counts both phases in whole steps from 0, so each ends one step earlier than its share of the total
        peak_step = max(self.warmup * total_steps - 1, 0)
        blend = _cosine_blend if self.anneal == "cosine" else _blend
        if step <= peak_step > 0:
            return blend(start, peak, step / peak_step)
        return blend(peak, end, (step - peak_step) / max(total_steps - 1 - peak_step, 1))


class OneCycleTail(OneCycle):
    """A `OneCycle` schedule up to `tail_start`, a fraction of the run, and from there on the constant `tail_lr`.

    The original report proposes one, for a slightly higher learning rate in the last quarter of a run, and did not try it.

    >>> schedule = fr.OneCycleTail(max_lr=0.5, tail_lr=0.01)
    >>> [schedule(step, 100) for step in (29, 75, 99)]
    [0.5, 0.01, 0.01]
    """

    kind: Literal["one-cycle-tail"] = "one-cycle-tail"  # type: ignore[assignment]
    tail_lr: PositiveFloat
    tail_start: Fraction = 0.75

    def __call__(self, step: int, total_steps: int, epoch_losses: Sequence[float] = ()) -> float:
        if step >= self.tail_start * total_steps:
            return self.tail_lr
        return super().__call__(step, total_steps, epoch_losses)


class Cyclic(_Schedule):
    """A schedule of `num_cycles` triangles between `min_lr` and `max_lr` (Smith, 2015). In torch: CyclicLR, with the same modes.

    In mode "triangular2" each triangle is half as high as the one before it. `momentum_range` is that of `OneCycle`.

    >>> schedule = fr.Cyclic(min_lr=0.1, max_lr=0.5, num_cycles=2)
    >>> [schedule(step, 100) for step in (0, 25, 50, 75, 100)]
    [0.1, 0.5, 0.1, 0.5, 0.1]
    """

    kind: Literal["cyclic"] = "cyclic"
    min_lr: NonNegativeFloat
    max_lr: PositiveFloat
    num_cycles: PositiveInt = 1
    mode: Literal["triangular", "triangular2"] = "triangular"
    momentum_range: tuple[Fraction, Fraction] | None = None

    def __call__(self, step: int, total_steps: int, epoch_losses: Sequence[float] = ()) -> float:
        return _blend(self.min_lr, self.max_lr, self._height(step, total_steps))

    def momentum(self, step: int, total_steps: int) -> float | None:
        if self.momentum_range is None:
            return None
        low, high = self.momentum_range
        return _blend(high, low, self._height(step, total_steps))

    def _height(self, step: int, total_steps: int) -> float:
        cycle, position = divmod(step * self.num_cycles / total_steps, 1)
        height = 2 * min(position, 1 - position)
        return math.ldexp(height, -int(cycle)) if self.mode == "triangular2" else height


class Plateau(_Schedule):
    """A schedule that multiplies `lr` by `factor` whenever the training loss has not improved for more than `patience` epochs.

    An improvement is a fall by more than the share `threshold`; the rate never falls below `min_lr`. In torch: ReduceLROnPlateau.
    A schedule that watched the test loss instead would tune on the test set.

    >>> schedule = fr.Plateau(lr=0.1, factor=0.5, patience=1)
    >>> schedule(step=40, total_steps=100, epoch_losses=[0.7, 0.6, 0.6, 0.6])
    0.05
    """

    kind: Literal["plateau"] = "plateau"
    lr: PositiveFloat
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: NonNegativeInt = 10
    threshold: NonNegativeFloat = 1e-4
    min_lr: NonNegativeFloat = 0.0

    def __call__(self, step: int, total_steps: int, epoch_losses: Sequence[float] = ()) -> float:
        lr, best, bad_epochs = self.lr, math.inf, 0
        for loss in epoch_losses:
            if loss < best * (1 - self.threshold):
                best, bad_epochs = loss, 0
            else:
                bad_epochs += 1
            if bad_epochs > self.patience:
                lr, bad_epochs = min(lr, max(lr * self.factor, self.min_lr)), 0
        return lr


_Cycles = CosineRestarts | OneCycle | OneCycleTail | Cyclic
Schedule = Annotated[
    Constant | MultiStep | Linear | Exponential | PiecewiseLinear | Cosine | _Cycles | Plateau, Field(discriminator="kind")
]


def _blend(start: float, end: float, fraction: float) -> float:
    return start + (end - start) * fraction


def _cosine_blend(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2
