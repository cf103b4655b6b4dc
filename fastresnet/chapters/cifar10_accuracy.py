"""Section 3 of the original report: the small ResNet on CIFAR-10, as accurate as possible.

Each step starts from the report's choice in the step before it, whether or not that choice is the best here.
"""

import math
from collections.abc import Iterable

from fastresnet.chapters.cifar10_steps import (
    ARCHITECTURES,
    SMALL,
    TORCH_MOMENTUM,
    ArchitectureName,
    Parameters,
    base,
    cycled,
    decayed,
    every,
    flipped,
    one_cycle,
    small_batches,
    with_momentum,
)
from fastresnet.chapters.timing import timed
from fastresnet.config import RunConfig
from fastresnet.config.datasets import SPECS
from fastresnet.config.schedules import Constant, Cyclic, OneCycle, OneCycleTail, PiecewiseLinear, Plateau, Schedule
from fastresnet.errors import UserError
from fastresnet.study import Experiment

Variants = dict[str, RunConfig]


def experiments(parameters: Parameters) -> tuple[Experiment, ...]:
    """C1 to C13, each starting from the report's choices before it, and its ideas N2 and N3."""
    asked = (
        ("C1", "Which constant rate is best?", _rates),
        ("C2", "Does the network over-fit in a long run?", _long_run),
        ("C3", "Does dropout help against over-fitting?", _dropouts),
        ("C4", "How much momentum?", _momenta),
        ("C5", "Which constant rate is best with momentum?", _rates_with_momentum),
        ("C6", "How much weight decay?", _weight_decays),
        ("C6-batch", "What if the report's batches were still those of F2?", _small_batches_at_a_constant_rate),
        ("C7", "Which schedule gets furthest?", _schedules),
        ("C8", "How high should one cycle go?", _maxima),
        ("C9", "What are random flips worth, and flips of the test images?", _flips),
        ("C9-epochs", "What if the report's schedule moved on once per epoch, not once per step?", _moved_once_an_epoch),
        ("C9-norm", "Does test accuracy fall in mid-run because of batch norm's running statistics?", _by_batch_statistics),
        ("C9-batch", "What if the report's batches were smaller, and its images not mirrored?", _small_batches_without_flips),
        ("C10", "Is there a better activation than ReLU?", _activations),
        ("C10-time", "How long is an epoch with each activation?", _timed_activations),
        ("C11", "Are smaller batches more accurate?", _batch_sizes),
        ("C11-steps", "Is that the batch's doing, or that of the number of steps?", _batch_sizes_in_equal_steps),
        ("C11-time", "How long is an epoch at each batch size?", _timed_batch_sizes),
        ("C12", "How high should one cycle go with the smaller batch?", _maxima_in_small_batches),
        ("C12-size", "What if the report enlarged its images, as for FashionMNIST?", _image_sizes),
        ("C12-precision", "Does the precision of the arithmetic matter?", _maxima_in_precisions),
        ("C13", "What does each change of the architecture buy, and at what price?", _architectures),
        ("C13-size", "What if the report enlarged its images for its accurate model, too?", _accurate_image_sizes),
        ("C13-time", "How long is an epoch of each architecture?", _timed_architectures),
        ("N2", "Is a schedule made by hand better than one cycle?", _schedules_by_hand),
        ("N3", "Is it better to end at a constant rate than at nothing?", _tails),
    )
    return tuple(
        Experiment(name, question, variants(parameters), parameters.seeds, "cifar10") for name, question, variants in asked
    )


def _at_rates(config: RunConfig, rates: Iterable[float]) -> Variants:
    return {f"rate {lr:g}": config.with_changes({"train.schedule": Constant(lr=lr)}) for lr in rates}


def _at_maxima(config: RunConfig, maxima: Iterable[float]) -> Variants:
    return {f"maximum {lr:g}": config.with_changes({"train.schedule": one_cycle(lr)}) for lr in maxima}


def _rates(parameters: Parameters) -> Variants:
    shorter = base(parameters).with_changes({"train.epochs": parameters.c1_epochs, **every(4, parameters)})
    return _at_rates(shorter, parameters.c1_rates)


def _long_run(parameters: Parameters) -> Variants:
    changes = {
        "data.train_images": parameters.c2_train_images,
        "data.batch_size": parameters.c2_batch_size,
        "train.epochs": parameters.c2_epochs,
        "train.schedule": Constant(lr=parameters.c4_lr),
        "train.evaluate_every": 10,
    }
    return {"no dropout": base(parameters).with_changes(changes)}


