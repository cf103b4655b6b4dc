"""Every schedule that torch has too gives torch's values, step by step."""

import pytest
import torch
from pydantic import ValidationError
from torch.optim import lr_scheduler as theirs

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

from .schedule_cases import LOSSES, SCHEDULES

TOTAL_STEPS = 40


def torch_values(make_scheduler):
    """Learning rate and momentum of every step, as torch sets them."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    scheduler = make_scheduler(optimizer)
    values = []
    for _ in range(TOTAL_STEPS):
        values.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        scheduler.step()
    return values


@pytest.mark.parametrize(
    ("schedule", "make_scheduler"),
    [
        (Constant(lr=0.1), lambda o: theirs.ConstantLR(o, factor=1.0)),
        (MultiStep(lr=0.1, milestones=(0.49, 0.76), factor=0.2), lambda o: theirs.MultiStepLR(o, [20, 30], gamma=0.2)),
        (Linear(start_lr=0.1, end_lr=0.02), lambda o: theirs.LinearLR(o, 1.0, 0.2, total_iters=TOTAL_STEPS)),
        (Cosine(lr=0.1, end_lr=0.01), lambda o: theirs.CosineAnnealingLR(o, TOTAL_STEPS, eta_min=0.01)),
        (
            PiecewiseLinear(points=((0, 0.02), (0.5, 0.1), (1, 0.05))),
            lambda o: theirs.SequentialLR(
                o, [theirs.LinearLR(o, start, end, total_iters=20) for start, end in ((0.2, 1.0), (1.0, 0.5))], [20]
            ),
        ),
        (OneCycle(max_lr=0.1, momentum_range=(0.85, 0.95)), lambda o: theirs.OneCycleLR(o, 0.1, TOTAL_STEPS + 1)),
        (
            OneCycle(max_lr=0.3, warmup=0.25, anneal="linear", div_factor=10, final_div_factor=100),
            lambda o: theirs.OneCycleLR(
                o, 0.3, 41, pct_start=0.25, anneal_strategy="linear", div_factor=10, final_div_factor=100, cycle_momentum=False
            ),
        ),
        (Cyclic(min_lr=0.01, max_lr=0.1, num_cycles=2, momentum_range=(0.8, 0.9)), lambda o: theirs.CyclicLR(o, 0.01, 0.1, 10)),
        (
            Cyclic(min_lr=0.01, max_lr=0.1, num_cycles=4, mode="triangular2", momentum_range=(0.8, 0.9)),
            lambda o: theirs.CyclicLR(o, 0.01, 0.1, 5, mode="triangular2"),
        ),
        (Exponential(lr=0.1, end_lr=0.001), lambda o: theirs.ExponentialLR(o, 0.01 ** (1 / TOTAL_STEPS))),
        (CosineRestarts(lr=0.1, end_lr=0.01, num_cycles=4), lambda o: theirs.CosineAnnealingWarmRestarts(o, 10, eta_min=0.01)),
        (CosineRestarts(lr=0.1, num_cycles=2, cycle_factor=3), lambda o: theirs.CosineAnnealingWarmRestarts(o, 10, T_mult=3)),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "kind") else "",
)
def test_schedule_equals_torch(schedule, make_scheduler):
    # OneCycleLR refuses a step past its total, so torch gets one step more than is compared
    total = TOTAL_STEPS + 1 if isinstance(schedule, OneCycle) else TOTAL_STEPS
    for step, (lr_wanted, momentum_wanted) in enumerate(torch_values(make_scheduler)):
        assert schedule(step, total) == pytest.approx(lr_wanted, abs=1e-12), step
        momentum = schedule.momentum(step, total)
        if momentum is not None:
            assert momentum == pytest.approx(momentum_wanted, abs=1e-12), step


def test_plateau_equals_torch():
    losses = [1.0, 0.9, 0.91, 0.92, 0.93, 0.90, 0.5, 0.51, 0.52, 0.53, 0.54, 0.55, 0.4]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = theirs.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, min_lr=0.01)
    schedule = Plateau(lr=0.1, factor=0.5, patience=2, min_lr=0.01)
    for epoch, loss in enumerate(losses):
        scheduler.step(loss)
        assert schedule(epoch, len(losses), losses[: epoch + 1]) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert optimizer.param_groups[0]["lr"] < 0.1  # the losses above do make it act


def test_tail_holds_its_rate_after_one_cycle():
    cycle, tail = OneCycle(max_lr=0.1), OneCycleTail(max_lr=0.1, tail_lr=0.03, tail_start=0.75)
    assert [tail(step, 100) for step in range(75)] == [cycle(step, 100) for step in range(75)]
    assert {tail(step, 100) for step in range(75, 100)} == {0.03}


def test_one_cycle_ends_almost_at_nothing():
    schedule = OneCycle(max_lr=0.1)
    assert schedule(99, 100) == pytest.approx(0.1 / 25 / 1e4)
    assert max(schedule(step, 100) for step in range(100)) == pytest.approx(0.1)


@pytest.mark.parametrize("total_steps", [1, 2, 3, 4, 41])
def test_every_rate_lies_between_nothing_and_the_largest_that_was_asked_for(total_steps):
    for schedule in SCHEDULES:
        named = [value for key, value in schedule.model_dump().items() if key.endswith("lr")]
        largest = max(named or [lr for _, lr in schedule.points])
        rates = [schedule(step, total_steps, LOSSES[:step]) for step in range(total_steps)]
        assert all(0 <= rate <= largest + 1e-12 for rate in rates), schedule


@pytest.mark.parametrize("total_steps", [30, 41, 1000, 3910])
def test_each_restart_comes_at_its_step(total_steps):
    schedule = CosineRestarts(lr=0.1, num_cycles=3, cycle_factor=2)
    rates = [schedule(step, total_steps) for step in range(total_steps)]
    rises = [step for step in range(1, total_steps) if rates[step] > rates[step - 1]]
    assert rises == [-(-total_steps // 7), -(-3 * total_steps // 7)]


def test_factor_may_not_lead_to_rates_that_overflow():
    with pytest.raises(ValidationError, match=r"factor: must be small enough for rates of at most 1e\+30, got 1e\+20"):
        MultiStep(lr=1.0, milestones=(0.25, 0.5), factor=1e20)
    assert MultiStep(lr=1.0, milestones=(0.25, 0.5), factor=1e-20)(99, 100) == pytest.approx(1e-40)
