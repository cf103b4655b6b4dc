"""Section 1 of the original report: the claims of "How to train your ResNet", post by post, as small experiments.

An experiment has the number of its post, 1 to 8; M0 is the series as a whole. If a claim is about one step from the first
post's network to the last one's, its experiment consists of two neighbouring rungs of M0's ladder.
"""

from collections.abc import Mapping
from itertools import product

from fastresnet.chapters.fashionmnist_speed import HALF
from fastresnet.chapters.myrtle_steps import Changes, Parameters, backbones, base, ladder, small
from fastresnet.chapters.parameters import workers_name
from fastresnet.config import DataConfig, RunConfig, TrainConfig
from fastresnet.config.datasets import SPECS
from fastresnet.config.models import ResNetConfig
from fastresnet.config.schedules import Constant, OneCycle, Schedule
from fastresnet.study import Experiment


def experiments(parameters: Parameters) -> tuple[Experiment, ...]:
    """Every claim's experiment, in the order of the posts."""
    rungs = ladder(parameters)
    bones = backbones(parameters)
    asked: tuple[tuple[str, str, Mapping[str, RunConfig]], ...] = (
        ("M0", "What does each step of the series buy?", rungs),
        ("M1a", "Can the norm and activation repeated at the start of each layer go?", _repeated_norm(parameters)),
        ("M1a-time", "How long is an epoch with it, and without?", _all_timed(_repeated_norm(parameters), parameters)),
        ("M1b", "How much time goes into reading and preparing images?", _loaders(parameters, parameters.m1b_workers)),
        (
            "M2a",
            "Does a larger batch, with a slightly higher learning rate, train as well and faster?",
            _batch_sizes(parameters),
        ),
        ("M2b", "What does a network still know of the images of its last epoch?", _recalls(parameters)),
        ("M2b-half", "What is more data worth at a low and at a high learning rate?", _halves(parameters)),
        ("M2c", "How close to where training breaks down is the best learning rate?", _rates(parameters)),
        ("M3a", "Is half precision faster?", _precisions(parameters)),
        ("M3b", "Does cutout pay, in a short run and in a long one?", _cutouts(parameters)),
        ("M4a", "What does each step from the shortest path to a good backbone buy?", bones),
        ("M4a-norm", "What does a norm buy that is not repeated?", _neighbours(bones, "norm not repeated")),
        ("M4b", "What does a 1x1 convolution of stride 2 throw away?", _neighbours(bones, "3x3/2")),
        (
            "M4c",
            "Are pools better than strides, and the maximum better than the average?",
            _neighbours(bones, "max pool") | _neighbours(bones, "global max pool"),
        ),
        ("M4d", "Which layers should have a residual branch?", _residuals(parameters)),
        ("M5a", "Does accuracy depend on rate and weight decay by their product?", _rates_and_decays(parameters)),
        ("M5a-momentum", "Does it depend on rate and momentum by rate / (1 - momentum)?", _rates_and_momenta(parameters)),
        ("M5b", "Is a better network, not tuned, ahead of a plain one at its best rate?", _tuned(parameters)),
        ("M6a", "Do the gradients before batch norm grow as the weights shrink?", _scaled(parameters)),
        ("M6b", "Does weight decay bring every start to the same norm of the weights?", _equilibria(parameters)),
        ("M7a", "Does a deep network without norm start out as nearly a constant?", _deep(parameters)),
        ("M7b", "Over which learning rates does a network train, with batch norm and without?", _stressed(parameters)),
        ("M7c", "How curved is the loss, with batch norm and without?", _curved(parameters)),
        ("M7d", "From how few images can batch norm take its statistics, and what does it cost?", _groups(parameters)),
        ("M8a", "What does augmenting whole batches in place of single images buy?", _loaders(parameters, (0,), augmented=True)),
        ("M8b", "What does pooling before the norm buy?", _neighbours(rungs, "pool first")),
        ("M8b-time", "How long is an epoch with it, and without?", _all_timed(_neighbours(rungs, "pool first"), parameters)),
        ("M8c", "What does label smoothing buy?", _neighbours(rungs, "label smoothing")),
        ("M8d", "Is CELU better than ReLU?", _neighbours(rungs, "CELU")),
        ("M8e", "What does ghost batch norm buy?", _neighbours(rungs, "ghost batch norm")),
        ("M8f", "What do frozen scales buy?", _neighbours(rungs, "frozen scales")),
        ("M8g", "What do whitened patches buy?", _neighbours(rungs, "whitened patches")),
        ("M8h", "What does a moving average of the weights buy?", _neighbours(rungs, "moving average")),
        ("M8i", "What does averaging over the image and its mirror image at test time add?", _flips(parameters)),
    )
    return tuple(Experiment(name, question, dict(variants), parameters.seeds, "cifar10") for name, question, variants in asked)


