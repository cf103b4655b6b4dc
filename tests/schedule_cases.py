"""Schedules of every kind and setting, for tests that go through them all."""

import itertools

from fastresnet.config.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Cyclic,
    Exponential,
    Linear,
    MultiStep,
    OneCycle,
    OneCycleTail,
    PiecewiseLinear,
    Plateau,
)

TAIL = {"max_lr": 0.3, "tail_lr": 0.02}
RANGES = (None, (0.8, 0.95))
SCHEDULES = [
    *(Constant(lr=lr) for lr in (1e-7, 0.1, 3.0)),
    *(MultiStep(lr=0.2, milestones=at, factor=f) for at in ((0.5,), (0.25, 0.5, 0.75), (0.9, 0.35)) for f in (0.1, 0.3)),
    *(Linear(start_lr=a, end_lr=b) for a, b in ((0.1, 0.0), (0.0, 0.2), (0.3, 0.01))),
    *(Exponential(lr=lr, end_lr=end) for lr in (0.1, 1.0) for end in (1e-5, 0.05)),
    PiecewiseLinear(points=((0, 0), (0.2, 0.1), (1, 0))),
    PiecewiseLinear(points=((0.1, 0.05), (0.3, 0.2), (0.35, 0.01), (0.8, 0.02))),
    *(Cosine(lr=0.4, end_lr=end) for end in (0.0, 0.01)),
    *(CosineRestarts(lr=0.1, end_lr=1e-3, num_cycles=n, cycle_factor=k) for n in (1, 2, 3, 5) for k in (1, 2, 3)),
    *(
        OneCycle(max_lr=0.1, warmup=w, anneal=a, final_div_factor=f, momentum_range=m)
        for w, a, f, m in itertools.product((0.05, 0.3, 0.77), ("cosine", "linear"), (10, 1e4), RANGES)
    ),
    *(OneCycleTail(**TAIL, tail_start=at, anneal=a) for at in (0.6, 0.75) for a in ("cosine", "linear")),
    *(
        Cyclic(min_lr=0.01, max_lr=0.1, num_cycles=n, mode=mode, momentum_range=m)
        for n, mode, m in itertools.product((1, 3, 7), ("triangular", "triangular2"), RANGES)
    ),
    Plateau(lr=0.01, patience=0, min_lr=0.02),  # torch leaves a rate below the minimum as it is
    *(Plateau(lr=0.1, patience=p, factor=f, threshold=t) for p in (0, 2) for f in (0.1, 0.5) for t in (1e-4, 0.05)),
]
LOSSES = [2.3, 1.9, 1.7, 1.71, 1.72, 1.6, 1.61, 1.59, 1.62, 1.7, 1.2, 1.21, 1.19, 1.19, 1.25, 1.18]
"""Training losses by epoch that a plateau reacts to."""
