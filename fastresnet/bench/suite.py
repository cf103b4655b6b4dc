"""Runs contests: the contenders alternate, round after round in one process, so that ratios hold on a noisy machine.

A contender that would take longer than a minute is timed over a few steps instead, of the same sizes and in the same
proportions as its whole run, and its time to the target is those seconds a step times its recorded number of steps.
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from torch import nn

from fastresnet.bench.contenders import Contender, Contest, contests
from fastresnet.bench.rows import Row
from fastresnet.config import Precision, RunConfig
from fastresnet.data.batches import make_batches
from fastresnet.data.images import Dataset
from fastresnet.data.sources import load_dataset
from fastresnet.device import PRECISIONS, choose_device, recipe_variant
from fastresnet.errors import UserError
from fastresnet.records import RunRecord
from fastresnet.runs import train

SUITES = {
    "cpu-quick": (("fashion-80", "cifar10-83", "cifar10-94"), 60.0),
    "cpu-full": (("fashion-80", "fashion-93", "cifar10-83", "cifar10-90", "cifar10-94"), float("inf")),
    "gpu": (("cifar10-94",), float("inf")),
}
"""Contests of each suite, and the seconds above which a contender is timed over a few steps."""
ROUNDS = 3
SECONDS_OF_STEPS = 6.0
"""What a contender timed over a few steps gets in each round, two steps at least."""


def run_suite(name: str, *, data_dir: Path | None = None, rounds: int = ROUNDS) -> Iterator[Row]:
    """Runs a suite, yielding a contest's rows once its rounds are done. Raises UserError for an unknown suite."""
    if name not in SUITES:
        raise UserError(f"no suite {name!r}; allowed: {', '.join(SUITES)}")
    device = choose_device("cuda" if name == "gpu" else "cpu")
    names, limit = SUITES[name]
    chosen = contests(names, recipe_variant(device))
    datasets = {each: load_dataset(each, data_dir) for each in {contest.contenders[0].config.data.name for contest in chosen}}
    precisions = {each.config.train.precision for contest in chosen for each in contest.contenders}
    peaks = {precision: convolution_peak(device, precision) for precision in precisions}
    for contest in chosen:
        dataset = datasets[contest.contenders[0].config.data.name]
        yield from _run_contest(contest, dataset, device, rounds, limit, peaks)


def _run_contest(
    contest: Contest, dataset: Dataset, device: torch.device, rounds: int, limit: float, peaks: Mapping[Precision, float]
) -> Iterator[Row]:
    steps: dict[str, int | None] = {}
    for each in contest.contenders:
        # two steps before the first round: they warm everything up, and tell who takes too long to be run whole
        scout = train(few_steps(each.config, dataset, 2), 0, dataset=dataset, device=device.type).record
        seconds_a_step = scout.seconds.train / 2
        whole = seconds_a_step * num_steps(each.config, dataset)
        steps[each.name] = max(2, round(SECONDS_OF_STEPS / seconds_a_step)) if whole > limit else None
    records: dict[str, list[RunRecord]] = {each.name: [] for each in contest.contenders}
    for index in range(rounds):
        for each in contest.contenders:
            few = steps[each.name]
            config = few_steps(each.config, dataset, few) if few else each.config
            records[each.name].append(train(config, index, dataset=dataset, device=device.type).record)
    for each in contest.contenders:
        image_seconds = batch_seconds(each.config, dataset, device)
        peak = peaks[each.config.train.precision]
        yield _row(contest, each, records[each.name], steps[each.name] is not None, image_seconds, len(dataset.train), peak)


def num_steps(config: RunConfig, dataset: Dataset) -> int:
    """Optimiser steps of a whole run."""
    return max(1, round(config.train.epochs * -(-len(dataset.train) // config.data.batch_size)))


def few_steps(config: RunConfig, dataset: Dataset, steps: int) -> RunConfig:
    """A run of a few steps with the sizes and frozen parts of the whole run, each for the same share of the steps."""
    share = steps / num_steps(config, dataset)
    return config.with_changes(
        {
            "train.epochs": config.train.epochs * share,
            "data.size_curriculum": [(epoch * share, side) for epoch, side in config.data.size_curriculum],
            "data.test_images": 100,
            "train.test_flip": False,
            "train.test_shift": 0,
        }
    )


def batch_seconds(config: RunConfig, dataset: Dataset, device: torch.device, batches: int = 10) -> float:
    """Seconds an image takes to be gathered, augmented, resized and normalised, without any network."""
    loader, _ = make_batches(config.data, dataset, device, seed=0)
    start, num_images = time.perf_counter(), 0
    for index, (_, labels) in enumerate(loader.epoch(0)):
        num_images += len(labels)
        if index + 1 == batches:
            break
    return (time.perf_counter() - start) / num_images


def convolution_peak(device: torch.device, precision: Precision) -> float:
    """Operations a second of the fastest of a few 3x3 convolutions, forward and backward, in channels_last."""
    dtype = PRECISIONS[precision]
    best = 0.0
    for channels, side, images in ((128, 16, 64), (256, 8, 128), (256, 7, 256)):
        layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(device, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        pixels = torch.randn(images, channels, side, side, device=device, dtype=dtype).contiguous(
            memory_format=torch.channels_last
        )
        pixels.requires_grad_()
        flops = 3 * 2 * 9 * channels**2 * side**2 * images
        for _ in range(6):
            start = time.perf_counter()
            out = layer(pixels)
            out.backward(out.detach())
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            best = max(best, flops / (time.perf_counter() - start))
    return best


def _row(
    contest: Contest,
    contender: Contender,
    records: list[RunRecord],
    steps_only: bool,
    image_seconds: float,
    num_images: int,
    peak: float,
) -> Row:
    epoch_seconds = [record.seconds.train / record.config.train.epochs for record in records]
    rates = [record.training_flops / record.seconds.train for record in records]
    seconds: list[float] | None = None
    if not steps_only:
        seconds = [record.seconds.train + record.seconds.evaluate for record in records]
    elif contender.epochs is not None:
        seconds = [each * contender.epochs for each in epoch_seconds]
    reached = [(record.test_accuracy or 0.0) >= contest.target for record in records]
    return Row(
        contest=contest.name,
        target=contest.target,
        contender=contender.name,
        whole_runs=not steps_only,
        epochs_source=contender.epochs_source,
        rounds=len(records),
        epoch_seconds=float(np.median(epoch_seconds)),
        seconds=float(np.median(seconds)) if seconds else None,
        seconds_interval=median_interval(seconds) if seconds else None,
        passed=None if steps_only else sum(reached) / len(reached),
        images_per_second=num_images / float(np.median(epoch_seconds)),
        gflops_per_second=float(np.median(rates)) / 1e9,
        share_of_peak=float(np.median(rates)) / peak,
        outside_model=image_seconds * num_images / float(np.median(epoch_seconds)),
        peak_memory_bytes=max(record.peak_memory_bytes for record in records),
    )


def median_interval(values: list[float]) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the median; the range of the values is its widest."""
    if len(set(values)) < 2:
        return values[0], values[0]
    found = stats.bootstrap((values,), np.median, method="percentile", rng=np.random.default_rng(0))
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
