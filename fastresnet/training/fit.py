"""Trains any network on any batches in one call."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fastresnet.compute.allocator import keep_freed_memory
from fastresnet.compute.costs import Timer
from fastresnet.compute.device import choose_device, in_layout, reliable_threads, warn_if_autocast_is_slow
from fastresnet.compute.memory import out_of_memory_named
from fastresnet.config import TrainConfig
from fastresnet.config.parsing import parse
from fastresnet.config.seeds import check_seed, generator_seed
from fastresnet.data.batches import ImageBatches
from fastresnet.data.loaders import Batches, IterableBatches, as_batches, check_labels, has_single
from fastresnet.errors import UserError
from fastresnet.models.checks import check_logits, check_network, taking
from fastresnet.models.protocols import Prepared
from fastresnet.records.folders import at_home, check_file
from fastresnet.training.checkpoints import own_checkpoint
from fastresnet.training.evaluation import check_shift
from fastresnet.training.loop import FitResult, train_epochs
from fastresnet.training.measuring import EPOCH_MEASURES, check_measurable
from fastresnet.training.progress import Watcher, check_watcher


def fit(
    model: nn.Module,
    train: Iterable[tuple[Tensor, Tensor]],
    test: Iterable[tuple[Tensor, Tensor]] | None = None,
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
    checkpoint: str | Path | None = None,
    watch: Watcher | None = None,
    **settings: Any,
) -> FitResult:
    """Trains a network in place: any `nn.Module` that returns logits [N, classes] for images [N, C, H, W].

    `train` and `test` come from `loaders`, or are other iterables of (images, labels) with a length, such as a DataLoader.
    `settings` are the fields of `TrainConfig`. `seed` seeds torch's generator, which dropout draws from. `device` is cuda, mps
    or cpu; None takes the device of the batches, else the fastest there is. `watch` follows the run and may end it. A whitened
    network gets its first filters from the first images of `train`.

    `checkpoint` names a file that makes the run resumable, by a network of the same layers, whatever its weights. The file is
    removed at the end of the run, which leaves the network in evaluation mode. A DataLoader that shuffles by a generator of its
    own goes on with other batches than in an uninterrupted run.

    Raises UserError, before any training, for settings that are not allowed, and for batches that are not images float32 and
    labels int64 [N], or that the network cannot take; of batches that do not lie in a list, before training only for the first,
    and for others when they come. Raises OutOfMemory if a batch does not fit into memory.

    >>> train, test = fr.loaders("fashion-sample", train_images=500, test_images=100, batch_size=100)
    >>> model = fr.resnet10(channels=(8, 16, 32, 64), in_channels=1)
    >>> result = fr.fit(model, train, test, epochs=2, schedule=fr.OneCycle(max_lr=0.2), momentum=0.9)
    >>> result.outcome.status, len(result.epochs)
    ('finished', 2)
    """
    config, seed = parse(settings, TrainConfig, "fit"), check_seed(seed)
    check_watcher(watch)
    if unknown := set(config.measure) - set(EPOCH_MEASURES):
        raise UserError(
            f"measure: {', '.join(sorted(unknown))} is measured by `train` alone; allowed: {', '.join(EPOCH_MEASURES)}"
        )
    check_network(model)
    chosen = train.device if device is None and isinstance(train, ImageBatches) else choose_device(device)
    batches, test_batches = as_batches(train, chosen, "train"), None if test is None else as_batches(test, chosen, "test")
    if chosen.type == "cpu":
        keep_freed_memory()
    warn_if_autocast_is_slow(config, chosen)
    model.to(chosen)
    for name, each in (("train", batches), ("test", test_batches)):
        if each is not None:
            sides = _check_batches(name, each, model, chosen, config)
            if name == "test":
                check_shift(config.test_shift, min(sides) if len(sides) == 2 else 0)
    check_measurable(config.measure, test_batches)
    place = at_home(checkpoint) if checkpoint else None
    if place:
        check_file(place)
    timer = Timer(chosen)
    torch.manual_seed(generator_seed(seed))
    remedy = "take smaller ones, or micro_batch"
    with reliable_threads(model, chosen), own_checkpoint(place), out_of_memory_named("these batches", remedy):
        if isinstance(model, Prepared) and not model.prepared:
            with timer.phase("train"):
                model.prepare(batches.first_images)
            torch.manual_seed(generator_seed(seed))  # a network that was prepared before goes on from the same random numbers
        with _random_numbers_kept(batches), _random_numbers_kept(test_batches):
            identity = f"{type(model).__name__}-seed{seed}-{_digest(config, model, batches, test_batches)}" if place else ""
        watchers = [] if watch is None else [watch]
        result = train_epochs(
            config, model, batches, test_batches, timer=timer, checkpoint=place, identity=identity, watchers=watchers
        )
        if place:
            place.unlink(missing_ok=True)  # else the next network would take it up
    return result


def _digest(config: TrainConfig, model: nn.Module, batches: Batches, test_batches: Batches | None) -> str:
    """A digest of what a checkpoint's state and epochs depend on: settings, layers, shapes of the weights and which are trained,
    number and first of the batches. Of somebody's own batches it takes the images' shape, and the labels if two looks find the
    same batch: their order and augmentation may not repeat."""
    weights = [(tuple(each.shape), each.requires_grad) for each in model.parameters()]
    layers = re.sub(r"0x[0-9a-f]+", "", repr(model))  # addresses of functions
    digest = hashlib.sha256(repr((config.model_dump_json(), weights, layers)).encode())
    for each in (batches, test_batches):
        if isinstance(each, ImageBatches):  # iterating over them would count as an epoch
            images = each.first_images(2)
            first = [images, each.images.labels]
            settings = [each.config.model_dump_json(), each.seed]
        elif each:
            one, other = (next(iter(each.epoch(0))) for _ in range(2))
            images, labels = one
            first, settings = [labels] * all(map(torch.equal, one, other)), []
        else:
            continue
        digest.update(repr((settings, len(each), tuple(images.shape))).encode())
        for tensor in first:
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


@contextmanager
def _random_numbers_kept(batches: Batches | None) -> Iterator[None]:
    """Lets the block look at batches without a change to the random numbers that a run will draw, from torch's generator or a
    DataLoader's own."""
    own = getattr(getattr(batches, "iterable", None), "generator", None)
    kept = own if isinstance(own, torch.Generator) else torch.Generator()
    before = kept.get_state()
    with torch.random.fork_rng(devices=[]):
        yield
    kept.set_state(before)