def _dropouts(parameters: Parameters) -> Variants:
    (long,) = _long_run(parameters).values()
    return {"no dropout": long, **{f"dropout {p:g}": long.with_changes({"model.dropout": p}) for p in parameters.c3_dropouts}}


def _momenta(parameters: Parameters) -> Variants:
    constant = base(parameters).with_changes({"train.schedule": Constant(lr=parameters.c4_lr)})
    return {f"momentum {momentum:g}": constant.with_changes({"train.momentum": momentum}) for momentum in parameters.c4_momenta}


def _rates_with_momentum(parameters: Parameters) -> Variants:
    return _at_rates(with_momentum(parameters), parameters.c5_rates)


def _weight_decays(parameters: Parameters) -> Variants:
    constant = with_momentum(parameters).with_changes({"train.schedule": Constant(lr=parameters.constant_lr)})
    return {
        f"weight decay {decay:g}": constant.with_changes({"train.weight_decay": decay}) for decay in parameters.c6_weight_decays
    }


def _small_batches_at_a_constant_rate(parameters: Parameters) -> Variants:
    """The report's choices in C5 and C6, in its batches and in small ones."""
    if parameters.c6_batch_size == parameters.batch_size:
        raise UserError(
            f"c6_batch_size: is compared with batch_size; allowed: another number, got {parameters.batch_size} for both"
        )
    constant = {"train.schedule": Constant(lr=parameters.constant_lr)}
    return {
        f"{step}, batch {size}": chosen.with_changes({**constant, "data.batch_size": size})
        for step, chosen in {"C5": with_momentum(parameters), "C6": decayed(parameters)}.items()
        for size in sorted((parameters.batch_size, parameters.c6_batch_size), reverse=True)
    }


def _schedules(parameters: Parameters) -> Variants:
    curve = decayed(parameters).with_changes(every(2, parameters))
    top = parameters.c7_max_lr
    schedules: dict[str, Schedule] = {
        "constant": Constant(lr=parameters.constant_lr),
        "plateau": Plateau(lr=top, patience=2),
        # CyclicLR, too, moves the momentum by default; this is its default range
        "cyclic": Cyclic(min_lr=top / 10, max_lr=top, num_cycles=2, momentum_range=(0.8, 0.9)),
        "one-cycle": one_cycle(top),
    }
    return {name: curve.with_changes({"train.schedule": schedules[name]}) for name in parameters.c7_schedules}


def _maxima(parameters: Parameters) -> Variants:
    still = decayed(parameters).with_changes({"train.schedule": OneCycle(max_lr=parameters.max_lr)})
    maxima = _at_maxima(decayed(parameters), parameters.c8_max_rates)
    return {**maxima, f"maximum {parameters.max_lr:g}, momentum 0.5": still}


def _flips(parameters: Parameters) -> Variants:
    plain = cycled(parameters).with_changes(every(1, parameters))
    trained = plain.with_changes({"data.flip": "random"})
    tested = trained.with_changes({"data.flip_test": True})
    return {"no flips": plain, "flips in training": trained, "flips in training and test": tested}


def _moved_once_an_epoch(parameters: Parameters) -> Variants:
    """C9's variant as the report intended it, with the schedule stepped once per training step, and stepped once per epoch. The
    latter schedule stays within its warm-up."""
    *_, meant = _flips(parameters).values()
    images = parameters.train_images or SPECS[parameters.dataset].num_train
    steps = round(parameters.epochs * math.ceil(images / parameters.batch_size))
    epochs = math.ceil(parameters.epochs)
    warm_up = PiecewiseLinear(
        points=tuple((epoch / epochs, one_cycle(parameters.max_lr)(epoch, steps)) for epoch in range(epochs + 1))
    )
    slow = {"train.schedule": warm_up, "train.momentum": 0.94}  # within the warm-up, one cycle's momentum falls from 0.95 to 0.93
    return {"moved per step": meant, "moved per epoch": meant.with_changes(slow)}


def _by_batch_statistics(parameters: Parameters) -> Variants:
    trained = _flips(parameters)["flips in training"]
    return {"flips in training": trained.with_changes({"train.measure": (*parameters.measure, "batch-statistics")})}