def _neighbours(steps: Mapping[str, RunConfig], step: str) -> dict[str, RunConfig]:
    """The configurations of a step and of the step before it."""
    names = list(steps)
    at = names.index(step)
    return {name: steps[name] for name in names[at - 1 : at + 1]}


def _report(parameters: Parameters, batch_size: int, max_lr: float) -> RunConfig:
    """Configuration of the original report's network at half its width, for M2a and M8i."""
    return RunConfig(
        data=DataConfig(
            name=parameters.dataset,
            train_images=parameters.train_images,
            test_images=parameters.test_images,
            batch_size=batch_size,
            flip="random",
            crop_padding=4,
        ),
        model=ResNetConfig(channels=HALF, **parameters.shape),
        train=TrainConfig(
            epochs=parameters.epochs,
            schedule=OneCycle(max_lr=max_lr),
            momentum=0.9,
            nesterov=True,
            weight_decay=5e-4,
            precision=parameters.precision,
            evaluate_every=100,  # only at the end: the claims are about the finished network
        ),
    )


def _batch_sizes(parameters: Parameters) -> dict[str, RunConfig]:
    small, large = parameters.small_batch_size, parameters.large_batch_size
    return {
        f"batch {small}": _report(parameters, small, parameters.small_batch_lr),
        f"batch {large}": _report(parameters, large, parameters.large_batch_lr),
    }


def _flips(parameters: Parameters) -> dict[str, RunConfig]:
    plain = _report(parameters, parameters.small_batch_size, parameters.small_batch_lr)
    return {"plain": plain, "flip averaged": plain.with_changes({"train.test_flip": True})}


def scheduled(config: RunConfig, schedule: Schedule, changes: Changes | None = None) -> RunConfig:
    """A configuration with another schedule, and with other changes if there are any."""
    return config.with_changes({"train.schedule": schedule, **(changes or {})})


def _timed(config: RunConfig, parameters: Parameters) -> RunConfig:
    return config.with_changes(
        {"data.train_images": parameters.timed_images, "data.test_images": 100, "train.epochs": 1, "train.time_parts": True}
    )


def _all_timed(variants: Mapping[str, RunConfig], parameters: Parameters) -> dict[str, RunConfig]:
    return {name: _timed(config, parameters) for name, config in variants.items()}


def _repeated_norm(parameters: Parameters) -> dict[str, RunConfig]:
    return {"norm once": base(parameters), "norm repeated": base(parameters, {"repeated_norm": True})}


def _loaders(parameters: Parameters, workers: tuple[int, ...], *, augmented: bool = False) -> dict[str, RunConfig]:
    """Timed runs with batches from tensors, and with a DataLoader for each number of worker processes."""
    tensor = _timed(base(parameters), parameters)
    if augmented:
        tensor = tensor.with_changes({"data.cutout": parameters.cutout})
    loaded = {
        workers_name(number): tensor.with_changes({"data.loader": "worker", "data.num_workers": number}) for number in workers
    }
    return {**loaded, "tensors": tensor}


def _recalls(parameters: Parameters) -> dict[str, RunConfig]:
    return {
        f"batch {size}, rate {lr:g}": scheduled(
            small(parameters),
            Constant(lr=lr),
            {"data.batch_size": size, "data.flip": "none", "data.crop_padding": 0, "train.measure": ("recall",)},
        )
        for size, lr in product(parameters.m2b_batch_sizes, parameters.m2b_rates)
    }


