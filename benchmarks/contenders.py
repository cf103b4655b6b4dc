"""The contenders for each target accuracy, and the number of epochs that each needs to reach it."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.packages import Airbench, Fastai
from benchmarks.programs import Ours, Program
from fastresnet.config import DataConfig, MuonConfig, Precision, RunConfig, TrainConfig
from fastresnet.config.models import ResNetConfig, SpeedNetConfig
from fastresnet.config.recipes import Recipe, find_recipe
from fastresnet.config.recipes.base import Variant
from fastresnet.config.schedules import Linear, OneCycle


@dataclass(frozen=True)
class Contender:
    """A program that is timed to a target accuracy.

    `epochs` is the number that it needs to the target, used if only a few steps are timed; None if no run has shown it.
    `epochs_source` says how it is known. `at_least` says that a whole run of so many epochs did not reach the target.
    """

    name: str
    program: Program
    epochs: float | None
    epochs_source: str
    at_least: bool = False


@dataclass(frozen=True)
class Contest:
    """An accuracy to reach, in [0, 1], and the contenders, ours first."""

    name: str
    target: float
    contenders: tuple[Contender, ...]


def contests(names: tuple[str, ...], choose: Callable[[Recipe], Variant]) -> tuple[Contest, ...]:
    """The contests for the targets of some recipes; our contender is the recipe in the variant that `choose` returns for it."""
    return tuple(_contest(recipe, choose(recipe)) for recipe in map(find_recipe, names))


def _contest(recipe: Recipe, variant: Variant) -> Contest:
    name = recipe.name
    config = recipe.config(variant)
    ours = Contender("ours", Ours(config), config.train.epochs, "the recipe")
    peers = _gpu_peers(name, config) if variant == "cuda" else _cpu_peers(name, config)
    return Contest(name, recipe.target, (ours, *peers))


def _cpu_peers(name: str, ours: RunConfig) -> tuple[Contender, ...]:
    if name == "fashion-80":
        return (
            Contender("tutorial", Ours(tutorial("fashion-mnist", epochs=2)), 1, "one whole run of 2"),
            Contender("original report", Ours(report_fashion()), 2, "the report's table"),
            Contender("fastai", Fastai("fashion-mnist", ResNetConfig(in_channels=1), epochs=1), 1, "one whole run"),
        )
    if name == "cifar10-83":
        source = "too few, as a whole run showed"
        return (
            Contender("tutorial", Ours(tutorial("cifar10", epochs=12)), 11, "one whole run of 12"),
            Contender("original report", Ours(report_cifar(epochs=30)), 30, source, at_least=True),
            Contender("fastai", Fastai("cifar10", ResNetConfig(), epochs=10), 10, source, at_least=True),
        )
    if name == "cifar10-94":
        slower = Ours(ours.with_changes({"train.matmul_gradients": False}))
        without = (Contender("ours, gradients by oneDNN", slower, slower.epochs, "the recipe"),)
        return (*(without if ours.train.matmul_gradients else ()), _airbench_muon(ours))
    return ()


def _gpu_peers(name: str, ours: RunConfig) -> tuple[Contender, ...]:
    if name == "cifar10-94":
        compiled = Ours(ours.with_changes({"train.compile": True, "train.fused_kernels": False}))
        muon = _airbench_muon(ours)
        return (
            Contender("ours, compiled", compiled, compiled.epochs, "the recipe"),
            Contender("airbench94", Airbench(94, epochs=9.9), 9.9, "the package"),
            muon,
        )
    if name == "cifar10-96":
        return (Contender("airbench96", Airbench(96, epochs=40), 40, "the package"),)
    return ()


def _airbench_muon(ours: RunConfig) -> Contender:
    """Airbench94 with Muon on our network, with the precision of our recipe and its switches for how a step is computed."""
    source = "published, with batch norm over whole batches"
    ways = ("cuda_graph", "fused_kernels", "matmul_gradients")
    config = airbench_muon(ours.train.precision).with_changes({f"train.{way}": getattr(ours.train, way) for way in ways})
    return Contender("airbench94 with Muon", Ours(config), 8, source)


def tutorial(dataset: str, epochs: int) -> RunConfig:
    """A tutorial's training: torchvision's ResNet-18, a DataLoader with two workers, transforms, one cycle, batches of 128."""
    grey = dataset == "fashion-mnist"
    return RunConfig(
        data=DataConfig(
            name=dataset, batch_size=128, loader="worker", num_workers=2, flip="random", crop_padding=0 if grey else 4
        ),
        model=ResNetConfig(in_channels=1 if grey else 3),
        train=TrainConfig(
            epochs=epochs,
            schedule=OneCycle(max_lr=0.1),
            momentum=0.9,
            nesterov=True,
            weight_decay=5e-4,
            channels_last=False,
        ),
    )


def report_fashion() -> RunConfig:
    """The original report's final model for FashionMNIST: half the channels, 48x48, batches of 4500; in fp32, for a CPU."""
    return RunConfig(
        data=DataConfig(name="fashion-mnist", image_size=48, batch_size=4500, loader="worker", num_workers=2),
        model=ResNetConfig(in_channels=1, channels=(32, 64, 128, 256)),
        train=TrainConfig(epochs=10, channels_last=False),
    )


def report_cifar(epochs: int) -> RunConfig:
    """The original report's fast model for CIFAR-10: half the channels, one cycle to 0.075; 20 epochs were the report's."""
    return RunConfig(
        data=DataConfig(batch_size=128, loader="worker", num_workers=2, flip="random"),
        model=ResNetConfig(channels=(32, 64, 128, 256)),
        train=TrainConfig(epochs=epochs, schedule=OneCycle(max_lr=0.075), momentum=0.5, weight_decay=0.015, channels_last=False),
    )


def airbench_muon(precision: Precision) -> RunConfig:
    """The published airbench94 with Muon (Jordan, 2025), in this library's terms, and in a precision of our choice.

    The original sums losses over a batch of 2000 and scales logits by 1/256. Here losses are means and the head starts scaled,
    so that its rates 0.053 (biases) and 0.67 (head) become 106 and 0.0204. Over Muon's 0.24 these are the factors below. As
    there, the first layer's biases are trained for three epochs, but at the rate of the rest, which is not nothing by then.
    """
    return RunConfig(
        data=DataConfig(batch_size=2000, test_batch_size=2000, flip="alternating", crop_padding=2),
        model=SpeedNetConfig(widths=(64, 256, 256)),
        train=TrainConfig(
            epochs=8,
            schedule=Linear(start_lr=0.24),
            momentum=0.85,
            nesterov=True,
            weight_decay=0.0167,
            bias_lr_factor=442,
            head_lr_factor=0.085,
            muon=MuonConfig(momentum=0.6, iterations=3),
            label_smoothing=0.2,
            precision=precision,
            freeze=((0.375, 1),),
            test_flip=True,
            test_shift=1,
            evaluate_every=100,
        ),
    )
