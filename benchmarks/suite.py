"""Runs contests: the contenders alternate, round after round in one process, so that ratios hold on a noisy machine.

A contender that would take longer than the suite's limit is timed over a few steps instead, with the image sizes and frozen
parts of its whole run in the same shares. Its time to the target is then the seconds per step times its recorded number of
steps, plus the seconds before the first step.
"""

import math
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import nn

from benchmarks.contenders import Contender, Contest, contests
from benchmarks.energy import energy_joules
from benchmarks.parts import step_parts
from benchmarks.programs import Evaluation, Measured, Program, num_steps
from fastresnet.compute.costs import synchronise
from fastresnet.compute.device import PRECISIONS, choose_device
from fastresnet.config import Precision
from fastresnet.data.images import Dataset
from fastresnet.data.sources import load_dataset
from fastresnet.errors import UserError
from fastresnet.records.benchmark import FEWEST_FOR_AN_INTERVAL, Row, StepPart
from fastresnet.training.variants import choose_variant


class Peaks(NamedTuple):
    """What a device computes at most in a precision, in operations per second."""

    convolution: float
    """Of a few 3x3 convolutions, forward and backward, in channels_last: the fastest."""
    product: float
    """Of a product of two large square matrices."""


@dataclass(frozen=True)
class Suite:
    """Contests on one kind of device."""

    contests: tuple[str, ...]
    limit: float
    """Seconds above which a contender is timed over a few steps."""
    device: str = "cpu"


SUITES = {
    "cpu-quick": Suite(("fashion-80", "cifar10-83", "cifar10-94"), 60.0),
    "cpu-full": Suite(("fashion-80", "fashion-93", "cifar10-83", "cifar10-90", "cifar10-94"), float("inf")),
    "gpu": Suite(("cifar10-94", "cifar10-96"), float("inf"), device="cuda"),
}
ROUNDS = 3
WARM_UP_STEPS = {"cpu": 2, "cuda": 12}
"""Steps before timing. A GPU needs more: kernels are chosen or made at every new image size, of which a run has several."""
SECONDS_OF_STEPS = 6.0
"""Seconds per round for a contender timed over a few steps; it takes two steps at least."""
SECONDS_OF_PARTS = 10.0
"""Seconds of our recipe's steps that are profiled, on a processor."""


def run_suite(
    name: str,
    *,
    only: tuple[str, ...] = (),
    peers: tuple[str, ...] = (),
    data_dir: Path | None = None,
    rounds: int = ROUNDS,
) -> Iterator[Row]:
    """Runs a suite, or `only` some of its contests, against all or some `peers`. Yields a contest's rows after its last round.

    A peer whose package is missing is left out with a warning. Raises UserError for an unknown suite, contest or peer.
    """
    if name not in SUITES:
        raise UserError(f"no suite {name!r}; allowed: {', '.join(SUITES)}")
    suite = SUITES[name]
    unknown = [each for each in only if each not in suite.contests]
    if unknown:
        raise UserError(f"{name}: no contest {unknown[0]!r}; allowed: {', '.join(suite.contests)}")
    device = choose_device(suite.device)
    energy_joules(device)  # fails before any work if its package is missing
    found = _against(
        peers, contests(tuple(dict.fromkeys(only)) or suite.contests, lambda recipe: choose_variant(recipe, device).variant)
    )
    chosen = [_without_missing(contest, device) for contest in found]
    programs = [contender.program for contest in chosen for contender in contest.contenders]
    datasets = {each: load_dataset(each, data_dir) for each in dict.fromkeys(program.dataset for program in programs)}
    peaks = {each: measure_peaks(device, each) for each in dict.fromkeys(program.precision for program in programs)}
    for contest in chosen:
        dataset = datasets[contest.contenders[0].program.dataset]
        yield from _run_contest(contest, dataset, device, rounds, suite.limit, peaks)


