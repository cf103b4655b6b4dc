"""Trains one run: configuration and seed in, record and network out.

result = fastresnet.train(config, seed=0)
result.record.test_accuracy
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

from fastresnet.compute.allocator import keep_freed_memory
from fastresnet.compute.costs import Timer, peak_memory_bytes, reset_peak_memory
from fastresnet.compute.device import choose_device, reliable_threads, warn_if_autocast_is_slow
from fastresnet.compute.memory import out_of_memory_named
from fastresnet.compute.processes import ALONE, ProcessGroup
from fastresnet.config import RunConfig
from fastresnet.config.data import GIVEN
from fastresnet.config.datasets import SPECS
from fastresnet.config.recipes import find_recipe
from fastresnet.config.seeds import check_seed, generator_seed
from fastresnet.data.batches import ImageBatches
from fastresnet.data.images import Dataset, ImageSet
from fastresnet.data.loaders import make_batches
from fastresnet.data.sources import load_dataset
from fastresnet.errors import MachineFault, UserError, check_type, last_line
from fastresnet.models.build import build_model, check_image_size
from fastresnet.models.protocols import Prepared
from fastresnet.models.saved import SavedModel, transfer
from fastresnet.records.folders import at_home, check_file
from fastresnet.records.record import DataRecord, RunRecord, StepSeconds
from fastresnet.training.evaluation import check_shift
from fastresnet.training.loop import FitResult, train_epochs
from fastresnet.training.measuring import Measured, check_measurable, measure_after, measure_before
from fastresnet.training.progress import ProgressBar, Watcher, check_watcher
from fastresnet.training.variants import choose_variant


@dataclass(frozen=True)
class RunResult:
    """Result of a run: its record, the trained network on the device it was trained on, and that network ready to be saved.

    >>> data = {"name": "fashion-sample", "train_images": 100, "test_images": 100}
    >>> config = fr.RunConfig(data=data, model={"depth": 10, "in_channels": 1}, train={"epochs": 1})
    >>> result = fr.train(config)
    >>> result.record.outcome.status, result.saved
    ('finished', SavedModel(resnet, 10 classes, images [1, 28, 28]))
    """

    record: RunRecord
    model: nn.Module
    _saved: SavedModel

    @property
    def saved(self) -> SavedModel:
        """The network as `save_model` takes it, which can predict. Raises UserError if the run diverged."""
        if self.record.outcome.status == "diverged":
            raise UserError(f"saved: the run diverged ({self.record.outcome.reason}), so that its network predicts nothing")
        return self._saved

    def __repr__(self) -> str:
        return f"RunResult({self.record!r})"


def train(
    config: RunConfig | str,
    seed: int = 0,
    *,
    dataset: Dataset | None = None,
    start: SavedModel | None = None,
    data_dir: str | Path | None = None,
    device: str | torch.device | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = False,
    watch: Watcher | None = None,
    group: ProcessGroup = ALONE,
) -> RunResult:
    """Trains one network as configured. A string as `config` names a recipe, taken in its variant for the device.

    `start` is a trained network to fine-tune: its weights are copied, except a classifier for other classes. `dataset` is a data
    set of your own, with `config.data.name` "given"; otherwise the named one is looked for in `data_dir`, then in the places of
    `fastresnet.data.sources`. `checkpoint` makes the run resumable; give it to no other run, and remove the file once the record
    is saved. `watch` follows the run and may end it. `group` joins the calls in several processes into one run. Raises UserError,
    before any training, if the configuration does not fit the data or the device, OutOfMemory if a batch does not fit into
    memory, and MachineFault if processes that load images are lost.

    >>> data = {"name": "fashion-sample", "train_images": 100, "test_images": 100}
    >>> config = fr.RunConfig(data=data, model={"depth": 10, "in_channels": 1}, train={"epochs": 1})
    >>> fr.train(config).record.outcome.status
    'finished'
    """
    if start is not None:
        check_type(start, SavedModel, "start", "as load_model reads it")
    if dataset is not None and data_dir is not None:
        raise UserError("data_dir: says where to look for a data set, but one was handed over; allowed: one of the two")
    check_watcher(watch)
    place = at_home(checkpoint) if checkpoint else None
    if place and group.is_first:
        check_file(place)
    run = _Run.begin(config, seed, device, group)
    config = run.config
    dataset, batches, test_batches = run.load(dataset, data_dir, progress)
    warn_if_autocast_is_slow(config.train, run.device)
    model = run.build(start, dataset.train.class_names)
    total_images = round(config.train.epochs * batches.num_images)
    shown = progress and group.is_first
    bar = ProgressBar(f"{config.data.name} seed {seed}", total_images, config.data.batch_size) if shown else None
    with reliable_threads(model, run.device), _causes_named(config), closing(bar) if bar else nullcontext():
        if isinstance(model, Prepared) and not model.prepared:
            with run.timer.phase("train"):  # looking at the training images counts as training
                model.prepare(batches.first_images)
        measured = measure_before(config.train.measure, model, batches)
        fitted = train_epochs(
            config.train,
            model,
            batches,
            test_batches,
            timer=run.timer,
            checkpoint=place,
            identity=run.identity(dataset, batches, test_batches, start),
            watchers=[each for each in (bar, watch) if each is not None],
        )
        if fitted.outcome.status == "finished":
            measured |= measure_after(config.train.measure, fitted.model, batches, fitted.steps.total, fitted.score)
        measured = {name: found for name, found in measured.items() if all(map(math.isfinite, found))}
        record = run.record(fitted, measured, _data_record(dataset, batches, test_batches), start)
    shape = _image_shape(config, dataset.train)
    saved = SavedModel(config, fitted.model, dataset.train.class_names, shape, dataset.mean, dataset.std)
    return RunResult(record, fitted.model, saved)


@dataclass(frozen=True)
class _Run:
    """A run in progress: its configuration and seed, its device and processes, and its timer."""

    config: RunConfig
    seed: int
    device: torch.device
    group: ProcessGroup
    timer: Timer
    started: datetime

    @classmethod
    def begin(cls, config: RunConfig | str, seed: int, device: str | torch.device | None, group: ProcessGroup) -> "_Run":
        started, seed = datetime.now(UTC), check_seed(seed)
        if not isinstance(config, RunConfig | str):
            raise UserError(f"config: must be a RunConfig or the name of a recipe, got {type(config).__name__}")
        chosen = group.own_device(choose_device(device))
        if chosen.type == "cpu":
            keep_freed_memory()
        if isinstance(config, str):
            recipe = find_recipe(config)
            config = recipe.config(group.from_first(lambda: choose_variant(recipe, chosen).variant))
        reset_peak_memory(chosen)
        return cls(config, seed, chosen, group, Timer(chosen), started)

    def load(
        self, dataset: Dataset | None, data_dir: str | Path | None, progress: bool
    ) -> tuple[Dataset, ImageBatches, ImageBatches]:
        """Loads the data set and returns it with its batches for training and for testing."""
        name = self.config.data.name
        if dataset is None and name == GIVEN:
            raise UserError(f"data.name: {GIVEN!r} stands for a data set handed to train(..., dataset=...); there is none")
        if dataset is not None:
            check_type(dataset, Dataset, "dataset", "as from from_tensors")
        if dataset is not None and name not in (GIVEN, dataset.name):
            raise UserError(f"data.name: {name!r}, but the data set handed over is {dataset.name!r}; allowed: {GIVEN!r}")
        with self.timer.phase("prepare"):
            with self.group.first_on_each_machine_first():
                dataset = dataset or load_dataset(
                    name,
                    data_dir,
                    channels=self.config.model.in_channels,
                    image_size=self.config.data.image_size,
                    progress=progress,
                )
            _check_fit(self.config, dataset)
            batches, test_batches = make_batches(self.config.data, dataset, self.device, self.seed, self.group)
            check_measurable(self.config.train.measure, test_batches)
            return dataset, batches, test_batches

    def build(self, start: SavedModel | None, class_names: Sequence[str]) -> nn.Module:
        """Builds the network on its device, from the weights of `start` if given."""
        with self.timer.phase("build"):
            # dropout draws from the global generator, in every process different numbers
            torch.manual_seed(generator_seed(self.seed) + self.group.rank * 1_000_003)
            model = build_model(self.config.model, self.seed)
            if start:
                transfer(model, start, class_names)
        return model.to(self.device)

    def identity(self, dataset: Dataset, batches: ImageBatches, test: ImageBatches, start: SavedModel | None) -> str:
        """Name of the run that a checkpoint belongs to. It includes the images, since those of a folder may change, and the
        statistics by which they are normalised, if these are not the usual ones of the named data set."""
        images = [each.images.digest[:12] for each in (batches, test)]
        spec = SPECS.get(self.config.data.name)
        usual = (spec.mean, spec.std) if spec else None
        statistics = [] if (dataset.mean, dataset.std) == usual else [str(each) for each in (*dataset.mean, *dataset.std)]
        processes = [f"{self.group.size}processes"] if self.group.size > 1 else []
        weights = [start.weights_digest] if start else []
        return "-".join([self.config.hash, f"seed{self.seed}", *images, *statistics, *processes, *weights])

    def record(self, fitted: FitResult, measured: Measured, data: DataRecord, start: SavedModel | None) -> RunRecord:
        """Makes the record of the run, once it has been trained."""
        parts = fitted.steps.parts.seconds
        return RunRecord(
            config_hash=self.config.hash,
            seed=self.seed,
            config=self.config,
            outcome=fitted.outcome,
            epochs=fitted.epochs,
            measured=measured,
            seconds=fitted.seconds,
            processes=tuple(self.group.gather(fitted.seconds)) if self.group.size > 1 else (),
            step_seconds=StepSeconds(**parts) if self.config.train.time_parts else None,
            training_flops=fitted.steps.training_flops(),
            peak_memory_bytes=max(self.group.gather(peak_memory_bytes(self.device))),
            parameters=sum(parameter.numel() for parameter in fitted.steps.model.parameters()),
            data=data,
            **dict(fitted.origins[-1]),
            earlier=fitted.origins[:-1],
            started=self.started,
            started_from=start.weights_digest if start else None,
        )


@contextmanager
def _causes_named(config: RunConfig) -> Iterator[None]:
    """Turns an out-of-memory error in the block into OutOfMemory, which names the batch size, and an error of the processes that
    load images, which torch may raise anywhere in the block, into MachineFault, which names their number."""
    try:
        with out_of_memory_named(f"data.batch_size {config.data.batch_size}", "take a smaller one, or train.micro_batch"):
            yield
    except RuntimeError as error:
        if config.data.num_workers and ("DataLoader worker (pid" in str(error) or "shared memory" in str(error)):
            raise MachineFault(f"data.num_workers {config.data.num_workers}: {last_line(error)}") from error
        raise


def _check_fit(config: RunConfig, dataset: Dataset) -> None:
    channels, classes = dataset.train.images.shape[1], len(dataset.train.class_names)
    if (config.model.in_channels, config.model.num_classes) != (channels, classes):
        raise UserError(
            f"{dataset.name} has {channels} channels and {classes} classes; the model is configured for "
            f"{config.model.in_channels} and {config.model.num_classes} (model.in_channels, model.num_classes)"
        )
    side = min(_image_shape(config, dataset.train)[1:])
    check_image_size(config.model, min([side, *(small for _, small in config.data.size_curriculum)]))
    check_shift(config.train.test_shift, side)


def _image_shape(config: RunConfig, images: ImageSet) -> tuple[int, int, int]:
    channels, height, width = images.images.shape[1:]
    side = config.data.image_size
    return (channels, side, side) if side else (channels, height, width)


def _data_record(dataset: Dataset, batches: ImageBatches, test_batches: ImageBatches) -> DataRecord:
    train, test = batches.images, test_batches.images
    return DataRecord(
        source=dataset.source,
        train_images=batches.num_images,
        train_digest=train.digest,
        test_images=test_batches.num_images,
        test_digest=test.digest,
    )