def _small_batches_without_flips(parameters: Parameters) -> Variants:
    """C9's variant as the report intended it, and small batches without flips, at the same maximum and at a lower one."""
    plain, _, meant = _flips(parameters).values()
    small = plain.with_changes({"data.batch_size": parameters.c9_batch_size})
    lower = _at_maxima(small, [parameters.c9_max_lr])
    name = f"batch {parameters.c9_batch_size}"
    return {"as reported": meant, name: small, **{f"{name}, {maximum}": config for maximum, config in lower.items()}}


def _activations(parameters: Parameters) -> Variants:
    return {name: flipped(parameters).with_changes({"model.activation": name}) for name in parameters.c10_activations}


def _timed_activations(parameters: Parameters) -> Variants:
    return timed(_activations(parameters), parameters.timed_images)


def _batch_sizes(parameters: Parameters) -> Variants:
    return {f"batch {size}": flipped(parameters).with_changes({"data.batch_size": size}) for size in parameters.c11_batch_sizes}


def _batch_sizes_in_equal_steps(parameters: Parameters) -> Variants:
    """The batch sizes of C11, each trained for as many steps as the largest."""
    largest = max(parameters.c11_batch_sizes)
    return {
        name: config.with_changes({"train.epochs": parameters.epochs * config.data.batch_size / largest})
        for name, config in _batch_sizes(parameters).items()
    }


def _timed_batch_sizes(parameters: Parameters) -> Variants:
    return timed(_batch_sizes(parameters), parameters.timed_images)


def _maxima_in_small_batches(parameters: Parameters) -> Variants:
    return _at_maxima(small_batches(parameters), parameters.c12_max_rates)


def _image_sizes(parameters: Parameters) -> Variants:
    """C12's variant of the report's choice, with images as they are and enlarged."""
    (plain,) = _at_maxima(small_batches(parameters), [parameters.c13_max_lr]).values()
    return _at_sizes(plain, parameters)


def _at_sizes(plain: RunConfig, parameters: Parameters) -> Variants:
    side, own = parameters.c12_image_size, SPECS[parameters.dataset].image_size
    return {f"{own} x {own}": plain, f"{side} x {side}": plain.with_changes({"data.image_size": side})}


def _maxima_in_precisions(parameters: Parameters) -> Variants:
    """The variants of C12, each in every precision."""
    return {
        f"{name}, {precision}": config.with_changes({"train.precision": precision})
        for name, config in _maxima_in_small_batches(parameters).items()
        for precision in parameters.c12_precisions
    }


def _architecture(name: ArchitectureName, parameters: Parameters) -> RunConfig:
    changes = {
        "data.train_images": parameters.c13_train_images,
        "data.batch_size": parameters.c13_batch_size,
        "train.epochs": parameters.c13_epochs,
        "train.schedule": one_cycle(parameters.c13_max_lr),
        **every(3, parameters),
    }
    return flipped(parameters).with_changes(changes | ARCHITECTURES[name])


def _architectures(parameters: Parameters) -> Variants:
    return {name: _architecture(name, parameters) for name in parameters.c13_architectures}


def _accurate_image_sizes(parameters: Parameters) -> Variants:
    """C13's small accurate network, with images as they are and enlarged."""
    return _at_sizes(_architecture(SMALL, parameters), parameters)


def _timed_architectures(parameters: Parameters) -> Variants:
    return timed(_architectures(parameters), parameters.timed_images)


def _schedules_by_hand(parameters: Parameters) -> Variants:
    small, top = small_batches(parameters), parameters.max_lr
    # a hand-made schedule leaves the momentum constant: the middle of one cycle's range makes them comparable
    if "one-cycle" in parameters.n2_shapes:
        raise UserError("n2_shapes: 'one-cycle' is what the shapes are compared with; allowed: other names")
    by_hand = small.with_changes({"train.momentum": 0.9})
    shapes = {
        name: PiecewiseLinear(points=tuple((at, share * top) for at, share in shape))
        for name, shape in parameters.n2_shapes.items()
    }
    return {
        "one-cycle": small.with_changes({"train.schedule": one_cycle(top)}),
        **{name: by_hand.with_changes({"train.schedule": shape}) for name, shape in shapes.items()},
    }


def _tails(parameters: Parameters) -> Variants:
    small, top = small_batches(parameters), parameters.c13_max_lr
    tails = {
        f"tail at {lr:g}": OneCycleTail(max_lr=top, momentum_range=TORCH_MOMENTUM, tail_lr=lr) for lr in parameters.n3_tail_rates
    }
    schedules: dict[str, Schedule] = {"to nothing": one_cycle(top), **tails}
    return {name: small.with_changes({"train.schedule": schedule}) for name, schedule in schedules.items()}
