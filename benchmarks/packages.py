"""Programs that are other packages, each with its own training loop, on the same images; imported when first needed."""

import contextlib
import importlib
import io
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.energy import energy_of
from benchmarks.programs import Evaluation, Measured
from fastresnet.compute.costs import peak_memory_bytes, reset_peak_memory, training_flops_per_image
from fastresnet.config import Precision
from fastresnet.config.models import ModelConfig
from fastresnet.data.images import Dataset, ImageSet
from fastresnet.data.vision import import_torchvision
from fastresnet.errors import UserError
from fastresnet.models.build import build_model


@dataclass(frozen=True)
class Fastai:
    """Training with fastai in fp32: a DataBlock with its usual augmentation, a Learner with Adam, and `fit_one_cycle`.

    The network is one of this library's, so that only the way of training differs.
    """

    dataset: str
    model: ModelConfig
    epochs: int
    batch_size: int = 128
    max_lr: float = 3e-3
    precision: Precision = "fp32"

    def check(self, device: torch.device) -> None:
        import_torchvision("models")  # fastai imports it
        _import("fastai.vision.all")

    def run(self, dataset: Dataset, device: torch.device, seed: int, steps: int | None = None) -> Measured:
        vision = _import("fastai.vision.all")
        vision.set_seed(seed)
        vision.default_device(device.type == "cuda")
        train_images = dataset.train.subset(steps * self.batch_size) if steps else dataset.train
        loaders = self._loaders(vision, train_images, dataset.test.subset(100) if steps else dataset.test, device)
        model = build_model(self.model, seed)
        learner = vision.Learner(loaders, model, loss_func=nn.CrossEntropyLoss(), metrics=vision.accuracy)
        clock = _fastai_clock(vision)
        reset_peak_memory(device)
        with learner.no_bar(), learner.no_logging():
            _, joules = energy_of(lambda: learner.fit_one_cycle(1 if steps else self.epochs, self.max_lr, cbs=clock), device)
        shape = tuple(train_images.images.shape[1:])
        num_images = clock.steps * self.batch_size
        return Measured(
            epochs=num_images / len(dataset.train),
            train_seconds=clock.train_seconds,
            training_flops=num_images * training_flops_per_image(model, shape),
            peak_memory_bytes=peak_memory_bytes(device),
            evaluations=tuple(
                Evaluation(epochs=epoch, seconds=seconds, test_accuracy=float(values[-1]))
                for epoch, (seconds, values) in enumerate(zip(clock.seconds, learner.recorder.values, strict=True), 1)
            ),
            joules=joules,
        )

    def batch_seconds(self, dataset: Dataset, device: torch.device) -> None:
        """Returns None, since fastai's worker processes overlap with the training."""

    def _loaders(self, vision: Any, train_images: ImageSet, test_images: ImageSet, device: torch.device) -> Any:
        pixels = torch.cat([train_images.images, test_images.images]).permute(0, 2, 3, 1).squeeze(-1).numpy()
        labels = torch.cat([train_images.labels, test_images.labels]).tolist()
        image_class = vision.PILImageBW if train_images.images.shape[1] == 1 else vision.PILImage
        block = vision.DataBlock(
            blocks=(vision.ImageBlock(image_class), vision.CategoryBlock(list(range(len(train_images.class_names))))),
            get_x=lambda index: pixels[index],
            get_y=lambda index: labels[index],
            splitter=vision.IndexSplitter(list(range(len(train_images), len(labels)))),
            batch_tfms=vision.aug_transforms(),
        )
        return block.dataloaders(list(range(len(labels))), bs=self.batch_size, num_workers=2, device=device)


def _fastai_clock(vision: Any) -> Any:
    """A fastai callback that counts training steps and seconds. At each evaluation it notes the seconds so far plus its own."""

    class Clock(vision.Callback):
        def __init__(self) -> None:
            self.steps, self.train_seconds = 0, 0.0
            self.seconds: list[float] = []

        def before_train(self) -> None:
            self.start = time.perf_counter()

        def after_train(self) -> None:
            self.steps += len(self.dls.train)
            self.train_seconds += time.perf_counter() - self.start

        def before_validate(self) -> None:
            self.start = time.perf_counter()

        def after_validate(self) -> None:
            self.seconds.append(self.train_seconds + time.perf_counter() - self.start)

    return Clock()


@dataclass(frozen=True)
class Airbench:
    """A training run of the package airbench, on an NVIDIA GPU, timed by its own clock."""

    level: int
    """The accuracy that the run is made for, in percent: 94, 95 or 96."""
    epochs: float
    batch_size: int = 1024
    precision: Precision = "fp16"
    dataset: str = "cifar10"

    def check(self, device: torch.device) -> None:
        if device.type != "cuda":
            raise UserError("airbench runs on an NVIDIA GPU only")
        _import_airbench()

    def run(self, dataset: Dataset, device: torch.device, seed: int, steps: int | None = None) -> Measured:
        airbench = _import_airbench()
        epochs = steps * self.batch_size / len(dataset.train) if steps else self.epochs
        reset_peak_memory(device)
        printed = io.StringIO()
        with _airbench_folder(dataset), contextlib.redirect_stdout(printed), _kernels_tried_out():
            model, joules = energy_of(lambda: getattr(airbench, f"train{self.level}")(epochs=epochs, run=seed), device)
        train_seconds, total_seconds, accuracy = parse_airbench(printed.getvalue())
        steps_an_epoch = len(dataset.train) // self.batch_size  # airbench leaves out the last, incomplete batch
        num_images = math.ceil(epochs * steps_an_epoch) * self.batch_size
        trained = num_images / len(dataset.train)
        return Measured(
            epochs=trained,
            train_seconds=train_seconds,
            training_flops=num_images * training_flops_per_image(model.float(), (3, 32, 32)),
            peak_memory_bytes=peak_memory_bytes(device),
            evaluations=(Evaluation(epochs=trained, seconds=total_seconds, test_accuracy=accuracy),),
            joules=joules,
        )

    def batch_seconds(self, dataset: Dataset, device: torch.device) -> None:
        """Returns None, since airbench's loader cannot be timed by itself."""


def parse_airbench(printed: str) -> tuple[float, float, float]:
    """Training seconds, seconds with the evaluation, and accuracy with test-time augmentation, from airbench's table."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines() if line.startswith("|")]
    *_, (*_, train_seconds), (*_, accuracy, total_seconds) = rows
    return float(train_seconds), float(total_seconds), float(accuracy)


@contextlib.contextmanager
def _airbench_folder(dataset: Dataset) -> Iterator[None]:
    """Context with a working directory that has the images in the files where airbench looks for them."""
    with tempfile.TemporaryDirectory() as folder:
        (files := Path(folder) / "cifar10").mkdir()
        for name, images in (("train", dataset.train), ("test", dataset.test)):
            content = {
                "images": images.images.permute(0, 2, 3, 1).contiguous(),
                "labels": images.labels,
                "classes": list(images.class_names),
            }
            torch.save(content, files / f"{name}.pt")
        with contextlib.chdir(folder):
            yield


@contextlib.contextmanager
def _kernels_tried_out() -> Iterator[None]:
    """Context in which cuDNN tries out every kernel at a new shape, as airbench asks of it."""
    before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _import_airbench() -> Any:
    """Imports airbench, and takes back the setting of cuDNN that its import changes."""
    before = torch.backends.cudnn.benchmark
    try:
        return _import("airbench")
    finally:
        torch.backends.cudnn.benchmark = before


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        raise UserError(f"{missing} is not installed; pip install 'fastresnet[peers]'") from error
