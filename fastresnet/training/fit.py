"""Trains any network on any batches in one call."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastresnet.compute.allocator import keep_freed_memory
from fastresnet.compute.costs import Timer
from fastresnet.compute.device import choose_device, trusted_threads, warn_if_autocast_is_slow
from fastresnet.config import TrainConfig
from fastresnet.config.parsing import parse
from fastresnet.config.seeds import check_seed, generator_seed
from fastresnet.data.batches import ImageBatches
from fastresnet.data.loaders import as_batches
from fastresnet.models.protocols import Prepared
from fastresnet.training.loop import FitResult, train_epochs
from fastresnet.training.progress import Watcher


def fit(
    model: nn.Module,
    train: Iterable[tuple[Tensor, Tensor]],
    test: Iterable[tuple[Tensor, Tensor]] | None = None,
    *,
    seed: int = 0,
    device: str | None = None,
    checkpoint: str | Path | None = None,
    watch: Watcher | None = None,
    **settings: Any,
) -> FitResult:
    """Trains a network in place: any `nn.Module` that returns logits [N, classes] for images [N, C, H, W].

    `train` and `test` come from `loaders`, or are other iterables of (images, labels) with a length, such as a DataLoader.
    `settings` are the fields of `TrainConfig`. `seed` seeds torch's generator, which dropout draws from. `device` is cuda, mps
    or cpu; None takes the device of the batches, else the fastest there is. `checkpoint` names a file that makes the run
    resumable. `watch` follows the run and may end it. Raises UserError, before any training, for settings that are not allowed.

        >>> from fastresnet import OneCycle, loaders, resnet10
        >>> train, test = loaders("fashion-sample", batch_size=100)
        >>> model = resnet10(channels=(8, 16, 32, 64), in_channels=1)
        >>> result = fit(model, train, test, epochs=2, schedule=OneCycle(max_lr=0.2), momentum=0.9)
        >>> result.outcome.status, len(result.epochs)
        ('finished', 2)
    """
    config, seed = parse(settings, TrainConfig, "fit"), check_seed(seed)
    chosen = train.device if device is None and isinstance(train, ImageBatches) else choose_device(device)
    batches, test_batches = as_batches(train, chosen), None if test is None else as_batches(test, chosen)
    if chosen.type == "cpu":
        keep_freed_memory()
    warn_if_autocast_is_slow(config, chosen)
    timer = Timer(chosen)
    torch.manual_seed(generator_seed(seed))
    with trusted_threads(model, chosen):
        if isinstance(model, Prepared) and isinstance(train, ImageBatches):
            with timer.phase("train"):
                model.to(chosen)
                model.prepare(train.first_images)
        identity = f"{type(model).__name__}-{config.model_dump_json()}-seed{seed}"
        place = Path(checkpoint) if checkpoint else None
        watchers = [watch] if watch else []
        return train_epochs(
            config, model, batches, test_batches, timer=timer, checkpoint=place, identity=identity, watchers=watchers
        )