def _check_batches(name: str, batches: Batches, model: nn.Module, device: torch.device, config: TrainConfig) -> tuple[int, ...]:
    """Sides of the first images, height and width if they are such. Raises UserError unless their batch is what a step takes, and
    the network has logits for its labels, at every size that the run has images in. If one of the batches is a single image, as
    far as can be told, the network has to take that, too. Batches in a list are all looked at."""
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"model: {type(model).__name__} has no parameter to train")
    if isinstance(batches, ImageBatches):  # iterating over them would count as an epoch
        looks, labels = [batches.first_images(2, side) for side in batches.sides(config.epochs)], batches.images.labels
    else:
        first = next(iter(batches.epoch(0)), None)
        if first is None:
            raise UserError(f"{name}: there is no batch")
        looks, labels = [first[0]], first[1]
    training = model.training
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    try:
        for images in looks:
            two = in_layout(images[:2].to(device), layout)
            with torch.no_grad(), taking(list(images.shape), model, name):
                logits = model.eval()(two)
            check_logits(logits, model)
            if name == "train":  # in training, a network may answer otherwise
                model.train()
                single = config.epochs >= 1 and has_single(batches, len(images))
                for some, shape in ((two, images.shape), *([(two[:1], two[:1].shape)] if single else [])):
                    with taking(list(shape), model, name):
                        logits = functional_call(model, _copied_weights(model, layout), (some,))
                    check_logits(logits, model)
                    if not logits.requires_grad:
                        raise UserError(
                            f"model: {type(model).__name__} returns logits that depend on none of its trained parameters"
                        )
    finally:
        model.train(training)
    check_labels(labels, logits.shape[1], name)
    if isinstance(batches, IterableBatches):
        batches.classes = logits.shape[1]
        batches.check_all()
    return tuple(images.shape[2:])


def _copied_weights(model: nn.Module, layout: torch.memory_format) -> dict[str, Tensor]:
    """Copies of the parameters and buffers: a look at the network changes no statistics of batch norm."""
    parameters = {
        name: in_layout(weight.detach().clone(), layout).requires_grad_(weight.requires_grad)
        for name, weight in model.named_parameters()
    }
    return parameters | {name: buffer.clone() for name, buffer in model.named_buffers()}