def _against(peers: tuple[str, ...], found: tuple[Contest, ...]) -> tuple[Contest, ...]:
    """The contests with only the named peers beside ours, or with all if none is named."""
    if not peers:
        return found
    known = dict.fromkeys(each.name for contest in found for each in contest.contenders[1:])
    unknown = [peer for peer in peers if peer not in known]
    if unknown:
        names = ", ".join(contest.name for contest in found)
        raise UserError(f"{names}: no peer {unknown[0]!r}; allowed: {', '.join(known) or 'none'}")

    def met(contest: Contest) -> tuple[Contender, ...]:
        ours, *others = contest.contenders
        return (ours, *(each for each in others if each.name in peers))

    return tuple(replace(contest, contenders=met(contest)) for contest in found)


def _without_missing(contest: Contest, device: torch.device) -> Contest:
    present = []
    for contender in contest.contenders:
        try:
            contender.program.check(device)
            present.append(contender)
        except UserError as error:
            warnings.warn(f"{contest.name}: {contender.name} is left out: {error}", stacklevel=2)
    return replace(contest, contenders=tuple(present))


def _run_contest(
    contest: Contest, dataset: Dataset, device: torch.device, rounds: int, limit: float, peaks: Mapping[Precision, Peaks]
) -> Iterator[Row]:
    steps: dict[str, int | None] = {}
    starts: dict[str, float] = {}
    for each in contest.contenders:
        each.program.run(dataset, device, 0, WARM_UP_STEPS[device.type])
        steps[each.name], starts[each.name] = _few_steps(each.program, dataset, device, limit)
    measured: dict[str, list[Measured]] = {each.name: [] for each in contest.contenders}
    for index in range(rounds):
        for each in contest.contenders:
            measured[each.name].append(each.program.run(dataset, device, index, steps[each.name]))
    for each in contest.contenders:
        image_seconds = each.program.batch_seconds(dataset, device)
        start = None if steps[each.name] is None else starts[each.name]
        rounds_of = _Rounds(each, tuple(measured[each.name]), start, image_seconds)
        row = _row(contest, rounds_of, len(dataset.train), peaks[each.program.precision])
        if each is contest.contenders[0] and device.type == "cpu":
            row = row.model_copy(update={"parts": _parts(each.program, dataset, row.epoch_seconds)})
        yield row


def _parts(program: Program, dataset: Dataset, epoch_seconds: float) -> tuple[StepPart, ...]:
    steps, seconds_a_run = num_steps(program, dataset), epoch_seconds * program.epochs
    return step_parts(program, dataset, max(2, math.ceil(steps * min(1.0, SECONDS_OF_PARTS / seconds_a_run))))


def _few_steps(program: Program, dataset: Dataset, device: torch.device, limit: float) -> tuple[int | None, float]:
    """The number of steps per round for a program, None if it is run whole, and the seconds before its first step."""
    if math.isinf(limit):
        return None, 0.0
    # two lengths tell the seconds per step from those before the first step: a recipe whitens its first layer
    two, four = (program.run(dataset, device, 0, steps=number).train_seconds for number in (2, 4))
    seconds_a_step = max((four - two) / 2, four / 8)
    start = max(0.0, four - 4 * seconds_a_step)
    whole = start + seconds_a_step * num_steps(program, dataset)
    return (max(2, round(SECONDS_OF_STEPS / seconds_a_step)) if whole > limit else None), start


def measure_peaks(device: torch.device, precision: Precision) -> Peaks:
    """Measures both peaks, for about a second on a processor."""
    dtype = PRECISIONS[precision]
    return Peaks(_convolution_peak(device, dtype), _product_peak(device, dtype))


def _product_peak(device: torch.device, dtype: torch.dtype) -> float:
    side = 8192 if device.type == "cuda" else 2048
    matrix, best = torch.randn(side, side, device=device, dtype=dtype), 0.0
    for _ in range(6):
        start = time.perf_counter()
        torch.mm(matrix, matrix)
        synchronise(device)
        best = max(best, 2 * side**3 / (time.perf_counter() - start))
    return best