def _halves(parameters: Parameters) -> dict[str, RunConfig]:
    """All images, and half of them for twice the epochs, which gives the same number of steps."""
    images = parameters.images or SPECS[parameters.dataset].num_train
    half: Changes = {"data.train_images": images // 2, "train.epochs": 2 * parameters.run_epochs}
    variants = {}
    for lr in parameters.m2b_rates:
        variants[f"all, rate {lr:g}"] = whole = scheduled(small(parameters), Constant(lr=lr))
        variants[f"half, rate {lr:g}"] = whole.with_changes(half)
    return variants


def _rates(parameters: Parameters) -> dict[str, RunConfig]:
    return {f"rate {lr:g}": scheduled(small(parameters), OneCycle(max_lr=lr)) for lr in parameters.m2c_rates}


def _precisions(parameters: Parameters) -> dict[str, RunConfig]:
    timed = _timed(base(parameters), parameters)
    return {name: timed.with_changes({"train.precision": name}) for name in ("fp32", parameters.half)}


def _cutouts(parameters: Parameters) -> dict[str, RunConfig]:
    variants = {}
    for epochs in parameters.m3b_epochs:
        variants[f"{epochs:g} epochs"] = plain = small(parameters).with_changes({"train.epochs": epochs})
        variants[f"{epochs:g} epochs, cutout"] = plain.with_changes({"data.cutout": parameters.cutout})
    return variants


def _residuals(parameters: Parameters) -> dict[str, RunConfig]:
    return {
        f"layer{'s' * (len(layers) > 1)} {', '.join(map(str, layers))}" if layers else "none": base(
            parameters, {"residuals": layers}
        )
        for layers in ((), *parameters.m4d_residuals)
    }


def _rates_and_decays(parameters: Parameters) -> dict[str, RunConfig]:
    return {
        f"rate {lr:g}, decay {decay:g}": scheduled(small(parameters), OneCycle(max_lr=lr), {"train.weight_decay": decay})
        for decay, lr in product(parameters.m5a_weight_decays, parameters.m5a_rates)
    }


def _rates_and_momenta(parameters: Parameters) -> dict[str, RunConfig]:
    return {
        f"rate {lr:g}, momentum {momentum:g}": scheduled(
            small(parameters), OneCycle(max_lr=lr), {"train.momentum": momentum, "train.nesterov": False}
        )
        for momentum, lr in product(parameters.m5a_momenta, parameters.m5a_rates)
    }


def _tuned(parameters: Parameters) -> dict[str, RunConfig]:
    plain = base(parameters, {"residuals": ()})
    rates = [factor * parameters.max_lr for factor in (0.5, 1, 2, 4, 8)]
    tuned = {f"backbone, rate {lr:g}": scheduled(plain, OneCycle(max_lr=lr)) for lr in rates}
    return {**tuned, f"with branches, rate {parameters.max_lr:g}": base(parameters)}


def _scaled(parameters: Parameters) -> dict[str, RunConfig]:
    one_step: Changes = {"train.epochs": 0.001, "data.test_images": 100, "train.measure": ("gradient-norm",)}
    return {
        f"weights times {scale:g}": small(parameters, {"weight_scale": scale}).with_changes(one_step)
        for scale in (1.0, *parameters.m6a_scales)
    }


def _equilibria(parameters: Parameters) -> dict[str, RunConfig]:
    """Runs that measure weight norms from several initial scales: with weight decay, without it, and with LARS."""
    variants = {}
    constant = Constant(lr=parameters.m6b_lr)
    for scale, decay in product(parameters.m6b_scales, (parameters.m6b_weight_decay, 0.0)):
        variants[f"weights times {scale:g}, decay {decay:g}"] = scheduled(
            small(parameters, {"weight_scale": scale}),
            constant,
            {"train.weight_decay": decay, "train.epochs": parameters.m6b_epochs, "train.measure": ("weight-norm",)},
        )
    plain = list(variants.values())[1]
    return {**variants, "LARS": plain.with_changes({"train.lars": {"trust": parameters.m6b_trust}})}


def _deep(parameters: Parameters) -> dict[str, RunConfig]:
    first, *_ = parameters.widths
    one_step: Changes = {"train.epochs": 0.001, "data.test_images": 100, "train.measure": ("channels",)}
    return {
        name: small(
            parameters, {"widths": (first,) * 4, "convolutions": parameters.m7a_convolutions, "norm": {"kind": kind}}
        ).with_changes(one_step)
        for name, kind in (("batch norm", "batch"), ("no norm", "none"))
    }


def _stressed(parameters: Parameters) -> dict[str, RunConfig]:
    """Networks of eight layers at every learning rate, with batch norm and without."""
    return {
        f"{name}, rate {lr:g}": scheduled(small(parameters, {"convolutions": 2, "norm": {"kind": kind}}), OneCycle(max_lr=lr))
        for (name, kind), lr in product((("batch norm", "batch"), ("no norm", "none")), parameters.m7b_rates)
    }


def _curved(parameters: Parameters) -> dict[str, RunConfig]:
    narrow = tuple(max(2, width // 2) for width in parameters.widths)
    return {
        name: scheduled(
            small(parameters, {"widths": narrow, "convolutions": 2, "norm": {"kind": kind}}),
            OneCycle(max_lr=parameters.m7c_lr),
            {"train.measure": ("eigenvalues",)},
        )
        for name, kind in (("batch norm", "batch"), ("no norm", "none"))
    }


def _groups(parameters: Parameters) -> dict[str, RunConfig]:
    groups = {f"groups of {size}": small(parameters, {"norm": {"group_size": size}}) for size in parameters.m7d_group_sizes}
    return {"the whole batch": small(parameters), **groups, "no norm": small(parameters, {"norm": {"kind": "none"}})}