def _convolution_peak(device: torch.device, dtype: torch.dtype) -> float:
    best = 0.0
    for channels, side, images in ((128, 16, 64), (256, 8, 128), (256, 7, 256)):
        images *= 16 if device.type == "cuda" else 1  # smaller ones would be done before the next call
        layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(device, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        pixels = torch.randn(images, channels, side, side, device=device, dtype=dtype).contiguous(
            memory_format=torch.channels_last
        )
        pixels.requires_grad_()
        flops = 3 * 2 * 9 * channels**2 * side**2 * images
        for _ in range(6):
            start = time.perf_counter()
            out = layer(pixels)
            torch.autograd.grad(out, (pixels, layer.weight), out.detach())
            synchronise(device)
            best = max(best, flops / (time.perf_counter() - start))
    return best


@dataclass(frozen=True)
class _Rounds:
    """The measurements of a contender's rounds."""

    contender: Contender
    runs: tuple[Measured, ...]
    start: float | None
    """Seconds before the first step, for runs of a few steps; None for whole runs, whose time includes them."""
    image_seconds: float | None
    """Seconds per image to make batches; None if they cannot be told apart from training."""

    def stepping(self) -> list[float]:
        """Seconds that each run spent in its steps."""
        return [run.train_seconds - min(self.start or 0.0, run.train_seconds / 2) for run in self.runs]

    def seconds_to_target(self, reached: list[Evaluation]) -> list[float]:
        """Seconds to the target, one value per run. If only steps were timed, they are extrapolated to the recorded number of
        epochs; the list is empty if that is unknown."""
        if self.start is None:
            return [each.seconds for each in reached]
        epochs = self.contender.epochs
        rounds = zip(self.stepping(), self.runs, strict=True)
        return [] if epochs is None else [self.start + seconds / run.epochs * epochs for seconds, run in rounds]


def _row(contest: Contest, rounds: _Rounds, num_images: int, peaks: Peaks) -> Row:
    contender, runs, whole = rounds.contender, rounds.runs, rounds.start is None
    stepping = rounds.stepping()
    epoch_seconds = float(np.median([seconds / run.epochs for seconds, run in zip(stepping, runs, strict=True)]))
    rate = float(np.median([run.training_flops / seconds for seconds, run in zip(stepping, runs, strict=True)]))
    reached = [run.reaching(contest.target) for run in runs] if whole else []
    passed = [each.test_accuracy >= contest.target for each in reached]
    seconds = rounds.seconds_to_target(reached)
    energies = [run.joules for run in runs if whole and run.joules is not None]
    share_outside = None if rounds.image_seconds is None else rounds.image_seconds * num_images / epoch_seconds
    return Row(
        contest=contest.name,
        target=contest.target,
        contender=contender.name,
        whole_runs=whole,
        epochs_source=contender.epochs_source,
        rounds=len(runs),
        epoch_seconds=epoch_seconds,
        seconds=float(np.median(seconds)) if seconds else None,
        seconds_interval=median_interval(seconds) if seconds else None,
        accuracy=float(np.mean([run.evaluations[-1].test_accuracy for run in runs])) if whole else None,
        at_least=not any(passed) if whole else contender.at_least,
        passed=float(np.mean(passed)) if passed else None,
        epochs_to_target=float(np.median([each.epochs for each in reached])) if reached else None,
        images_per_second=num_images / epoch_seconds,
        gflops_per_second=rate / 1e9,
        share_of_peak=rate / peaks.convolution,
        share_of_product_peak=rate / peaks.product,
        outside_model=share_outside,
        peak_memory_bytes=max(run.peak_memory_bytes for run in runs),
        joules=float(np.median(energies)) if energies else None,
    )


def median_interval(values: list[float]) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the median; of fewer than six values it is their range."""
    if len(values) < FEWEST_FOR_AN_INTERVAL:
        return min(values), max(values)
    found = stats.bootstrap((values,), np.median, method="percentile", rng=np.random.default_rng(0))
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
